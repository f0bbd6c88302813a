"""Datasets whose clips are parts of YouTube videos: found in a local folder by name, captions by their official id."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ldmbench.audio.sound import duration
from ldmbench.clips.folder import file_identities, is_audio, walk
from ldmbench.errors import BenchError
from ldmbench.names import some

if TYPE_CHECKING:
    from ldmbench.clips.card import DatasetCard, Source

#: (YouTube id, first second): what identifies a clip.
Segment = tuple[str, float]

#: Seconds of a clip.
CLIP_SECONDS = 10.0

#: A file longer than this is no clip but the video it comes from.
LONGEST_SECONDS = CLIP_SECONDS + 1.0

#: ``ID``, ``ID_START`` or ``ID_START_END``. An id has 11 characters, and may hold ``-`` and ``_`` anywhere.
_NAME = re.compile(r"(?P<id>[A-Za-z0-9_-]{11})(_(?P<start>\d+(\.\d+)?)(_(?P<end>\d+(\.\d+)?))?)?")


@dataclass(frozen=True)
class ClipFiles:
    """What a folder holds of the clips asked for.

    Attributes:
        paths: The file of each clip that is there.
        unusable: Why what has a clip's name cannot stand for it: no file, or a whole video.
        notes: Folders that were not looked into.
    """

    paths: Mapping[Segment, Path]
    unusable: Mapping[Segment, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Located:
    """The rows of a list with their captions and files.

    Attributes:
        rows: As ``ldmbench.clips.card.read_list`` gives them, with ``id`` and ``text`` filled in.
        paths: Clip id -> file, for clips that are there.
        missing: Clip id -> why there is no file, for the others.
        identity: For each row, the SHA-256 of its file, why that cannot be read, or the word ``missing``.
        notes: Lines a user should see.
    """

    rows: tuple[dict[str, str], ...]
    paths: Mapping[str, Path]
    missing: Mapping[str, str]
    identity: tuple[str, ...]
    notes: tuple[str, ...]


def segments_of(stem: str, wanted: Mapping[str, Collection[float]]) -> list[Segment]:
    """The clips among ``wanted`` that a file name stands for.

    Read are ``ID``, ``ID_START`` and ``ID_START_END``, with or without the ``Y`` that AudioSet puts before an id;
    start and end in seconds or in milliseconds. A name without a start stands for every clip of the video. Numbers
    that are no id are never taken for one.

    Args:
        stem: Name of the file without folders and ending.
        wanted: YouTube id -> first seconds of its clips.

    Returns:
        No clip, one, or several where the name does not tell.
    """
    segments: list[Segment] = []
    for text in (stem, stem[1:]) if stem.startswith("Y") else (stem,):
        match = _NAME.fullmatch(text)
        if match is None:
            continue
        for start in wanted.get(match["id"], ()):
            if match["start"] is None or _same_part(start, float(match["start"]), match["end"]):
                segments.append((match["id"], start))
    return segments


def find_clips(folder: Path, segments: Iterable[Segment]) -> ClipFiles:
    """Look for clips below a folder by the names of its audio files.

    Links that lead nowhere, pipes and devices are no files, whatever their names. Hidden folders are passed over; links
    to folders, and folders that cannot be opened, are not looked into and named.

    Raises:
        BenchError: If two files have the name of one clip, or one file's name fits two clips.
    """
    wanted: dict[str, list[float]] = {}
    for video, start in dict.fromkeys(segments):
        wanted.setdefault(video, []).append(start)
    by_clip: dict[Segment, list[Path]] = {}
    unclear: dict[Path, list[Segment]] = {}
    unusable: dict[Segment, str] = {}
    files, refused = walk(folder)
    notes = []
    for reason, names in refused.items():
        for name in list(names):
            path = folder / name
            if is_audio(path) and (fitting := segments_of(path.stem, wanted)):
                unusable.update(dict.fromkeys(fitting, f"{path} is left out, it is no file: {reason}"))
                names.remove(name)
        # A link or a device that is named like no clip of the list is nothing to speak of.
        if folders := [name for name in names if (folder / name).is_dir() and not is_audio(folder / name)]:
            notes.append(f"not looked into, {reason}: {some(sorted(folders))}")
    for path in filter(is_audio, files):
        fitting = segments_of(path.stem, wanted)
        if len(fitting) > 1:
            unclear[path] = fitting
        elif fitting:
            by_clip.setdefault(fitting[0], []).append(path)
    for path, fitting in unclear.items():
        raise BenchError(
            f"the name of {path} fits {len(fitting)} clips",
            some([label(*segment) for segment in fitting]),
            "add the first second to the name: ID_START",
        )
    doubled = {segment: paths for segment, paths in by_clip.items() if len(paths) > 1}
    for segment, paths in doubled.items():
        more = f"; so do {len(doubled) - 1} more clips" if len(doubled) > 1 else ""
        raise BenchError(
            f"clip {label(*segment)} has {len(paths)} files in {folder}",
            some([str(path.relative_to(folder)) for path in sorted(paths)]) + more,
            "keep one of them, or name the folder that holds one of each",
        )
    chosen = {segment: paths[0] for segment, paths in by_clip.items()}
    for segment, path in list(chosen.items()):
        try:
            seconds = duration(path)
        except BenchError:
            continue  # A file that cannot be read is a clip that will fail, with the reason.
        if seconds > LONGEST_SECONDS:
            unusable[segment] = f"{path} is {seconds:.1f} s long, not the clip of {CLIP_SECONDS:g} s: cut it"
            del chosen[segment]
    return ClipFiles(chosen, unusable, tuple(notes))


def locate(card: DatasetCard, rows: Sequence[Mapping[str, str]]) -> Located:
    """Captions and files for the rows of a list.

    Raises:
        BenchError: If the captions are not there or are not the pinned ones, or a file name is not clear.
    """
    captions = read_captions(card, rows)
    folder = clips_folder(card.source)
    clip_files = find_clips(folder, [(row["youtube_id"], float(row["start_time"])) for row in rows])
    filled: list[dict[str, str]] = []
    identity: list[str | Path] = []
    paths: dict[str, Path] = {}
    reasons: dict[str, str] = {}
    lost: dict[Segment, str] = {}
    for row in rows:
        segment = (row["youtube_id"], float(row["start_time"]))
        name = f"{label(*segment)}_{row['id']}"
        filled.append({**row, "id": name, "text": captions[row["id"]]})
        if path := clip_files.paths.get(segment):
            paths[name] = path
            identity.append(path)
        else:
            reasons[name] = clip_files.unusable.get(segment) or f"no file of clip {label(*segment)} in {folder}"
            lost[segment] = reasons[name]
            identity.append("missing")
    digests = iter(file_identities(item for item in identity if isinstance(item, Path)))
    identities = tuple(next(digests) if isinstance(item, Path) else item for item in identity)
    told = (*clip_files.notes, *clip_files.unusable.values())
    notes = [f"{card.name}: {text}" for text in dict.fromkeys(told)]
    if lost:
        clips = len({(row["youtube_id"], row["start_time"]) for row in rows})
        notes.append(
            f"{card.name}: {len(lost)} of {clips} clips are missing in {folder}"
            f" (name them Y{next(iter(lost))[0]}.wav, or set {card.source.env}): "
            + some([label(*segment) for segment in lost])
        )
    return Located(tuple(filled), paths, reasons, identities, tuple(notes))


def read_captions(card: DatasetCard, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Caption of each row's ``id``, from the official CSV of the dataset.

    Raises:
        BenchError: If the CSV is not there, is not the pinned one, or does not hold a listed caption.
    """
    from ldmbench.host.homes import file_digest

    source = card.source
    paths = captions_paths(source)
    there = [path for path in paths if path.is_file()]
    right = [path for path in there if file_digest(path) == source.sha256]
    if not right and there:
        digests = ", ".join(f"{path} has SHA-256 {file_digest(path)[:12]}" for path in there)
        raise BenchError(
            f"the captions of {card.name} are not the pinned ones",
            f"{digests}, expected {source.sha256[:12]}",
            f"run ldmbench fetch {card.name}, or put {source.url} there",
        )
    if not right:
        raise BenchError(
            f"the captions of {card.name} are not here",
            f"looked for {' and '.join(map(str, paths))}",
            f"run ldmbench fetch {card.name}, or put {source.url} there",
        )
    table = csv.DictReader(io.StringIO(right[0].read_text(encoding="utf-8"), newline=""))
    entries = {entry[source.key]: entry for entry in table}
    captions = {}
    for row in rows:
        entry = entries.get(row["id"])
        if entry is None or (entry["youtube_id"], entry["start_time"]) != (row["youtube_id"], row["start_time"]):
            raise BenchError(
                f"{right[0]} has no caption {row['id']} of clip {row['youtube_id']}_{row['start_time']}",
                fix="restore the list of the dataset",
            )
        captions[row["id"]] = entry["caption"].strip()
    return captions


def clips_folder(source: Source) -> Path:
    """The folder with the clips: the one named by the variable ``source.env``, or one in the data home."""
    return Path(os.environ.get(source.env) or _home(source)).expanduser().absolute()


def captions_paths(source: Source) -> list[Path]:
    """Where the official CSV may lie: in the folder of the clips, or where ``fetch`` puts it."""
    name = source.url.rpartition("/")[2]
    return list(dict.fromkeys((clips_folder(source) / name, _home(source) / name)))


def label(video: str, start: float) -> str:
    """``7fmOlUlwoNg_20``."""
    return f"{video}_{start:g}"


def _home(source: Source) -> Path:
    from ldmbench.host.homes import data_home

    return data_home() / source.folder


def _same_part(start: float, begins: float, end: str | None) -> bool:
    """Whether a name's start (and end) mean the clip at ``start``, in seconds or in milliseconds."""
    for unit in (1.0, 1000.0):
        if begins == start * unit and (end is None or 0 < float(end) - begins <= LONGEST_SECONDS * unit):
            return True
    return False
