"""PLCMOS: quality of speech after packet loss and its concealment, without a reference."""

from __future__ import annotations

from collections.abc import Mapping

from ldmbench.extractors.plcmos import RATE, plcmos
from ldmbench.metrics._base import MetricFacts, register, settings_title
from ldmbench.metrics._judge import Judge
from ldmbench.names import Name, Setting


def _build(asked: Name, settings: Mapping[str, Setting]) -> Judge:
    facts = MetricFacts(
        name=str(asked),
        title=f"PLCMOS{settings_title(asked)}",
        unit="MOS",
        rate=RATE,
        needs=("output",),
        content=("speech",),
        digits=2,
        source="Diener et al., arXiv:2305.15127; speechmos 0.0.1.1, plcmos_v2.onnx, 15 raters of a fixed seed",
    )
    return Judge(facts, plcmos, settings, "plcmos")


register("plcmos", _build, defaults={"seed": 0})
