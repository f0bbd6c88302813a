"""UTMOS and SCOREQ: naturalness and quality of speech by networks on wav2vec 2.0, SCOREQ also beside a reference."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ldmbench.audio.arrays import Rows
from ldmbench.extractors.wav2vec2 import CHECKPOINTS, RATE, SHORTEST, Judge, load_speech_judge
from ldmbench.metrics._base import MetricFacts, Value, register, settings_title
from ldmbench.metrics._embedding import Source
from ldmbench.metrics._judge import NetworkJudge, mos_facts
from ldmbench.names import Name, Setting

_SCOREQ = "Ragano et al., arXiv:2410.06675; scoreq 0cb0b16"
_SOURCES: dict[Judge, str] = {
    "utmos": "Saeki et al., arXiv:2204.02152; tarepan/SpeechMOS ed25eac, utmos22_strong_step7459_v1.pt (MIT)",
    "scoreq": f"{_SCOREQ}, nr, natural, adapt_nr_telephone.pt (MIT)",
    "scoreq_synthetic": f"{_SCOREQ}, nr, synthetic, adapt_nr_synthetic.pt (MIT)",
    "scoreq_ref": f"{_SCOREQ}, ref, natural, fixed_nmr_telephone.pt (MIT)",
    "scoreq_ref_synthetic": f"{_SCOREQ}, ref, synthetic, fixed_nmr_synthetic.pt (MIT)",
}
_TITLES: dict[Judge, str] = {
    "utmos": "UTMOS22 strong",
    "scoreq": "SCOREQ",
    "scoreq_synthetic": "SCOREQ synthetic",
    "scoreq_ref": "SCOREQ ref",
    "scoreq_ref_synthetic": "SCOREQ ref synthetic",
}
#: Judges that embed reference and output, and measure the distance of the two.
_WITH_REFERENCE: tuple[Judge, ...] = ("scoreq_ref", "scoreq_ref_synthetic")


class ScoreqDistance(NetworkJudge):
    """Euclidean distance of the embeddings of reference and output, both of unit length."""

    def compare(self, *rows: Rows) -> Value:
        """The distance of one clip, 0 to 2."""
        reference, output = (side[0] for side in rows)
        return float(np.linalg.norm(output - reference))


def _register(judge: Judge) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> NetworkJudge:
        source = partial(Source.by, settings, partial(load_speech_judge, judge), checkpoints=(CHECKPOINTS[judge],))
        limits: dict[str, Any] = {"shortest": SHORTEST / RATE, "packages": ("transformers",)}
        if judge in _WITH_REFERENCE:
            return ScoreqDistance(_distance_facts(asked, judge), source("unit"), **limits)
        facts = mos_facts(asked, _TITLES[judge], RATE, _SOURCES[judge], device=True, extras=("models",))
        return NetworkJudge(facts, source("mos"), **limits)

    register(judge, build, defaults={"untrained": False, "official": True})


def _distance_facts(asked: Name, judge: Judge) -> MetricFacts:
    return MetricFacts(
        name=str(asked),
        title=_TITLES[judge] + settings_title(asked),
        better="lower",
        rate=RATE,
        content=("speech",),
        device=True,
        low=0.0,
        high=2.0,
        extras=("models",),
        source=_SOURCES[judge],
    )


for _judge in _TITLES:
    _register(_judge)
