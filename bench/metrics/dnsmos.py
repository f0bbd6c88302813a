"""DNSMOS: quality of speech without a reference, as listeners of P.835 and P.808 would rate it."""

from __future__ import annotations

from collections.abc import Mapping

from ldmbench.extractors.dnsmos import RATE, WINDOWS, dnsmos_p808, dnsmos_p835
from ldmbench.metrics._base import register
from ldmbench.metrics._judge import Judge, mos_facts
from ldmbench.names import Name, Setting, unknown

_TITLES = {"sig": "DNSMOS SIG", "bak": "DNSMOS BAK", "ovrl": "DNSMOS OVRL", "p808": "DNSMOS P.808"}

_SCRIPT = "DNS-Challenge 591184a, dnsmos_local.py"
_P835 = f"Reddy et al., arXiv:2110.01763; {_SCRIPT}, sig_bak_ovr.onnx as in speechmos 0.0.1.1"
_P808 = f"Reddy et al., arXiv:2010.15258; {_SCRIPT}, model_v8.onnx as in speechmos 0.0.1.1"


def _register(column: str) -> None:
    name = f"dnsmos_{column}"
    personal = column != "p808"

    def build(asked: Name, settings: Mapping[str, Setting]) -> Judge:
        if settings["windows"] not in WINDOWS:
            raise unknown(f"windows of {name}", str(settings["windows"]), WINDOWS)
        title = _TITLES[column] + (" pers." if asked.variant else "")
        facts = mos_facts(asked, title, RATE, _P835 if personal else _P808)
        return Judge(facts, dnsmos_p835 if personal else dnsmos_p808, settings, column)

    variants: dict[str, Mapping[str, Setting]] = {"personalised": {"personalised": True}} if personal else {}
    defaults: dict[str, Setting] = {"windows": "official"}
    register(name, build, variants=variants, defaults={**defaults, "personalised": False} if personal else defaults)


for _column in _TITLES:
    _register(_column)
