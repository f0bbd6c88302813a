"""Agreement of sounds with their captions, and of sets of sounds with each other, in LAION-CLAP's eyes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Rows
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics import _swaps as swaps
from ldmbench.metrics._base import Metric, MetricFacts, Value, register, settings_title
from ldmbench.metrics._distances import frechet_metric
from ldmbench.metrics._embedding import EmbeddingMetric, SetMetric, Source
from ldmbench.metrics._estimates import (
    OF_A_DISTANCE,
    OF_A_KERNEL,
    kernel_estimate,
)
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output

_DEFAULT = "630k-audioset-best"
_SETTINGS: dict[str, Setting] = {"windows": "first", "untrained": False, "official": True}

#: LAION's checkpoint -> how it is called in a table's heading.
_TITLES = {
    "630k-audioset-best": "630k-AS",
    "630k-audioset-fusion-best": "630k-AS fusion",
    "music_speech_audioset_epoch_15_esc_89.98": "music-speech-AS",
    "music_audioset_epoch_15_esc_90.14": "music-AS",
    "music_speech_epoch_15_esc_89.25": "music-speech",
    "630k-best": "630k",
    "630k-fusion-best": "630k fusion",
}
_VARIANTS: dict[str, Mapping[str, Setting]] = {name: {"checkpoint": name} for name in _TITLES}

#: Those that only score captions: tuned for nothing else.
_HUMAN = "human-clap-wsce-mae"
_ALL_TITLES = {**_TITLES, _HUMAN: "Human"}

#: What stable-audio-metrics takes where nothing else is said, and what it offers besides.
_STABLE_AUDIO: dict[str, Setting] = {"checkpoint": "630k-audioset-fusion-best", "peak": True}
_STABLE_AUDIO_VARIANTS = {name: _VARIANTS[name] for name in _TITLES if name.startswith("music")}

#: What laion_clap leaves to chance, and what takes its place here.
_LONG = {
    "first": "first 10 s of longer clips",
    "all": "longer clips: mean over 10 s stretches",
    "fusion": "longer clips by fusion, from the middle of each third",
}

_LAION = "LAION-CLAP {name}, arXiv:2211.06687, as laion_clap 1.1.7"
_HUMAN_SOURCE = (
    "Human-CLAP, Takano et al., arXiv:2506.23553, sarulab-speech/human-clap-wsce-mae (its card states no licence), as "
    "transformers' ClapModel and the processor of laion/clap-htsat-fused, each clip alone"
)


def cosine(first: Rows, second: Rows) -> float:
    """The cosine of the angle between two vectors ``[dim]``.

    Raises:
        Unscored: If one of them is zero.
    """
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    if norm == 0:
        raise Unscored("an embedding is zero, it has no direction")
    return float(np.clip(first @ second / norm, -1.0, 1.0))


#: What LAION-CLAP needs.
_PACKAGES = (*EmbeddingMetric.packages, "transformers")


@runtime_checkable
class _Reader(Protocol):
    """An extractor that reads captions too."""

    def embed_text(self, captions: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings ``[captions, dim]``."""
        ...


class ClapDistance(SetMetric):
    """A distance between references and outputs, on one embedding for each clip."""

    packages = _PACKAGES


class ClapScore(EmbeddingMetric):
    """Cosine between a caption's and the output's embedding, from -1 to 1, and its mean over clips."""

    packages = _PACKAGES

    def compare(self, *rows: Rows) -> Value:
        """The output's embedding; ``measure_batch`` holds it against the caption's."""
        (embedding,) = rows[0]
        return cast(Rows, embedding)

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Value | Exception]:
        """Each clip's cosine, or why there is none.

        Raises:
            CheckpointError: If the extractor or its tokeniser cannot be loaded.
        """
        captioned = [position for position, clip in enumerate(clips) if (clip.text or "").strip()]
        values: list[Value | Exception] = [Unscored("the clip has no caption") for _ in clips]
        if not captioned:
            return values
        heard = super().measure_batch([clips[i] for i in captioned], [outputs[i] for i in captioned])
        scored = []
        for position, value in zip(captioned, heard, strict=True):
            values[position] = value
            if not isinstance(value, Exception):
                scored.append(position)
        if scored:
            extractor = self.extractor()
            if not isinstance(extractor, _Reader):
                raise TypeError(f"{type(extractor).__name__} reads no captions")
            texts = extractor.embed_text([str(clips[position].text) for position in scored])
            for position, text in zip(scored, texts, strict=True):
                try:
                    values[position] = cosine(cast(Rows, values[position]), text.astype(np.float64))
                except Unscored as reason:
                    values[position] = reason
        return values


