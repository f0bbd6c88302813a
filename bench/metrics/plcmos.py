"""PLCMOS: quality of speech after packet loss and its concealment, without a reference."""

from __future__ import annotations

from collections.abc import Mapping

from ldmbench.extractors.plcmos import RATE, plcmos
from ldmbench.metrics._base import register
from ldmbench.metrics._judge import Judge, mos_facts
from ldmbench.names import Name, Setting

_SOURCE = "Diener et al., arXiv:2305.15127; speechmos 0.0.1.1, plcmos_v2.onnx, 15 raters of a fixed seed"


def _build(asked: Name, settings: Mapping[str, Setting]) -> Judge:
    return Judge(mos_facts(asked, "PLCMOS", RATE, _SOURCE), plcmos, settings, "plcmos")


register("plcmos", _build, defaults={"seed": 0})
