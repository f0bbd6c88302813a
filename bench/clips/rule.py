"""Clip lists made by rule from the files that are there, for datasets whose names may not or cannot be shipped."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import field_validator

from ldmbench.audio.sound import duration
from ldmbench.cards import Card
from ldmbench.errors import BenchError
from ldmbench.host.files import unreadable_folders, why_no_file
from ldmbench.names import some


class Rule(Card):
    """``[splits.NAME.rule]``: which files below the dataset's folder are its clips.

    Attributes:
        files: Patterns of paths relative to the folder, such as ``test/*/*.wav``.
        count: How many files fit the patterns in the official release, 0 where that is not pinned.
        seconds: Keep files of at least the first and less than the second duration.
        take: Keep so many of what is left, 0 for all: those whose paths have the lowest SHA-256.
        start: First second of each file that belongs to the clip.
        end: Last second (exclusive), 0 for the end of the file.
        streams: Names of the audio streams of every file, each of which is a clip; none for files of one.
        text: Ending of the transcript that lies beside a file, such as ``.normalized.txt``; with a star, which file of
            the folder has all of its transcripts, a line each behind the file's name: ``*.trans.txt``.
        language: BCP 47 tag of the transcripts.
        group: Which part of the path is the clip's group, counted from 0; -1 for none.
    """

    files: tuple[str, ...]
    count: int = 0
    seconds: tuple[float, float] | None = None
    take: int = 0
    start: float = 0.0
    end: float = 0.0
    streams: tuple[str, ...] = ()
    text: str = ""
    language: str = ""
    group: int = -1

    @field_validator("files")
    @classmethod
    def _inside(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if not patterns or any(Path(pattern).is_absolute() or ".." in Path(pattern).parts for pattern in patterns):
            raise ValueError("needs patterns that stay below the folder")
        return patterns


@dataclass(frozen=True)
class Selection:
    """What a rule chose.

    Attributes:
        rows: One for each clip, with the columns of a pinned list that are not empty.
        identity: Path and size of each file: a list that is not pinned is known by them.
        notes: What a user should see.
        primary_score: By which HEAR judges a labelled dataset, empty for others.
    """

    rows: tuple[dict[str, str], ...]
    identity: tuple[str, ...]
    notes: tuple[str, ...]
    primary_score: str = ""


def select(rule: Rule, dataset: str, folder: Path, sha256: str = "", fix: str = "") -> Selection:
    """Apply a rule to a folder.

    Args:
        rule: The rule.
        dataset: Name of the dataset, for messages.
        folder: Where its files are.
        sha256: ``list_digest`` of the official release's files that fit the patterns, empty where not pinned.
        fix: What to do where the files are not there.

    Raises:
        BenchError: If no files fit, or they are not those of the official release.
    """
    fitting = {path: why_no_file(folder / path) for pattern in rule.files for path in _fitting(folder, pattern)}
    paths = sorted(path for path, reason in fitting.items() if not reason)
    if not paths:
        where = f"{', '.join(rule.files)} in {folder}" if folder.is_dir() else f"no folder {folder}"
        raise BenchError(f"the files of {dataset} are not here", where, fix)
    digest = list_digest(paths)
    if (rule.count and len(paths) != rule.count) or (sha256 and digest != sha256):
        raise BenchError(
            f"the files of {dataset} are not those of the official release",
            f"{len(paths)} in {folder} fit {', '.join(rule.files)}"
            + (f", the release has {rule.count}" if rule.count else "")
            + (f"; list {digest[:12]}, the card says {sha256[:12]}" if sha256 and digest != sha256 else ""),
            "unpack the release again, or give a folder of your own with --audio",
        )
    # A folder with a fitting name is how releases are laid out; any other thing was meant to be a sound.
    no_files = {path: reason for path, reason in fitting.items() if reason not in ("", "folders")}
    notes = [
        f"{dataset}: left out, {reason}: {some([path for path in sorted(no_files) if no_files[path] == reason])}"
        for reason in sorted(set(no_files.values()))
    ]
    if shut := unreadable_folders(folder):
        notes.append(f"{dataset}: not looked into, cannot be opened: {some(shut)}")
    kept = paths
    if rule.seconds is not None:
        low, high = rule.seconds
        lengths = {path: _seconds(folder / path) for path in paths}
        kept = [path for path, seconds in lengths.items() if isinstance(seconds, float) and low <= seconds < high]
        broken = {path: error for path, error in lengths.items() if isinstance(error, BenchError)}
        if broken:
            reason = next(iter(broken.values()))
            notes.append(f"{dataset}: left out, cannot be read: {some(list(broken))} (the first: {reason})")
    if rule.take:
        if len(kept) < rule.take:
            notes.append(f"{dataset}: {len(kept)} clips where its rule takes {rule.take}")
        kept = sorted(sorted(kept, key=lambda path: hashlib.sha256(path.encode()).digest())[: rule.take])
    if not kept:
        raise BenchError(f"no file of {dataset} fits its rule", f"looked at {len(paths)} in {folder}", fix)
    rows = [row for path in kept for row in _rows(rule, folder, path)]
    if silent := [row["path"] for row in rows if rule.text and not row["text"]]:
        notes.append(f"{dataset}: no transcript ({rule.text}) beside {some(silent)}")
    if not sha256:
        notes.append(
            f"{dataset}: {len(rows)} clips chosen by rule from {len(paths)} files, list {list_digest(kept)[:12]};"
            " the release's list is not pinned"
        )
    identity = [f"{path} {(folder / path).stat().st_size}" for path in kept]
    return Selection(tuple(rows), tuple(identity), tuple(notes))


def list_digest(paths: Sequence[str]) -> str:
    """SHA-256 (hex) of sorted relative paths, one a line."""
    return hashlib.sha256("".join(f"{path}\n" for path in paths).encode()).hexdigest()


def _seconds(path: Path) -> float | BenchError:
    """Duration of a file, or why it cannot be read."""
    try:
        return float(duration(path))
    except BenchError as error:
        return error


def _fitting(folder: Path, pattern: str) -> list[str]:
    """Relative paths that fit; what begins with a dot (macOS leaves such copies in archives) is no clip."""
    return [path.relative_to(folder).as_posix() for path in folder.glob(pattern) if not path.name.startswith(".")]


def _rows(rule: Rule, folder: Path, path: str) -> list[dict[str, str]]:
    """The clips of a file: one, or one for each of its streams."""
    row = _row(rule, folder, path)
    if not rule.streams:
        return [row]
    return [{**row, "id": f"{row['id']}/{name}", "stream": str(number)} for number, name in enumerate(rule.streams)]


def _row(rule: Rule, folder: Path, path: str) -> dict[str, str]:
    text = _transcript(rule.text, folder / path) if rule.text else ""
    return {
        "id": path.rpartition(".")[0],
        "path": path,
        "start": f"{rule.start:g}" if rule.start else "",
        "end": f"{rule.end:g}" if rule.end else "",
        "text": text,
        "language": rule.language if text else "",
        "group": path.split("/")[rule.group] if 0 <= rule.group < path.count("/") else "",
    }


def _transcript(name: str, path: Path) -> str:
    """What lies beside a file under its name and another ending, or in its line of the folder's transcripts."""
    places = sorted(path.parent.glob(name)) if name.startswith("*") else [path.with_suffix(name)]
    for beside in places:
        try:
            text = beside.read_text(encoding="utf-8").strip() if beside.is_file() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"the transcript {beside} cannot be read", str(error), "save it as UTF-8") from None
        if not name.startswith("*"):
            return text
        for line in text.splitlines():
            own, _, said = line.partition(" ")
            if own == path.stem:
                return said.strip()
    return ""
