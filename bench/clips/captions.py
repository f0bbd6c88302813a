"""Captions for a folder of clips: from a CSV, or from a dataset whose clips the files are named after."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ldmbench.audio.sound import AUDIO_SUFFIXES
from ldmbench.clips.card import list_datasets, load_dataset_card, read_list
from ldmbench.clips.table import read_table
from ldmbench.clips.youtube import Segment, label, read_captions, segments_of
from ldmbench.errors import BenchError
from ldmbench.names import some

#: The two forms of a CSV of captions.
BY_PATH = ("path", "text")
BY_VIDEO = ("youtube_id", "start_time", "caption")

#: May stand in the second form too, as in the CSV of AudioCaps.
_IGNORED = "audiocap_id"

_FORMS = f"use {','.join(BY_PATH)} or {','.join(BY_VIDEO)}"


@dataclass(frozen=True)
class Captions:
    """Captions of the clips of a folder.

    Attributes:
        texts: Name of a clip -> caption, for clips that have one.
        notes: Lines a user should see: clips without a caption, captions without a clip.
    """

    texts: dict[str, str]
    notes: tuple[str, ...]


def captions_for(source: str | Path, clips: Sequence[str]) -> Captions:
    """The caption of each clip.

    A CSV has the columns ``path,text`` (paths below the folder, with or without their ending) or
    ``youtube_id,start_time,caption`` as AudioCaps has; the files are then named as ``clips.youtube.segments_of``
    reads. A dataset such as ``audiocaps-test-964`` stands for a CSV of the second form.

    Args:
        source: Path of the CSV, or name of a dataset of videos.
        clips: Names of the clips: their paths below the folder, without ending.

    Raises:
        BenchError: If the CSV is missing or not valid, gives one clip two captions, or fits no clip at all.
    """
    name = str(source)
    if name in list_datasets() and not Path(source).exists():
        texts, spare = _by_video(_rows_of_dataset(name), clips, name)
    else:
        columns, rows = read_table(Path(source), "name a CSV of captions, or a dataset", _FORMS)
        if set(columns) == set(BY_PATH):
            texts, spare = _by_path([(row["path"], row["text"]) for row in rows], clips, name)
        elif set(columns) - {_IGNORED} == set(BY_VIDEO):
            texts, spare = _by_video(
                [(row["youtube_id"], row["start_time"], row["caption"]) for row in rows], clips, name
            )
        else:
            raise BenchError(f"{name} has the wrong columns", ", ".join(columns) or "none", _FORMS)
    texts = {clip: text.strip() for clip, text in texts.items() if text.strip()}
    if not texts:
        raise BenchError(
            f"{name} has no caption for any of the {len(clips)} clips",
            f"clips are named like {clips[0]}",
            "name the files as the captions do",
        )
    notes = []
    if bare := [clip for clip in clips if clip not in texts]:
        notes.append(f"{name}: no caption for {len(bare)} of {len(clips)} clips, text metrics leave out: {some(bare)}")
    if spare:
        notes.append(f"{name}: {len(spare)} captions belong to no clip: {some(spare)}")
    return Captions(texts, tuple(notes))


def _rows_of_dataset(name: str) -> list[tuple[str, str, str]]:
    card = load_dataset_card(name)
    if card.source.kind != "youtube":
        raise BenchError(f"{name} cannot caption a folder", "its clips have no YouTube ids", "name a CSV of captions")
    rows = read_list(card, card.default)
    captions = read_captions(card, rows)
    return [(row["youtube_id"], row["start_time"], captions[row["id"]]) for row in rows]


def _by_path(rows: Iterable[tuple[str, str]], clips: Sequence[str], name: str) -> tuple[dict[str, str], list[str]]:
    # The same letters, composed and decomposed (macOS), are the same name.
    names = {unicodedata.normalize("NFC", clip): clip for clip in clips}
    rows_of: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    spare = []
    for written, text in rows:
        # The whole path first: only where a.wav lies beside a.flac is the ending part of a clip's name.
        path = unicodedata.normalize("NFC", Path(written).as_posix())
        ending = next((suffix for suffix in AUDIO_SUFFIXES if path.lower().endswith(suffix)), "")
        clip = path if path in names else path.removesuffix(path[len(path) - len(ending) :]) if ending else path
        rows_of.setdefault(clip, []).append(written)
        if clip in names:
            texts[names[clip]] = text
        else:
            spare.append(written)
    _refuse_repeats(rows_of, name)
    return texts, spare


def _by_video(
    rows: Iterable[tuple[str, str, str]], clips: Sequence[str], name: str
) -> tuple[dict[str, str], list[str]]:
    captions: dict[Segment, str] = {}
    rows_of: dict[str, list[str]] = {}
    wanted: dict[str, list[float]] = {}
    for video, start, text in rows:
        try:
            segment = (video, float(start))
        except ValueError:
            raise BenchError(f"{name}: start_time of {video} is not a number", repr(start)) from None
        rows_of.setdefault(label(*segment), []).append(label(*segment))
        captions[segment] = text
        wanted.setdefault(video, []).append(segment[1])
    _refuse_repeats(rows_of, name)
    texts: dict[str, str] = {}
    used = set()
    for clip in clips:
        fitting = segments_of(Path(clip).name, wanted)
        if len(fitting) > 1:
            raise BenchError(
                f"the name of {clip} fits {len(fitting)} captions of {name}",
                some([label(*segment) for segment in fitting]),
                "add the first second to the name: ID_START",
            )
        if fitting:
            texts[clip] = captions[fitting[0]]
            used.add(fitting[0])
    return texts, [label(*segment) for segment in captions if segment not in used]


def _refuse_repeats(rows_of: dict[str, list[str]], name: str) -> None:
    repeated = [clip for clip, rows in rows_of.items() if len(rows) > 1]
    if repeated:
        raise BenchError(
            f"{name} has more than one caption for {len(repeated)} clips",
            some(repeated),
            "keep the one that the clip was generated from",
        )
