"""Tables of mean ratings, as some rated sets are published: what listeners differed in is not there."""

from __future__ import annotations

from pathlib import Path

from ldmbench.listening.formats.table import Read, header_of, lines_of, number, text_of
from ldmbench.listening.votes import Vote

_COLUMNS = {"codec", "reference_file", "distorted_file", "distorted_mushra_rating"}

#: Stands for all listeners where only their mean is known.
EVERYONE = "mean of all listeners"


def is_openace(text: str) -> bool:
    """Whether this is ``metadata.csv`` of EARS-EMO-OpenACE."""
    return set(header_of(text)) >= _COLUMNS


def read_openace(path: Path) -> Read:
    """Read the mean MUSHRA rating of each coded file; an item is a reference, its group the emotion."""
    read = Read()
    rows = lines_of(text_of(path))
    _, header = next(rows)
    for line, fields in rows:
        record = dict(zip(header, fields, strict=False))
        score = number(record.get("distorted_mushra_rating", ""))
        item = Path(record.get("reference_file", "")).with_suffix("").as_posix()
        if score != score or not item or not record.get("codec"):
            read.broken.append(f"line {line}")
            continue
        if record.get("emotion"):
            read.groups[item] = record["emotion"]
        sound = record["distorted_file"]
        read.references[item] = record["reference_file"]
        read.rows.append(Vote(EVERYONE, EVERYONE, item, record["codec"], score, sound=sound, source=path.name))
    read.notes.append(f"{path.name} holds means over listeners: intervals are over items alone")
    return read.finish(path)
