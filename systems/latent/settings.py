"""Settings that latent diffusion adapters share, each checked before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec

#: What weights may be held and computed in.
PRECISIONS = ("float32", "float16", "bfloat16")


def check_setting(spec: SystemSpec, key: str, fine: bool, wanted: str) -> None:
    """Raise ``BenchError`` unless the setting ``key`` is ``fine``; ``wanted`` says what it should be.

    Raises:
        BenchError: If it is not.
    """
    if not fine:
        raise BenchError(f"{key} of {spec.label} must be {wanted}", f"{spec.settings[key]!r}")


def check_sampling(spec: SystemSpec) -> None:
    """Check the settings that all diffusion systems have: ``cfg``, ``eta`` (where a sampler has it), ``precision``.

    Raises:
        BenchError: If one is out of range.
    """
    cfg, eta = float(spec.settings["cfg"]), float(spec.settings.get("eta", 0.0))
    check_setting(spec, "cfg", cfg >= 0 and math.isfinite(cfg), "0 or more")
    check_setting(spec, "eta", 0 <= eta <= 1, "0 to 1")
    check_setting(spec, "precision", spec.settings["precision"] in PRECISIONS, "one of " + ", ".join(PRECISIONS))


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice from diffusers and transformers; what matters is checked and recorded here."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [library.get_verbosity() for library in libraries]
    bars = transformers_logging.is_progress_bar_enabled()
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, level in zip(libraries, before, strict=True):
            library.set_verbosity(level)
        if bars:
            for library in libraries:
                library.enable_progress_bar()
