"""The engine of ldmbench: datasets, systems, metrics, suites and runs, without any particular one of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.audio import Audio
    from bench.dataset import Clip, load_dataset
    from bench.errors import BenchError, Unscored
    from bench.metric import load_metric
    from bench.prepare import evaluate
    from bench.stats import Estimate
    from bench.store import Run, open_run
    from bench.suite import load_suite
    from bench.system import Codec, Output, Stream

__all__ = [
    "Audio", "BenchError", "Clip", "Codec", "Estimate", "Output", "Run", "Stream", "Unscored",
    "evaluate", "load_dataset", "load_metric", "load_suite", "open_run",
]  # fmt: skip

_HOMES = {
    "Audio": "audio", "BenchError": "errors", "Clip": "dataset", "Codec": "system", "Estimate": "stats",
    "Output": "system", "Run": "store", "Stream": "system", "Unscored": "errors", "evaluate": "prepare",
    "load_dataset": "dataset", "load_metric": "metric", "load_suite": "suite", "open_run": "store",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """The public names, loaded when first used, so that ``import bench`` is instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bench.{_HOMES[name]}"), name)
