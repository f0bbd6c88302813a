"""A dataset's files looked at one by one: which lack, cannot be read, are too short, of another rate, or too many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldmbench.audio.sound import AUDIO_SUFFIXES, duration
from ldmbench.clips.card import DatasetCard, load_dataset_card, obtain, source_folder
from ldmbench.clips.labelled import read_labelled, task_seconds
from ldmbench.clips.load import load_dataset
from ldmbench.errors import BenchError
from ldmbench.names import some

#: Seconds by which a file may be shorter than what is cut from it: a sample at 8 kHz.
_TOLERANCE_S = 1 / 8000


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be.

    Attributes:
        level: ``error`` where numbers would not stand on the dataset, ``warning`` otherwise.
        text: What, with the path relative to the dataset's folder.
        fix: What to do.
    """

    level: Literal["error", "warning"]
    text: str
    fix: str = ""


def verify(name: str) -> Iterator[Fault]:
    """Everything that is wrong with the local copy of a dataset, file by file, in the order of its list.

    Raises:
        BenchError: If what lists its clips is not there.
    """
    card = load_dataset_card(name)
    rates: dict[int, list[str]] = {}
    labelled = card.splits[card.default].labelled
    if labelled is None:
        # Pinned lists and rules refuse what is not the release; what is left are files that cannot be read.
        places = [
            (clip.path, clip.start, clip.end, 0.0, clip.stream)
            for clip in load_dataset(name).clips
            if clip.path is not None
        ]
        folder = source_folder(card)
        expected, exact = 0, 0.0
    else:
        folder = source_folder(card)
        rows = read_labelled(labelled, name, folder, obtain(card))
        places = [
            (
                *(folder / row["path"], float(row.get("start") or 0.0), float(row["end"]) if row.get("end") else None),
                *(float(row.get("seconds") or 0.0), None),
            )
            for row in rows
        ]
        expected = _rate_of(rows[0]["path"]) if labelled.hear else 0
        exact = task_seconds(labelled, name, folder) if labelled.hear else 0.0
        yield from _surplus(card, folder, {path for path, *_ in places})
    for path, start, end, seconds, stream in places:
        shown = path.relative_to(folder) if path.is_relative_to(folder) else path
        if not path.is_file():
            yield Fault("error", f"{shown} is missing", obtain(card))
            continue
        try:
            length, rate = duration(path, stream), _rate(path)
        except BenchError as error:
            yield Fault("error", f"{shown}: {error}")
            continue
        if expected and rate != expected:
            yield Fault("error", f"{shown} has {rate} Hz, its folder says {expected}", "unpack the task again")
        if exact and abs(length - exact) > _TOLERANCE_S:
            yield Fault("error", f"{shown} is {length:.2f} s long, its task says {exact:g} s", "unpack the task again")
        rates.setdefault(rate, []).append(str(shown))
        needed = end if end is not None else start
        if length + _TOLERANCE_S < needed:
            yield Fault("error", f"{shown} is {length:.2f} s long, its clip ends at {needed:g} s", obtain(card))
        if seconds and end is None and length > seconds + 1.0:
            yield Fault("warning", f"{shown} is {length:.2f} s long and will be cut to {seconds:g} s")
    if labelled is not None and not labelled.hear:
        yield from _unlike(rates)


def _unlike(rates: Mapping[int, Sequence[str]]) -> Iterator[Fault]:
    """A fault for each rate that fewer files have than another."""
    by_count = sorted(rates, key=lambda rate: (-len(rates[rate]), rate))
    for rate in by_count[1:]:
        files = sorted(set(rates[rate]))
        verb = "has" if len(files) == 1 else "have"
        yield Fault("warning", f"{some(files)} {verb} {rate} Hz, most files {by_count[0]}")


def _surplus(card: DatasetCard, folder: Path, listed: set[Path]) -> Iterator[Fault]:
    """Sounds beside the listed ones that nothing lists."""
    for parent in sorted({path.parent for path in listed}):
        others = sorted(path for path in parent.glob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
        extra = [path for path in others if path not in listed and not path.name.startswith(".")]
        labelled = card.splits[card.default].labelled
        # A cap, a filter or a release's own rule leaves files out on purpose.
        if extra and labelled is not None and not (labelled.hours or labelled.keep or labelled.release):
            for path in extra:
                yield Fault("warning", f"{path.relative_to(folder)} is in no list")


def _rate(path: Path) -> int:
    """Hz as the header says it."""
    import soundfile

    try:
        return int(soundfile.info(str(path)).samplerate)
    except soundfile.LibsndfileError:
        from ldmbench.audio.sound import read

        return read(path, 0.0, 0.05).rate


def _rate_of(path: str) -> int:
    """The rate that a path of hear-preprocess names: ``tasks/TASK/RATE/SPLIT/FILE``."""
    return int(path.split("/")[2])
