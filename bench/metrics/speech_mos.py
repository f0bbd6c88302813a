"""UTMOS and SCOREQ: naturalness and quality of speech without a reference, by networks on wav2vec 2.0."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ldmbench.extractors.wav2vec2 import CHECKPOINTS, RATE, SHORTEST, Judge, load_speech_judge
from ldmbench.metrics._base import register
from ldmbench.metrics._embedding import Source
from ldmbench.metrics._judge import NetworkJudge, mos_facts
from ldmbench.names import Name, Setting

_SOURCES: dict[Judge, str] = {
    "utmos": "Saeki et al., arXiv:2204.02152; tarepan/SpeechMOS ed25eac, utmos22_strong_step7459_v1.pt (MIT)",
    "scoreq": "Ragano et al., arXiv:2410.06675; scoreq 0cb0b16, nr, natural, adapt_nr_telephone.pt (MIT)",
    "scoreq_synthetic": "Ragano et al., arXiv:2410.06675; scoreq 0cb0b16, nr, synthetic, adapt_nr_synthetic.pt (MIT)",
}
_TITLES: dict[Judge, str] = {"utmos": "UTMOS22 strong", "scoreq": "SCOREQ", "scoreq_synthetic": "SCOREQ synthetic"}


def _register(judge: Judge) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> NetworkJudge:
        facts = mos_facts(asked, _TITLES[judge], RATE, _SOURCES[judge], device=True, extras=("models",))
        source = Source.by(settings, partial(load_speech_judge, judge), "mos", (CHECKPOINTS[judge],))
        return NetworkJudge(facts, source, shortest=SHORTEST / RATE, packages=("transformers",))

    register(judge, build, defaults={"untrained": False, "official": True})


for _judge in _TITLES:
    _register(_judge)
