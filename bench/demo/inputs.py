"""What goes in: a built-in clip, or what a visitor uploads or records, as a folder that a run can be made of."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.clips.card import Content, load_dataset_card, read_list
from ldmbench.clips.folder import CSV_NAME
from ldmbench.demo.settings import Limits
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.names import unknown
from ldmbench.suite import load_suite

#: Folder of inputs among the runs; each is named by its sound.
INPUTS = "demo-inputs"

#: Built-in clips come from the datasets of this suite.
_SUITE = "quickstart"


@dataclass(frozen=True)
class Input:
    """A folder with one sound.

    Attributes:
        folder: The folder.
        content: What the sound is.
    """

    folder: Path
    content: Content


def builtin_names() -> list[str]:
    """``DATASET/CLIP`` of every built-in clip; none of them is made for that."""
    names = []
    for dataset in load_suite(_SUITE).datasets:
        card = load_dataset_card(dataset)
        names += [f"{dataset}/{row['id']}" for row in read_list(card, card.default)]
    return names


def from_builtin(name: str, out: Path) -> Input:
    """The folder of a built-in clip, made on first use.

    Raises:
        BenchError: If there is none of that name.
    """
    from ldmbench.synthesis import materialise

    if name not in builtin_names():
        raise unknown("built-in clip", name, builtin_names())
    dataset, _, clip = name.partition("/")
    card = load_dataset_card(dataset)
    (row,) = [row for row in read_list(card, card.default) if row["id"] == clip]
    path = materialise(card.source.generator, [row]).paths[clip]
    return _stored(audio_io.read(path), clip, card.content, out, row["text"], row["language"])


def from_upload(path: Path, content: str, limits: Limits, out: Path) -> Input:
    """The folder of an upload, read whole or refused in one line that names it as the visitor does.

    Raises:
        BenchError: If it is no sound, is damaged, is larger, longer or wider than allowed, or was removed since.
    """
    if not path.exists():
        raise BenchError(f"{path.name} is no longer here", "uploads are kept for an hour", "upload it again")
    try:
        sound = _checked(path, limits)
    except BenchError as error:
        # The path on this machine is nobody's business.
        what, found = (text.replace(str(path), path.name) for text in (error.what, error.found))
        raise BenchError(what, found, error.fix) from None
    return _stored(sound, path.stem, cast(Content, content), out)


def _checked(path: Path, limits: Limits) -> Audio:
    size = path.stat().st_size / 1e6
    if size > limits.upload_mb:
        raise BenchError(f"{path} is too large", f"{size:.1f} MB of {limits.upload_mb:g}", "upload a part of it")
    seconds = audio_io.duration(path)
    if seconds > limits.seconds:
        raise BenchError(f"{path} is too long", f"{seconds:.1f} s of {limits.seconds:g}", "upload a part of it")
    sound = audio_io.read(path)
    if sound.channels > limits.channels:
        found = f"{sound.channels} of {limits.channels}"
        raise BenchError(f"{path} has too many channels", found, "mix it down first")
    return sound


def _stored(sound: Audio, title: str, content: Content, out: Path, text: str = "", language: str = "") -> Input:
    """A folder named by the sound, with its transcript; equal sounds share one."""
    stem = re.sub(r"[^A-Za-z0-9-]+", "-", title).strip("-")[:40] or "sound"
    folder = out / INPUTS / f"{stem}-{sound.digest()[:8]}"
    path = folder / f"{stem}.wav"
    if not path.exists():
        if text:
            stream = io.StringIO()
            csv.writer(stream).writerows([("path", "text", "language"), (path.name, text, language)])
            with replacing(folder / CSV_NAME) as handle:
                handle.write(stream.getvalue().encode())
        audio_io.write(path, sound)
    return Input(folder, content)
