"""The built-in general sounds: impulses, weather, machines, animals, people, water."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ldmbench.audio.arrays import Signal64
from ldmbench.synthesis.dsp import (
    Dice,
    band,
    clock,
    envelope,
    fade,
    glide,
    harmonics,
    modes,
    phase,
    place,
    resonate,
    room,
    tilt,
    wander,
)
from ldmbench.synthesis.recipe import Recipe, index


def clicks(rate: int, dice: Dice) -> Signal64:
    """Clicks of one sample, at first far apart, then ever closer, and five pops of narrow-band noise; 4 s."""
    canvas = np.zeros((1, 4 * rate))
    at, gap = 0.2, 0.4
    while at < 2.4:
        canvas[0, round(at * rate)] += 1.0 if round(at * 1000) % 2 else -1.0
        at, gap = at + gap, max(0.012, 0.86 * gap)
    for number in range(5):
        burst = dice.many(round(0.03 * rate)) * np.exp(-clock(0.03, rate) / 0.004)
        centre = 500.0 * 2.0**number
        place(canvas, band(burst, rate, 0.7 * centre, 1.4 * centre), 2.6 + 0.26 * number, rate, 2.5)
    return canvas


def rain(rate: int, dice: Dice, seconds: float = 6.0, drops: float = 900.0, heavy: float = 0.5) -> Signal64:
    """Rain on leaves and a roof: a hiss of distant drops, and near ones that each splash on their own."""
    length = round(seconds * rate)
    canvas = np.zeros((2, length))
    splash = []
    for _ in range(40):
        centre, decay = 2.0 ** dice.one(9.5, 13.3), 10.0 ** dice.one(-3.0, -2.3)
        burst = dice.many(round(0.02 * rate)) * np.exp(-clock(0.02, rate) / decay)
        splash.append(band(burst, rate, 0.6 * centre, 1.7 * centre, order=1))
    for at in dice.times(drops, seconds):
        loud = 0.08 / max(dice.one(0.0, 1.0), 0.12)
        kind = splash[int(dice.one(0.0, 39.999))]
        place(canvas, kind, float(at), rate, loud, dice.one(-0.9, 0.9))
    for channel in range(2):
        hiss = dice.many(length)
        sheet = band(hiss, rate, 400.0, 9000.0, order=1) + 0.8 * tilt(hiss, rate, 500.0)
        canvas[channel] += heavy * 0.10 * sheet * (1.0 + 0.25 * wander(dice, length, rate, 1.5))
    return fade(canvas, rate, 0.15, 0.3)


#: Time in s and turns per minute of the car's engine.
_REVS = ((0, 820), (1.2, 830), (1.8, 2900), (2.4, 2600), (3.2, 1000), (3.7, 980), (4.4, 3900), (4.9, 3500), (6.5, 850))


def engine(
    rate: int, dice: Dice, course: Sequence[tuple[float, float]] = _REVS, cylinders: int = 4, seconds: float = 6.5
) -> Signal64:
    """A car's engine: it idles, is revved twice and idles again; firing pulses, their wobble, and intake noise."""
    length = round(seconds * rate)
    speed = glide(course, length, rate)
    speed = band(speed - speed[0], rate, high=4.0, order=1) + speed[0] + 12.0 * wander(dice, length, rate, 9.0)
    firing = speed / 60.0 * cylinders / 2.0
    load = np.clip((speed - 700.0) / 3200.0, 0.05, 1.0)
    turn = phase(firing, rate, length)
    pulses = harmonics(firing, rate, length, 0.92 + 0.045 * load, ceiling=19000.0)
    pulses = tilt(pulses, rate, 2500.0)
    # Cylinders are not alike: every fourth pulse is a little stronger, which is heard at half the shaft's speed.
    pulses = pulses * (1.0 + 0.22 * np.cos(turn / cylinders) + 0.10 * np.cos(2.0 * turn / cylinders + 1.0))
    exhaust = 0.4 * pulses
    for centre, width, gain in ((85, 40, 1.4), (170, 60, 1.0), (340, 120, 0.6), (780, 300, 0.35), (1900, 800, 0.2)):
        exhaust = exhaust + gain * resonate(pulses, rate, centre, width)
    canvas = np.zeros((2, length))
    for channel in range(2):
        intake = band(dice.many(length), rate, 200.0, 5000.0, order=1) * (0.5 + 0.5 * np.cos(turn)) ** 2
        rattle = band(dice.many(length), rate, 2500.0, 9000.0) * np.maximum(np.cos(turn), 0.0) ** 8
        canvas[channel] = exhaust * (0.35 + load) + (0.5 * intake + 0.3 * rattle) * (0.25 + load)
    return fade(room(canvas, rate, dice, 0.3, 0.12), rate, 0.1, 0.2)


