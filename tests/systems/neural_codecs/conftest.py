"""Official files drawn from the names of their tensors, and what the official packages made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.system.channel import Channel
from ldmbench.system.protocol import Output
from ldmbench.system.registry import load_system, resolve
from tests.present import present

#: Tokens and sounds of the packages; see make_neural_codecs.py.
GOLDEN = Path(__file__).parents[2] / "golden" / "neural_codecs.npz"


@pytest.fixture(scope="session")
def golden() -> Mapping[str, np.ndarray]:
    with np.load(GOLDEN) as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def codec() -> Callable[..., Any]:
    """``codec(name, weights)``: the adapter with the files in that folder, or untrained."""

    def build(name: str, weights: Path | None = None) -> Any:
        return load_system(resolve(name, untrained=weights is None, weights=weights))

    return build


def as_audio(sound: Any, rate: int) -> Audio:
    """A sound ``[1, channels, time]`` of torch."""
    return Audio(np.ascontiguousarray(sound[0].numpy(), np.float32), rate)


def one(system: Any, clip: Clip) -> Output:
    """What a system makes of one clip."""
    outputs: list[Output] = list(system.process([clip]))
    assert len(outputs) == 1
    return outputs[0]


def check_losses(plain: Any, perfect: Any, lossy: Any, sound: Audio) -> None:
    """Frames of tokens are lost by the clip's seed and repeated, and nothing else changes.

    Args:
        plain: A codec without a channel.
        perfect: The same with ``loss=0``.
        lossy: The same with ``loss=30``.
        sound: A sound at the codec's rate, of some fifty frames.
    """
    clips = [Clip(f"set/{name}", "set", loaded=sound).seeded(0) for name in ("first", "second")]
    before = one(plain, clips[0])
    same = one(perfect, clips[0])
    assert present(same.audio).digest() == present(before.audio).digest()
    frames = present(before.tokens).shape[1]
    assert frames > 30
    assert dict(same.details) == {"packets": frames, "packets_lost": 0}
    heard = [one(lossy, clip) for clip in clips]
    assert present(heard[0].audio).digest() != present(heard[1].audio).digest()
    for clip, output in zip(clips, heard, strict=True):
        assert output.bits == before.bits
        np.testing.assert_array_equal(present(output.tokens), present(before.tokens))
        lost = Channel(loss=30.0, lossy=True).lost(frames, clip.seed)
        assert output.details["packets_lost"] == lost.sum() > 0
        # By hand: the last that arrived, and before the first the first that does.
        shown = int(np.flatnonzero(~lost)[0])
        received = []
        for index in range(frames):
            shown = shown if lost[index] else index
            received.append(shown)
        stream = plain.encode(sound)
        codes, length = stream.payload
        expected = plain.decode(replace(stream, payload=(codes[:, received], length)))
        np.testing.assert_array_equal(present(output.audio).samples, expected.samples)
        assert present(output.audio).digest() != present(before.audio).digest()
