"""Systems in several lanes at once, and metrics on what they have made while they go on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from ldmbench.clips.clip import Clip
from ldmbench.host import interrupt
from ldmbench.host.progress import Advance
from ldmbench.host.together import Together
from ldmbench.metrics._base import DeviceMetric, homes, load_metric
from ldmbench.metrics.probe import ProbeMetric
from ldmbench.runs.crew import Crew
from ldmbench.runs.keep import held, keep
from ldmbench.runs.lanes import Problem, Ready, in_lanes, works_of
from ldmbench.runs.measure import present, scored, storing
from ldmbench.runs.plan import Plan
from ldmbench.runs.produce import Made
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import Options
from ldmbench.runs.scoring import Job, Task, metric_of
from ldmbench.runs.writer import RunWriter
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Adapter


@dataclass(frozen=True)
class Pending:
    """What a system still has to make."""

    spec: SystemSpec
    writer: RunWriter
    clips: Sequence[Clip]


def make_in_lanes(
    plan: Plan, jobs: Sequence[Pending], options: Options, build: Adapter, crew: Crew, advance: Advance
) -> list[tuple[str, str]]:
    """Make what is pending, in as many lanes as are of use, and score it meanwhile.

    Args:
        plan: What to do.
        jobs: What is pending of it.
        options: How.
        build: How a spec becomes a system; importable.
        crew: Who does it.
        advance: Told of each output.

    Returns:
        (system, message) of every system that could not be set up.

    Raises:
        BenchError: If a run folder cannot be written, or a cluster has nobody left who could work.
    """
    works = works_of([job.clips for job in jobs], options.batch, crew.size)
    rest, problems = [len(job.clips) for job in jobs], dict[int, str]()
    if not works:
        return []
    root = plan.paths[0].parent.parent.parent
    lanes = crew.lanes(min(crew.size, len(works)), plan.clips, build, root)
    clips = {clip.id: clip for clip in plan.clips}
    specs, paths = [job.spec for job in jobs], [job.writer.path for job in jobs]
    with _Scoring(jobs, plan.metrics, options, crew) as scoring:

        def store(groups: Sequence[tuple[int, Made]]) -> None:
            for position in dict.fromkeys(position for position, _ in groups):
                made = [one for owner, one in groups if owner == position]
                for row in keep(jobs[position].writer, jobs[position].spec, made):
                    scoring.put(position, clips[row.clip], row)

        with Together(store, lambda item: held(item[1])) as kept:
            for answer in in_lanes(lanes, works, specs, paths, options.batch == 1):
                interrupt.check()
                writer, label = jobs[answer.position].writer, specs[answer.position].label
                if isinstance(answer, Ready):
                    writer.set_parameters(answer.parameters)
                    writer.set_problem("")
                elif isinstance(answer, Problem):
                    problems[answer.position] = answer.message
                else:
                    kept.put((answer.position, answer.made))
                    advance(1, label)
                    rest[answer.position] -= 1
    for position, message in problems.items():
        jobs[position].writer.set_problem(message)
        advance(rest[position], specs[position].label)
    return [(specs[position].label, message) for position, message in problems.items()]


class _Scoring:
    """Metrics without a model on outputs as they come, in a thread that sends them to the crew's scorers.

    What it has not got to when the last output is there is left to ``measure``, and so is what cannot be computed.
    """

    def __init__(self, jobs: Sequence[Pending], metrics: Sequence[str], options: Options, crew: Crew) -> None:
        self._jobs, self._options, self._crew = jobs, options, crew
        self._modules = homes(metrics)
        names = [name for name in metrics if not isinstance(load_metric(name), DeviceMetric | ProbeMetric)]
        # What cannot be imported elsewhere is computed here, later.
        self._names = names if self._modules is not None else []
        self._stored = storing([job.writer for job in jobs])
        self._waiting: list[Task] = []
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Scoring:
        self._stored.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        try:
            if error is None:  # Otherwise nobody waits for the longest metric under way.
                self._thread.join()
        finally:
            # What is scored is stored all the same: the journals are closed next.
            self._stored.__exit__(kind, error, trace)
        if error is None and self._error is not None:
            raise self._error

    def put(self, position: int, clip: Clip, row: OutputRow) -> None:
        """Score an output that is stored, some time."""
        if self._error is not None:
            raise self._error
        names = tuple(name for name in self._names if metric_of(name).facts.applies_to(clip.content))
        if row.status != "ok" or not names:
            return
        writer = self._jobs[position].writer
        audio = writer.path / row.audio if row.audio else None
        tokens = writer.path / row.token_file if row.token_file else None
        job = Job(position, row, audio, names, writer.info.parameters, tokens)
        with self._changed:
            self._waiting.append(Task(clip, (job,), self._modules or ()))
            self._changed.notify_all()

    def _take(self) -> list[Task]:
        """What waits, once it is enough; nothing at the end."""
        with self._changed:
            while not self._ended and len(self._waiting) < self._crew.chunk:
                self._changed.wait()
            if self._ended:
                return []
            tasks, self._waiting = self._waiting, []
            return tasks

    def _run(self) -> None:
        try:
            absent: dict[str, str] = {}
            while tasks := self._take():
                for _, rows in scored(self._crew.scorers, self._crew.scorers, tasks, self._options.timeout):
                    self._stored.put(present(rows, absent))
        except BaseException as error:
            self._error = error
