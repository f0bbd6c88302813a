"""A folder of outputs that somebody else made, as a system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ldmbench.audio import sound as audio_io
from ldmbench.clips.bitrate import Stated
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.names import Name
from ldmbench.system.card import SystemCard, SystemSpec, Task
from ldmbench.system.protocol import Output

#: Setting of a folder whose bitrates are stated, which makes another run of other statements.
BITRATE = "bitrate"

_NONE: Mapping[str, Stated] = {}


def folder_spec(label: str, task: Task, digest: str, bitrate: str = "") -> SystemSpec:
    """A spec that stands for a folder of outputs.

    Args:
        label: What it is called; any text, read as no variant and no settings.
        task: What the outputs were made for.
        digest: Identifies the files in it.
        bitrate: Identifies the bitrates that are stated for it; empty where none are.
    """
    settings = {"digest": digest, BITRATE: bitrate} if bitrate else {"digest": digest}
    card = SystemCard(
        name=label, title=f"Folder {label}", tasks=(task,), licence="unknown", settings=dict.fromkeys(settings, "")
    )
    return SystemSpec(card, Name(label), settings)


class FolderSystem:
    """A folder of outputs somebody else made: each clip has its file, and the run refers to it.

    Args:
        spec: Stands for the folder.
        pairs: Clip id -> output file.
        bitrates: Clip id -> its size as stated; empty where nobody states any.
    """

    def __init__(self, spec: SystemSpec, pairs: Mapping[str, Path], bitrates: Mapping[str, Stated] = _NONE) -> None:
        self.card = spec.card
        self._pairs = pairs
        self._bitrates = bitrates

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the files' audio.

        Raises:
            BenchError: If a clip has no file, or its file cannot be read.
        """
        for clip in clips:
            if clip.id not in self._pairs:
                raise BenchError(
                    f"{self.card.name} has no file for {clip.id}",
                    fix="make it and score again, or choose the references with --csv",
                )
            path = self._pairs[clip.id]
            stated = self._bitrates.get(clip.id)
            bits = stated.bits(clip.audio.duration) if stated else None
            yield Output(audio_io.read(path), bits, path=path)
