"""NISQA: quality of speech without a reference, and its noisiness, discontinuity, coloration and loudness."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import cast

from ldmbench.extractors import NetworkExtractor
from ldmbench.extractors.nisqa import CHECKPOINT, COLUMNS, LONGEST, SHORTEST, load_nisqa
from ldmbench.metrics._base import MetricFacts, register, settings_title
from ldmbench.metrics._embedding import Source
from ldmbench.metrics._judge import NetworkJudge
from ldmbench.names import Name, Setting


def _load(rate: int, *, device: str, weights: Path | None, untrained: bool, official: bool) -> NetworkExtractor:
    return load_nisqa(rate, device, weights, untrained, official)


def _register(column: str) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> NetworkJudge:
        rate = cast(int, settings.get("rate", 0))
        variant = f" {asked.variant}" if asked.variant else ""
        facts = MetricFacts(
            name=str(asked),
            title=f"NISQA {'MOS' if column == 'mos' else column}{variant}{settings_title(asked)}",
            unit="MOS",
            rate=rate,
            needs=("output",),
            content=("speech",),
            device=True,
            digits=2,
            extras=("models",),
            source="Mittag et al., arXiv:2104.09494; gabrielmittag/NISQA fe84f0f, nisqa.tar (weights CC BY-NC-SA 4.0: "
            "not for commercial use), " + ("48 kHz as VERSA" if rate else "at the output's own rate"),
        )
        source = Source(
            partial(_load, rate), (CHECKPOINT,), column, bool(settings["untrained"]), bool(settings["official"])
        )
        return NetworkJudge(facts, source, SHORTEST, LONGEST)

    defaults: dict[str, Setting] = {"untrained": False, "official": True}
    register(f"nisqa_{column}", build, variants={"48khz": {"rate": 48_000}}, defaults=defaults)


for _column in COLUMNS:
    _register(_column)