def _source(settings: Mapping[str, Setting], text: bool) -> Source:
    from ldmbench.extractors.clap import CHECKPOINTS, load_clap
    from ldmbench.extractors.clap_input import VOCABULARY

    name = str(settings.get("checkpoint", _DEFAULT))
    # Said only where it is so: what the other metrics share is loaded once.
    peak = {"peak": True} if settings.get("peak") else {}
    load = partial(load_clap, name, cast(Literal["first", "all"], settings["windows"]), **peak)
    files = (CHECKPOINTS[name], *([VOCABULARY] if text else []))
    return Source.by(settings, load, "embedding", files)


def _facts(asked: Name, settings: Mapping[str, Setting], title: str, source: str, **facts: Any) -> MetricFacts:
    name = str(settings.get("checkpoint", _DEFAULT))
    if settings["windows"] not in ("first", "all"):
        raise BenchError(f"{asked}: no such windows", f"{settings['windows']!r}", "use first or all")
    fused = name == _HUMAN or "fusion" in name
    if fused and settings["windows"] != "first":
        raise BenchError(f"{asked}: a model with fusion hears long clips whole already", fix="leave windows=all out")
    long = _LONG["fusion" if fused else str(settings["windows"])]
    if asked.variant:
        title += f" {_ALL_TITLES[name]}"
    model = _HUMAN_SOURCE if name == _HUMAN else _LAION.format(name=name)
    title += settings_title(asked)
    return MetricFacts(
        name=str(asked),
        title=title,
        rate=48_000,
        device=True,
        extras=("models",),
        source=f"{source}; {model}; {long}",
        **facts,
    )


def _register(
    name: str, make: Callable[[MetricFacts, Source, Mapping[str, Setting]], Metric],
    defaults: Mapping[str, Setting] | None = None, variants: Mapping[str, Mapping[str, Setting]] = _VARIANTS,
    hidden: Mapping[str, Setting] | None = None, **facts: Any,
) -> None:  # fmt: skip
    def build(asked: Name, asked_settings: Mapping[str, Setting]) -> Metric:
        settings = {**(hidden or {}), **asked_settings}
        declared = _facts(asked, settings, **facts)
        return make(declared, _source(settings, "text" in declared.needs), settings)

    register(name, build, variants=variants, defaults={**_SETTINGS, **(defaults or {})})


def _score(facts: MetricFacts, source: Source, settings: Mapping[str, Setting]) -> Metric:
    return ClapScore(facts, source)


def _kernel(facts: MetricFacts, source: Source, settings: Mapping[str, Setting]) -> Metric:
    bandwidth = settings["bandwidth"]
    if bandwidth not in ("output", "reference"):
        raise BenchError(f"{facts.name}: no such bandwidth", f"{bandwidth!r}", "use output or reference")
    estimate = partial(kernel_estimate, bandwidth=cast(Literal["output", "reference"], bandwidth))
    return ClapDistance(facts, source, estimate, swaps.of_kernel(facts.name, bandwidth))


_register(
    "clap_score", _score, variants={**_VARIANTS, _HUMAN: {"checkpoint": _HUMAN}},
    title="CLAP", needs=("output", "text"), content=("general", "music"), better="higher", kind="mean", digits=3,
    low=-1.0, high=1.0,
    source="cosine of caption and output",
)  # fmt: skip
_register(
    "clap_score_stable_audio", _score, variants=_STABLE_AUDIO_VARIANTS, hidden=_STABLE_AUDIO,
    title="CLAP Stable Audio", needs=("output", "text"), content=("general", "music"), better="higher", kind="mean",
    digits=3, low=-1.0, high=1.0,
    source="stable-audio-metrics fd55536, clap_score.py: cosine of caption and output, its peak at -1 dB",
)  # fmt: skip
_register(
    "fad_clap", partial(frechet_metric, kind=ClapDistance), {"reference": ""},
    title="FAD CLAP", better="lower", kind="set", digits=3, low=0.0, interval=OF_A_DISTANCE,
    source="Frechet distance of embeddings of unit length, one for each clip",
)  # fmt: skip
_register(
    "kad_clap", _kernel, {"bandwidth": "output"},
    title="KAD CLAP", better="lower", kind="set", digits=3, interval=OF_A_KERNEL,
    source="Chung et al., arXiv:2502.15602; kadtk 8bda71d, kad.py, times 100",
)  # fmt: skip
