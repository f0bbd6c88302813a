"""What is not scored yet: tasks that are made when they are asked for, so that a long list of them weighs little."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from ldmbench.clips.clip import Clip
from ldmbench.runs.results import Run
from ldmbench.runs.scoring import Job, Task, metric_of

#: Outputs of one clip that are scored in one task: enough to share the reference's work between systems.
_OUTPUTS_PER_TASK = 8

#: Seconds of sound that a score weighs as much as, beside its own.
SCORE_S = 0.5

#: Runs by their positions, each with the metrics that its output of a clip lacks.
_Lacking = tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Tasks(Sequence[Task]):
    """Tasks, each made of rows and clips whenever it is taken.

    Attributes:
        runs: The runs whose outputs are scored.
        items: Clip and what its outputs lack, for every task.
        modules: Of every task.
    """

    runs: Sequence[Run]
    items: Sequence[tuple[Clip, _Lacking]]
    modules: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Task: ...

    @overload
    def __getitem__(self, index: slice) -> Tasks: ...

    def __getitem__(self, index: int | slice) -> Task | Tasks:
        if isinstance(index, slice):
            return Tasks(self.runs, self.items[index], self.modules)
        clip, lacking = self.items[index]
        return Task(clip, tuple(self._job(clip, position, names) for position, names in lacking), self.modules)

    def _job(self, clip: Clip, position: int, names: tuple[str, ...]) -> Job:
        run = self.runs[position]
        row = run.outputs[clip.id]
        tokens = run.path / row.token_file if row.token_file else None
        return Job(position, row, run.audio_path(clip.id), names, run.info.parameters, tokens)

    @property
    def scores(self) -> int:
        """How many scores there are in all of them."""
        return sum(len(names) for _, lacking in self.items for _, names in lacking)

    @property
    def weight(self) -> float:
        """Seconds of sound in all scores, and ``SCORE_S`` for each."""
        return sum(map(self._weight, self.items))

    def heaviest_first(self) -> Tasks:
        """The same, by their weights."""
        return Tasks(self.runs, sorted(self.items, key=self._weight, reverse=True), self.modules)

    def longest_first(self) -> Tasks:
        """The same, by the seconds of their outputs."""
        return Tasks(self.runs, sorted(self.items, key=self._seconds, reverse=True), self.modules)

    def _weight(self, item: tuple[Clip, _Lacking]) -> float:
        seconds = self._seconds(item)
        return (SCORE_S + (seconds if math.isfinite(seconds) else 0.0)) * sum(len(names) for _, names in item[1])

    def _seconds(self, item: tuple[Clip, _Lacking]) -> float:
        clip, lacking = item
        return max((self.runs[position].outputs[clip.id].seconds_audio for position, _ in lacking), default=0.0)


def unscored(
    runs: Sequence[Run],
    clips: Iterable[Clip],
    metrics: Sequence[str],
    retry_failed: bool = False,
    together: int = _OUTPUTS_PER_TASK,
    modules: tuple[str, ...] = (),
) -> Tasks:
    """What is not in the journals yet, or was computed by another version of a metric, or for another output.

    Args:
        runs: The runs.
        clips: The clips, as planned.
        metrics: Names of the metrics.
        retry_failed: Also what failed.
        together: Outputs of a clip in one task, at most.
        modules: What must be imported first.
    """
    same: dict[Any, Any] = {}  # Most clips lack the same.
    items = []
    for clip in clips:
        for lacking in _lacking(runs, clip, metrics, retry_failed, together):
            items.append((clip, same.setdefault(lacking, lacking)))
    return Tasks(runs, items, modules)


def _lacking(
    runs: Sequence[Run], clip: Clip, metrics: Sequence[str], retry_failed: bool, together: int
) -> Iterator[_Lacking]:
    """What the outputs of a clip lack, some of them at a time."""
    pairs = []
    for position, run in enumerate(runs):
        row = run.outputs.get(clip.id)
        if row is None or row.status != "ok":
            continue
        if names := tuple(name for name in metrics if _wanted(run, clip, name, retry_failed)):
            pairs.append((position, names))
    for start in range(0, len(pairs), together):
        yield tuple(pairs[start : start + together])


def _wanted(run: Run, clip: Clip, name: str, retry_failed: bool) -> bool:
    facts = metric_of(name).facts
    if not facts.applies_to(clip.content):
        return False
    row = run.scores.get((clip.id, name))
    if row is None or row.version != facts.version:
        return True
    gone = isinstance(row.value, str) and row.value not in run.vectors and not (run.path / row.value).is_file()
    return gone or (retry_failed and row.status == "failed")
