"""Preflight: everything a run needs, looked at before anything is computed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ldmbench.clips.card import Content, list_datasets, load_dataset_card, obtain
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.errors import BenchError, describe, one_line
from ldmbench.host.apart import Apart
from ldmbench.host.executor import WorkerDiedError
from ldmbench.host.extras import install, missing_extras
from ldmbench.metrics._base import DeviceMetric, RecordedMetric, homes, import_home, load_metric
from ldmbench.metrics.probe import ProbeMetric
from ldmbench.names import Setting, some
from ldmbench.probes.examples import why_not
from ldmbench.runs.estimate import duration
from ldmbench.runs.plan import Plan, missing
from ldmbench.runs.request import Options
from ldmbench.runs.results import open_run
from ldmbench.runs.store import is_run
from ldmbench.system import beside
from ldmbench.system.card import SystemCard, SystemSpec, Task
from ldmbench.system.codec import channel_problem
from ldmbench.system.environment import installed
from ldmbench.system.protocol import Checks
from ldmbench.system.registry import load_adapter

#: Seconds that the import of a module of others may take.
_LOOK_S = 600.0

#: Bytes a second of stored output takes at most: stereo float32 at 48 kHz.
_BYTES_PER_SECOND = 2 * 4 * 48_000

#: Bytes that the embeddings of a clip, with its rows, take at most: some layers of 4096 numbers.
_BYTES_OF_EMBEDDINGS = 64 << 10

#: Duration assumed for a clip whose file was not opened, seconds.
_ASSUMED_SECONDS = 10.0


@dataclass(frozen=True)
class Finding:
    """One line of a preflight.

    Attributes:
        level: ``ok``, ``warning`` (the run will start) or ``error`` (it will not).
        subject: The system, dataset or metric.
        text: What was found.
        fix: What to do about it.
    """

    level: Literal["ok", "warning", "error"]
    subject: str
    text: str
    fix: str = ""

    @classmethod
    def of(cls, subject: str, error: BenchError) -> Finding:
        """An error, found."""
        return cls("error", subject, error.what + (f": {error.found}" if error.found else ""), error.fix)


#: How a fix names what can be got by a command, here as anywhere else: words for ``ldmbench fetch``, and extras.
_FETCH = re.compile(r"ldmbench fetch ('[^']+'|[^\s,;()']+)")
_INSTALL = re.compile(r"pip install 'ldmbench\[([^\]]+)\]'")


def one_command(findings: Sequence[Finding]) -> str:
    """The command that gets all that errors name a command for; empty where there is none."""
    texts = [f"{finding.text} {finding.fix}" for finding in findings if finding.level == "error"]
    extras = dict.fromkeys(extra for text in texts for found in _INSTALL.findall(text) for extra in found.split(","))
    names = dict.fromkeys(name for text in texts for name in _FETCH.findall(text))
    commands = [install(list(extras))] if extras else []
    commands += [" ".join(["ldmbench", "fetch", *names])] if names else []
    return " && ".join(commands)


def check_systems(specs: Sequence[SystemSpec]) -> list[Finding]:
    """Extras, programs, encoders and weights of the systems."""
    with Apart() as apart:
        return [finding for spec in specs for finding in _system(spec, apart)]


def check_plan(plan: Plan, datasets: Sequence[Dataset], options: Options) -> list[Finding]:
    """Datasets of a plan, metrics (with their checkpoints) and disk; systems are ``check_systems``'s."""
    findings = check_datasets(datasets, plan.clips, plan.suite.task)
    contents = [(dataset.name, dataset.content) for dataset in datasets]
    findings += check_metrics(contents, plan.metrics, options)
    findings += _labels(plan, datasets)
    findings += _older(plan)
    findings.append(_disk(plan))
    findings.append(Finding("ok", "time", str(duration(plan))))
    return findings


def check_datasets(datasets: Sequence[Dataset], clips: Sequence[Clip], task: Task) -> list[Finding]:
    """Whether the files of the clips are there."""
    findings = []
    for dataset in datasets:
        count = sum(clip.dataset == dataset.name for clip in clips)
        absent = [clip for clip in dataset.clips if clip.path is not None and not clip.path.is_file()]
        if absent:
            text = f"{len(absent)} of {len(dataset.clips)} clips are missing, the first is {absent[0].path}"
            findings.append(Finding("error", dataset.name, text, _obtain(dataset.name)))
        elif missing(clips, dataset) == count and task != "generate":
            findings.append(Finding("error", dataset.name, f"none of the {count} clips is there", dataset.notes[-1]))
            continue
        else:
            findings.append(Finding("ok", dataset.name, f"{count} clips, list {dataset.digest[:12]}"))
        findings += [Finding("warning", dataset.name, note) for note in dataset.notes]
    return findings