def bell(
    rate: int, dice: Dice, prime: float = 294.0, strikes: tuple[float, ...] = (0.1, 2.3, 4.5), seconds: float = 8.0
) -> Signal64:
    """A church bell: hum, prime, minor third, fifth and nominal, each a beating pair, and the clang of the clapper."""
    canvas = np.zeros((1, round(seconds * rate)))
    ratios = np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.52, 2.67, 3.01, 4.16, 5.43, 6.8, 8.2, 9.7])
    gains = np.array([0.5, 0.8, 0.75, 0.35, 1.0, 0.35, 0.3, 0.5, 0.35, 0.28, 0.2, 0.14, 0.1])
    decays = np.array([6.0, 3.5, 3.0, 2.0, 1.8, 1.1, 1.0, 0.9, 0.6, 0.4, 0.28, 0.2, 0.14]) * (294.0 / prime) ** 0.5
    for number, at in enumerate(strikes):
        left = seconds - at
        tone = modes(prime * ratios, gains, decays, left, rate)
        tone += modes(prime * ratios * (1.0 + 0.0016 / ratios), 0.6 * gains, decays, left, rate, shift=0.7)
        time = clock(left, rate)
        clang = band(dice.many(len(time)), rate, 1500.0, 8000.0) * np.exp(-time / 0.015)
        place(canvas, tone + 0.8 * clang, at, rate, 1.0 - 0.08 * number)
    return fade(room(canvas, rate, dice, 1.5, 0.12), rate, 0.005, 0.6)


def siren(rate: int, dice: Dice, two_tone: bool = False, seconds: float = 8.0) -> Signal64:
    """An emergency vehicle passes in a street: a wail, or two tones in turn, moving from left to right."""
    length = round(seconds * rate)
    time = np.arange(length) / rate
    if two_tone:
        course = np.where((time / 0.55).astype(np.int64) % 2 == 0, 435.0, 580.0)
        course = tilt(course - 435.0, rate, 12.0) + 435.0
    else:
        course = 950.0 - 400.0 * np.cos(2.0 * np.pi * time / 3.6)
    passing = (time - 0.55 * seconds) / 1.3
    course = course * (1.0 - 0.035 * np.tanh(passing))
    horn = harmonics(course, rate, length, 0.80, ceiling=9000.0)
    horn = 0.3 * horn + resonate(horn, rate, 1300.0, 700.0) + 0.5 * resonate(horn, rate, 2700.0, 900.0)
    near = 1.0 / np.sqrt(1.0 + passing**2 * 0.6)
    angle = (np.tanh(passing) * 0.8 + 1.0) * np.pi / 4.0
    canvas = np.stack([horn * near * np.cos(angle), horn * near * np.sin(angle)])
    canvas = room(canvas, rate, dice, 1.1, 0.3, bright=3500.0)
    for channel in range(2):
        canvas[channel] += 0.02 * tilt(dice.many(length), rate, 300.0)
    return fade(canvas, rate, 0.25, 0.4)


_VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
    (440, 1020, 2240),
)


def crowd(rate: int, dice: Dice, people: int = 26, seconds: float = 7.0) -> Signal64:
    """Many people talk at once in a hall: syllables of vowels and hisses, no words."""
    canvas = np.zeros((2, round(seconds * rate)))
    for _ in range(people):
        female = dice.one(0.0, 1.0) < 0.5
        base, size = (dice.one(170.0, 240.0), 1.15) if female else (dice.one(90.0, 140.0), 1.0)
        loud, pan = dice.one(0.25, 1.0), dice.one(-0.9, 0.9)
        at = dice.one(-0.5, 0.8)
        while at < seconds - 0.4:
            long = dice.one(0.11, 0.30)
            if at >= 0.0:
                place(canvas, _syllable(rate, dice, base, size, long), at, rate, loud, pan)
            at += long * dice.one(0.75, 1.05) + (dice.one(0.3, 1.2) if dice.one(0.0, 1.0) < 0.14 else 0.0)
    return fade(room(canvas, rate, dice, 1.0, 0.35, bright=4500.0), rate, 0.25, 0.4)


