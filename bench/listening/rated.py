"""A rated set on disk: the sounds that listeners heard, found by what their ratings call them, and scored."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ldmbench.audio.sound import AUDIO_SUFFIXES
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip, Dataset, clips_digest
from ldmbench.clips.folder import file_identities
from ldmbench.errors import BenchError
from ldmbench.listening.votes import Ratings
from ldmbench.names import some
from ldmbench.runs.existing import refuse_inapplicable, score_outputs
from ldmbench.runs.labels import reference_label
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run
from ldmbench.suite import load_suite

#: What the file of an item's reference may be called, where the ratings do not say it.
_REFERENCES = ("reference", "ref")


@dataclass(frozen=True)
class RatedSet:
    """The sounds of a test.

    Attributes:
        folder: Where they lie.
        references: Item -> file.
        outputs: System -> item -> file.
        notes: What is not there.
    """

    folder: Path
    references: Mapping[str, Path]
    outputs: Mapping[str, Mapping[str, Path]]
    notes: tuple[str, ...]


def find_sounds(ratings: Ratings, folder: Path, references: Mapping[str, str] | None = None) -> RatedSet:
    """Find the sounds of a test below a folder.

    A sound is the file that its rating names, with whatever ending, or ``ITEM/CONDITION.*`` as in ODAQ; the reference
    of an item is what the ratings of the hidden reference name, what a table says, or ``reference.*`` or ``ref.*``
    beside the sounds.

    Args:
        ratings: Of one scale.
        folder: The folder.
        references: Item -> file of its reference, as far as files of ratings say it (``read.references_of``).

    Raises:
        BenchError: If there is no such folder, or it has no item with a reference and a sound.
    """
    files = _files(folder)
    by_name: dict[tuple[str, str], str] = {}
    for vote in ratings.rows:
        by_name.setdefault((vote.item, vote.system), vote.sound)
    hidden = ratings.named("reference")
    sounds: dict[str, dict[str, Path]] = {}
    lacking: list[str] = []
    for (item, system), named in by_name.items():
        path = _first(files, named, f"{item}/{system}")
        if path is None:
            lacking += [f"{system} of {item}"] if system in ratings.systems else []
        else:
            sounds.setdefault(system, {})[item] = path
    of_items: dict[str, Path] = {}
    for item in ratings.items:
        beside = [own[item].parent for own in sounds.values() if item in own][:1]
        near = [(path.relative_to(folder) / name).as_posix() for path in beside for name in _REFERENCES]
        rated = sounds.get(hidden or "", {}).get(item)
        path = rated or _first(files, (references or {}).get(item, ""), *(f"{item}/{n}" for n in _REFERENCES), *near)
        if path is not None:
            of_items[item] = path
    outputs = {name: own for name, own in sounds.items() if name in ratings.systems}
    usable = {name: {item: path for item, path in own.items() if item in of_items} for name, own in outputs.items()}
    if not any(usable.values()):
        raise BenchError(
            f"{folder} holds no rated sound with its reference",
            f"{len(files)} sounds; rated are {some([f'{system} of {item}' for item, system in by_name])}",
            "lay them as ITEM/CONDITION.wav and ITEM/reference.wav, or name files in a column of the ratings",
        )
    notes = []
    if lacking:
        notes.append(f"{folder.name}: rated, and no sound there: {some(lacking)}")
    without = [item for item in ratings.items if item not in of_items]
    if without:
        notes.append(f"{folder.name}: no reference for {some(without)}")
    return RatedSet(folder, of_items, {name: own for name, own in usable.items() if own}, tuple(notes))


def score_set(
    sounds: RatedSet, metrics: Sequence[str], root: Path, options: Options, content: Content = "general"
) -> tuple[list[Run], dict[str, str]]:
    """Score every system of a rated set; what was scored before is not scored again.

    Args:
        sounds: The set.
        metrics: Metrics; those of the suite ``folders`` where empty.
        root: Folder of all runs.
        options: How.
        content: What the sounds hold; metrics of speech need ``speech``.

    Returns:
        The runs, and item -> clip.

    Raises:
        BenchError: If a metric lacks what it needs.
    """
    suite = load_suite("folders")
    names = tuple(metrics) or suite.metrics
    refuse_inapplicable(names, [content])
    label = reference_label(root, suite.name, sounds.folder)
    clips = {
        item: Clip(
            id=f"{label}/{PurePosixPath(path.relative_to(sounds.folder)).with_suffix('').as_posix()}",
            dataset=label,
            content=content,
            path=path,
        )
        for item, path in sounds.references.items()
    }
    suite = suite.model_copy(update={"name": f"{suite.name}+{label}", "metrics": names})
    runs = []
    for system, files in sounds.outputs.items():
        # Only what was rated: what a test did not hold of a system has not failed.
        own = [clips[item] for item in clips if item in files]
        digest = clips_digest(own, file_identities(sounds.references[item] for item in clips if item in files))
        dataset = Dataset(label, f"Rated sounds of {label}", content, tuple(own), digest, sounds.notes)
        outputs = {clips[item].id: path for item, path in files.items()}
        runs.append(score_outputs(suite, dataset, system, outputs, root, options, sounds.folder))
    return runs, {item: clip.id for item, clip in clips.items()}


def _files(folder: Path) -> dict[str, Path]:
    """Path below the folder without its ending -> sound."""
    if not folder.is_dir():
        raise BenchError(f"{folder} is no folder", fix="name the folder of the rated sounds")
    files: dict[str, Path] = {}
    for parent, below, names in os.walk(folder):
        below.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
                files.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return files


def _first(files: Mapping[str, Path], *names: str) -> Path | None:
    """The file with the first of these names, whatever the ending; a name may begin above the folder."""
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        for start in range(len(parts)):
            whole = PurePosixPath(*parts[start:])
            for stem in (whole.with_suffix("").as_posix(), whole.as_posix()):
                if stem in files:
                    return files[stem]
    return None
