"""Two folders of audio scored against each other: files pair by name, and what does not pair is named."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ldmbench.clips.captions import captions_for
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Dataset, clips_digest
from ldmbench.clips.folder import file_identities, load_folder
from ldmbench.errors import BenchError
from ldmbench.names import some


@dataclass(frozen=True)
class Pairs:
    """A folder of outputs beside its references.

    Attributes:
        files: Clip id -> output file, of the clips that have one.
        notes: What was left out, and which references have no output.
    """

    files: Mapping[str, Path]
    notes: tuple[str, ...]


def load_references(
    folder: Path,
    content: Content = "general",
    table: Path | None = None,
    captions: str | Path | None = None,
    name: str = "",
) -> Dataset:
    """A folder of references; a clip without a caption stays: only its text metrics have no value.

    Args:
        folder: The folder.
        content: What it holds.
        table: CSV that chooses the references, with texts and groups.
        captions: CSV of captions, or a dataset that has them (``ldmbench.clips.captions``).
        name: What the references are called, by default by their folder.

    Raises:
        BenchError: If the folder, the CSV or the captions are not valid.
    """
    references = load_folder(folder, content, table, name)
    if captions is None:
        return references
    matched = captions_for(captions, [_label(clip.id) for clip in references.clips])
    clips = tuple(replace(clip, text=matched.texts.get(_label(clip.id))) for clip in references.clips)
    # Texts are part of the clips.
    digest = clips_digest(clips, [references.digest])
    return replace(references, clips=clips, digest=digest, notes=(*references.notes, *matched.notes))


def pair(generated: Path, references: Dataset) -> Pairs:
    """The outputs in a folder, each with the reference of its name.

    Two files pair when their paths below the two folders are equal but for the ending. Nothing is ever
    substituted: a reference without a counterpart stays, as a clip on which the outputs have failed; a generated
    file without a reference is left out and named in the notes.

    Args:
        generated: The folder of outputs.
        references: The references.

    Raises:
        BenchError: If there is no such folder, or nothing pairs.
    """
    outputs = load_folder(generated, references.content)
    by_name = {_label(clip.id): clip.path for clip in outputs.clips if clip.path}
    clips = references.clips
    same = _same_name(by_name, [_label(clip.id) for clip in clips])
    files = {clip.id: by_name[same[_label(clip.id)]] for clip in clips if _label(clip.id) in same}
    if not files:
        raise BenchError(
            f"no file of {generated} has the name of one of {references.name}",
            f"{len(outputs.clips)} and {len(clips)} files, as {_first(outputs)} and {_first(references)}",
            "name each generated file like its reference",
        )
    notes = [*outputs.notes]
    alone = sorted(set(by_name) - set(same.values()))
    if alone:
        notes.append(f"{generated.name}: {len(alone)} without a reference, left out: {some(alone)}")
    unpaired = [_label(clip.id) for clip in clips if clip.id not in files]
    if unpaired:
        notes.append(
            f"{generated.name}: no file for {len(unpaired)} of {len(clips)} references, failed: {some(unpaired)}"
        )
    return Pairs(files, tuple(notes))


def outputs_digest(pairs: Mapping[str, Path]) -> str:
    """SHA-256 (hex) over the generated files, by the names of the references that they stand for."""
    names = sorted(pairs)
    identities = file_identities(pairs[name] for name in names)
    entries = (f"{_label(name)} {identity}" for name, identity in zip(names, identities, strict=True))
    return hashlib.sha256("\n".join(entries).encode()).hexdigest()


def _same_name(generated: Iterable[str], references: Iterable[str]) -> dict[str, str]:
    """Name of a reference -> that of its generated file: the same, or the same letters composed otherwise (macOS)."""
    exact = set(generated)
    composed: dict[str, list[str]] = {}
    for name in exact:
        composed.setdefault(unicodedata.normalize("NFC", name), []).append(name)
    wanted = list(references)
    pairs = {name: name for name in wanted if name in exact}
    taken = set(pairs)
    for name in wanted:
        free = [other for other in composed.get(unicodedata.normalize("NFC", name), ()) if other not in taken]
        if name not in pairs and len(free) == 1:
            pairs[name] = free[0]
            taken.add(free[0])
    return pairs


def _label(clip_id: str) -> str:
    return clip_id.partition("/")[2]


def _first(dataset: Dataset) -> str:
    return _label(dataset.clips[0].id)
