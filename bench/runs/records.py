"""What a run consists of: plain records, as they are written to and read from its folder."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError, with_config

from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError
from ldmbench.metrics._base import MetricFacts
from ldmbench.names import Name, parse
from ldmbench.system.card import Role

#: Raised when the layout of the folder changes.
SCHEMA = 1

Status = Literal["ok", "failed", "unscored"]

R = TypeVar("R")

#: Text that many records have in common: where they are read, it is in memory once.
Shared = Annotated[str, AfterValidator(sys.intern)]


def as_record(kind: type[R], content: object) -> R:
    """A record from its JSON: every field of the type that it is declared to have, and no other field.

    Raises:
        ValueError: If the fields are not that.
    """
    try:
        record: R = _adapter(cast(Hashable, kind)).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or kind.__name__
        whose = [str(content[key]) for key in ("metric", "clip") if key in content] if isinstance(content, dict) else []
        raise ValueError(": ".join([" of ".join(whose), where, first["msg"]]).removeprefix(": ")) from None
    return record


def as_records(kind: type[R], lines: Sequence[bytes]) -> list[R]:
    """Records from lines of JSON, read together, which takes a fraction of the time.

    Raises:
        ValueError: If one is not a record, or perhaps is not; ``as_record`` tells.
    """
    text = b",".join(lines)
    if b"NaN" in text or b"Infinity" in text:  # Python's parser can refuse these numbers, and words are not them.
        raise ValueError("a number that JSON has not, or a word like it")
    records: list[R] = _adapter(GenericAlias(list, (kind,))).validate_json(b"[%b]" % text)
    if len(records) != len(lines):
        raise ValueError(f"{len(records)} records in {len(lines)} lines")
    return records


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(type[Any], kind))


#: Lets a record be read by ``as_record``; made in Python it is what it is given.
_checked = with_config(ConfigDict(extra="forbid", allow_inf_nan=False))


@_checked
@dataclass(frozen=True, slots=True)
class ClipInfo:
    """A planned clip: all that reports need to know of it, and all it takes to score its output once more.

    Runs of versions that did not record ``sha256``, ``seed``, ``condition`` and ``missing`` have their defaults.

    Attributes:
        id: ``DATASET/NAME``.
        dataset: Dataset with its condition.
        path: Reference file, empty where there is none.
        start: First second of the file.
        end: Last second, None for the end.
        text: Transcript or caption, empty where there is none.
        group: Label to report by, empty where there is none.
        language: BCP 47 tag of the text.
        sha256: ``Audio.digest()`` that the reference must have, or empty.
        seed: Seed of every random choice made for the clip.
        condition: Fields of the ``Condition`` that makes the input from the reference, None where they are equal.
        missing: Why there is no reference, for a clip that should have one.
        label: What a probe is to tell of it, empty where there is nothing to tell.
        split: The part of the dataset that it belongs to.
        seconds: Length to which it is cut or padded, 0 for as it is.
        stream: Number of the audio stream in its file, None for the first.
    """

    id: Shared
    dataset: Shared
    path: str = ""
    start: float = 0.0
    end: float | None = None
    text: str = ""
    group: str = ""
    language: str = ""
    sha256: str = ""
    seed: int = 0
    condition: Mapping[str, Any] | None = None
    missing: str = ""
    label: str = ""
    split: str = ""
    seconds: float = 0.0
    stream: int | None = None

    @classmethod
    def of(cls, clip: Clip) -> ClipInfo:
        """The record of a clip; audio that it holds in memory is no part of it."""
        return cls(
            id=clip.id,
            dataset=clip.dataset,
            path="" if clip.path is None else str(clip.path),
            start=clip.start,
            end=clip.end,
            text=clip.text or "",
            group=clip.group or "",
            language=clip.language,
            sha256=clip.sha256,
            seed=clip.seed,
            condition=None if clip.condition is None else clip.condition.model_dump(mode="json"),
            missing=clip.missing,
            label=clip.label,
            split=clip.split,
            seconds=clip.seconds,
            stream=clip.stream,
        )

    def clip(self, content: Content) -> Clip:
        """The clip of this record, in a dataset of ``content``.

        Raises:
            BenchError: If the record has a condition that this version does not know.
        """
        try:
            condition = None if self.condition is None else Condition.model_validate(self.condition)
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise BenchError(f"the condition of {self.id} is not one of this version", reason, "run it again") from None
        return Clip(
            id=self.id,
            dataset=self.dataset,
            content=content,
            path=Path(self.path) if self.path else None,
            start=self.start,
            end=self.end,
            text=self.text or None,
            group=self.group or None,
            language=self.language,
            sha256=self.sha256,
            condition=condition,
            seed=self.seed,
            missing=self.missing,
            label=self.label,
            split=self.split,
            seconds=self.seconds,
            stream=self.stream,
        )


_CLIP_FIELDS = {item.name for item in fields(ClipInfo)}


def as_clip(content: dict[str, Any]) -> dict[str, Any] | ClipInfo:
    """A JSON object, or the record of a clip where it is a valid one: of many, each is a fraction of its object.

    Meant as the hook of ``json.loads``.
    """
    if content.keys() == _CLIP_FIELDS:
        with suppress(ValueError):  # Whoever looks at all of it will say what is wrong.
            return as_record(ClipInfo, content)
    return content


@_checked
@dataclass(frozen=True)
class DatasetInfo:
    """What a report needs to know of a dataset; ``missing`` counts planned clips without their reference file.

    ``primary_score`` is HEAR's of a labelled dataset, and empty for others.
    """

    name: str
    title: str
    content: Content
    digest: str
    notes: tuple[str, ...] = ()
    missing: int = 0
    primary_score: str = ""


@_checked
@dataclass(frozen=True)
class RunInfo:
    """``run.json``: everything that decided the audio of a run, and where it was made.

    Attributes:
        id: Hash of what changes the audio.
        suite: Name of the suite, ``quickstart`` or ``quickstart+audio`` for a folder in place of its datasets.
        system: Label, ``opus@6kbps:frame_ms=60``.
        title: The system's title.
        task: ``codec``, ``generate`` or ``enhance``.
        settings: All settings, defaults included.
        seed: Seed of the run.
        untrained: Whether the weights were random.
        limit: Clips per dataset of a partial run, 0 for a whole one.
        identity: The parts that were hashed into ``id``, their ``version`` among them.
        datasets: The datasets, in the suite's order.
        clips: The planned clips, in order.
        metrics: The metrics asked for so far, in order.
        environment: Versions, platform, device.
        created: UTC time, ISO 8601.
        parameters: Learned parameters, None for systems without any.
        role: What the row is for, as the system's card says.
        asked: UTC time, ISO 8601, when it was asked for after another run of the system; before that, as ``created``.
        problem: Why the system could not be set up when that was last tried, empty where it could.
        took: Seconds in which its outputs and scores were made (``generate_s``, ``score_s``), without other systems'
            share, and how many there were (``outputs``, ``scores``); of all work on it together.
        facts: Metric -> its facts, of metrics that do not come with ldmbench: they are shown where their code is not.
        schema: ``SCHEMA`` at writing.
    """

    id: str
    suite: str
    system: str
    title: str
    task: str
    settings: Mapping[str, Any]
    seed: int
    untrained: bool
    limit: int
    identity: Mapping[str, str]
    datasets: tuple[DatasetInfo, ...]
    clips: tuple[ClipInfo, ...]
    metrics: tuple[str, ...]
    environment: Mapping[str, str]
    created: str
    parameters: int | None = None
    role: Role = "system"
    asked: str = ""
    problem: str = ""
    took: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, MetricFacts] = field(default_factory=dict)
    schema: int = SCHEMA

    def planned(self) -> list[Clip]:
        """The clips as they were planned."""
        contents = {dataset.name: dataset.content for dataset in self.datasets}
        return [clip.clip(contents[clip.dataset]) for clip in self.clips]

    @property
    def name(self) -> Name:
        """The system's label read by the grammar of names; that of a folder of outputs, which has no code, is a name.

        Raises:
            BenchError: If it is no name.
        """
        return Name(self.system) if self.identity.get("code") == "" else parse(self.system)

    @property
    def identity_version(self) -> int:
        """Which parts are in ``identity`` and how they were made; 1 for runs from before it was recorded."""
        return int(self.identity.get("version", 1))


@_checked
@dataclass(frozen=True, slots=True)
class OutputRow:
    """A line of ``outputs.jsonl``: what became of one clip.

    Attributes:
        clip: Clip id.
        status: ``ok`` or ``failed``.
        message: Why it failed.
        audio: File of the output, relative to the run folder, or absolute for folders that were only scored.
        digest: ``Audio.digest()`` of it.
        reference: ``Audio.digest()`` of the reference it was made for, empty where there is none.
        rate: Hz.
        channels: Number of channels.
        seconds_audio: Duration of the output.
        bits: Size of the coded form.
        tokens: Number of tokens in all layers, None where there are none.
        token_file: Where they are kept, relative to the run folder; empty where they are not.
        codebooks: How many codes each layer has.
        side_bits: How many of ``bits`` are no tokens.
        nominal_kbps: The bitrate that the system claims.
        seconds: Wall time, None where not measured alone.
        peak_memory: Bytes.
        details: As the system recorded them.
        delay: Seconds by which the output is late against its reference, 0 where it is not (``ldmbench.audio.delay``).
        notes: What a user should hear about the files of reference and output.
    """

    clip: Shared
    status: Status
    message: str = ""
    audio: str = ""
    digest: Shared = ""
    reference: Shared = ""
    rate: int = 0
    channels: int = 0
    seconds_audio: float = 0.0
    bits: int | None = None
    tokens: int | None = None
    token_file: str = ""
    codebooks: list[int] = field(default_factory=list)
    side_bits: int = 0
    nominal_kbps: float | None = None
    seconds: float | None = None
    peak_memory: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    delay: float = 0.0
    notes: list[str] = field(default_factory=list)


@_checked
@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A line of ``scores.jsonl``: one metric of one clip.

    Attributes:
        clip: Clip id.
        metric: Name of the metric.
        version: Its version.
        status: ``ok``, ``failed`` or ``unscored``.
        value: A number, the two numbers of a ratio, or the file name of a stored vector.
        message: Why there is no value; of a probe's value, which networks were chosen, and how well they did there.
        output: Digest of the output that was scored (empty for metrics that hear nothing).
    """

    clip: Shared
    metric: Shared
    version: int
    status: Status
    value: float | list[float] | str | None = None
    message: str = ""
    output: Shared = ""


@_checked
@dataclass(frozen=True)
class ShardInfo:
    """``shards/3-of-16/shard.json``: what a part of a run, made beside others, has to add to the run's record.

    Attributes:
        shard: Which one of how many, ``3/16``.
        batch: Clips that a system got at once; with it the shard's clips follow from the run's.
        metrics: As in ``RunInfo``, like the rest.
        environment: Where it was made.
        parameters: Learned parameters.
        problem: Why the system could not be set up.
        asked: When the run was asked for after another one of the system.
        took: Seconds and counts of this part.
    """

    shard: str
    batch: int
    metrics: tuple[str, ...]
    environment: Mapping[str, str]
    parameters: int | None = None
    problem: str = ""
    asked: str = ""
    took: Mapping[str, float] = field(default_factory=dict)
