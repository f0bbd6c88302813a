"""UTMOSv2: naturalness of speech without a reference, the mean over several seeded passes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

from ldmbench.errors import BenchError
from ldmbench.extractors.loader import load_extractor
from ldmbench.extractors.utmosv2 import CHECKPOINT, Utmosv2
from ldmbench.extractors.utmosv2_input import RATE
from ldmbench.metrics._base import register
from ldmbench.metrics._embedding import Source
from ldmbench.metrics._judge import NetworkJudge, mos_facts
from ldmbench.names import Name, Setting

_SOURCE = (
    "Baba et al., arXiv:2409.09305; sarulab-speech/UTMOSv2 cc2700d, fusion_stage3, fold 0, domain sarulab (MIT), the "
    "random crops and mixtures of each pass drawn from a fixed seed"
)


def _build(asked: Name, settings: Mapping[str, Setting]) -> NetworkJudge:
    passes, seed = cast(int, settings["passes"]), cast(int, settings["seed"])
    if passes < 1 or seed < 0:
        raise BenchError(f"{asked} is not possible", f"passes={passes}, seed={seed}", "use 1 or more, and 0 or more")
    source = Source.by(settings, partial(load_extractor, Utmosv2, passes, seed), "mos", (CHECKPOINT,))
    title = f"UTMOSv2 {asked.variant}".strip()
    facts = mos_facts(asked, title, RATE, _SOURCE, device=True, extras=("models",))
    return NetworkJudge(facts, source, packages=("transformers",))


register(
    "utmosv2",
    _build,
    variants={"1pass": {"passes": 1}},
    defaults={"passes": 5, "seed": 0, "untrained": False, "official": True},
)
