"""A run from beginning to end: generate what is missing, measure what is missing, read it back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ldmbench.clips.card import Content
from ldmbench.clips.pairs import pair_folders
from ldmbench.errors import BenchError
from ldmbench.runs.check import check_plan
from ldmbench.runs.generate import generate
from ldmbench.runs.measure import Options, measure
from ldmbench.runs.plan import Plan, make_plan
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.store import RunWriter
from ldmbench.suite import Suite
from ldmbench.system.folder import FolderSystem, folder_spec


def run(plan: Plan, options: Options, batch: int = 1, retry_failed: bool = False) -> list[Run]:
    """Carry out a plan; what earlier runs with the same IDs have done is not done again.

    Args:
        plan: What to do.
        options: Where and how to measure.
        batch: Clips handed to a system at once.
        retry_failed: Try clips and scores again that failed before.

    Returns:
        The runs as they now are on disk, in the plan's order.
    """
    problems = dict(generate(plan, batch, retry_failed, options.quiet))
    with ExitStack() as stack:
        pairs = zip(plan.paths, plan.runs, strict=True)
        writers = [stack.enter_context(RunWriter(path, info)) for path, info in pairs]
        measure(plan.paths, plan.clips, plan.metrics, replace(options, retry_failed=retry_failed), writers)
    runs = [open_run(path) for path in plan.paths]
    return [replace(done, problem=problems.get(done.info.system, "")) for done in runs]


def rescore(runs: Sequence[Run], metrics: Sequence[str], options: Options) -> list[Run]:
    """Add metrics to runs that exist; no system is loaded and no audio made.

    A reference that is gone, or is not the one the outputs were made for, gives failed rows.
    """
    done = []
    for old in runs:
        info = replace(old.info, metrics=(*old.info.metrics, *(m for m in metrics if m not in old.info.metrics)))
        with RunWriter(old.path, info) as writer:
            measure([old.path], old.info.planned(), metrics, options, [writer])
        done.append(open_run(old.path))
    return done


def score_folder(
    suite: Suite,
    folder: Path,
    reference: Path,
    metrics: Sequence[str],
    root: Path,
    options: Options,
    content: Content = "general",
    table: Path | None = None,
    captions: str | Path | None = None,
) -> Run:
    """Score a folder of audio against a folder of references; the run refers to the files and copies none.

    Raises:
        BenchError: If nothing pairs by name, the captions are not valid, or a metric lacks what it needs.
    """
    dataset, pairs = pair_folders(folder, reference, content, table, captions)
    spec = folder_spec(folder.resolve(), suite.task, dataset.digest)
    chosen = suite.model_copy(update={"name": f"{suite.name}+{dataset.name}", "metrics": tuple(metrics)})
    plan = make_plan(chosen, [dataset], [spec], root)
    for finding in check_plan(plan, options.weights):
        if finding.level == "error":
            raise BenchError(f"{finding.subject}: {finding.text}", fix=finding.fix)
    generate(plan, quiet=options.quiet, build=lambda _: FolderSystem(spec, pairs))
    with RunWriter(plan.paths[0], plan.runs[0]) as writer:
        measure(plan.paths, plan.clips, plan.metrics, options, [writer])
    return open_run(plan.paths[0])
