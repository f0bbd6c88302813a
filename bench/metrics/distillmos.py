"""Distill-MOS: quality of speech without a reference, on the weights in the package distillmos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ldmbench.extractors import NetworkExtractor
from ldmbench.extractors.distillmos import RATE, load_distillmos, weights_file
from ldmbench.metrics._base import register
from ldmbench.metrics._embedding import Source
from ldmbench.metrics._judge import PackagedJudge, mos_facts
from ldmbench.names import Name, Setting

_SOURCE = "Stahl and Gamper, arXiv:2502.05356; distillmos 0.9.1, distill_mos_v7.pt"


def _load(*, device: str, weights: Path | None, untrained: bool, official: bool) -> NetworkExtractor:
    return load_distillmos(device, untrained)


def _build(asked: Name, settings: Mapping[str, Setting]) -> PackagedJudge:
    # The ends of the sigmoid that maps to the scale.
    facts = mos_facts(asked, "Distill-MOS", RATE, _SOURCE, device=True, low=1.0, high=5.0, extras=("models", "speech"))
    return PackagedJudge(facts, Source.by(settings, _load, "distillmos"), ("distillmos",), weights_file)


register("distillmos", _build, defaults={"untrained": False})
