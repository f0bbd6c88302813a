"""Intelligibility: word and character error rates of a named recogniser's transcript."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from ldmbench.audio.arrays import Ratio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.extractors.whisper import CHECKPOINTS, Recogniser
from ldmbench.metrics._base import MetricFacts, ModelMetric, Value, register, settings_title
from ldmbench.metrics._pair import mix
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output
from ldmbench.weights.find import find_file

Unit = Literal["word", "character"]

#: How lists name English before the first ``-`` or ``_``: BCP 47, ISO 639-2, and the word itself.
_ENGLISH = ("en", "eng", "english")


class Errors(NamedTuple):
    """Edits between two texts, and the length of the reference in the same unit."""

    edits: int
    length: int


def word_errors(reference: str, hypothesis: str) -> Errors:
    """Substitutions, deletions and insertions between the words of two texts, and the reference's words.

    Words are what spaces separate; nothing is normalised here. Summed over clips, edits over length is the
    corpus WER.

    Source: Levenshtein distance as jiwer 4 counts it.
    """
    if not reference.split():
        return Errors(len(hypothesis.split()), 0)
    import jiwer

    return _errors(jiwer.process_words(reference, hypothesis))


def character_errors(reference: str, hypothesis: str) -> Errors:
    """As ``word_errors``, on characters; the spaces between words count, those around the text do not.

    Source: Levenshtein distance as jiwer 4 counts it.
    """
    if not reference.strip():
        return Errors(len(hypothesis.strip()), 0)
    import jiwer

    return _errors(jiwer.process_characters(reference, hypothesis))


def normalise(text: str) -> str:
    """English text as Whisper's papers compare it: case, punctuation, spelling, numbers and contractions unified.

    Source: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, arXiv:2212.04356,
    appendix C; ``whisper.normalizers.EnglishTextNormalizer``.
    """
    return str(_normaliser()(text)).strip()


class ErrorRate(ModelMetric):
    """WER or CER of what a Whisper model hears in the output, against the clip's text, in percent.

    A clip's value is ``[100 * edits, length]``, so that the estimate is the corpus rate: all edits over all
    words (or characters) of the reference. It can exceed 100.
    """

    def __init__(
        self, facts: MetricFacts, unit: Unit, size: str, official: bool = True, untrained: bool = False
    ) -> None:
        self.facts = facts
        self.unit = unit
        self.size = size
        self.official = official
        self._untrained = untrained

    def problem(self) -> str:
        """Why this metric cannot be computed here, or empty; reads no checkpoint."""
        if not self._untrained:
            try:
                find_file(CHECKPOINTS[self.size], self._weights)
            except BenchError as error:
                return str(error)
        return ""

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Value | Exception]:
        """``[100 * edits, length]`` of each clip, or why there is none; the recogniser hears them together.

        Raises:
            BenchError: If the recogniser cannot be loaded.
        """
        recogniser = self._recogniser()
        references: dict[int, str] = {}
        sounds: dict[int, Audio] = {}
        values: dict[int, Value | Exception] = {}
        for position, (clip, output) in enumerate(zip(clips, outputs, strict=True)):
            try:
                references[position], sounds[position] = _pair(clip, output)
            except (Unscored, BenchError) as error:
                values[position] = error
        for position, heard in _hear(recogniser, sounds).items():
            values[position] = heard if isinstance(heard, Exception) else self._compare(references[position], heard)
        return [values[position] for position in range(len(clips))]

    def _compare(self, reference: str, heard: str) -> Ratio:
        count = word_errors if self.unit == "word" else character_errors
        errors = count(reference, normalise(heard))
        return np.array([100.0 * errors.edits, errors.length])

    def _recogniser(self) -> Recogniser:
        from ldmbench.extractors.whisper import load_whisper

        return load_whisper(self.size, self._device, self._weights, self._untrained, self.official)


def _pair(clip: Clip, output: Output) -> tuple[str, Audio]:
    """The clip's normalised transcript and the output's sound."""
    if output.audio is None:
        raise BenchError(f"{clip.id} has no output audio", fix="use a metric that does not need audio")
    if not clip.text:
        raise Unscored("the clip has no transcript")
    if clip.language and re.split(r"[-_ (]", clip.language.strip().lower())[0] not in _ENGLISH:
        raise Unscored(f"the transcript is in {clip.language!r}, and the normaliser is for English")
    reference = normalise(clip.text)
    if not any(character.isalnum() for character in reference):
        raise Unscored("the transcript holds no words after normalisation")
    mix(output.audio, "the output")
    return reference, output.audio


def _hear(recogniser: Recogniser, sounds: Mapping[int, Audio]) -> dict[int, str | Exception]:
    """Transcripts; where a batch fails (out of memory, say), its sounds are tried one by one."""
    if not sounds:
        return {}
    try:
        return dict(zip(sounds, recogniser.transcribe(list(sounds.values())), strict=True))
    except RuntimeError as error:
        if len(sounds) == 1:
            return dict.fromkeys(sounds, BenchError("the recogniser failed", str(error), exit_code=1))
    results: dict[int, str | Exception] = {}
    for position, sound in sounds.items():
        results |= _hear(recogniser, {position: sound})
    return results


def _errors(counted: Any) -> Errors:
    length = counted.hits + counted.substitutions + counted.deletions
    return Errors(counted.substitutions + counted.deletions + counted.insertions, length)


@cache
def _normaliser() -> Any:
    from whisper.normalizers import EnglishTextNormalizer

    return EnglishTextNormalizer()


def _register(short: str, unit: Unit, size: str) -> None:
    name, official = f"{short}_whisper_{size}", CHECKPOINTS[size].file.removesuffix(".pt")

    def build(asked: Name, settings: Mapping[str, Setting]) -> ErrorRate:
        facts = MetricFacts(
            name=str(asked),
            title=f"{short.upper()} {official}{settings_title(asked)}",
            unit="%",
            better="lower",
            rate=16_000,
            needs=("output", "text"),
            source=f"edits over {unit}s of all clips; Whisper {official} and its English normaliser, arXiv:2212.04356",
            content=("speech",),
            kind="ratio",
            low=0.0,
            device=True,
            digits=2,
            extras=("models",),
        )
        return ErrorRate(facts, unit, size, bool(settings["official"]), bool(settings["untrained"]))

    register(name, build, defaults={"official": True, "untrained": False})


for _size in CHECKPOINTS:
    _register("wer", "word", _size)
    _register("cer", "character", _size)
