"""Datasets: a card and a pinned list become clips, each with its own seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.clips.card import Content
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError, Unscored


class NoReference(BenchError, Unscored):  # noqa: N818 - no fault of the system that is scored
    """A clip has no reference audio: what needs it fails on the clip, and a metric that needs it is unscored."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One item of a dataset; audio is read when asked for, so a list of clips weighs nothing.

    Attributes:
        id: ``DATASET/NAME``, unique within a suite.
        dataset: The dataset with its condition, ``vctk-test@4khz``.
        content: What the dataset holds; speech metrics apply to ``speech`` only.
        path: The audio file, or None for a clip that is only text.
        start: First second of the file that belongs to the clip.
        end: Last second (exclusive), None for the end of the file.
        text: Transcript or caption.
        group: A label to report by (speaker, genre, ...).
        language: BCP 47 tag of ``text``, such as ``en``; empty where unknown.
        sha256: ``Audio.digest()`` the clip must have, or empty.
        condition: How ``input`` is made from ``audio``; None leaves them equal.
        seed: Seed of every random choice made for this clip.
        loaded: The audio, where somebody already read it.
        missing: Why there is no reference audio, for a clip that should have some.
        label: What a probe is to tell of it; empty where there is nothing to tell.
        split: The part of the dataset that it belongs to: ``train``, ``valid``, ``test``, or the name of its fold.
        seconds: Length to which its audio is cut, or padded with zeros at the end; 0 leaves it as it is.
        stream: Number of the audio stream in its file; None for the first, whatever else the file holds.
    """

    id: str
    dataset: str
    content: Content = "general"
    path: Path | None = None
    start: float = 0.0
    end: float | None = None
    text: str | None = None
    group: str | None = None
    language: str = ""
    sha256: str = ""
    condition: Condition | None = None
    seed: int = 0
    loaded: Audio | None = None
    missing: str = ""
    label: str = ""
    split: str = ""
    seconds: float = 0.0
    stream: int | None = None

    @property
    def audio(self) -> Audio:
        """The reference audio: of a condition whose reference is its input, that input.

        Raises:
            NoReference: If the clip has no file.
            BenchError: If the file is missing or broken, or is not the one the list pinned.
        """
        if self.loaded is not None:
            return self.loaded
        if self.path is None:
            raise NoReference(f"{self.id} has no reference audio", self.missing)
        sound = audio_io.read(self.path, self.start, self.end, self.stream)
        if self.seconds:
            sound = sound.fit(round(self.seconds * sound.rate))
        if self.sha256 and sound.digest() != self.sha256:
            raise BenchError(
                f"{self.id} is not the pinned clip",
                f"{self.path} decodes to {sound.digest()[:12]}, the list says {self.sha256[:12]}",
                "fetch the dataset again",
            )
        return self.condition.apply(sound, self.seed) if self._compared_with_input and self.condition else sound

    @property
    def _compared_with_input(self) -> bool:
        return self.condition is not None and self.condition.reference == "input"

    @property
    def input(self) -> Audio:
        """What a codec or an ``enhance`` system receives: ``audio`` under the dataset's condition."""
        if self.condition is None or self._compared_with_input:
            return self.audio
        return self.condition.apply(self.audio, self.seed)

    def load(self) -> Clip:
        """This clip with its audio held in memory."""
        return self if self.loaded is not None else replace(self, loaded=self.audio)

    def seeded(self, run_seed: int) -> Clip:
        """This clip with the seed that belongs to it in a run: a hash of both, whatever the order or batch."""
        material = hashlib.sha256(f"{run_seed}/{self.id}".encode()).digest()
        return replace(self, seed=int.from_bytes(material[:4], "little"))


@dataclass(frozen=True)
class Dataset:
    """Clips under a name, with the digest of what was chosen and what was left out on the way.

    Attributes:
        name: As asked for, condition included.
        clips: In the order of the list.
        digest: SHA-256 over everything that decides what a system hears.
        notes: Lines a user should see: skipped files, clips that differ from the pinned ones.
        primary_score: By which HEAR judges a labelled dataset; empty where it has none.
    """

    name: str
    title: str
    content: Content
    clips: tuple[Clip, ...]
    digest: str
    notes: tuple[str, ...] = ()
    primary_score: str = ""

    def under(self, variant: str, condition: Condition) -> Dataset:
        """The same clips with another input, or another text, as ``NAME@variant``."""
        name = f"{self.name}@{variant}"
        clips = tuple(
            replace(
                clip,
                id=name + clip.id.removeprefix(self.name),
                dataset=name,
                condition=condition,
                text=condition.text or clip.text,
            )
            for clip in self.clips
        )
        return replace(self, name=name, clips=clips, digest=clips_digest(clips, [self.digest]))


def clips_digest(clips: Iterable[Clip], extra: Iterable[str] = ()) -> str:
    """SHA-256 (hex) over the fields of clips that decide what a system is given, and ``extra`` identities."""
    total = hashlib.sha256()
    for clip in clips:
        condition = clip.condition.digest() if clip.condition else ""
        parts = (clip.id, clip.sha256, clip.start, clip.end, clip.text, condition)
        labelled = (clip.label, clip.split, clip.seconds) if clip.label else ()
        stream = () if clip.stream is None else ("stream", clip.stream)
        total.update(repr((*parts, *labelled, *stream)).encode())
    for text in extra:
        total.update(text.encode())
    return total.hexdigest()
