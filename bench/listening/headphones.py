"""Two tests of whether somebody wears headphones, judged where the answers are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.listening.stimuli import encode_wav

Kind = Literal["woods", "milne"]

#: Trials of a test.
TRIALS = 6

#: Correct answers that pass: 1.8 % of guesses do in Woods' test, 0.14 % in Milne's.
PASS = {"woods": 5, "milne": 6}

QUESTIONS = {
    "woods": "You hear three tones. Which one is the quietest?",
    "milne": "You hear three noises. In one of them a faint tone is hidden. In which one?",
}

#: How often somebody may try.
TRIES = 2


@dataclass(frozen=True)
class Trial:
    """One sound of three parts, and the part that is right (1, 2 or 3)."""

    wav: bytes
    answer: int


def trials(kind: Kind, rate: int, seed: int) -> list[Trial]:
    """The six trials of a test.

    Woods: three tones of 200 Hz, one 6 dB quieter, and one whose channels are in opposite phase, which is quieter from
    loudspeakers only. Milne: three noises, of which one has its right channel turned by 180 degrees within 6 % of
    600 Hz: a faint pitch (Huggins) that only headphones let pass.

    Source: Woods et al., Headphone screening to facilitate web-based auditory experiments (2017), with the levels of
    their files; Milne et al., An online headphone screening test based on dichotic pitch (2021).
    """
    generator = np.random.default_rng(seed)
    if kind == "woods":
        orders = list(permutations(("standard", "quiet", "opposed")))
        return [Trial(encode_wav(_tones(order, rate), rate), order.index("quiet") + 1) for order in orders]
    answers = [1, 2, 3] * (TRIALS // 3)
    return [Trial(encode_wav(_noises(answer, rate, generator), rate), answer) for answer in answers]


def right_answers(order: Sequence[Trial], answers: Sequence[int]) -> int:
    """How many answers are right."""
    return sum(trial.answer == answer for trial, answer in zip(order, answers, strict=True))


def _tones(order: Sequence[str], rate: int) -> Real:
    """Three tones of a second ``[2, time]``, half a second apart, at -17.8 dB RMS, with ramps of 0.1 s."""
    time = np.arange(rate) / rate
    ramp = np.clip(np.minimum(time, time[::-1]) / 0.1, 0, 1)
    tone = np.sqrt(2) * 10 ** (-17.8 / 20) * np.sin(2 * np.pi * 200 * time) * np.sin(np.pi / 2 * ramp) ** 2
    kinds = {
        "standard": np.stack([tone, tone]),
        "quiet": np.stack([tone, tone]) * 10 ** (-6 / 20),
        "opposed": np.stack([tone, -tone]),
    }
    sound = np.zeros((2, 4 * rate))
    for index, kind in enumerate(order):
        start = round(index * 1.5 * rate)
        sound[:, start : start + rate] = kinds[kind]
    return sound


def _noises(answer: int, rate: int, generator: np.random.Generator) -> Real:
    """Three noises of a second ``[2, time]``, a second apart, at -12.5 dB RMS; one with the hidden pitch."""
    sound = np.zeros((2, 5 * rate))
    fade = np.clip(np.minimum(np.arange(rate), np.arange(rate)[::-1]) / (0.02 * rate), 0, 1)
    frequencies = np.fft.rfftfreq(rate, 1 / rate)
    band = np.abs(frequencies - 600) <= 0.06 * 600
    for index in range(3):
        # Uniform values have a crest of 4.8 dB: no sample clips.
        left = generator.uniform(-1, 1, rate) * np.sqrt(3) * 10 ** (-12.5 / 20)
        right = left
        if index + 1 == answer:
            spectrum = np.fft.rfft(left)
            spectrum[band] *= -1
            right = np.fft.irfft(spectrum, rate)
        start = 2 * index * rate
        sound[:, start : start + rate] = np.stack([left, right]) * fade
    return sound
