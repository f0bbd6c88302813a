"""Instruments of the built-in music: one note or stroke each, mono ``[time]``, peak about 1."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.arrays import Signal64
from ldmbench.synthesis.dsp import Dice, band, clock, envelope, harmonics, modes, phase, resonate, tilt, wander

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def pitch(name: str) -> float:
    """Frequency in Hz of a note such as ``F#4`` or ``Bb2``, equal temperament, A4 = 440 Hz."""
    accidental = name.count("#") - name[1:].count("b")
    midi = 12 * (int(name[-1]) + 1) + _STEPS[name[0]] + accidental
    return float(440.0 * 2.0 ** ((midi - 69) / 12.0))


def score(line: str) -> list[tuple[float, float, float]]:
    """``"D4/1 -/0.5 F#4/0.5"`` as ``(start in beats, length in beats, Hz)``; a dash is a rest."""
    notes, now = [], 0.0
    for word in line.split():
        name, length = word.split("/")
        if name != "-":
            notes.append((now, float(length), pitch(name)))
        now += float(length)
    return notes


def plucked(
    frequency: float, seconds: float, rate: int, dice: Dice, bright: float = 0.5, ring: float = 3.0
) -> Signal64:
    """A plucked string: a burst of noise in a delay line that closes on itself through a mild low-pass.

    Args:
        frequency: Hz.
        seconds: Length of the note.
        rate: Hz.
        dice: Randomness of the pluck.
        bright: 0 (finger) to 1 (plectrum).
        ring: Time in s after which the fundamental is 60 dB down.

    Source:
        Karplus and Strong, Digital Synthesis of Plucked-String and Drum Timbres, Computer Music Journal 7(2), 1983;
        fractional tuning and decay stretching after Jaffe and Smith in the same issue.
    """
    length = round(seconds * rate)
    damping = 0.5 - 0.4 * bright
    period = rate / frequency - damping
    whole = int(period)
    share = period - whole
    gain = 10.0 ** (-3.0 / (ring * frequency))
    loop = gain * np.convolve([1.0 - damping, damping], [1.0 - share, share])
    burst = dice.many(whole)
    burst -= burst.mean()
    burst = tilt(burst, rate, 1200.0 + 9000.0 * bright)
    # A string plucked at a seventh of its length lacks every seventh harmonic.
    burst -= 0.9 * np.roll(burst, whole // 7)
    line = np.zeros(length + whole + 2)
    line[2 : whole + 2] = burst
    for first in range(whole + 2, len(line), whole):
        last = min(first + whole, len(line))
        span = np.arange(first, last) - whole
        line[first:last] = loop[0] * line[span] + loop[1] * line[span - 1] + loop[2] * line[span - 2]
    string = line[2 : length + 2]
    string = string + 0.5 * resonate(string, rate, 105.0, 40.0) + 0.35 * resonate(string, rate, 210.0, 60.0)
    return _unit(string) * envelope(length, rate, 0.001, min(0.08, seconds / 4))


def bowed(frequency: float, seconds: float, rate: int, dice: Dice, vibrato: float = 1.0) -> Signal64:
    """A bowed string: rich harmonics, delayed vibrato, the hiss of the bow, and a body's resonances."""
    length = round(seconds * rate)
    time = np.arange(length) / rate
    onset = np.clip((time - 0.18) / 0.35, 0.0, 1.0)
    sway = np.sin(2.0 * np.pi * 5.6 * time + dice.one(0.0, 6.28)) * onset * vibrato
    course = frequency * (1.0 + 0.0055 * sway + 0.0012 * wander(dice, length, rate, 12.0))
    pressure = 0.86 + 0.03 * wander(dice, length, rate, 4.0) + 0.015 * sway
    string = harmonics(course, rate, length, pressure, ceiling=20000.0)
    string = tilt(string, rate, 5000.0)
    bow = band(dice.many(length), rate, 900.0, 7000.0, order=1) * (0.5 + 0.5 * np.sin(phase(course, rate, length)))
    source = string + 0.10 * bow
    body = 0.30 * source
    for centre, width, gain in ((275, 60, 0.9), (460, 80, 1.0), (700, 140, 0.7), (1150, 260, 0.6), (2700, 900, 0.8)):
        body += gain * resonate(source, rate, centre, width)
    shape = envelope(length, rate, min(0.12, seconds / 3), min(0.16, seconds / 3)) * (1.0 + 0.08 * sway)
    return _unit(body * shape)


def flute(frequency: float, seconds: float, rate: int, dice: Dice) -> Signal64:
    """A flute: few harmonics, a breath of noise around them, and a chiff at the start."""
    length = round(seconds * rate)
    time = np.arange(length) / rate
    sway = np.sin(2.0 * np.pi * 5.0 * time) * np.clip((time - 0.25) / 0.4, 0.0, 1.0)
    turn = phase(frequency * (1.0 + 0.003 * sway + 0.0008 * wander(dice, length, rate, 9.0)), rate, length)
    tone = np.zeros(length)
    for number, gain in enumerate((1.0, 0.42, 0.22, 0.07, 0.04, 0.015), start=1):
        if number * frequency < 0.45 * rate:
            tone += gain * np.sin(number * turn) * (1.0 + (0.06 + 0.05 * number) * sway)
    breath = dice.many(length)
    air = 0.10 * resonate(breath, rate, frequency, 120.0) + 0.035 * band(breath, rate, 1500.0, 9000.0)
    chiff = 0.25 * band(breath, rate, 2.0 * frequency, 6.0 * frequency) * np.exp(-time / 0.03)
    return _unit((tone + air + chiff) * envelope(length, rate, min(0.06, seconds / 3), min(0.09, seconds / 3)))


def piano(frequency: float, seconds: float, rate: int, dice: Dice, force: float = 0.7) -> Signal64:
    """A piano: stretched partials that die away in two stages, and the knock of the hammer."""
    time = clock(seconds, rate)
    tone = np.zeros(len(time))
    stiffness = 0.00035 * (frequency / 261.6) ** 0.8
    low = (261.6 / frequency) ** 0.5
    for number in range(1, 25):
        partial = number * frequency * np.sqrt(1.0 + stiffness * number**2)
        if partial > min(0.45 * rate, 12000.0):
            break
        gain = np.exp(-number / (2.0 + 5.0 * force)) * abs(np.sin(np.pi * number / 8.0)) + 0.0004
        early, late = 0.5 * low / number**0.6, 2.2 * low / number**0.7
        decay = 0.7 * np.exp(-time / early) + 0.3 * np.exp(-time / late)
        beat = 1.0 + 0.0004 * dice.one(-1.0, 1.0)
        tone += (
            gain
            * decay
            * (np.sin(2.0 * np.pi * partial * time) + 0.5 * np.sin(2.0 * np.pi * partial * beat * time + 1.0))
        )
    knock = band(dice.many(len(time)), rate, 90.0, 2500.0) * np.exp(-time / 0.018)
    return _unit(tone / np.max(np.abs(tone)) + 0.12 * knock) * envelope(len(time), rate, 0.002, min(0.1, seconds / 4))


def mallet(frequency: float, seconds: float, rate: int, dice: Dice, tremolo: float = 0.0) -> Signal64:
    """A vibraphone bar: modes at 1, 4 and about 10 times the pitch, the click of the stick, and a tremolo in Hz."""
    time = clock(seconds, rate)
    bar = modes(
        [frequency, 3.98 * frequency, 9.9 * frequency, 16.5 * frequency],
        [1.0, 0.30, 0.12, 0.05],
        [1.3, 0.45, 0.10, 0.04],
        seconds,
        rate,
    )
    click = 0.12 * band(dice.many(len(time)), rate, 1500.0, 8000.0) * np.exp(-time / 0.004)
    pulse = 1.0 - 0.3 * (0.5 - 0.5 * np.cos(2.0 * np.pi * tremolo * time)) if tremolo else 1.0
    return _unit((bar + click) * pulse * envelope(len(time), rate, 0.001, min(0.1, seconds / 4)))


def bass(frequency: float, seconds: float, rate: int, dice: Dice, growl: float = 0.5) -> Signal64:
    """An electric bass: a harmonic tone that darkens as it dies away, and the finger on the string."""
    length = round(seconds * rate)
    time = np.arange(length) / rate
    slope = 0.45 + 0.42 * growl * np.exp(-time / 0.22)
    tone = harmonics(frequency, rate, length, slope, ceiling=5000.0)
    finger = 0.10 * band(dice.many(length), rate, 300.0, 2500.0) * np.exp(-time / 0.012)
    shape = envelope(length, rate, 0.004, min(0.05, seconds / 4), decay=0.6, sustain=0.35)
    return _unit((np.tanh(1.4 * tone) + finger) * shape)


def organ(frequency: float, seconds: float, rate: int, dice: Dice) -> Signal64:
    """A pipe organ's principal chorus: stops at several octaves and a quint, slightly out of tune with each other."""
    length = round(seconds * rate)
    tone = np.zeros(length)
    for ratio, gain, slope in (
        (0.5, 0.35, 0.35),
        (1.0, 1.0, 0.55),
        (2.0, 0.6, 0.5),
        (3.0, 0.25, 0.4),
        (4.0, 0.3, 0.45),
    ):
        detuned = ratio * frequency * (1.0 + 0.0009 * dice.one(-1.0, 1.0))
        tone += gain * harmonics(detuned, rate, length, slope, ceiling=11000.0)
    wind = 0.02 * band(dice.many(length), rate, 800.0, 6000.0)
    return _unit((tone + wind) * envelope(length, rate, min(0.06, seconds / 3), min(0.12, seconds / 3)))


def pad(frequency: float, seconds: float, rate: int, dice: Dice) -> Signal64:
    """A synthesiser pad: three detuned voices behind a filter that opens slowly."""
    length = round(seconds * rate)
    slope = 0.55 + 0.25 * np.sin(np.pi * np.arange(length) / length)
    tone = sum(
        (harmonics(frequency * ratio, rate, length, slope, 9000.0) for ratio in (0.9965, 1.0, 1.0042)),
        start=np.zeros(length),
    )
    drift = 1.0 + 0.1 * wander(dice, length, rate, 2.0)
    return _unit(tone * drift * envelope(length, rate, min(0.35, seconds / 3), min(0.4, seconds / 3)))


def kick(rate: int, dice: Dice) -> Signal64:
    """A bass drum: a sine that falls from 150 to 48 Hz, and the beater's click."""
    time = clock(0.45, rate)
    course = 48.0 + 105.0 * np.exp(-time / 0.035)
    beater = 0.35 * band(dice.many(len(time)), rate, 1200.0, 6000.0) * np.exp(-time / 0.006)
    return _unit(
        (np.sin(phase(course, rate, len(time))) * np.exp(-time / 0.13) + beater) * envelope(len(time), rate, 0.001, 0.1)
    )


def snare(rate: int, dice: Dice) -> Signal64:
    """A snare drum: two skin modes and the wires."""
    time = clock(0.35, rate)
    skin = modes([187.0, 331.0, 520.0], [1.0, 0.6, 0.25], [0.07, 0.05, 0.03], 0.35, rate)
    wires = band(dice.many(len(time)), rate, 1400.0, 13000.0) * (np.exp(-time / 0.085) + 0.7 * np.exp(-time / 0.012))
    return _unit((0.7 * skin + 0.9 * wires) * envelope(len(time), rate, 0.0005, 0.06))


def hat(rate: int, dice: Dice, open_: bool = False) -> Signal64:
    """A hi-hat: inharmonic metal and noise above 6 kHz, shut or open."""
    seconds, decay = (0.5, 0.16) if open_ else (0.12, 0.022)
    time = clock(seconds, rate)
    metal = np.zeros(len(time))
    for frequency in (3170.0, 4273.0, 5419.0, 6587.0, 7894.0, 9781.0, 11213.0):
        metal += np.sin(2.0 * np.pi * frequency * time + dice.one(0.0, 6.28))
    noise = band(0.25 * metal + dice.many(len(time)), rate, low=6200.0, order=3)
    return _unit(noise * np.exp(-time / decay) * envelope(len(time), rate, 0.0005, 0.02))


def tom(frequency: float, rate: int, dice: Dice) -> Signal64:
    """A tom: a skin whose pitch falls a little, and a soft stick."""
    time = clock(0.5, rate)
    course = frequency * (1.0 + 0.45 * np.exp(-time / 0.05))
    turn = phase(course, rate, len(time))
    skin = np.sin(turn) * np.exp(-time / 0.16) + 0.4 * np.sin(1.59 * turn) * np.exp(-time / 0.07)
    stick = 0.2 * band(dice.many(len(time)), rate, 500.0, 5000.0) * np.exp(-time / 0.01)
    return _unit((skin + stick) * envelope(len(time), rate, 0.001, 0.1))


def _unit(sound: Signal64) -> Signal64:
    return np.asarray(sound / np.max(np.abs(sound)), np.float64)
