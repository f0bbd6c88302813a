"""The bench on which latent-diffusion audio systems and neural audio codecs are evaluated: its public names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldmbench.audio.sound import Audio
    from ldmbench.clips.clip import Clip
    from ldmbench.clips.load import load_dataset
    from ldmbench.errors import BenchError, Unscored
    from ldmbench.metrics._base import load_metric, metric
    from ldmbench.notebook import Results, evaluate, open_results
    from ldmbench.runs.results import Run, open_run
    from ldmbench.stats import Estimate
    from ldmbench.suite import load_suite
    from ldmbench.system.codec import Codec, Stream
    from ldmbench.system.protocol import Output

__all__ = [
    "Audio", "BenchError", "Clip", "Codec", "Estimate", "Output", "Results", "Run", "Stream", "Unscored",
    "evaluate", "load_dataset", "load_metric", "load_suite", "metric", "open_results", "open_run",
]  # fmt: skip

_HOMES = {
    "Audio": "audio.sound", "BenchError": "errors", "Clip": "clips.clip", "Codec": "system.codec", "Estimate": "stats",
    "Output": "system.protocol", "Run": "runs.results", "Stream": "system.codec", "Unscored": "errors",
    "evaluate": "notebook", "load_dataset": "clips.load", "load_metric": "metrics._base", "load_suite": "suite",
    "metric": "metrics._base", "open_results": "notebook", "open_run": "runs.results", "Results": "notebook",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """The public names, loaded when first used, so that ``import ldmbench`` is instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ldmbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ldmbench.{_HOMES[name]}"), name)