def _syllable(rate: int, dice: Dice, base: float, size: float, seconds: float) -> Signal64:
    length = round(seconds * rate)
    course = base * glide([(0.0, dice.one(0.95, 1.3)), (seconds, dice.one(0.85, 1.1))], length, rate)
    glottis = harmonics(course, rate, length, 0.9, ceiling=5000.0) + 0.03 * dice.many(length)
    vowel = _VOWELS[int(dice.one(0.0, 5.999))]
    voice = sum(
        (gain * resonate(glottis, rate, size * formant, 60.0 + 0.05 * formant)
         for formant, gain in zip(vowel, (1.0, 0.6, 0.3), strict=True)),
        start=np.zeros(length),
    )  # fmt: skip
    voice *= envelope(length, rate, 0.3 * seconds, 0.5 * seconds)
    if dice.one(0.0, 1.0) < 0.3:
        count = round(0.07 * rate)
        hiss = band(dice.many(count), rate, 3500.0, 9000.0) * envelope(count, rate, 0.025, 0.035)
        voice[:count] = 0.25 * hiss[: len(voice)] + voice[:count] * np.linspace(0.0, 1.0, count)[: len(voice)]
    return voice


def wind(rate: int, dice: Dice, seconds: float = 9.0, howl: float = 1.0) -> Signal64:
    """Wind in gusts around a house: rumble, a rush that brightens as it rises, and a howl in the gaps."""
    length = round(seconds * rate)
    time = np.arange(length) / rate
    gust = (0.5 - 0.5 * np.cos(2.0 * np.pi * time / 3.4 + 1.3 * wander(dice, length, rate, 0.8))) ** 1.5
    gust = 0.08 + 0.92 * gust * (0.7 + 0.3 * wander(dice, length, rate, 1.1))
    canvas = np.zeros((2, length))
    height = 380.0 + 420.0 * gust + 60.0 * wander(dice, length, rate, 2.0)
    for channel in range(2):
        noise = dice.many(length)
        flutter = np.clip(gust + 0.10 * wander(dice, length, rate, 6.0), 0.02, 1.2)
        rumble = 3.0 * tilt(tilt(noise, rate, 90.0), rate, 250.0) * (0.10 + flutter)
        rush = (
            0.10 * band(noise, rate, 250.0, 1400.0, order=1) * flutter + 0.05 * tilt(noise, rate, 2500.0) * flutter**2
        )
        # A howl is noise moved up to a wandering pitch: slow noise times an oscillator.
        for ratio, level in ((1.0, 1.0), (1.62, 0.5)):
            slow = tilt(tilt(dice.many(length), rate, 12.0), rate, 25.0)
            turn = phase(ratio * height, rate, length)
            rush = rush + howl * level * 6.0 * slow * np.sin(turn) * flutter**1.5
        canvas[channel] = rumble + rush
    return fade(canvas, rate, 0.3, 0.5)


def birds(rate: int, dice: Dice, seconds: float = 7.0, singers: int = 3) -> Signal64:
    """Birds in a garden: each has a motif of sweeps and trills that it repeats with pauses, over faint leaves."""
    canvas = np.zeros((2, round(seconds * rate)))
    for singer in range(singers):
        centre = 2600.0 + 1500.0 * singer + dice.one(-200.0, 200.0)
        motif = [(dice.one(0.05, 0.22), dice.one(0.85, 1.3), dice.one(0.8, 1.25), dice.one(0.0, 1.0)) for _ in range(5)]
        pan, at = (-0.7, 0.6, 0.0, 0.4)[singer % 4], 0.15 + 0.5 * singer
        while at < seconds - 0.4:
            for long, first, last, trill in motif:
                note = _chirp(rate, long, centre * first, centre * last, 28.0 if trill > 0.6 else 0.0)
                place(canvas, note, at, rate, (1.0, 0.6, 0.4, 0.5)[singer % 4] * dice.one(0.7, 1.0), pan)
                at += long + dice.one(0.02, 0.09)
            at += dice.one(0.5, 1.3)
    canvas = room(canvas, rate, dice, 0.8, 0.12, bright=8000.0)
    for channel in range(2):
        canvas[channel] += 0.004 * band(dice.many(canvas.shape[1]), rate, 150.0, 7000.0, order=1)
    return fade(canvas, rate, 0.1, 0.3)


