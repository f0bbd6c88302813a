"""NISQA: quality of speech without a reference, and its noisiness, discontinuity, coloration and loudness."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

from ldmbench.extractors.loader import load_extractor
from ldmbench.extractors.nisqa import CHECKPOINT, COLUMNS, LONGEST, SHORTEST, Nisqa
from ldmbench.metrics._base import register
from ldmbench.metrics._embedding import Source
from ldmbench.metrics._judge import NetworkJudge, mos_facts
from ldmbench.names import Name, Setting

_SOURCE = (
    "Mittag et al., arXiv:2104.09494; gabrielmittag/NISQA fe84f0f, nisqa.tar (weights CC BY-NC-SA 4.0: not for "
    "commercial use)"
)


def _register(column: str) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> NetworkJudge:
        rate = cast(int, settings.get("rate", 0))
        title = f"NISQA {'MOS' if column == 'mos' else column}" + (f" {asked.variant}" if asked.variant else "")
        heard = "48 kHz as VERSA" if rate else "at the output's own rate"
        facts = mos_facts(asked, title, rate, f"{_SOURCE}, {heard}", device=True, extras=("models",))
        source = Source.by(settings, partial(load_extractor, Nisqa, rate), column, (CHECKPOINT,))
        return NetworkJudge(facts, source, SHORTEST, LONGEST)

    defaults: dict[str, Setting] = {"untrained": False, "official": True}
    register(f"nisqa_{column}", build, variants={"48khz": {"rate": 48_000}}, defaults=defaults)


for _column in COLUMNS:
    _register(_column)
