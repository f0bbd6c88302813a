"""Two folders of audio scored against each other: files pair by name, and what does not pair is named."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ldmbench.clips.captions import captions_for
from ldmbench.clips.card import Content
from ldmbench.clips.clip import Dataset, clips_digest
from ldmbench.clips.folder import load_folder
from ldmbench.errors import BenchError
from ldmbench.host.homes import file_digest
from ldmbench.names import some


def pair_folders(
    generated: Path,
    reference: Path,
    content: Content = "general",
    table: Path | None = None,
    captions: str | Path | None = None,
) -> tuple[Dataset, dict[str, Path]]:
    """The reference clips that have a counterpart, and the counterpart of each.

    Two files pair when their paths below the two folders are equal but for the ending. Nothing is ever
    substituted: a file without a counterpart is left out and named in the notes. A pair without a caption stays:
    only its text metrics have no value.

    Args:
        generated: The folder to score.
        reference: The folder of references.
        content: What they hold.
        table: CSV that chooses the references, with texts and groups.
        captions: CSV of captions, or a dataset that has them (``ldmbench.clips.captions``).

    Returns:
        The paired reference clips as a dataset, and clip id -> generated file.

    Raises:
        BenchError: If nothing pairs, or the captions are not valid.
    """
    references = load_folder(reference, content, table)
    outputs = load_folder(generated, content)
    by_name = {_label(clip.id): clip.path for clip in outputs.clips if clip.path}
    same = _same_name(by_name, [_label(clip.id) for clip in references.clips])
    clips = tuple(clip for clip in references.clips if _label(clip.id) in same)
    if not clips:
        raise BenchError(
            f"no file of {generated} has the name of one of {reference}",
            f"{len(outputs.clips)} and {len(references.clips)} files, as {_first(outputs)} and {_first(references)}",
            "name each generated file like its reference",
        )
    pairs = {clip.id: by_name[same[_label(clip.id)]] for clip in clips}
    notes = [*references.notes, *outputs.notes]
    alone = sorted(set(by_name) - set(same.values()))
    if alone:
        notes.append(f"{generated.name}: {len(alone)} without a reference, left out: {some(alone)}")
    unpaired = [_label(clip.id) for clip in references.clips if clip.id not in pairs]
    if unpaired:
        notes.append(f"{references.name}: {len(unpaired)} without a generated file, left out: {some(unpaired)}")
    if captions is not None:
        matched = captions_for(captions, [_label(clip.id) for clip in clips])
        clips = tuple(replace(clip, text=matched.texts.get(_label(clip.id))) for clip in clips)
        notes += matched.notes
    digest = clips_digest(clips, [references.digest, *(file_digest(path) for path in pairs.values())])
    return replace(references, clips=clips, digest=digest, notes=tuple(notes)), pairs


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
