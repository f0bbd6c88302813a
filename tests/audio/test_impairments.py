"""Rooms, overloads and telephone lines do what their numbers say."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from av.codec import CodecContext

from ldmbench.audio.impairments import overloaded, reverberant, room, telephone
from ldmbench.audio.sound import Audio
from tests.conftest import Sound


@pytest.mark.parametrize(("rt60", "drr"), [(0.3, 10.0), (0.8, 0.0), (1.5, -6.0)])
def test_a_room_has_the_decay_and_the_ratio_it_is_asked_for(rt60: float, drr: float) -> None:
    response = room(16_000, rt60, drr, seed=1)[0]
    direct, tail = response[:40], response[40:]
    assert direct[0] == 1.0
    assert not direct[1:].any()
    assert 10 * np.log10(1.0 / np.sum(tail**2)) == pytest.approx(drr)
    # Schroeder's backward integration, over the part that is used for T30 in ISO 3382: -5 to -35 dB.
    decay = 10 * np.log10(np.cumsum((tail**2)[::-1])[::-1] / np.sum(tail**2))
    part = (decay < -5) & (decay > -35)
    slope = np.polyfit(np.flatnonzero(part) / 16_000, decay[part], 1)[0]
    assert -60 / slope == pytest.approx(rt60, rel=0.05)


def test_a_room_is_drawn_from_its_seed_and_delays_nothing(speechlike: Sound) -> None:
    sound = speechlike().with_channels(2)
    wet = reverberant(sound, 0.5, 3.0, seed=7)
    assert wet.samples.shape == sound.samples.shape
    assert wet.digest() == reverberant(sound, 0.5, 3.0, seed=7).digest()
    assert wet.digest() != reverberant(sound, 0.5, 3.0, seed=8).digest()
    tails = (wet.samples - sound.samples).astype(np.float64)
    assert not np.allclose(tails[0], tails[1])
    # Before the first sound there is nothing, and until the gap is over only the direct sound.
    assert np.abs(tails[:, :40]).max() < 1e-6
    impulse = Audio.of(np.eye(1, 8000), 16_000)
    np.testing.assert_allclose(
        reverberant(impulse, 0.4, 3.0, seed=7).samples[0, :6440], room(16_000, 0.4, 3.0, seed=7)[0, :6440], atol=1e-6
    )


def test_a_room_is_added_in_the_ratio_it_has() -> None:
    noise = Audio.of(0.1 * np.random.default_rng(0).standard_normal(64_000), 16_000)
    tail = reverberant(noise, 0.2, 6.0, seed=0).samples - noise.samples
    assert 10 * np.log10(np.mean(noise.samples**2) / np.mean(tail**2)) == pytest.approx(6.0, abs=0.5)


def test_an_overload_cuts_off_and_nothing_else(tone: Sound) -> None:
    sound = tone(peak=0.5)
    clipped = overloaded(sound, 10.0)
    limit = 0.5 * 10 ** (-10 / 20)
    assert np.abs(clipped.samples).max() == pytest.approx(limit, rel=1e-3)
    below = np.abs(sound.samples) < 0.99 * limit
    assert np.array_equal(clipped.samples[below], sound.samples[below])


def ffmpeg(samples: np.ndarray, law: str) -> np.ndarray:
    """16-bit samples through FFmpeg's G.711."""
    name: Any = f"pcm_{law}law"
    encoder: Any = CodecContext.create(name, "w")
    decoder: Any = CodecContext.create(name, "r")
    for context in (encoder, decoder):
        context.sample_rate, context.layout, context.format = 8000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = 8000
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return np.concatenate([item.to_ndarray()[0] for packet in packets for item in decoder.decode(packet)])


@pytest.mark.parametrize(("law", "levels"), [("mu", 255), ("a", 256)])
def test_a_telephone_line_has_the_levels_of_g711(law: str, levels: int) -> None:
    """All 16-bit values, against FFmpeg's tables; on the edge of two levels either may be taken."""
    every = np.arange(-32768, 32768).astype(np.int16)
    ours = telephone(Audio.of(every / 32768, 8000), law).samples[0] * 32768  # type: ignore[arg-type]
    theirs = ffmpeg(every, law).astype(np.float64)
    assert len(set(ours.tolist())) == levels
    assert set(ours.tolist()) == set(theirs.tolist())
    order = np.array(sorted(set(theirs.tolist())))
    assert np.abs(np.searchsorted(order, ours) - np.searchsorted(order, theirs)).max() <= 1
    assert np.mean(ours == theirs) > 0.97


def test_a_telephone_line_keeps_time_and_rate(speechlike: Sound) -> None:
    sound = speechlike(rate=44_100)
    heard = telephone(sound, "a")
    assert (heard.rate, heard.length) == (sound.rate, sound.length)
    narrow = sound.at(8000).at(44_100).fit(sound.length)
    error = (heard.samples - narrow.samples).astype(np.float64)
    # 8 bits of G.711 leave about 38 dB.
    assert 10 * np.log10(np.sum(narrow.samples.astype(np.float64) ** 2) / np.sum(error**2)) > 34
