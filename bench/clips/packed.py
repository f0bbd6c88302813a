"""A long list of clips that weighs little where few of them are looked at, and on the way to another process."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import overload

from ldmbench.clips.clip import Clip

#: Clips that are unpacked together.
_TOGETHER = 256


class PackedClips(Sequence[Clip]):
    """Clips, some of which are unpacked when one of them is asked for, and none of which is kept.

    Args:
        clips: The clips.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        source = iter(clips)
        self._length = len(clips)
        self._blocks = list(iter(lambda: pickle.dumps(tuple(islice(source, _TOGETHER))), pickle.dumps(())))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Clip]:
        for block in self._blocks:
            yield from pickle.loads(block)

    @overload
    def __getitem__(self, index: int) -> Clip: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Clip, ...]: ...

    def __getitem__(self, index: int | slice) -> Clip | tuple[Clip, ...]:
        if isinstance(index, slice):
            return tuple(self)[index]
        number = range(self._length)[index]
        clip: Clip = pickle.loads(self._blocks[number // _TOGETHER])[number % _TOGETHER]
        return clip
