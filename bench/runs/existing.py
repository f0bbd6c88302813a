"""Sounds that are there already, scored: runs with more metrics, and folders that somebody else filled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ldmbench.clips.bitrate import Stated, stated_bitrates
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Dataset
from ldmbench.clips.pairs import Pairs, load_references, outputs_digest, pair
from ldmbench.errors import BenchError
from ldmbench.host.apart import Apart
from ldmbench.metrics._base import load_metric, recorded_facts
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.check import Finding, check_metrics, check_plan, check_systems
from ldmbench.runs.crew import crew_of
from ldmbench.runs.labels import FOLDER, outputs_label, reference_label
from ldmbench.runs.measure import measure
from ldmbench.runs.plan import make_plan
from ldmbench.runs.records import RunInfo
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run, open_run
from ldmbench.runs.writer import RunWriter
from ldmbench.suite import Suite
from ldmbench.system.card import SystemSpec, Task
from ldmbench.system.folder import FolderSystem, folder_spec
from ldmbench.system.protocol import System
from ldmbench.system.registry import load_system, resolve


@dataclass(frozen=True)
class Outputs:
    """A folder of outputs that somebody else made.

    Attributes:
        folder: Where they lie.
        kbps: Their bitrate in kbit/s as stated; None where ``bitrate.csv`` in the folder states it, or nobody.
    """

    folder: Path
    kbps: float | None = None


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
    with crew_of(options) as crew, Apart() as apart:
        for old in runs:
            if not old.path.is_dir():
                raise BenchError(
                    f"{old.path} is a baseline", "it holds no sound to score", "score the run it was made of"
                )
            more = tuple(name for name in metrics if name not in old.info.metrics)
            facts = {**old.info.facts, **recorded_facts(metrics)}
            info = replace(old.info, metrics=(*old.info.metrics, *more), facts=facts)
            with RunWriter(old.path, info) as writer:
                measure([old.path], old.info.planned(), metrics, options, [writer], apart, crew)
            done.append(open_run(old.path))
    return done


def score_folders(
    suite: Suite,
    outputs: Sequence[Outputs],
    reference: Path,
    metrics: Sequence[str],
    root: Path,
    options: Options,
    *,
    content: Content = "general",
    table: Path | None = None,
    captions: str | Path | None = None,
    baselines: Sequence[str] = (),
) -> list[Run]:
    """Score folders of audio against a folder of references, beside systems that are run on these references.

    The runs of folders refer to the files and copy none. A reference without an output is a failed row. Folders are
    called by their names, and by more of their paths where another folder has the name already.

    Args:
        suite: Whose metrics and task these are.
        outputs: The folders.
        reference: The folder of references.
        metrics: Columns; ``kbps`` is added where a folder's bitrate is stated, or beside baselines.
        root: Folder of all runs.
        options: How.
        content: What the folders hold.
        table: CSV that chooses the references, with texts and groups.
        captions: CSV of captions, or a dataset that has them.
        baselines: Names of systems to run on the references.

    Returns:
        The runs, folders first.

    Raises:
        BenchError: If nothing pairs by name, the captions or bitrates are not valid, a metric or a baseline lacks what
            it needs, or no metric is defined for the content.
    """
    refuse_inapplicable(metrics, [content])
    name = reference_label(root, suite.name, reference)
    references = load_references(reference, content, table, captions, name)
    own = f"{suite.name}+{name}"
    folders: dict[str, _Folder] = {}
    for item in outputs:
        folders[outputs_label(root, own, item.folder, folders)] = _Folder.of(item, references)
    coded = suite.task == "codec" and (baselines or any(folder.bitrates for folder in folders.values()))
    columns = dict.fromkeys((*(("kbps",) if coded else ()), *metrics))
    chosen = suite.model_copy(update={"name": own, "metrics": tuple(columns)})
    return _carry_out(chosen, references, folders, baselines, root, options)


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
    folders = {label: _Folder(folder.resolve(), Pairs(outputs, ()), {})}
    (run,) = _carry_out(suite, dataset, folders, (), root, options)
    return run


def _carry_out(
    suite: Suite,
    references: Dataset,
    folders: Mapping[str, _Folder],
    baselines: Sequence[str],
    root: Path,
    options: Options,
) -> list[Run]:
    """Runs of folders and of systems, on one dataset."""
    specs = [
        replace(folder.spec(label, suite.task), device=options.device, weights=options.weights)
        for label, folder in folders.items()
    ]
    specs += [resolve(baseline, options.device, False, options.weights) for baseline in baselines]
    _refuse_errors(check_systems(specs[len(folders) :]))
    plan = make_plan(suite, [references], specs, root)
    infos = [folders[info.system].recorded(info) if info.system in folders else info for info in plan.runs]
    plan = replace(plan, runs=tuple(infos))
    _refuse_errors(check_plan(plan, [references], options))
    return carry_out(plan, options, build=_Build(folders))


@dataclass(frozen=True)
class _Folder:
    """A folder of outputs, paired."""

    path: Path
    pairs: Pairs
    bitrates: Mapping[str, Stated]

    @classmethod
    def of(cls, outputs: Outputs, references: Dataset) -> _Folder:
        pairs = pair(outputs.folder, references)
        return cls(outputs.folder.resolve(), pairs, stated_bitrates(outputs.folder, pairs.files, outputs.kbps))

    def spec(self, label: str, task: Task) -> SystemSpec:
        """What stands for the folder in a plan."""
        return folder_spec(label, task, outputs_digest(self.pairs.files), self._bitrate())

    def recorded(self, info: RunInfo) -> RunInfo:
        """A run's record with the folder, and with what was noticed about it."""
        datasets = tuple(replace(item, notes=(*item.notes, *self.pairs.notes)) for item in info.datasets)
        return replace(info, datasets=datasets, environment={**info.environment, FOLDER: str(self.path)})

    def _bitrate(self) -> str:
        stated = sorted((clip, item.value, item.per_second) for clip, item in self.bitrates.items())
        return hashlib.sha256(repr(stated).encode()).hexdigest() if stated else ""


@dataclass(frozen=True)
class _Build:
    """Makes a system of a spec: of a folder's, or of any other."""

    folders: Mapping[str, _Folder]

    def __call__(self, spec: SystemSpec) -> System:
        folder = self.folders.get(spec.label)
        return FolderSystem(spec, folder.pairs.files, folder.bitrates) if folder else load_system(spec)


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
