"""Plans carried out: what is missing is generated, what is missing is measured, and the runs are read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.clips.pairs import outputs_digest, pair_folders
from ldmbench.errors import BenchError
from ldmbench.host.apart import Apart
from ldmbench.metrics._base import load_metric
from ldmbench.probes.embedder import build_embedder
from ldmbench.runs.check import Finding, check_metrics, check_plan
from ldmbench.runs.generate import generate
from ldmbench.runs.identity import embedding_id
from ldmbench.runs.journal import BrokenRunError
from ldmbench.runs.labels import FOLDER, outputs_label, reference_label
from ldmbench.runs.measure import measure
from ldmbench.runs.plan import Plan, make_plan
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.store import RunWriter
from ldmbench.suite import Suite
from ldmbench.system.card import SystemSpec
from ldmbench.system.folder import FolderSystem, folder_spec
from ldmbench.system.protocol import Adapter

#: Clips at once at least, where embeddings are asked for.
BATCH = 16


def carry_out(plan: Plan, options: Options, part: Sequence[Clip] | None = None) -> list[Run]:
    """Generate and measure what a plan asks for; what earlier runs with the same IDs have done is not done again.

    Args:
        plan: What to do.
        options: How; device and weights are those that the plan's systems were resolved with.
        part: Planned clips to do now, in this order; all of them where None.

    Returns:
        The runs as they now are on disk, in the plan's order.

    Raises:
        BenchError: If a system was planned for another device or other weights, or a run folder cannot be written.
    """
    for spec in plan.specs:
        _refuse_other("device", spec, spec.device, options.device)
        if not spec.own_weights:
            _refuse_other("weights", spec, spec.weights, options.weights)
    if plan.suite.task == "embed":
        build: Adapter = partial(build_embedder, {spec.label: embedding_id(spec) for spec in plan.specs})
        # Nothing is timed, since what is in the cache costs nothing; more at once costs fewer questions.
        together = replace(options, batch=max(options.batch, BATCH))
        problems = dict(generate(plan, together, build, isolate=True, part=part))
    else:
        problems = dict(generate(plan, options, isolate=True, part=part))
    broken: dict[Path, str] = {}
    with ExitStack() as stack:
        writers = []
        for path, info in zip(plan.paths, plan.runs, strict=True):
            try:
                writers.append(stack.enter_context(RunWriter(path, info)))
            except BrokenRunError as error:
                broken[path] = str(error)
        apart = stack.enter_context(Apart())
        clips = plan.clips if part is None else part
        measure([writer.path for writer in writers], clips, plan.metrics, options, writers, apart)
    runs = []
    for path, info in zip(plan.paths, plan.runs, strict=True):
        done = Run(path, info, {}, {}, broken[path]) if path in broken else open_run(path)
        runs.append(replace(done, problem=done.problem or problems.get(info.system, "")))
    return runs


def rescore(runs: Sequence[Run], metrics: Sequence[str], options: Options) -> list[Run]:
    """Add metrics to runs that exist; no system is loaded and no audio made.

    A reference or an output that is gone, or is not the one that was there, gives failed rows.

    Raises:
        BenchError: If a metric lacks what it needs; nothing is stored then.
    """
    refuse_inapplicable(metrics, [item.content for old in runs for item in old.info.datasets])
    for old in runs:
        contents = [(dataset.name, dataset.content) for dataset in old.info.datasets]
        _refuse_errors(check_metrics(contents, metrics, options))
    done = []
    with Apart() as apart:
        for old in runs:
            if not old.path.is_dir():
                raise BenchError(
                    f"{old.path} is a baseline", "it holds no sound to score", "score the run it was made of"
                )
            info = replace(old.info, metrics=(*old.info.metrics, *(m for m in metrics if m not in old.info.metrics)))
            with RunWriter(old.path, info) as writer:
                measure([old.path], old.info.planned(), metrics, options, [writer], apart)
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

    A reference without an output is a failed row. Folders are called by their names, and by more of their paths where
    another folder has the name already.

    Raises:
        BenchError: If nothing pairs by name, the captions are not valid, a metric lacks what it needs, or none of them
            is defined for the content.
    """
    refuse_inapplicable(metrics, [content])
    name = reference_label(root, suite.name, reference)
    dataset, pairs = pair_folders(folder, reference, content, table, captions, name)
    chosen = suite.model_copy(update={"name": f"{suite.name}+{name}", "metrics": tuple(metrics)})
    label = outputs_label(root, chosen.name, folder)
    return score_outputs(chosen, dataset, label, pairs, root, options, folder)


def score_outputs(
    suite: Suite,
    dataset: Dataset,
    label: str,
    outputs: Mapping[str, Path],
    root: Path,
    options: Options,
    folder: Path,
) -> Run:
    """Score files that somebody made against the clips of a dataset; the run refers to the files and copies none.

    Args:
        suite: Its name is that of the runs, its metrics are computed.
        dataset: The references.
        label: What the outputs are called.
        outputs: Clip id -> file; a clip without one is a failed row.
        root: Folder of all runs.
        options: How.
        folder: Where the files lie.

    Raises:
        BenchError: If a metric lacks what it needs.
    """
    spec = folder_spec(label, suite.task, outputs_digest(outputs))
    spec = replace(spec, device=options.device, weights=options.weights)
    plan = make_plan(suite, [dataset], [spec], root)
    (info,) = plan.runs
    plan = replace(plan, runs=(replace(info, environment={**info.environment, FOLDER: str(folder.resolve())}),))
    _refuse_errors(check_plan(plan, options))
    generate(plan, options, partial(FolderSystem, pairs=outputs), isolate=True)
    with RunWriter(plan.paths[0], plan.runs[0]) as writer, Apart() as apart:
        measure(plan.paths, plan.clips, plan.metrics, options, [writer], apart)
    return open_run(plan.paths[0])


def _refuse_errors(findings: Sequence[Finding]) -> None:
    """Raise ``BenchError`` for the first error of a preflight."""
    for finding in findings:
        if finding.level == "error":
            raise BenchError(f"{finding.subject}: {finding.text}", fix=finding.fix)


def refuse_inapplicable(metrics: Sequence[str], contents: Sequence[Content]) -> None:
    """Raise ``BenchError`` where none of the metrics is defined for any of the contents: there is nothing to show."""
    facts = [load_metric(name).facts for name in metrics]
    if any(item.applies_to(content) for item in facts for content in contents):
        return
    names = ", ".join(item.name for item in facts)
    kinds = " or ".join(dict.fromkeys(content for item in facts for content in item.content))
    raise BenchError(
        f"nothing to compute: {names} {'is' if len(facts) == 1 else 'are'} defined for {kinds} only",
        f"the clips are {' and '.join(dict.fromkeys(contents))}",
        f"say --content {kinds.split()[0]} if a folder holds that, or choose other metrics",
    )


def _refuse_other(what: str, spec: SystemSpec, planned: object, wanted: object) -> None:
    """Raise ``BenchError`` where scoring would not happen as generating was planned."""
    if planned != wanted:
        found = f"{planned or 'the weights home'} in the plan, {wanted or 'the weights home'} in the options"
        raise BenchError(f"{spec.label}: plan and options differ in {what}", found, "prepare it with the same options")
