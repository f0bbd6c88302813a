"""Optional dependency groups of ldmbench: which are installed, and the command that installs them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

#: Import names that show whether an optional dependency group is installed.
_EXTRAS = {
    "cluster": ("ray",),
    "models": ("torch", "torchaudio", "transformers", "diffusers", "whisper"),
    "music": ("mir_eval", "librosa"),
    "speech": ("distillmos", "torchcrepe", "pyworld", "webrtcvad", "zimtohrli"),
}


def missing_extras(extras: Sequence[str]) -> list[str]:
    """Packages of these dependency groups that cannot be imported."""
    return [name for extra in extras for name in _EXTRAS.get(extra, ()) if importlib.util.find_spec(name) is None]


def install(extras: Sequence[str]) -> str:
    """The command that installs dependency groups."""
    return f"pip install 'ldmbench[{','.join(extras)}]'"