def _chirp(rate: int, seconds: float, first: float, last: float, trill: float) -> Signal64:
    length = round(seconds * rate)
    time = np.arange(length) / rate
    course = first + (last - first) * (0.5 - 0.5 * np.cos(np.pi * time / seconds))
    if trill:
        course = course * (1.0 + 0.09 * np.sin(2.0 * np.pi * trill * time))
    turn = phase(course, rate, length)
    tone = np.sin(turn) + 0.12 * np.sin(2.0 * turn) * (2.0 * np.max(course) < 0.45 * rate)
    return tone * envelope(length, rate, 0.25 * seconds, 0.4 * seconds)


def knocks(
    rate: int, dice: Dice, times: tuple[float, ...] = (0.3, 0.52, 0.75, 1.7, 1.9, 2.1), seconds: float = 3.5,
    pitch: float = 1.0, bounce: float = 1.0,
) -> Signal64:  # fmt: skip
    """Somebody knocks on a wooden door, in a corridor."""
    canvas = np.zeros((1, round(seconds * rate)))
    wood = pitch * np.array([118.0, 187.0, 263.0, 402.0, 590.0, 845.0, 1270.0, 1910.0])
    decays = bounce * np.array([0.055, 0.045, 0.035, 0.028, 0.02, 0.014, 0.009, 0.006])
    for at in times:
        gains = np.array([1.0, 0.8, 0.7, 0.55, 0.45, 0.35, 0.25, 0.15]) * dice.many(8, 0.7, 1.2)
        blow = modes(wood * dice.many(8, 0.985, 1.015), gains, decays, 0.4, rate, shift=0.4)
        skin = band(dice.many(round(0.03 * rate)), rate, 300.0, 3500.0) * np.exp(-clock(0.03, rate) / 0.004)
        blow[: len(skin)] += 1.2 * skin
        place(canvas, blow, at + dice.one(0.0, 0.015), rate, dice.one(0.75, 1.0))
    return room(canvas, rate, dice, 0.7, 0.2, bright=3500.0)


def drips(rate: int, dice: Dice, seconds: float = 5.5, per_second: float = 3.2, cave: float = 2.0) -> Signal64:
    """Drops fall into a pool in a cave: each is an air bubble whose pitch rises as it closes, over a trickle."""
    canvas = np.zeros((2, round(seconds * rate)))
    for number in range(round(per_second * (seconds - 0.8))):
        at = (number + dice.one(0.0, 0.9)) / per_second
        radius = dice.one(0.0, 1.0)
        _bubble(canvas, rate, dice, at + 0.1, 600.0 + 1300.0 * radius, 0.035 - 0.02 * radius, 1.0, dice.one(-0.8, 0.8))
    for at in dice.times(70.0, seconds - 0.1):
        _bubble(
            canvas, rate, dice, float(at), dice.one(1200.0, 4500.0), 0.006, dice.one(0.01, 0.06), dice.one(-0.4, 0.4)
        )
    canvas = room(canvas, rate, dice, cave, 0.25, bright=6000.0)
    return fade(canvas, rate, 0.02, 0.6)


def _bubble(
    canvas: Signal64, rate: int, dice: Dice, at: float, frequency: float, decay: float, gain: float, pan: float
) -> None:
    time = clock(7.0 * decay, rate)
    course = frequency * (1.0 + 0.10 * time / decay)
    drop = np.sin(phase(course, rate, len(time))) * np.exp(-time / decay) * envelope(len(time), rate, 0.0008, decay)
    splash = dice.many(len(time)) * np.exp(-time / 0.0015)
    drop += 0.25 * band(splash, rate, 2500.0, 14000.0, order=1)
    place(canvas, drop, at, rate, gain, pan)


RECIPES = index((
    Recipe("rain", 48000, "Steady rain falls on leaves and a roof.", "texture", rain),
    Recipe("church-bell", 44100, "A church bell tolls three times.", "tonal", bell),
    Recipe("engine", 44100, "A car engine idles and is revved twice.", "machine", engine),
    Recipe("birds", 48000, "Birds sing in a quiet garden.", "animal", birds),
    Recipe("crowd", 44100, "A crowd of people talks in a large hall.", "people", crowd),
    Recipe("siren", 32000, "A police siren wails and passes in a street.", "tonal", siren),
    Recipe("door-knock", 44100, "Somebody knocks on a wooden door, twice three times.", "impulsive", knocks),
    Recipe("wind", 32000, "Wind howls in gusts around a house.", "texture", wind),
    Recipe("water-drops", 48000, "Water drops fall into a pool in a cave.", "water", drips),
    Recipe("clicks", 48000, "Short clicks come closer and closer, then five pops follow.", "impulsive", clicks),
))  # fmt: skip
