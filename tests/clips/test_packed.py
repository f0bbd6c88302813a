"""A packed list of clips is the list, wherever it is looked at."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest

from ldmbench.clips.clip import Clip
from ldmbench.clips.packed import PackedClips

CLIPS = tuple(Clip(f"d/{index}", "d", path=Path(f"/sounds/{index}.wav"), seed=index) for index in range(700))


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 512])
def test_it_is_the_list(count: int) -> None:
    clips = CLIPS[:count]
    packed = pickle.loads(pickle.dumps(PackedClips(clips)))
    assert (len(packed), tuple(packed), tuple(packed)) == (count, clips, clips)
    for index in {0, 1, 254, 255, 256, 511, count - 1} & set(range(count)):
        assert (packed[index], packed[index - count]) == (clips[index], clips[index - count])
    for index in (count, -count - 1):
        with pytest.raises(IndexError):
            packed[index]


def test_parts_of_it_are_parts_of_the_list() -> None:
    draw = random.Random(1)
    packed = PackedClips(CLIPS)
    for _ in range(10):
        part = slice(draw.randint(-800, 800), draw.randint(-800, 800), draw.choice([None, 1, 7, -1, -300]))
        assert packed[part] == CLIPS[part]
    assert CLIPS[300] in packed
