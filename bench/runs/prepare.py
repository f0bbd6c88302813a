"""From names to runs: what the command line and a Python user both call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ldmbench.clips import adhoc
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Dataset
from ldmbench.clips.folder import load_folder
from ldmbench.errors import BenchError
from ldmbench.metrics._base import align, untrained
from ldmbench.probes.embedder import resolve_probed
from ldmbench.runs.baseline import is_baseline, read_baseline
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.check import Finding, check_plan, check_systems
from ldmbench.runs.labels import reference_label
from ldmbench.runs.named import chosen, in_order, no_runs
from ldmbench.runs.plan import Plan, make_plan
from ldmbench.runs.request import TIMEOUT_S, Options, Request
from ldmbench.runs.results import Run, find_runs, open_run
from ldmbench.runs.store import is_run
from ldmbench.suite import Suite, load_datasets, load_suite, runs_of, with_datasets, with_folder
from ldmbench.system.checkpoints import distinct, expand
from ldmbench.system.registry import resolve

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A request looked at.

    Attributes:
        plan: What would be done by the systems that are ready; None where none is.
        findings: The preflight.
        left_out: Systems that were left out, each with the reason.
    """

    plan: Plan | None
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]

    @property
    def errors(self) -> list[Finding]:
        """What keeps the run from starting."""
        return [finding for finding in self.findings if finding.level == "error"]


def prepare(request: Request, options: Options) -> Prepared:
    """Look at everything a request needs; nothing is computed but built-in clips that are not there yet.

    Raises:
        BenchError: If something asked for does not exist, or does not fit together.
    """
    suite = load_suite(request.suite)
    if request.datasets:
        suite = with_datasets(suite, request.datasets)
    suite, datasets = _sources(request, suite)
    metrics = (*suite.metrics, *request.metrics)
    if request.untrained:
        # The whole path runs without any checkpoint; the metrics' names then say so, as the systems' rows do.
        metrics = tuple(map(untrained, metrics))
    if request.align:
        metrics = tuple(map(align, metrics))
    suite = suite.model_copy(update={"metrics": metrics})
    names = expand(request.systems or suite.systems)
    of_name = resolve_probed if suite.task == "embed" else resolve
    specs = distinct([of_name(name, options.device, request.untrained, options.weights) for name in names])
    findings = check_systems(specs)
    failing = {finding.subject: finding for finding in findings if finding.level == "error"}
    left_out = []
    if options.skip_unavailable:
        left_out = [f"{name}: {finding.text}" for name, finding in failing.items()]
        findings = [finding for finding in findings if finding.subject not in failing]
    # What fails its preflight cannot be planned, but the rest is looked at all the same.
    ready = [spec for spec in specs if spec.label not in failing]
    if specs and not ready:
        return Prepared(None, tuple(findings), tuple(left_out))
    plan = make_plan(suite, datasets, ready, request.out, request.limit or 0, request.seed)
    return Prepared(plan, (*findings, *check_plan(plan, options)), tuple(left_out))


def _sources(request: Request, suite: Suite) -> tuple[Suite, list[Dataset]]:
    """The suite on what is asked for, and its datasets: its own, a folder, or prompts."""
    if request.prompts:
        if suite.task != "generate" or request.audio is not None:
            fix = "choose a suite of task generate, and leave out --audio"
            raise BenchError(f"suite {suite.name} cannot be run on prompts", f"its task is {suite.task}", fix)
        suite, datasets = with_folder(suite, adhoc.prompts(request.prompts))
    elif request.audio is not None:
        name = reference_label(request.out, suite.name, request.audio)
        folder = load_folder(request.audio, request.content, request.table, name)
        suite, datasets = with_folder(suite, folder, dict(map(adhoc.condition_of, request.conditions)))
    else:
        datasets = load_datasets(suite)
    for option, value in (("--csv", request.table), ("--condition", request.conditions)):
        if value and request.audio is None:
            raise BenchError(f"{option} belongs to a folder", fix="name the folder with --audio as well")
    return suite, datasets


