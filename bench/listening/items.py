"""What a test may be made of: clips with an output of every system, from runs or from plain folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip
from ldmbench.clips.pairs import load_references, pair
from ldmbench.errors import BenchError
from ldmbench.names import some
from ldmbench.runs.results import Run


@dataclass(frozen=True)
class Source:
    """An output: its file, the run it is of, and the digest of its sound as the run recorded it."""

    path: Path
    run: str = ""
    sound: str = ""

    def read(self) -> Audio:
        """The sound.

        Raises:
            BenchError: If it cannot be read, or is no longer what the run made.
        """
        audio = audio_io.read(self.path)
        if self.sound and audio.digest() != self.sound:
            raise BenchError(f"{self.path} changed since its run", fix="run the suite again: it makes the file anew")
        return audio


@dataclass(frozen=True)
class Item:
    """A clip and the output of every system."""

    clip: Clip
    outputs: Mapping[str, Source]

    @property
    def group(self) -> str:
        """What the clip counts to: its own group, its dataset where it has none."""
        return self.clip.group or self.clip.dataset

    @property
    def has_reference(self) -> bool:
        """Whether there is a sound to compare with."""
        return self.clip.path is not None


@dataclass(frozen=True)
class Material:
    """All items, the systems in their order, and what a user should know of them.

    Attributes:
        items: Clips with an output of every system.
        systems: Labels, in the runs' order.
        generated: Whether outputs are made of text: then nothing is aligned to the reference.
        marks: What every table of these runs says.
        notes: What was left out, and why.
    """

    items: tuple[Item, ...]
    systems: tuple[str, ...]
    generated: bool = False
    marks: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def from_runs(runs: Sequence[Run], named: Sequence[str] = ()) -> Material:
    """The clips that all runs have an output of.

    Args:
        runs: The runs.
        named: Systems that were asked for by name: references, anchors and bounds are left out otherwise.

    Raises:
        BenchError: If the runs have no clip in common, or are of different tasks, or two have the same label.
    """
    notes = []
    kept = [run for run in runs if run.info.role == "system" or (named and run.info.role != "reference")]
    for run in runs:
        if run not in kept:
            notes.append(f"{run.info.system} is left out: {run.info.role}s are made here")
        elif run.problem or run.failures or run.pending:
            notes.append(f"{run.info.system}: {len(run.failures)} failures, {run.pending} clips not made")
    labels = [run.info.system for run in kept]
    if not kept or len(set(labels)) < len(labels):
        found = ", ".join(labels) or ", ".join(run.info.system for run in runs) or "no run"
        raise BenchError("a test needs one run of each of its systems", found, "name suite or runs, or choose with -s")
    tasks = {run.info.task for run in kept}
    if len(tasks) > 1:
        raise BenchError("these runs are of different tasks", ", ".join(sorted(tasks)), "export them one by one")
    if gone := [run.info.system for run in kept if not run.path.is_dir()]:
        raise BenchError(f"{some(gone)}: a baseline holds no sound", fix="name the run it was made of")
    items, lacking = [], []
    planned = [{clip.id: clip for clip in run.info.planned()} for run in kept]
    for clip in planned[0].values():
        same = [clips[clip.id] for clips in planned if clip.id in clips]
        if any(
            (other.path, other.start, other.end, other.stream) != (clip.path, clip.start, clip.end, clip.stream)
            for other in same
        ):
            raise BenchError(f"{clip.id} is another clip in another run", fix="export runs of one list of clips")
        paths = {run.info.system: run.audio_path(clip.id) for run in kept}
        if any(path is None for path in paths.values()):
            lacking.append(clip.id)
            continue
        outputs = {
            run.info.system: Source(path, run.info.id, run.outputs[clip.id].digest)
            for run in kept
            if (path := paths[run.info.system]) is not None
        }
        items.append(Item(clip, outputs))
    if lacking:
        notes.append(f"left out, without an output of every system: {some(lacking)}")
    if not items:
        raise BenchError("no clip has an output of every system", some(labels), "run them on the same clips")
    marks = [f"UNTRAINED: {run.info.system} has random weights" for run in kept if run.info.untrained]
    return Material(tuple(items), tuple(labels), tasks == {"generate"}, tuple(marks), tuple(notes))


def from_folders(
    folders: Sequence[Path],
    reference: Path,
    content: Content = "general",
    table: Path | None = None,
    captions: str | Path | None = None,
) -> Material:
    """The files of ``reference`` that every folder has a counterpart of, by their names as ``score`` pairs them.

    Args:
        folders: One for each system, which is called like its folder.
        reference: The references.
        content: What they hold.
        table: CSV that chooses references, with texts and groups.
        captions: CSV of captions, or a dataset that has them; the systems are then text-to-audio ones.

    Raises:
        BenchError: If two folders have the same name, or nothing pairs.
    """
    labels = [folder.resolve().name for folder in folders]
    if len(set(labels)) < len(labels):
        raise BenchError("two folders have the same name", ", ".join(map(str, folders)), "rename one: it is the system")
    references = load_references(reference, content, table, captions)
    paired = {label: pair(folder, references) for label, folder in zip(labels, folders, strict=True)}
    items = [
        Item(clip, {label: Source(pairs.files[clip.id]) for label, pairs in paired.items()})
        for clip in references.clips
        if all(clip.id in pairs.files for pairs in paired.values())
    ]
    if not items:
        raise BenchError("no reference has a counterpart in every folder", some(labels), "name files alike")
    notes = (*references.notes, *(note for pairs in paired.values() for note in pairs.notes))
    return Material(tuple(items), tuple(labels), captions is not None, (), notes)
