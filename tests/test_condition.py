"""Conditions degrade the input and leave the reference alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.audio import Audio
from bench.condition import Condition
from bench.dataset import Clip
from bench.errors import BenchError

Sound = Callable[..., Audio]


def level(sound: Audio) -> float:
    """Root mean square away from the ends."""
    inner = sound.samples[:, sound.length // 4 : -sound.length // 4]
    return float(np.sqrt(np.mean(np.square(inner, dtype=np.float64))))


def test_lowpass_keeps_what_is_below_and_removes_what_is_above(tone: Sound) -> None:
    condition = Condition(kind="lowpass", cutoff_hz=2000)
    below, above = tone(hz=1900), tone(hz=2600)
    assert np.allclose(condition.apply(below).samples[:, 4000:12000], below.samples[:, 4000:12000], atol=1e-3)
    assert level(condition.apply(above)) < level(above) * 10 ** (-50 / 20)
    assert condition.apply(above).length == above.length


def test_lowpass_refuses_a_rate_that_has_nothing_to_remove(tone: Sound) -> None:
    with pytest.raises(BenchError, match="needs a rate above"):
        Condition(kind="lowpass", cutoff_hz=7900).apply(tone())


def test_resample_leaves_the_sound_at_the_lower_rate(tone: Sound) -> None:
    low = Condition(kind="resample", rate=8000).apply(tone())
    assert (low.rate, low.length) == (8000, 8000)


def test_gap_is_silent_and_exact(tone: Sound) -> None:
    sound = tone(channels=2)
    gap = Condition(kind="gap", start_s=0.25, end_s=0.5).apply(sound)
    assert not gap.samples[:, 4000:8000].any()
    assert np.array_equal(gap.samples[:, :4000], sound.samples[:, :4000])
    assert np.array_equal(gap.samples[:, 8000:], sound.samples[:, 8000:])
    assert sound.samples[:, 4000:8000].any(), "the sound itself must stay as it was"


def test_a_clip_applies_its_condition_to_the_input_only(tone: Sound) -> None:
    sound = tone()
    clip = Clip("d/c", "d@gap", condition=Condition(kind="gap", start_s=0, end_s=1), loaded=sound)
    assert not clip.input.samples.any()
    assert clip.audio is sound
    assert Clip("d/c", "d", loaded=sound).input is sound
