"""From names to runs: what the command line and a Python user both call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ldmbench.clips.card import Content
from ldmbench.errors import BenchError
from ldmbench.runs.baseline import is_baseline, read_baseline
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.named import chosen, in_order, no_runs
from ldmbench.runs.request import TIMEOUT_S, Options, Request
from ldmbench.runs.results import Run, find_runs, open_run
from ldmbench.runs.store import is_run
from ldmbench.runs.survey import Prepared, survey
from ldmbench.suite import runs_of

_log = logging.getLogger(__name__)


def prepare(request: Request, options: Options) -> Prepared:
    """Look at everything a request needs; nothing is computed but built-in clips that are not there yet.

    Raises:
        BenchError: If something asked for does not exist or does not fit together, and nothing else is wrong.
    """
    surveyed, faults = survey(request, options)
    if len(surveyed.errors) == 1 and faults:
        raise faults[0]
    return surveyed


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
    batch: int = 1, jobs: int = 1,
    retry_failed: bool = False, skip_unavailable: bool = False, quiet: bool = False, timeout: float = TIMEOUT_S,
    shard: str = "", ray: str = "", gpus: float = 1.0,
) -> list[Run]:  # fmt: skip
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
        device: Where systems and metrics with a model run: ``cpu``, ``cuda``, ``cuda:1``, ``cuda:0,cuda:1``, ...
        weights: Folder of official checkpoints of both, None for the weights home.
        batch: Clips handed to a system at once; time and memory are measured at 1 only.
        jobs: Processes for metrics without a model.
        retry_failed: Try clips and scores again that failed before.
        skip_unavailable: Leave out systems whose preflight fails.
        quiet: Show no progress.
        timeout: Seconds that a clip may take in a system or a metric.
        shard: ``3/16`` for the third of sixteen parts of the clips, empty for all of them.
        ray: ``auto`` or the address of a Ray cluster, empty for this machine.
        gpus: Share of a GPU that a system takes there.

    Raises:
        BenchError: If the preflight finds an error; nothing was started then.
    """
    wanted = Request(
        suite, tuple(systems), tuple(metrics), tuple(datasets), _path(audio), _path(table), content, limit, seed,
        untrained, Path(out), align, tuple(conditions), tuple(prompts),
    )  # fmt: skip
    how = Options(device, _path(weights), batch, jobs, retry_failed, skip_unavailable, quiet, timeout, shard, ray, gpus)
    return _evaluate(wanted, how)


def _evaluate(request: Request, options: Options) -> list[Run]:
    prepared = prepare(request, options)
    for reason in prepared.left_out:
        _log.warning("left out: %s", reason)
    for finding in prepared.errors:
        more = f" (and {len(prepared.errors) - 1} more: ldmbench check)" if len(prepared.errors) > 1 else ""
        raise BenchError(f"{finding.subject}: {finding.text}{more}", fix=finding.fix)
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
