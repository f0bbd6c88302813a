"""A run made to be compared: all of it at once, or look by look until the verdict is certain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ldmbench.compare.gate import compare
from ldmbench.compare.pairs import list_differs
from ldmbench.compare.records import Comparison, Rules
from ldmbench.compare.sequential import interleaved, looks
from ldmbench.errors import BenchError
from ldmbench.metrics._base import load_metric
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.plan import Plan
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run


def metrics_of(base: Sequence[Run]) -> list[str]:
    """The metrics that BASE can be compared by without being asked to, so that NEW is scored with them too."""
    names = dict.fromkeys(name for run in base for name in run.info.metrics)
    facts = (load_metric(name).facts for name in names)
    return [item.name for item in facts if item.better != "neither" and not item.timed]


def run_against(
    plan: Plan,
    options: Options,
    base: Sequence[Run],
    rules: Rules,
    noise: Sequence[Run] = (),
    fail_fast: bool = False,
    say: Callable[[str], None] = print,
) -> tuple[list[Run], Comparison]:
    """Carry a plan out and compare what it makes with BASE.

    Args:
        plan: What to run.
        options: How.
        base: The stored runs; of several, those of the plan's systems.
        rules: How strict to be.
        noise: Repeats of BASE.
        fail_fast: Look at the run at equal shares of its clips, in a seeded order, and stop where it is certain to
            be worse: by a test whose error over all looks is that of one test, or because more clips have failed, or
            lost more than their tolerance, than the budget allows of the whole run.
        say: Told what each look found.

    Returns:
        The runs, incomplete where they were stopped, and the comparison.

    Raises:
        BenchError: If BASE has none of the clips that are planned (with exit code 3), or ``fail_fast`` is asked for
            with noise, which only complete runs show.
    """
    base = _of_plan(base, plan)
    _refuse_other_lists(base, plan)
    if not fail_fast:
        runs = carry_out(plan, options)
        return runs, compare(base, runs, rules, noise)
    if noise:
        raise BenchError("--fail-fast and --noise do not go together", "noise is judged by whole runs", "drop one")
    clips = {clip.id: clip for clip in plan.clips}
    order = [clips[info.id] for info in interleaved(plan.runs[0].clips)]
    for look in looks(plan.runs[0].clips):
        runs = carry_out(plan, options, order[: len(look.clips)])
        strict = rules if look.last else replace(rules, undecided_fails=False)
        comparison = compare(base, runs, strict, look=look)
        stop = comparison.exit_code == 1
        if not look.last:
            verdict = "worse: stopped" if stop else "not certain to be worse"
            say(f"look {look.number} of {look.of}: {len(look.clips)} of {look.planned} clips, {verdict}")
        if stop or look.last:
            return runs, comparison
    raise AssertionError("a run has a last look")


def _of_plan(base: Sequence[Run], plan: Plan) -> list[Run]:
    """The runs of BASE to compare with: of several, those of the planned systems."""
    if len(base) == 1 and len(plan.runs) == 1:
        return list(base)
    labels = [info.system for info in plan.runs]
    chosen = [run for run in base if run.info.system in labels]
    if not chosen:
        raise BenchError(
            f"BASE has no run of {', '.join(labels)}",
            f"it has {', '.join(run.info.system for run in base)}",
            "name a baseline of that system",
        )
    return chosen


def _refuse_other_lists(base: Sequence[Run], plan: Plan) -> None:
    """Raise before anything is computed where no dataset of BASE has the clips that are planned."""
    planned = Run(plan.paths[0], plan.runs[0], {}, {})
    reasons = [list_differs(run, planned, item.name) for run in base for item in run.info.datasets]
    if reasons and all(reasons):
        raise BenchError("BASE does not compare with this run", reasons[0], "choose the same clips", exit_code=3)
