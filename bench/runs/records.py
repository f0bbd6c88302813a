"""What a run consists of: plain records, as they are written to and read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ldmbench.clips.card import Content

#: Raised when the layout of the folder changes.
SCHEMA = 1

Status = Literal["ok", "failed", "unscored"]


@dataclass(frozen=True)
class ClipInfo:
    """What a report needs to know of a planned clip.

    Attributes:
        id: ``DATASET/NAME``.
        dataset: Dataset with its condition.
        path: Reference file, empty where there is none.
        start: First second of the file.
        end: Last second, None for the end.
        text: Transcript or caption.
        group: Label to report by.
        language: BCP 47 tag of the text.
    """

    id: str
    dataset: str
    path: str = ""
    start: float = 0.0
    end: float | None = None
    text: str = ""
    group: str = ""
    language: str = ""


@dataclass(frozen=True)
class DatasetInfo:
    """What a report needs to know of a dataset; ``missing`` counts planned clips without their reference file."""

    name: str
    title: str
    content: Content
    digest: str
    notes: tuple[str, ...] = ()
    missing: int = 0


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
        identity: The parts that were hashed into ``id``.
        datasets: The datasets, in the suite's order.
        clips: The planned clips, in order.
        metrics: The metrics asked for so far, in order.
        environment: Versions, platform, device.
        created: UTC time, ISO 8601.
        parameters: Learned parameters, None for systems without any.
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
    schema: int = SCHEMA


@dataclass(frozen=True)
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
        seconds: Wall time, None where not measured alone.
        peak_memory: Bytes.
        details: As the system recorded them.
    """

    clip: str
    status: Status
    message: str = ""
    audio: str = ""
    digest: str = ""
    reference: str = ""
    rate: int = 0
    channels: int = 0
    seconds_audio: float = 0.0
    bits: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    peak_memory: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreRow:
    """A line of ``scores.jsonl``: one metric of one clip.

    Attributes:
        clip: Clip id.
        metric: Name of the metric.
        version: Its version.
        status: ``ok``, ``failed`` or ``unscored``.
        value: A number, the two numbers of a ratio, or the file name of a stored vector.
        message: Why there is no value.
        output: Digest of the output that was scored (empty for metrics that hear nothing).
    """

    clip: str
    metric: str
    version: int
    status: Status
    value: float | list[float] | str | None = None
    message: str = ""
    output: str = ""
