"""The built-in music: ten short original pieces, from one instrument to a band."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ldmbench.audio.arrays import Signal64
from ldmbench.synthesis import instruments
from ldmbench.synthesis.dsp import Dice, fade, place, room
from ldmbench.synthesis.instruments import pitch, score
from ldmbench.synthesis.recipe import Maker, Recipe, index

#: ``(Hz, seconds, rate, dice) -> [time]``
Instrument = Callable[[float, float, int, Dice], Signal64]


def stage(seconds: float, rate: int, channels: int) -> Signal64:
    """Silence ``[channels, time]`` to play on."""
    return np.zeros((channels, round(seconds * rate)))


def play(
    canvas: Signal64, rate: int, dice: Dice, line: str, instrument: Instrument, beat: float,
    at: float = 0.0, gain: float = 1.0, pan: float = 0.0, ring: float = 0.0,
) -> None:  # fmt: skip
    """Play a line of notes (see :func:`ldmbench.synthesis.instruments.score`), by hand: not quite in time, nor even.

    Args:
        canvas: Where it is added, ``[channels, time]``.
        rate: Hz.
        dice: Randomness of player and instrument.
        line: The notes.
        instrument: Makes one note.
        beat: Length of a beat, s.
        at: Start of the line, s.
        gain: Factor.
        pan: -1 to 1.
        ring: Seconds that a note sounds on after its time.
    """
    for start, length, frequency in score(line):
        note = instrument(frequency, length * beat + ring, rate, dice)
        late = dice.one(0.0, 0.012)
        place(canvas, note, at + start * beat + late, rate, gain * dice.one(0.85, 1.0), pan)


def chords(
    canvas: Signal64, rate: int, dice: Dice, names: Iterable[str], instrument: Instrument, beat: float,
    beats: float = 4.0, at: float = 0.0, gain: float = 0.4, strum: float = 0.0, ring: float = 0.0, width: float = 0.6,
) -> None:  # fmt: skip
    """Play chords such as ``"C4 E4 G4"``, ``beats`` each, spread over the stereo width, with ``strum`` s per note."""
    for number, chord in enumerate(names):
        notes = chord.split()
        for voice, name in enumerate(notes):
            pan = width * (2.0 * voice / max(1, len(notes) - 1) - 1.0)
            tone = instrument(pitch(name), beats * beat + ring, rate, dice)
            place(canvas, tone, at + number * beats * beat + voice * strum, rate, gain, pan)


def drums(canvas: Signal64, rate: int, dice: Dice, beat: float, pattern: dict[str, str], gain: float = 1.0) -> None:
    """Play a pattern in sixteenths, one string per drum: ``x`` a stroke, ``o`` a soft (or open) one, ``.`` none."""
    pans = {"kick": 0.0, "snare": 0.1, "hat": 0.45, "open": 0.45, "tom": -0.4, "low": -0.65}
    levels = {"kick": 1.0, "snare": 0.75, "hat": 0.28, "open": 0.3, "tom": 0.7, "low": 0.8}
    for drum, strokes in pattern.items():
        for number, stroke in enumerate(strokes.replace(" ", "")):
            if stroke == ".":
                continue
            if drum == "kick":
                sound = instruments.kick(rate, dice)
            elif drum == "snare":
                sound = instruments.snare(rate, dice)
            elif drum in ("hat", "open"):
                sound = instruments.hat(rate, dice, open_=drum == "open")
            else:
                sound = instruments.tom(165.0 if drum == "tom" else 98.0, rate, dice)
            soft = 0.4 if stroke == "o" else 1.0
            at = number * beat / 4.0 + dice.one(0.0, 0.004)
            place(canvas, sound, at, rate, gain * levels[drum] * soft * dice.one(0.88, 1.0), pans[drum])


def squash(sound: Signal64, drive: float) -> Signal64:
    """A soft limiter, for the loudness of a finished mix."""
    return np.asarray(np.tanh(drive * sound / np.max(np.abs(sound))), np.float64)


def _waltz(rate: int, dice: Dice) -> Signal64:
    canvas, beat = stage(8.0, rate, 2), 0.42
    play(
        canvas,
        rate,
        dice,
        "D5/1 B4/.5 C5/.5 D5/1 E5/1 G4/.5 A4/.5 B4/1 D5/1 C5/.5 B4/.5 A4/3 B4/1 A4/.5 F#4/.5 G4/3",
        instruments.piano,
        beat,
        gain=0.8,
        pan=0.25,
        ring=0.5,
    )
    for bar, (low, upper) in enumerate([("G2", "B3 D4"), ("C3", "C4 E4"), ("E2", "B3 G4"),
                                        ("A2", "C4 E4"), ("D2", "C4 F#4"), ("G2", "B3 D4")]):  # fmt: skip
        at = 3 * bar * beat
        place(canvas, instruments.piano(pitch(low), 3 * beat, rate, dice, 0.5), at, rate, 0.6, -0.35)
        chords(
            canvas,
            rate,
            dice,
            [upper, upper] if bar < 5 else [upper],
            instruments.piano,
            beat,
            1.0,
            at + beat,
            0.25,
            ring=0.1,
            width=0.2,
        )
    return room(canvas, rate, dice, 1.2, 0.22)


def _air(rate: int, dice: Dice) -> Signal64:
    canvas = stage(6.5, rate, 1)
    play(
        canvas,
        rate,
        dice,
        "D5/1 E5/.5 F5/.5 G5/1 A5/1.5 G5/.5 F5/.5 E5/.5 F5/.5 D5/1 C5/.5 E5/.5 D5/2.5",
        instruments.flute,
        0.52,
        at=0.05,
        ring=0.06,
    )
    return room(canvas, rate, dice, 1.6, 0.28)


def _arpeggio(rate: int, dice: Dice) -> Signal64:
    canvas, beat = stage(7.5, rate, 2), 0.4

    def string(frequency: float, seconds: float, rate: int, dice: Dice) -> Signal64:
        return instruments.plucked(frequency, seconds, rate, dice, bright=0.55, ring=3.5)

    for bar, line in enumerate(["A2 E3 A3 C4 E4 C4 A3 E3", "F2 C3 A3 C4 F4 C4 A3 C3",
                                "C3 G3 C4 E4 G4 E4 C4 G3", "G2 D3 B3 D4 G4 D4 B3 A2"]):  # fmt: skip
        words = " ".join(f"{name}/.5" for name in line.split())
        play(canvas, rate, dice, words, string, beat, at=0.05 + 4 * bar * beat, pan=-0.3 + 0.2 * bar, ring=1.1)
    place(canvas, string(pitch("A3"), 0.9, rate, dice), 6.5, rate, 0.9)
    return room(canvas, rate, dice, 0.9, 0.15)


def _cantabile(rate: int, dice: Dice) -> Signal64:
    canvas = stage(7.0, rate, 1)
    play(
        canvas,
        rate,
        dice,
        "E5/1.5 D5/.5 C#5/1 A4/1 B4/.5 C#5/.5 D5/1 F#5/1 E5/1.5 C#5/.5 D5/.5 B4/.5 A4/2",
        instruments.bowed,
        0.53,
        at=0.04,
        ring=0.1,
    )
    return room(canvas, rate, dice, 1.4, 0.2)


def _quartet(rate: int, dice: Dice) -> Signal64:
    canvas, beat = stage(8.0, rate, 2), 0.62
    for line, pan in (("D5/4 C#5/2 D5/2 E5/2 D5/2", 0.6), ("A4/4 A4/2 B4/2 B4/2 A4/2", 0.25),
                      ("F#4/2 G4/2 E4/2 F#4/2 G4/2 F#4/2", -0.25),
                      ("D3/4 A2/2 B2/2 G2/1 A2/1 D3/2", -0.6)):  # fmt: skip
        play(canvas, rate, dice, line, instruments.bowed, beat, at=0.02, gain=0.6, pan=pan, ring=0.1)
    return room(canvas, rate, dice, 1.8, 0.25)


def _groove(rate: int, dice: Dice) -> Signal64:
    canvas, beat = stage(6.0, rate, 2), 0.6
    drums(canvas, rate, dice, beat, {
        "kick": "x..x ..x. x.x. .... x..x ..x. x... ....",
        "snare": ".... x..o .... x... .... x..o .... x.x.",
        "hat": "xox. xoxo xox. xo.. xox. xoxo xo.. ....",
        "open": ".... .... .... ..x. .... .... .... ....",
        "tom": ".... .... .... .... .... .... ..x. .x..",
        "low": ".... .... .... .... .... .... ...x ...x",
    })  # fmt: skip
    place(canvas, instruments.kick(rate, dice), 4.8, rate)
    place(canvas, instruments.hat(rate, dice, open_=True), 4.8, rate, 0.5, 0.45)
    return squash(room(canvas, rate, dice, 0.5, 0.12, bright=9000.0), 1.6)


def _bassline(rate: int, dice: Dice) -> Signal64:
    canvas = stage(5.5, rate, 1)
    play(
        canvas,
        rate,
        dice,
        "E1/.75 E2/.25 -/.5 G1/.5 A1/.75 B1/.25 D2/.5 B1/.5 E1/.75 E2/.25 -/.5 D2/.5 C2/.5 B1/.5 E1/1",
        instruments.bass,
        0.62,
        at=0.03,
    )
    return canvas


def _chorale(rate: int, dice: Dice) -> Signal64:
    canvas = stage(7.5, rate, 2)
    chords(canvas, rate, dice, ["C3 G3 C4 E4 C5", "A2 A3 C4 E4 C5", "F2 A3 C4 F4 D5", "G2 G3 B3 F4 D5",
                                "C3 G3 C4 E4 E5"],
           instruments.organ, 0.3, at=0.02, gain=0.35, ring=0.05)  # fmt: skip
    return room(canvas, rate, dice, 2.2, 0.3)


def _nocturne(rate: int, dice: Dice) -> Signal64:
    canvas, beat = stage(6.5, rate, 2), 0.34

    def bar(frequency: float, seconds: float, rate: int, dice: Dice) -> Signal64:
        return instruments.mallet(frequency, seconds, rate, dice, tremolo=5.5)

    play(canvas, rate, dice, "F4/1 C5/.5 D5/.5 A4/1 G4/.5 F4/.5 C5/1 D5/.5 F5/.5 G5/2 F5/1 D5/1 C5/.5 A4/.5 F4/2.5",
         bar, beat, at=0.02, pan=0.2, ring=1.5)  # fmt: skip
    chords(canvas, rate, dice, ["F3 A3", "D3 A3", "Bb3 D4", "F3 C4"], bar, beat, 4.0, 0.02, 0.45, ring=0.8, width=0.5)
    return room(canvas, rate, dice, 1.5, 0.2)


def _band(rate: int, dice: Dice) -> Signal64:
    seconds, beat = 9.8, 0.5
    canvas = stage(seconds, rate, 2)
    drums(canvas, rate, dice, beat, {
        "kick": "x... ..x. x.x. .... " * 3 + "x... ..x. x.x. ....",
        "snare": ".... x... .... x..o " * 3 + ".... x... .... x.xx",
        "hat": "x.x. x.x. x.x. x.xo " * 4,
        "open": "x... .... .... .... " + ".... " * 12,
    }, gain=0.85)  # fmt: skip
    play(canvas, rate, dice, "A1/1 A1/.5 C2/.5 E2/1 D2/.5 C2/.5 F1/1 F1/.5 A1/.5 C2/1 A1/.5 F1/.5 "
         "C2/1 C2/.5 E2/.5 G2/1 E2/.5 C2/.5 G1/1 G1/.5 B1/.5 D2/1 B1/.5 G1/.5 A1/2",
         instruments.bass, beat, gain=0.75)  # fmt: skip

    def guitar(frequency: float, seconds: float, rate: int, dice: Dice) -> Signal64:
        return instruments.plucked(frequency, seconds, rate, dice, bright=0.8, ring=1.6)

    for number, chord in enumerate(["A3 C4 E4 A4", "A3 C4 F4 A4", "G3 C4 E4 G4", "G3 B3 D4 G4"]):
        at = 4 * number * beat
        chords(canvas, rate, dice, [chord] * 2, guitar, beat, 2.0, at + beat, 0.22, 0.012, 0.0, width=0.3)
        chords(canvas, rate, dice, [chord], instruments.pad, beat, 4.0, at, 0.09, ring=0.3, width=0.9)
    play(canvas, rate, dice, "-/1 E5/1 A5/1 G5/.5 E5/.5 F5/1.5 E5/.5 C5/2 "
         "-/1 E5/.5 G5/.5 C6/1 B5/.5 A5/.5 B5/2 G5/1 D5/1 E5/2",
         instruments.flute, beat, gain=0.42, pan=-0.3, ring=0.08)  # fmt: skip
    chords(canvas, rate, dice, ["A3 C4 E4 A4"], guitar, beat, 3.0, 16 * beat, 0.35, 0.015, width=0.3)
    place(canvas, instruments.kick(rate, dice), 16 * beat, rate, 0.85)
    place(canvas, instruments.hat(rate, dice, open_=True), 16 * beat, rate, 0.3, 0.45)
    return fade(squash(room(canvas, rate, dice, 1.0, 0.14, bright=7000.0), 1.5), rate, 0.0, 0.5)


def _piece(name: str, rate: int, group: str, make: Maker, text: str) -> Recipe:
    return Recipe(name, rate, text, group, make)


RECIPES = index((
    _piece("piano-waltz", 44100, "keyboard", _waltz, "A piano plays a slow waltz in G major in a small hall."),
    _piece("drum-groove", 44100, "drums", _groove, "A drum kit plays a funky groove with a fill on the toms."),
    _piece("violin-cantabile", 44100, "bowed", _cantabile, "A solo violin plays a singing melody with vibrato."),
    _piece("band-mix", 48000, "mix", _band, "A band with drums, bass, guitar, synthesiser and flute plays a pop tune."),
    _piece("guitar-arpeggio", 44100, "plucked", _arpeggio, "An acoustic guitar plays broken chords in A minor."),
    _piece("flute-air", 48000, "wind", _air, "A solo flute plays a calm tune in a church."),
    _piece("string-quartet", 48000, "bowed", _quartet, "A string quartet plays slow chords in D major."),
    _piece("bass-line", 44100, "bass", _bassline, "An electric bass plays a riff in E minor."),
    _piece("organ-chorale", 48000, "keyboard", _chorale, "A pipe organ plays a chorale in a cathedral."),
    _piece("vibraphone-nocturne", 44100, "mallet", _nocturne, "A vibraphone plays a gentle tune over soft chords."),
))  # fmt: skip
