"""Built-in clips for training what has no weights: other sentences, voices, pieces and scenes than the evaluated."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.arrays import Signal64
from ldmbench.synthesis import general, instruments
from ldmbench.synthesis.dsp import Dice, envelope, fade, place, room
from ldmbench.synthesis.music import chords, drums, play, squash, stage
from ldmbench.synthesis.recipe import Recipe, index
from ldmbench.synthesis.speech import Sentence

SENTENCES = (
    Sentence("speech-1", "Five brown hens sat on the garden wall and would not move for anyone. "
             "Could you pass me the longer ruler, please?", "en-US", "en-us+m3", 24000, speed=158, pitch=45),
    Sentence("speech-2", "The museum shows a huge collection of glass birds, each one blown by hand. "
             "Visitors often choose the blue one.", "en-GB", "en-gb-x-rp+f2", 48000, speed=162, pitch=52),
    Sentence("speech-3", "Nothing pleases my father more than a short walk to the river before supper. "
             "He wears the same thick jacket every year.", "en-US", "en-us+m7", 16000, speed=150, pitch=40),
    Sentence("speech-4", "Turn left after the bridge, then watch for a narrow road with a yellow gate. "
             "The house is the fourth on your right.", "en-scotland", "en-gb-scotland+f1", 24000, room=0.4),
    Sentence("speech-5", "Rough weather kept the ferry in port, so everybody shared stories over tea. "
             "By evening the clouds were gone.", "en-029", "en-029+m5", 48000, speed=152, pitch=47, room=0.3),
    Sentence("speech-6", "Why does this drawer always jam when the air is damp? "
             "A little soap on the edges usually helps.", "en-US", "en-us-nyc+f3", 22050, speed=168, pitch=57),
    Sentence("speech-7", "In de vroege ochtend fietsen de kinderen samen langs het kanaal naar school.",
             "nl", "nl+f4", 24000, speed=150),
    Sentence("speech-8", "A menina guardou as conchas numa caixa azul e correu outra vez para o mar.",
             "pt", "pt+m1", 16000, speed=150, pitch=44),
    Sentence("speech-9", "Stary zegar na wieży wybija godziny, a gołębie krążą nad dachami miasta.",
             "pl", "pl+m2", 48000, speed=148, pitch=46, room=0.45),
    Sentence("speech-10", "Den lilla båten gled tyst ut ur viken medan solen sakta gick ner bakom öarna.",
             "sv", "sv+f5", 22050, speed=152, pitch=54),
)  # fmt: skip


def _etude(rate: int, dice: Dice) -> Signal64:
    canvas, beat = stage(9.0, rate, 2), 0.5
    names = (
        "C4 Eb4 G4 C5 Eb5 C5 G4 Eb4 Ab3 C4 Eb4 Ab4 C5 Ab4 Eb4 C4 F3 Ab3 C4 F4 Ab4 F4 C4 Ab3 "
        "G3 B3 D4 G4 B4 D5 F5 D5 C4 G4 Eb5 G5 C6 G5 Eb5 C5 D5 B4 F4 D4 G3 B3 D4 F4"
    )
    line = " ".join(f"{name}/.25" for name in names.split())
    play(canvas, rate, dice, line, instruments.piano, beat, at=0.05, pan=0.2, ring=0.4)
    play(
        canvas, rate, dice, "C2/2 Ab2/2 F2/2 G2/2 C3/2 G2/2 C2/4", instruments.piano, beat, at=0.05, gain=0.8, pan=-0.3
    )
    return room(canvas, rate, dice, 1.0, 0.2)


def _travis(rate: int, dice: Dice) -> Signal64:
    canvas = stage(8.0, rate, 2)

    def steel(frequency: float, seconds: float, rate: int, dice: Dice) -> Signal64:
        return instruments.plucked(frequency, seconds, rate, dice, bright=0.9, ring=2.5)

    play(canvas, rate, dice, "D3/1 A2/1 D3/1 A2/1 G2/1 D3/1 G2/1 D3/1 A2/1 E3/1 A2/1 E3/1 D3/1 A2/1 D3/2", steel, 0.45,
         at=0.05, gain=0.8, pan=-0.2, ring=0.6)  # fmt: skip
    play(canvas, rate, dice, "F#4/1.5 A4/.5 D5/1 A4/1 B4/1.5 A4/.5 G4/2 E4/1 C#5/1 B4/.5 A4/.5 G4/1 F#4/4", steel, 0.45,
         at=0.05, pan=0.25, ring=0.8)  # fmt: skip
    return room(canvas, rate, dice, 0.6, 0.12)


def _cello(rate: int, dice: Dice) -> Signal64:
    canvas = stage(8.0, rate, 1)
    play(canvas, rate, dice, "G2/1 D3/.5 B3/.5 A3/.5 B3/.5 D3/1 C3/1 G3/1 E3/2 F#3/1 A3/1 D3/.5 C3/.5 B2/1 G2/2",
         instruments.bowed, 0.55, at=0.04, ring=0.08)  # fmt: skip
    return room(canvas, rate, dice, 1.2, 0.18)


def _march(rate: int, dice: Dice) -> Signal64:
    canvas = stage(8.0, rate, 2)
    drums(canvas, rate, dice, 0.48, {
        "kick": "x... x... x... x.x. " * 4,
        "snare": "..x. o.xo ..x. xoxo " * 3 + "..x. o.xo xoxo xxxx",
        "hat": "..x. ..x. ..x. ..x. " * 4,
        "low": ".... .... .... ..x. " * 4,
        "tom": ".... .... .... .x.. " * 4,
    })  # fmt: skip
    return squash(room(canvas, rate, dice, 0.8, 0.15, bright=8000.0), 1.4)


def _synth_bass(rate: int, dice: Dice) -> Signal64:
    canvas = stage(7.0, rate, 1)

    def growling(frequency: float, seconds: float, rate: int, dice: Dice) -> Signal64:
        return instruments.bass(frequency, seconds, rate, dice, growl=0.95)

    play(canvas, rate, dice, "D2/.5 D2/.5 F2/.5 D2/.5 A2/.5 G2/.5 F2/.5 C2/.5 " * 3 + "D2/2", growling, 0.5, at=0.05)
    return canvas


def _carillon(rate: int, dice: Dice) -> Signal64:
    canvas = stage(8.0, rate, 2)
    play(canvas, rate, dice, "E5/1 G5/1 B5/2 A5/1 F#5/1 D5/2 G5/.5 A5/.5 B5/1 E6/2 D6/1 B5/1 E5/3", instruments.mallet,
         0.4, at=0.05, pan=-0.2, ring=1.5)  # fmt: skip
    chords(canvas, rate, dice, ["E3 B3 G4", "D3 A3 F#4", "C3 G3 E4", "E3 B3 G4"], instruments.pad, 0.4, 4.0, 0.05, 0.2,
           ring=0.3)  # fmt: skip
    return room(canvas, rate, dice, 1.5, 0.2)


def _combo(rate: int, dice: Dice) -> Signal64:
    canvas, beat = stage(9.6, rate, 2), 0.6
    drums(canvas, rate, dice, beat, {
        "kick": "x... .... x..x .... " * 3 + "x... .... x..x ..x.",
        "snare": ".... o..o .... x..o " * 4,
        "hat": "x.xx x.x. x.xx x.x. " * 4,
    }, gain=0.7)  # fmt: skip
    play(canvas, rate, dice, "D2/1 F2/1 A2/1 C3/1 G2/1 B2/1 D3/1 B2/1 C2/1 E2/1 G2/1 B2/1 A2/1 G2/1 E2/1 C#2/1",
         instruments.bass, beat, gain=0.7)  # fmt: skip
    chords(canvas, rate, dice, ["F3 A3 C4 E4", "F3 B3 D4 E4", "E3 G3 B3 D4", "E3 G3 C#4"], instruments.organ, beat,
           gain=0.16)  # fmt: skip
    play(canvas, rate, dice, "A4/.5 C5/.5 D5/1.5 F5/.5 E5/1 D5/1.5 B4/.5 G4/2 "
         "-/1 G4/.5 B4/.5 D5/1 C5/1 C#5/1 E5/1 G5/2",
         instruments.bowed, beat, gain=0.4, pan=0.3)  # fmt: skip
    return fade(squash(room(canvas, rate, dice, 0.9, 0.12), 1.4), rate, 0.0, 0.4)


def _steps(rate: int, dice: Dice) -> Signal64:
    times = tuple(0.25 + 0.48 * number for number in range(12))
    return general.knocks(rate, dice, times, 6.5, pitch=0.62, bounce=0.6)


def _diesel(rate: int, dice: Dice) -> Signal64:
    course = ((0.0, 640.0), (2.0, 650.0), (4.0, 1900.0), (5.0, 1850.0), (5.2, 1300.0), (7.0, 2000.0), (8.0, 700.0))
    return general.engine(rate, dice, course, cylinders=6, seconds=8.0)


def _hand_bell(rate: int, dice: Dice) -> Signal64:
    return general.bell(rate, dice, 880.0, (0.1, 0.55, 1.0, 1.5, 1.95, 2.4, 3.6), 6.0)


def _fire_truck(rate: int, dice: Dice) -> Signal64:
    return general.siren(rate, dice, two_tone=True, seconds=7.0)


def _storm(rate: int, dice: Dice) -> Signal64:
    return general.rain(rate, dice, 8.0, 1600.0, 0.9) + general.wind(rate, dice, 8.0, howl=0.4)


def _party(rate: int, dice: Dice) -> Signal64:
    return general.crowd(rate, dice, people=14, seconds=7.0)


def _crickets(rate: int, dice: Dice) -> Signal64:
    canvas = stage(7.0, rate, 2)
    for insect in range(5):
        centre, at = dice.one(3600.0, 5200.0), dice.one(0.05, 0.6)
        loud, pan, pause = dice.one(0.3, 1.0), dice.one(-0.9, 0.9), dice.one(0.35, 0.7)
        while at < 6.7:
            for pulse in range(3 + insect % 2):
                length = round(0.016 * rate)
                tone = np.sin(2.0 * np.pi * centre * np.arange(length) / rate) * envelope(length, rate, 0.005, 0.009)
                place(canvas, tone, at + 0.024 * pulse, rate, loud, pan)
            at += pause * dice.one(0.95, 1.05)
    for channel in range(2):
        canvas[channel] += 0.01 * dice.many(canvas.shape[1])
    return room(canvas, rate, dice, 0.4, 0.1, bright=9000.0)


RECIPES = index((
    *(sentence.recipe() for sentence in SENTENCES),
    Recipe("music-etude", 44100, "A piano plays a fast study in C minor.", "music", _etude),
    Recipe("music-travis", 48000, "A steel-string guitar is picked in D major.", "music", _travis),
    Recipe("music-cello", 44100, "A solo cello plays in G major.", "music", _cello),
    Recipe("music-march", 48000, "A drum kit plays a march.", "music", _march),
    Recipe("music-synth-bass", 44100, "A growling bass plays a riff in D minor.", "music", _synth_bass),
    Recipe("music-carillon", 48000, "Bars are struck over a soft synthesiser.", "music", _carillon),
    Recipe("music-combo", 44100, "A jazz combo with violin, organ, bass and drums.", "music", _combo),
    Recipe("general-steps", 44100, "Steady footsteps on a wooden floor.", "general", _steps),
    Recipe("general-diesel", 48000, "A lorry with a diesel engine drives off and changes gear.", "general", _diesel),
    Recipe("general-hand-bell", 48000, "A hand bell is rung.", "general", _hand_bell),
    Recipe("general-fire-truck", 32000, "A fire truck passes with a two-tone horn.", "general", _fire_truck),
    Recipe("general-storm", 44100, "Heavy rain in a storm.", "general", _storm),
    Recipe("general-party", 48000, "People chat at a party.", "general", _party),
    Recipe("general-crickets", 44100, "Crickets chirp on a summer night.", "general", _crickets),
))  # fmt: skip
