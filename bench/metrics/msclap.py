"""Agreement of sounds with their captions in Microsoft CLAP's eyes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal, cast

from ldmbench.errors import BenchError
from ldmbench.extractors.msclap import CHECKPOINT, load_msclap
from ldmbench.extractors.msclap_weights import RATE
from ldmbench.metrics._base import Metric, MetricFacts, register, settings_title
from ldmbench.metrics._embedding import Source
from ldmbench.metrics.alignment import ClapScore
from ldmbench.names import Name, Setting

#: What msclap leaves to chance, and what takes its place here.
_LONG = {"first": "first 7 s of longer clips", "all": "longer clips: mean over 7 s stretches"}


_NOTE = (
    "Of a clip of more than 7 s the first 7 are heard, or with windows=all the mean over as few stretches of 7 s as "
    "cover it. msclap itself draws 7 s at random: its numbers of longer clips change from run to run. An exclamation "
    "mark in a caption makes msclap read the text one token too early, and so does this."
)


class MsClapScore(ClapScore):
    """The same in Microsoft CLAP's eyes."""

    packages = (*ClapScore.packages, "tiktoken")


def _score(asked: Name, settings: Mapping[str, Setting]) -> Metric:
    hearing = settings["windows"]
    if hearing not in _LONG:
        raise BenchError(f"{asked}: no such windows", f"{hearing!r}", "use first or all")
    facts = MetricFacts(
        name=str(asked),
        title=f"MS-CLAP{settings_title(asked)}",
        rate=RATE,
        needs=("output", "text"),
        content=("general", "music"),
        better="higher",
        kind="mean",
        digits=3,
        low=-1.0,
        high=1.0,
        device=True,
        extras=("models",),
        source="cosine of caption and output; Elizalde et al., arXiv:2309.05767, as msclap 1.3.4, "
        "CLAP_weights_2023.pth (weights Ms-PL by their model card, code MIT); "
        f"{_LONG[str(hearing)]} (msclap: 7 s at random), channels averaged (msclap: one behind the other)",
        note=_NOTE,
    )
    load = partial(load_msclap, cast(Literal["first", "all"], hearing))
    return MsClapScore(facts, Source.by(settings, load, "embedding", (CHECKPOINT,)))


register("msclap_score", _score, defaults={"windows": "first", "untrained": False, "official": True})
