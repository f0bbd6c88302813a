"""Audiobox Aesthetics: enjoyment, usefulness, complexity and production quality of any sound, without a reference."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ldmbench.extractors.audiobox import AXES, CHECKPOINT, RATE, Audiobox
from ldmbench.extractors.loader import load_extractor
from ldmbench.metrics._base import MetricFacts, register, settings_title
from ldmbench.metrics._embedding import Source
from ldmbench.metrics._judge import NetworkJudge
from ldmbench.names import Name, Setting

#: Seconds of the first frame.
_SHORTEST = 0.025


def _register(axis: str) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> NetworkJudge:
        facts = MetricFacts(
            name=str(asked),
            title=f"Audiobox {axis}{settings_title(asked)}",
            # A sound is not better for being complex.
            better="neither" if axis == "PC" else "higher",
            rate=RATE,
            needs=("output",),
            device=True,
            digits=2,
            extras=("models",),
            source="Tjandra et al., arXiv:2502.05139; audiobox_aesthetics 0.0.4, checkpoint.pt of "
            "facebook/audiobox-aesthetics 9b1dd8e (CC BY 4.0)",
        )
        source = Source.by(settings, partial(load_extractor, Audiobox), axis, (CHECKPOINT,))
        return NetworkJudge(facts, source, _SHORTEST, packages=("transformers",))

    register(f"audiobox_{axis.lower()}", build, defaults={"untrained": False, "official": True})


for _axis in AXES:
    _register(_axis)
