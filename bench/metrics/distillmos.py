"""Distill-MOS: quality of speech without a reference, on the weights in the package distillmos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ldmbench.extractors import NetworkExtractor
from ldmbench.extractors.distillmos import RATE, load_distillmos, weights_file
from ldmbench.metrics._base import MetricFacts, register, settings_title
from ldmbench.metrics._embedding import Source
from ldmbench.metrics._judge import PackagedJudge
from ldmbench.names import Name, Setting


def _load(*, device: str, weights: Path | None, untrained: bool, official: bool) -> NetworkExtractor:
    return load_distillmos(device, untrained)


def _build(asked: Name, settings: Mapping[str, Setting]) -> PackagedJudge:
    facts = MetricFacts(
        name=str(asked),
        title=f"Distill-MOS{settings_title(asked)}",
        unit="MOS",
        rate=RATE,
        needs=("output",),
        content=("speech",),
        device=True,
        digits=2,
        # The ends of the sigmoid that maps to the scale.
        low=1.0,
        high=5.0,
        extras=("models", "speech"),
        source="Stahl and Gamper, arXiv:2502.05356; distillmos 0.9.1, distill_mos_v7.pt",
    )
    source = Source(_load, (), "distillmos", bool(settings["untrained"]), True)
    return PackagedJudge(facts, source, ("torch", "torchaudio", "distillmos"), weights_file)


register("distillmos", _build, defaults={"untrained": False})
