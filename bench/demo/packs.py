"""Trials as a listening test: what a visitor collected becomes a pack, as ``ldmbench mushra export`` makes one."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ldmbench.demo.catalogue import INPUT
from ldmbench.errors import BenchError
from ldmbench.listening.export import Request, export
from ldmbench.listening.items import Item, Material, from_runs
from ldmbench.listening.pack import Method, sealed_folder
from ldmbench.listening.presets import DEFAULTS, load_preset
from ldmbench.listening.stimuli import LOUDNESS, Treatment
from ldmbench.runs.results import open_run

#: Folder of packs among the runs.
PACKS = "demo-packs"

#: Methods by what is compared: those with a reference, and those of texts.
METHODS: tuple[Method, ...] = ("mushra", "mushra-1s", "acr", "dcr", "ab", "sheet")


@dataclass(frozen=True)
class Made:
    """A pack.

    Attributes:
        folder: Where it lies, as it is typed here; the key is beside it.
        pages: How many pages it has.
        notes: What its organiser should know.
        commands: What to type next.
    """

    folder: Path
    pages: int
    notes: tuple[str, ...]
    commands: tuple[str, ...]


def material_of(trials: Sequence[Sequence[str]]) -> Material:
    """The clips of all trials, each with an output of every system.

    Raises:
        BenchError: If there is no trial, or they are of different systems or tasks.
    """
    if not trials:
        raise BenchError("the pack is empty", fix="run systems and press 'Add to a listening pack'")
    parts = []
    for trial in trials:
        runs = [open_run(path) for path in trial]
        # What systems receive is none of them. Bounds and anchors that were chosen are heard as systems are.
        tested = [run for run in runs if run.info.name.name != INPUT]
        parts.append(from_runs(tested, [run.info.system for run in tested]))
    systems = parts[0].systems
    for part in parts[1:]:
        if set(part.systems) != set(systems) or part.generated != parts[0].generated:
            found = f"{', '.join(systems)} and {', '.join(part.systems)}"
            raise BenchError("a test has the same systems on every page", found, "add trials of the same systems")
    items: dict[str, Item] = {item.clip.id: item for part in parts for item in part.items}
    marks = tuple(dict.fromkeys(mark for part in parts for mark in part.marks))
    return replace(parts[0], items=tuple(items.values()), marks=marks)


def make_pack(trials: Sequence[Sequence[str]], method: str, title: str, out: Path) -> Made:
    """Write a pack, and its key beside it.

    Raises:
        BenchError: If the trials do not make such a test.
    """
    if method not in METHODS:
        raise BenchError(f"unknown method {method!r}", fix=f"choose one of {', '.join(METHODS)}")
    material = material_of(trials)
    preset = load_preset(DEFAULTS[method])
    folder = out / PACKS / datetime.now().strftime("%Y-%m-%d-%H%M%S")
    number = 1
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{folder.name.partition('.')[0]}.{number}")
    request = Request(
        method, preset, title.strip() or "Listening test", items=len(material.items), longest=preset.seconds,
        treatment=Treatment(loudness=LOUDNESS, anchors=preset.anchors),
    )  # fmt: skip
    try:
        done = export(material, request, folder)
    except BaseException:
        # Half a pack is none.
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(sealed_folder(folder), ignore_errors=True)
        raise
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    commands = tuple(shlex.join(["ldmbench", "mushra", verb, str(shown)]) for verb in ("check", "serve"))
    return Made(shown, len(done.pack.pages), done.notes, commands)
