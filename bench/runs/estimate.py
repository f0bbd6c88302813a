"""How long a run will take, from what earlier ones took: here, or in a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ldmbench.errors import BenchError
from ldmbench.names import some
from ldmbench.runs.plan import Plan
from ldmbench.runs.records import RunInfo
from ldmbench.runs.results import Run
from ldmbench.runs.store import last_asked, read_record, rows_in, run_folders


@dataclass(frozen=True)
class Duration:
    """How long a plan will take.

    Attributes:
        seconds: Of the systems that an earlier run is known of.
        clips: Outputs that are still to be made, of all systems.
        unknown: Systems without an earlier run.
        source: Which runs it is read from, and where these were made.
    """

    seconds: float
    clips: int
    unknown: tuple[str, ...]
    source: str

    def __str__(self) -> str:
        if not self.clips:
            return "every output is there already"
        if not self.source:
            return f"not known before a first run of {some(self.unknown)}"
        rest = f"; not known of {some(self.unknown)}" if self.unknown else ""
        return f"about {in_words(self.seconds)} for {self.clips} clips, as {self.source}{rest}"


def took_of(before: tuple[int, int], after: tuple[int, int], generate: float, score: float) -> dict[str, float]:
    """What a stretch of work took, as a run records it; empty where nothing was done.

    Args:
        before: Rows of outputs and of scores.
        after: The same afterwards.
        generate: Seconds in which the outputs were made.
        score: Seconds in which the scores were made.
    """
    outputs, scores = after[0] - before[0], after[1] - before[1]
    if outputs <= 0 and scores <= 0:
        return {}
    took = {"outputs": float(outputs), "generate_s": generate if outputs else 0.0}
    return took | {"scores": float(scores), "score_s": score if scores else 0.0}


def duration(plan: Plan, base: Sequence[Run] = ()) -> Duration:
    """How long a plan will take.

    The time of a system is that of its newest run on the suite, else of one of the same name, else of BASE.

    Args:
        plan: What will be done.
        base: Runs that it will be compared with.
    """
    earlier = [*_earlier(plan), *(run.info for run in base)]
    seconds, clips, unknown, sources = 0.0, 0, [], []
    for info, path in zip(plan.runs, plan.paths, strict=True):
        left = max(0, len(plan.clips) - rows_in(path)[0])
        clips += left
        source = _source(info, earlier)
        if left and source is None:
            unknown.append(info.system)
        elif left and source is not None:
            seconds += left * _per_clip(source.took)
            device = source.environment.get("device", "another device")
            sources.append(f"{source.system} ({source.id}) took on {device}")
    return Duration(seconds, clips, tuple(unknown), some(list(dict.fromkeys(sources))))


def _earlier(plan: Plan) -> Iterator[RunInfo]:
    """Records of the suite's runs, the newest first; what cannot be read is no run to go by."""
    root = plan.paths[0].parent.parent.parent
    infos = []
    for path in run_folders(root, plan.suite.name):
        with suppress(BenchError):
            infos.append(read_record(path))
    yield from sorted(infos, key=last_asked, reverse=True)


def _source(info: RunInfo, earlier: Sequence[RunInfo]) -> RunInfo | None:
    """The run to go by: of the system itself, else of its name in any variant."""
    timed = [item for item in earlier if item.took.get("outputs")]
    own = [item for item in timed if item.system == info.system]
    related = [item for item in timed if _family(item.system) == _family(info.system)]
    return next(iter([*own, *related]), None)


def _family(system: str) -> str:
    return system.partition("@")[0].partition(":")[0]


def _per_clip(took: Mapping[str, float]) -> float:
    """Seconds that a clip takes from its reference to its scores."""
    made, scored = took["outputs"], took.get("scores", 0.0)
    # Scores of a clip are as many as the run has on average.
    return took["generate_s"] / made + (took["score_s"] / made if scored else 0.0)


def in_words(seconds: float) -> str:
    """A duration as people say it.

    Example:
        >>> in_words(4.2), in_words(150), in_words(9000)
        ('5 s', '3 min', '2.5 h')
    """
    if seconds < 60:
        return f"{int(seconds) + 1} s"
    return f"{-(-seconds // 60):.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
