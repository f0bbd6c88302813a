"""The preflight of a request: everything that it needs looked at, whatever is wrong with some of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from ldmbench.cards import kind_of
from ldmbench.clips import adhoc
from ldmbench.clips.card import Content, list_datasets, load_dataset_card
from ldmbench.clips.clip import Dataset
from ldmbench.clips.folder import load_folder
from ldmbench.errors import BenchError
from ldmbench.metrics._base import align, is_metric, list_metrics, load_metric, own_name, untrained
from ldmbench.names import parse, unknown
from ldmbench.probes.embedder import resolve_probed
from ldmbench.runs.check import Finding, check_datasets, check_metrics, check_plan, check_systems
from ldmbench.runs.datasets import check_dataset, is_dataset
from ldmbench.runs.labels import reference_label
from ldmbench.runs.plan import Plan, make_plan
from ldmbench.runs.request import Options, Request
from ldmbench.suite import Suite, list_suites, load_one, load_suite, refuse_other_lists, with_datasets, with_folder
from ldmbench.system.checkpoints import distinct, expand
from ldmbench.system.registry import list_systems, resolve

N = TypeVar("N")
T = TypeVar("T")


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


def survey(request: Request, options: Options) -> tuple[Prepared, list[BenchError]]:
    """Look at everything a request needs, whatever is wrong with some of it.

    Returns:
        What was found, and those of the errors because of which there can be no plan.

    Raises:
        BenchError: If there is no such suite, folder or choice of datasets, or systems do not fit it.
    """
    suite = load_suite(request.suite)
    if request.datasets:
        suite = with_datasets(suite, request.datasets)
    faults: list[tuple[str, BenchError]] = []
    metrics = _each((*suite.metrics, *request.metrics), lambda name: _metric(name, request), faults)
    expanded = _each(request.systems or suite.systems, lambda name: expand([name]), faults)
    of_name = resolve_probed if suite.task == "embed" else resolve
    specs = _each(
        [name for several in expanded for name in several],
        lambda name: of_name(name, options.device, request.untrained, options.weights),
        faults,
    )
    suite, datasets = _datasets(suite, request, faults)
    suite = suite.model_copy(update={"metrics": tuple(metrics)})
    specs = distinct(specs)
    findings = check_systems(specs)
    failing = {finding.subject: finding for finding in findings if finding.level == "error"}
    left_out = []
    if options.skip_unavailable:
        left_out = [f"{name}: {finding.text}" for name, finding in failing.items()]
        findings = [finding for finding in findings if finding.subject not in failing]
    # What fails its preflight cannot be planned, but the rest is looked at all the same.
    ready = [spec for spec in specs if spec.label not in failing]
    findings = [*(Finding.of(subject, error) for subject, error in faults), *findings]
    if faults or (specs and not ready):
        contents = {dataset.name: dataset.content for dataset in datasets}
        cards = {name: parse(name).name for name in suite.datasets if name not in contents}
        known = set(list_datasets())
        contents |= {name: load_dataset_card(card).content for name, card in cards.items() if card in known}
        clips = [clip for dataset in datasets for clip in dataset.clips]
        findings += check_datasets(datasets, clips, suite.task)
        findings += check_metrics(list(contents.items()), list(dict.fromkeys(suite.metrics)), options)
        return Prepared(None, tuple(findings), tuple(left_out)), [error for _, error in faults]
    plan = make_plan(suite, datasets, ready, request.out, request.limit or 0, request.seed)
    return Prepared(plan, (*findings, *check_plan(plan, datasets, options)), tuple(left_out)), []


def look_at(request: Request, options: Options) -> list[Finding]:
    """The preflight of a suite, a dataset, a system or a metric, in place of ``request.suite``.

    Raises:
        BenchError: If there is nothing of that name.
    """
    name = request.suite
    kind = kind_of(Path(name)) if name.endswith(".toml") else ""
    if name in list_suites() or kind == "suite":
        return list(survey(request, options)[0].findings)
    if is_dataset(name):
        return check_dataset(name)
    card = parse(name).name
    if is_metric(name) or ".py:" in name:
        contents: list[tuple[str, Content]] = [(kind, kind) for kind in ("speech", "music", "general")]
        return check_metrics(contents, [own_name(name)], options)
    if card in list_systems() or card.endswith(".toml"):
        return check_systems(
            [resolve(each, options.device, request.untrained, options.weights) for each in expand([name])]
        )
    raise unknown("name", name, [*list_suites(), *list_datasets(), *list_systems(), *list_metrics()])


def _each(names: Iterable[N], make: Callable[[N], T], faults: list[tuple[str, BenchError]]) -> list[T]:
    """What is made of each name; where nothing can be, the error is kept."""
    made = []
    for name in names:
        try:
            made.append(make(name))
        except BenchError as error:
            faults.append((str(name), error))
    return made


def _metric(name: str, request: Request) -> str:
    """The metric as it is computed.

    Raises:
        BenchError: If there is no such metric.
    """
    name = own_name(name)
    load_metric(name)
    if request.untrained:
        # The whole path runs without any checkpoint; the metrics' names then say so, as the systems' rows do.
        name = untrained(name)
    return align(name) if request.align else name


def _datasets(suite: Suite, request: Request, faults: list[tuple[str, BenchError]]) -> tuple[Suite, list[Dataset]]:
    """The suite on what is asked for, and its datasets: its own, a folder, or prompts.

    Raises:
        BenchError: If there is no such folder, or it does not fit the suite.
    """
    for option, value in (("--csv", request.table), ("--condition", request.conditions)):
        if value and request.audio is None:
            raise BenchError(f"{option} belongs to a folder", fix="name the folder with --audio as well")
    if request.prompts:
        if suite.task != "generate" or request.audio is not None:
            fix = "choose a suite of task generate, and leave out --audio"
            raise BenchError(f"suite {suite.name} cannot be run on prompts", f"its task is {suite.task}", fix)
        return with_folder(suite, adhoc.prompts(request.prompts))
    if request.audio is not None:
        name = reference_label(request.out, suite.name, request.audio)
        folder = load_folder(request.audio, request.content, request.table, name)
        return with_folder(suite, folder, dict(map(adhoc.condition_of, request.conditions)))
    try:
        refuse_other_lists(suite)
    except BenchError as error:
        faults.append((suite.name, error))
        return suite, []
    # Nobody waits for clips to be synthesised only to hear of a typing error.
    names = [name for name in suite.datasets if not (faults and _is_builtin(name))]
    return suite, _each(names, partial(load_one, suite), faults)


def _is_builtin(dataset: str) -> bool:
    name = parse(dataset).name
    return name in list_datasets() and load_dataset_card(name).source.kind == "builtin"
