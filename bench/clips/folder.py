"""Any folder of audio as a dataset, with an optional CSV of texts and groups."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ldmbench.audio.sound import AUDIO_SUFFIXES
from ldmbench.clips.bitrate import BITRATE_CSV
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Clip, Dataset, clips_digest
from ldmbench.clips.table import read_table
from ldmbench.errors import BenchError
from ldmbench.host.files import why_no_file
from ldmbench.host.homes import file_digests
from ldmbench.names import some

#: Looked for in the folder where no other CSV is named.
CSV_NAME = "clips.csv"

_COLUMNS = ("path", "text", "group", "language", "label", "split")


def load_folder(
    folder: str | Path, content: Content = "general", table: str | Path | None = None, name: str = ""
) -> Dataset:
    """Every audio file below ``folder``, in the order of their paths.

    Hidden files are passed over; files that are not audio by their name, links that lead nowhere or to a folder,
    pipes and devices, and folders that cannot be opened are left out and named in the notes. With a CSV (``table``,
    or ``clips.csv`` in the folder) the clips are its rows: ``path`` relative to the folder, and optionally ``text``,
    ``group``, ``language``, and for probes ``label`` and ``split``.

    Args:
        folder: The folder.
        content: What it holds; speech metrics are computed for ``speech`` only.
        table: The CSV.
        name: Name of the dataset, by default that of the folder.

    Raises:
        BenchError: If there is no such folder, no audio in it, or the CSV is not valid.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise BenchError(f"{folder} is not a folder", fix="name an existing folder of audio files")
    name = name or folder.name
    files, refused = walk(folder)
    # What is no UTF-8 cannot be written into a run's records.
    misnamed = [path for path in files if not _utf8(path)]
    files = [path for path in files if _utf8(path)]
    table = Path(table).absolute() if table else folder / CSV_NAME
    listed = os.path.lexists(table) or table != folder / CSV_NAME
    if table == folder / CSV_NAME and listed and (reason := why_no_file(table)):
        # Passed over, it would take texts and groups with it.
        raise BenchError(f"{table} is no file", reason, "mend or remove it")
    rows = (
        _listed(table, folder, files)
        if listed
        else [{"path": str(path.relative_to(folder))} for path in files if is_audio(path)]
    )
    if not rows:
        kinds = ", ".join(sorted({path.suffix or path.name for path in files})) or "no files"
        raise BenchError(f"{folder} holds no audio", kinds, f"it should hold one of {', '.join(AUDIO_SUFFIXES)}")
    clips = _clips(folder, rows, name, content)
    notes = []
    tables = (table, _real(table), folder / BITRATE_CSV)
    skipped = [str(path.relative_to(folder)) for path in files if not is_audio(path) and path not in tables]
    if skipped:
        notes.append(f"{name}: left out, not audio by their names: {some(skipped)}")
    for reason, names in refused.items():
        notes.append(f"{name}: left out, {reason}: {some(sorted(names))}")
    if misnamed:
        odd = [str(path.relative_to(folder)).encode(errors="backslashreplace").decode() for path in misnamed]
        notes.append(f"{name}: left out, names that are not UTF-8: {some(odd)}")
    paths = [folder / row["path"] for row in rows]
    if listed:
        chosen = {_real(path) for path in paths}
        unlisted = [str(p.relative_to(folder)) for p in files if is_audio(p) and _real(p) not in chosen]
        if unlisted:
            notes.append(f"{name}: left out, not in {table.name}: {some(unlisted)}")
    digest = clips_digest(clips, file_identities(paths))
    return Dataset(name, f"Folder {name}", content, tuple(clips), digest, tuple(notes))


def _clips(folder: Path, rows: Sequence[Mapping[str, str]], name: str, content: Content) -> list[Clip]:
    """A clip for each row, named by its path; the ending is part of the name only where two clips differ by it."""
    files = {Path(row["path"]) for row in rows}
    stems = Counter(path.with_suffix("") for path in files)
    clips = []
    for row in rows:
        relative = Path(row["path"])
        # a.wav beside a.flac, or beside a.wav.wav.
        stem = relative.with_suffix("")
        label = relative if stems[stem] > 1 or stem in files else stem
        clips.append(
            Clip(
                id=f"{name}/{label.as_posix()}",
                dataset=name,
                content=content,
                path=folder / relative,
                text=row.get("text") or None,
                group=row.get("group") or None,
                language=row.get("language") or "",
                label=row.get("label") or "",
                split=row.get("split") or "",
            )
        )
    return clips


def walk(folder: Path) -> tuple[list[Path], dict[str, list[str]]]:
    """Files below a folder in the order of their paths, and what is named like a sound and is none, by the reason."""
    files: list[Path] = []
    refused: dict[str, list[str]] = {}

    def refuse(path: Path, reason: str) -> None:
        shown = str(path.relative_to(folder)).encode(errors="backslashreplace").decode()
        refused.setdefault(reason, []).append(shown)

    def unreadable(error: OSError) -> None:
        refuse(Path(error.filename), f"cannot be opened ({error.strerror})")

    for parent, below, names in os.walk(folder, onerror=unreadable):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in below:
            path = Path(parent, name)
            if path.is_symlink():
                refuse(path, "links to folders")
            elif is_audio(path):
                refuse(path, "folders with the name of a sound")
        for name in names:
            path = Path(parent, name)
            if name.startswith("."):
                continue
            if reason := why_no_file(path):
                if is_audio(path) or path.is_symlink():
                    refuse(path, reason)
            else:
                files.append(path)
    return sorted(files), refused


def _listed(table: Path, folder: Path, files: Sequence[Path]) -> list[dict[str, str]]:
    """Rows of a table, each with the path as the file system writes it: composed letters or decomposed ones."""
    names = {unicodedata.normalize("NFC", str(path.relative_to(folder))): path for path in files}
    rows = _read_table(table)
    for row in rows:
        same = names.get(unicodedata.normalize("NFC", str(Path(row["path"]))))
        if same is not None and not (folder / row["path"]).exists():
            row["path"] = str(same.relative_to(folder))
    return rows


def _read_table(path: Path) -> list[dict[str, str]]:
    fix = f"use {', '.join(_COLUMNS)} (path is required)"
    columns, rows = read_table(path, "name an existing CSV with the columns path,text,group", fix, short_rows=True)
    unknown = [column for column in columns if column not in _COLUMNS]
    if "path" not in columns or unknown:
        raise BenchError(
            f"{path} has the wrong columns",
            ", ".join(columns) or "none",
            fix,
        )
    for number, row in enumerate(rows, 2):
        relative = Path(row["path"])
        if not row["path"] or relative.is_absolute() or ".." in relative.parts:
            raise BenchError(
                f"{path} line {number} has no usable path", repr(row["path"]), "write it relative to the folder"
            )
    repeated = [name for name, count in Counter(str(Path(row["path"])) for row in rows).items() if count > 1]
    if repeated:
        raise BenchError(f"{path} lists files twice", some(repeated), "keep one row for each")
    return rows


def file_identities(paths: Iterable[Path]) -> list[str]:
    """Digest of each file, or why there is none: a file that cannot be read is a clip that will fail."""
    return [found if isinstance(found, str) else f"unreadable: {found}" for found in file_digests(paths)]


def _real(path: Path) -> Path:
    """What a path leads to; unlike ``resolve``, without an error for links that lead round in a circle."""
    return Path(os.path.realpath(path))


def is_audio(path: Path) -> bool:
    """Whether a path is named like a sound."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def _utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
