"""The built-in notes: twelve pitches on eight instruments, loud and soft, for probes of timbre and of pitch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ldmbench.audio.arrays import Signal64
from ldmbench.synthesis import instruments
from ldmbench.synthesis.dsp import Dice, band
from ldmbench.synthesis.music import Instrument
from ldmbench.synthesis.recipe import Recipe, index

RATE = 16_000
SECONDS = 1.0
FOLDS = 4

#: E3 to D#4 as MIDI numbers: a register that all of the instruments have.
PITCHES = range(52, 64)

INSTRUMENTS: Mapping[str, Instrument] = {
    "piano": instruments.piano,
    "guitar": instruments.plucked,
    "violin": instruments.bowed,
    "flute": instruments.flute,
    "organ": instruments.organ,
    "vibraphone": instruments.mallet,
    "bass": instruments.bass,
    "pad": instruments.pad,
}

#: Peak of a loud and of a soft note, dBFS.
LEVELS = {"loud": -2.0, "soft": -14.0}


def _recipe(timbre: str, midi: int, level: str) -> Recipe:
    instrument = INSTRUMENTS[timbre]

    def make(rate: int, dice: Dice) -> Signal64:
        # Up to a tenth of a semitone out of tune, in a room that is not quite silent.
        hertz = 440.0 * 2.0 ** ((midi - 69 + dice.one(-0.1, 0.1)) / 12.0)
        note = instrument(hertz, SECONDS, rate, dice)
        noise = 10.0 ** ((-60.0 - LEVELS["loud"] + LEVELS[level]) / 20.0)
        hiss = band(dice.many(len(note)), rate, low=40.0)
        return np.asarray(note + noise * dice.one(0.5, 2.0) * hiss, np.float64)[None]

    # Every instrument has as many notes of every fold, and so has every pitch; the loud and the soft note of one
    # instrument and pitch are never on two sides of a split.
    fold = (midi + list(INSTRUMENTS).index(timbre)) % FOLDS
    return Recipe(
        f"{timbre}-{midi}-{level}", RATE, f"A {timbre} plays one {level} note.", timbre, make,
        peak_db=LEVELS[level], labels={"timbre": timbre, "pitch": str(midi)}, split=f"fold{fold:02d}",
    )  # fmt: skip


RECIPES = index(_recipe(timbre, midi, level) for timbre in INSTRUMENTS for midi in PITCHES for level in LEVELS)
