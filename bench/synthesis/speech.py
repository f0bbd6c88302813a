"""The built-in speech: original sentences, spoken by espeak-ng, in small rooms and at usual rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Signal64
from ldmbench.synthesis.dsp import Dice, band, room
from ldmbench.synthesis.recipe import Recipe, index

#: What espeak-ng is silent below, relative to full scale.
_SILENCE = 0.01


@dataclass(frozen=True)
class Sentence:
    """A sentence and how it is spoken.

    Attributes:
        id: Name of the clip.
        text: Exactly what is said: no digits, no abbreviations.
        language: BCP 47 tag.
        voice: espeak-ng's name of the voice and its variant.
        rate: Of the clip, Hz.
        speed: Words per minute.
        pitch: 0 to 100.
        pitch_range: 0 to 100.
        room: Reverberation time T60 in s, 0 for none.
        channels: 1, or 2 for a stereo room.
        noise_db: Level of the recording's noise relative to the peak of speech; None for digital silence.
    """

    id: str
    text: str
    language: str
    voice: str
    rate: int
    speed: int = 155
    pitch: int = 50
    pitch_range: int = 55
    room: float = 0.0
    channels: int = 1
    noise_db: float | None = -66.0

    def recipe(self) -> Recipe:
        """The clip of this sentence."""
        return Recipe(self.id, self.rate, self.text, self.voice, self.make, self.language, peak_db=-2.5)

    def make(self, rate: int, dice: Dice) -> Signal64:
        """Samples ``[channels, time]`` at ``rate`` Hz."""
        import soxr

        from ldmbench.synthesis.espeak import speak

        native, spoken = speak(self.text, self.voice, self.speed, self.pitch, self.pitch_range)
        dry = _trim(spoken, native)
        if rate != native:
            dry = np.asarray(soxr.resample(dry, native, rate, quality="VHQ"), np.float64)
        dry /= np.max(np.abs(dry))
        if rate > 22050:
            dry = dry + _air(dry, rate, dice)
        sound = np.repeat(dry[None, :], self.channels, axis=0)
        if self.room:
            sound = room(sound, rate, dice, self.room, wet=0.16, bright=min(6500.0, 0.4 * rate))
        if self.noise_db is not None:
            for channel in range(self.channels):
                hiss = band(dice.many(sound.shape[1]), rate, low=40.0)
                sound[channel] += 10.0 ** (self.noise_db / 20.0) * hiss
        return sound


def _trim(spoken: Signal64, rate: int) -> Signal64:
    """The sentence with a fifth of a second of quiet before it and three tenths after it."""
    loud = np.flatnonzero(np.abs(spoken) > _SILENCE)
    kept = spoken[loud[0] : loud[-1] + 1]
    return np.pad(kept, (round(0.2 * rate), round(0.3 * rate)))


def _air(speech: Signal64, rate: int, dice: Dice) -> Signal64:
    """What espeak-ng leaves out above 10 kHz: noise that follows the loudness of the hiss just below."""
    sibilance = np.abs(band(speech, rate, 5500.0, 9500.0))
    course = band(sibilance, rate, high=60.0, order=1)
    hiss = band(band(dice.many(len(speech)), rate, low=9800.0, order=4), rate, high=15000.0, order=1)
    return 1.2 * np.maximum(course, 0.0) * hiss


SENTENCES = (
    Sentence("harbour", "The quiet harbour woke slowly, and thin blue smoke drifted above the fishing boats.",
             "en-GB", "en-gb-x-rp+m3", 24000, speed=160, pitch=42),
    Sentence("workshop", "Please measure every chair in the workshop before you choose the thicker plywood.",
             "en-US", "en-us+f3", 16000, speed=165, pitch=55),
    Sentence("cousin", "My younger cousin juggles ripe oranges whenever the music gets loud.",
             "en-US", "en-us+m1", 22050, speed=150, pitch=48, room=0.35),
    Sentence("pump", "A faint buzzing under the floor told us that the old pump had finally started.",
             "en-GB", "en-gb-x-rp+f4", 48000, speed=158, pitch=50),
    Sentence("garage", "Which of these three keys would you use to open the garage at the back?",
             "en-US", "en-us+f5", 24000, speed=150, pitch=52, pitch_range=70),
    Sentence("soup", "Fresh bread, sharp cheese and a bowl of hot soup were all we needed after the storm.",
             "en-scotland", "en-gb-scotland+m7", 48000, speed=148, pitch=45, room=0.5, channels=2),
    Sentence("lake", "She should visit the beige cottage by the azure lake, though the path is rough.",
             "en-GB", "en-gb-x-rp+f1", 16000, speed=170, pitch=58, noise_db=None),
    Sentence("kite", "Twelve joyful children chased a yellow kite through the wet grass towards the church.",
             "en-US", "en-us-nyc+m2", 48000, speed=172, pitch=38),
    Sentence("bruecke", "Der kühle Wind trug den Duft von frischem Heu über die Brücke bis zum Marktplatz.",
             "de", "de+m4", 24000, speed=150, pitch=44),
    Sentence("vallee", "Un léger brouillard couvrait la vallée quand le vieux train quitta enfin la gare.",
             "fr", "fr+f2", 22050, speed=155, pitch=50, room=0.3),
    Sentence("jardin", "El pequeño jardín huele a lluvia y a naranjas cuando llega la mañana.",
             "es", "es+m6", 16000, speed=150, pitch=46),
    Sentence("finestra", "Gli amici di Chiara scelgono sempre il tavolo vicino alla grande finestra.",
             "it", "it+f4", 48000, speed=145, pitch=56),
)  # fmt: skip

RECIPES = index(sentence.recipe() for sentence in SENTENCES)