def check_metrics(datasets: Sequence[tuple[str, Content]], names: Sequence[str], options: Options) -> list[Finding]:
    """Extras and checkpoints of metrics on datasets, each with what it holds."""
    with Apart() as apart:
        return [finding for name in names for finding in _metric(datasets, name, options, apart)]


def _obtain(dataset: str) -> str:
    # A folder has any name; only what follows the last @ is a condition.
    name = dataset.rpartition("@")[0] or dataset
    return obtain(load_dataset_card(name)) if name in list_datasets() else "correct the CSV or the folder"


def _system(spec: SystemSpec, apart: Apart | None) -> Iterator[Finding]:
    """What is found of a system, and what keeps the one before it in a tandem from starting."""
    if spec.before is not None:
        label = spec.before.label
        errors = [finding for finding in _system(spec.before, apart) if finding.level == "error"]
        if errors:
            yield from (replace(item, subject=spec.label, text=f"{label}: {item.text}") for item in errors)
            return
    yield from _one_system(spec, apart)


def _one_system(spec: SystemSpec, apart: Apart | None) -> Iterator[Finding]:
    missing = missing_extras(spec.card.extras)
    if missing:
        yield Finding("error", spec.label, f"needs {', '.join(missing)}", install(spec.card.extras))
        return
    absent = [program for program in spec.card.programs if shutil.which(program) is None]
    if absent:
        yield Finding("error", spec.label, f"program {', '.join(absent)} not found", f"install {', '.join(absent)}")
        return
    place = spec.card.environment_folder
    if place is not None and not installed(place):
        text = f"its environment is not in {place}"
        yield Finding("error", spec.label, text, f"ldmbench fetch {shlex.quote(spec.card.called or spec.card.name)}")
        return
    if spec.card.command and (text := _command_problem(spec.card)):
        yield Finding("error", spec.label, text, "install it, or correct the command in the card")
        return
    try:
        reason = _adapter_problem(spec, apart)
        if not reason and spec.card.weights and not spec.untrained:
            spec.weights_folder()
    except BenchError as error:
        yield Finding.of(spec.label, error)
        return
    if reason:
        yield Finding("error", spec.label, reason)
    elif spec.untrained:
        yield Finding("warning", spec.label, "UNTRAINED: seeded random weights")
    else:
        yield Finding("ok", spec.label, spec.card.title)


def _command_problem(card: SystemCard) -> str:
    """Which program or file that a card's command names is not there, or empty; its environment is there."""
    program, *others = card.command_line
    if shutil.which(program) is None:
        beside_card = card.folder / program
        hint = f", though {{here}}/{program} is" if beside_card.is_file() else ""
        return (
            f"its program {program} is not there{hint}"
            if not Path(program).is_file()
            else (f"its program {program} may not be executed")
        )
    lacking = [word for word in others if word.startswith(str(card.folder) + os.sep) and not Path(word).exists()]
    return f"its command names {lacking[0]}, which is not there" if lacking else ""


def _adapter_problem(spec: SystemSpec, apart: Apart | None) -> str:
    """Why an adapter is not ready, or empty; one that does not come with ldmbench is imported in another process.

    Raises:
        BenchError: If it cannot be loaded.
    """
    if apart is None or spec.card.command or spec.card.module.startswith("ldmbench."):
        return look_at_adapter(spec.card, spec.settings, ())
    try:
        return apart.call(look_at_adapter, spec.card, dict(spec.settings), beside.looked_into(), limit=_LOOK_S)
    except WorkerDiedError as error:
        raise BenchError(
            f"system {spec.card.name} cannot be loaded", f"its import: {error}", "mend the module"
        ) from None


def look_at_adapter(card: SystemCard, settings: Mapping[str, Setting], folders: Sequence[str]) -> str:
    """Import the adapter of a card, which may lie in one of the folders; why it is not ready, or empty.

    Raises:
        BenchError: If it cannot be loaded.
    """
    beside.look_into(folders)
    adapter = load_adapter(card)
    if problem := channel_problem(adapter, card, settings):
        return problem
    try:
        return one_line(adapter.available()) if isinstance(adapter, Checks) else ""
    except BenchError:
        raise
    except Exception as error:
        raise BenchError(f"system {card.name} cannot say whether it is ready", describe(error)) from error


