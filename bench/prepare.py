"""From names to runs: what the command line and a Python user both call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.check import Finding, check_plan, check_systems
from bench.dataset import Content, Dataset
from bench.errors import BenchError
from bench.folder import load_folder
from bench.measure import Options
from bench.metric import untrained
from bench.plan import Plan, make_plan
from bench.run import run
from bench.store import Run
from bench.suite import load_datasets, load_suite, with_folder
from bench.system import SystemSpec, resolve


@dataclass(frozen=True)
class Request:
    """What somebody asks for, in names.

    Attributes:
        suite: Name or TOML file.
        systems: Names, the suite's where empty.
        metrics: Metrics beyond the suite's.
        audio: Folder in place of the suite's datasets.
        table: CSV of texts and groups for that folder.
        content: What that folder holds.
        limit: Clips of each dataset, 0 for those of the suite.
        seed: Seed of the runs, None for the suite's.
        device: ``cpu``, ``cuda``, ...
        weights: Folder of official checkpoints, None for the weights home.
        untrained: Build models with seeded random weights.
        out: Folder of all runs.
        skip_unavailable: Leave out systems whose preflight fails.
    """

    suite: str
    systems: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    audio: Path | None = None
    table: Path | None = None
    content: Content = "general"
    limit: int = 0
    seed: int | None = None
    device: str = "cpu"
    weights: Path | None = None
    untrained: bool = False
    out: Path = Path("runs")
    skip_unavailable: bool = False


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


def prepare(request: Request) -> Prepared:
    """Look at everything a request needs; nothing is computed but built-in clips that are not there yet.

    Raises:
        BenchError: If something asked for does not exist, or does not fit together.
    """
    suite = load_suite(request.suite)
    datasets: list[Dataset]
    if request.audio is not None:
        folder = load_folder(request.audio, request.content, request.table)
        suite, datasets = with_folder(suite, folder), [folder]
    elif request.table is not None:
        raise BenchError("a CSV of texts belongs to a folder", fix="name the folder with --audio as well")
    else:
        datasets = load_datasets(suite)
    metrics = request.metrics
    if request.untrained:
        # The whole path runs without any checkpoint; the metrics' names then say so, as the systems' rows do.
        suite = suite.model_copy(
            update={name: tuple(map(untrained, getattr(suite, name))) for name in ("metrics", "curves")}
        )
        metrics = tuple(map(untrained, metrics))
    specs = _specs(request, request.systems or suite.systems)
    findings = check_systems(specs)
    failing = {finding.subject: finding for finding in findings if finding.level == "error"}
    left_out = []
    if request.skip_unavailable:
        left_out = [f"{name}: {finding.text}" for name, finding in failing.items()]
        findings = [finding for finding in findings if finding.subject not in failing]
    # What fails its preflight cannot be planned, but the rest is looked at all the same.
    ready = [spec for spec in specs if spec.label not in failing]
    if specs and not ready:
        return Prepared(None, tuple(findings), tuple(left_out))
    plan = make_plan(suite, datasets, ready, request.out, request.limit, request.seed, metrics)
    return Prepared(plan, (*findings, *check_plan(plan, request.weights)), tuple(left_out))


def evaluate(suite: str, systems: Sequence[str] = (), options: Options | None = None, **request: object) -> list[Run]:
    """Run systems on a suite; what is already in the run folder is not computed again.

    Args:
        suite: Name or TOML file of a suite.
        systems: Names of systems, the suite's where empty.
        options: Where and how to measure.
        **request: Further fields of ``Request``: ``audio``, ``limit``, ``metrics``, ``out``, ...

    Returns:
        The runs as they are on disk.

    Raises:
        BenchError: If the preflight finds an error; nothing was started then.
    """
    prepared = prepare(Request(suite, tuple(systems), **request))  # type: ignore[arg-type]
    for finding in prepared.errors:
        raise BenchError(f"{finding.subject}: {finding.text}", fix=finding.fix)
    if prepared.plan is None:
        raise BenchError("no system is left to run", "; ".join(prepared.left_out))
    return run(prepared.plan, options or Options())


def _specs(request: Request, names: Sequence[str]) -> list[SystemSpec]:
    return [resolve(name, request.device, request.untrained, request.weights) for name in names]