def evaluate(
    suite: str,
    systems: Sequence[str] = (),
    *,
    metrics: Sequence[str] = (),
    datasets: Sequence[str] = (),
    audio: str | Path | None = None,
    table: str | Path | None = None,
    content: Content = "general",
    limit: int | None = None,
    seed: int | None = None,
    untrained: bool = False,
    out: str | Path = "runs",
    align: bool = False,
    conditions: Sequence[str] = (),
    prompts: Sequence[str] = (),
    device: str = "cpu",
    weights: str | Path | None = None,
    batch: int = 1,
    jobs: int = 1,
    retry_failed: bool = False,
    skip_unavailable: bool = False,
    quiet: bool = False,
    timeout: float = TIMEOUT_S,
) -> list[Run]:
    """Run systems on a suite, and return the runs as they then are on disk; what is there is not computed again.

    Args:
        suite: Name or TOML file of a suite.
        systems: Names of systems, the suite's where empty.
        metrics: Metrics beyond the suite's.
        datasets: Those of the suite's datasets that are wanted, all where empty.
        audio: Folder in place of the suite's datasets, under each of their conditions.
        table: CSV of texts and groups for that folder.
        content: What that folder holds.
        limit: Clips of each dataset, None for those of the suite.
        seed: Seed of the runs, None for the suite's.
        untrained: Build models with seeded random weights.
        out: Folder of all runs.
        align: Remove each output's delay before metrics compare it with its reference.
        conditions: Input conditions of that folder in place of the suite's (``ldmbench.clips.adhoc``).
        prompts: Texts in place of the suite's datasets, for systems that generate.
        device: Where systems and metrics with a model run: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder of official checkpoints of both, None for the weights home.
        batch: Clips handed to a system at once; time and memory are measured at 1 only.
        jobs: Processes for metrics without a model.
        retry_failed: Try clips and scores again that failed before.
        skip_unavailable: Leave out systems whose preflight fails.
        quiet: Show no progress.
        timeout: Seconds that a clip may take in a system or a metric.

    Raises:
        BenchError: If the preflight finds an error; nothing was started then.
    """
    wanted = Request(
        suite, tuple(systems), tuple(metrics), tuple(datasets), _path(audio), _path(table), content, limit, seed,
        untrained, Path(out), align, tuple(conditions), tuple(prompts),
    )  # fmt: skip
    how = Options(device, _path(weights), batch, jobs, retry_failed, skip_unavailable, quiet, timeout)
    return _evaluate(wanted, how)


def _evaluate(request: Request, options: Options) -> list[Run]:
    prepared = prepare(request, options)
    for reason in prepared.left_out:
        _log.warning("left out: %s", reason)
    for finding in prepared.errors:
        raise BenchError(f"{finding.subject}: {finding.text}", fix=finding.fix)
    if prepared.plan is None:
        raise BenchError("no system is left to run", "; ".join(prepared.left_out))
    return carry_out(prepared.plan, options)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def open_runs(targets: Sequence[str], root: Path, systems: Sequence[str] = ()) -> list[Run]:
    """Runs named by suites, run folders, folders above them, or baseline files, as their suites list the systems.

    Args:
        targets: The names; a suite may be named by its path.
        root: Folder of all runs.
        systems: Labels, names that stand for all variants and settings, or paths of cards and checkpoints, as
            ``ldmbench run`` takes them, in the order wanted; all where empty.

    Raises:
        BenchError: If there are none.
    """
    runs: list[Run] = []
    for target in targets:
        path = Path(target)
        if is_run(path):
            runs.append(open_run(path))
            continue
        if is_baseline(path):
            runs += read_baseline(path)
            continue
        name = runs_of(target)
        of_target = find_runs(root, name)
        if not of_target and path.is_dir():
            of_target = find_runs(path.parent, path.name)
        if not of_target:
            raise no_runs(target, root)
        runs += of_target
    runs = in_order(runs)
    return chosen(runs, systems) if systems else runs