def _metric(
    datasets: Sequence[tuple[str, Content]], name: str, options: Options, apart: Apart | None
) -> Iterator[Finding]:
    metric = load_metric(name)
    if isinstance(metric, RecordedMetric):
        yield Finding("error", name, "its code is not here", "name its file: -m ./FILE.py:FUNCTION")
        return
    missing = missing_extras(metric.facts.extras)
    if missing:
        yield Finding("error", name, f"needs {', '.join(missing)}", install(metric.facts.extras))
        return
    applies = [dataset for dataset, content in datasets if metric.facts.applies_to(content)]
    if not applies:
        kinds = " and ".join(metric.facts.content)
        text = f"is for {kinds} and not computed here: no dataset is declared to be that"
        yield Finding("warning", name, text, f"for a folder, --content {metric.facts.content[0]}")
        return
    if isinstance(metric, DeviceMetric) and (text := _model_problem(name, options, apart)):
        yield Finding("error", name, text)
        return
    yield Finding("ok", name, metric.facts.title)


def _model_problem(name: str, options: Options, apart: Apart | None) -> str:
    """Why a metric with a model cannot be computed, or empty; one of another package is asked in another process."""
    modules = homes([name])
    if apart is None or not modules:
        return look_at_model(name, options.local_device, options.weights)
    try:
        return apart.call(look_at_model, name, options.local_device, options.weights, modules, limit=_LOOK_S)
    except WorkerDiedError as error:
        return f"its preflight {error}"


def look_at_model(name: str, device: str, weights: Path | None, modules: Sequence[str] = ()) -> str:
    """Why a metric with a model cannot be computed, or empty; ``modules`` register it."""
    for module in modules:
        import_home(module)
    metric = load_metric(name)
    assert isinstance(metric, DeviceMetric), "facts.device says so"
    try:
        metric.configure(device, weights)
        return one_line(metric.problem())
    except BenchError as error:
        return str(error)
    except Exception as error:
        return describe(error)


def _labels(plan: Plan, datasets: Sequence[Dataset]) -> Iterator[Finding]:
    """Whether the clips that are to be probed have labels and splits that can be."""
    if not any(isinstance(load_metric(name), ProbeMetric) for name in plan.metrics):
        return
    for dataset in datasets:
        clips = [clip for clip in plan.clips if clip.dataset == dataset.name]
        if text := why_not([clip.label for clip in clips], [clip.split for clip in clips]):
            fix = "clips.csv of a folder may have the columns label and split"
            yield Finding("error", dataset.name, f"cannot be probed: {text}", fix)


def _older(plan: Plan) -> Iterator[Finding]:
    """That runs are made again beside those of the same clips whose IDs were made in an older way."""
    again = []
    for info, path in zip(plan.runs, plan.paths, strict=True):
        if is_run(path):
            continue
        for folder in filter(is_run, path.parent.glob("*")):
            with suppress(BenchError):  # What cannot be read is no run to speak of.
                old = open_run(folder).info
                same = all(old.identity.get(part) == info.identity[part] for part in ("clips", "seed", "weights"))
                if same and old.identity_version < info.identity_version:
                    again.append(info.system)
    if again:
        names = some(list(dict.fromkeys(again)))
        text = f"of {names} were made under an older identity: they stay, and new ones are made beside them"
        yield Finding("warning", "runs", text)


def _disk(plan: Plan) -> Finding:
    seconds = sum(_seconds(clip.start, clip.end) for clip in plan.clips)
    needed = int(seconds * _BYTES_PER_SECOND) * len(plan.specs)
    if plan.suite.task == "embed":
        needed = _BYTES_OF_EMBEDDINGS * len(plan.clips) * len(plan.specs)
    folder = plan.paths[0]
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"about {in_bytes(needed)} at most for outputs, {in_bytes(free)} free"
    if needed > free:
        return Finding("warning", "disk", text, "free space or choose another --out")
    return Finding("ok", "disk", text)


def _seconds(start: float, end: float | None) -> float:
    return end - start if end is not None else _ASSUMED_SECONDS


def in_bytes(number: float) -> str:
    """A number of bytes as people say it."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
