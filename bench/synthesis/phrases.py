"""The built-in phrases: five languages in four voices, spoken by espeak-ng, for probes of voice and of language."""

from __future__ import annotations

from collections.abc import Mapping

from ldmbench.synthesis.recipe import Recipe, index
from ldmbench.synthesis.speech import Sentence

RATE = 16_000

#: espeak-ng's variants of a voice: pitch, formants and breath.
VOICES = ("m1", "m3", "f2", "f4")

#: Language -> phrases; those of one line are of one fold, in all languages.
PHRASES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "The gate was open.", "We walked along the shore.",
        "Nobody heard the bell.", "My brother sold the boat.",
        "The soup is still warm.", "Three birds sat on the wall.",
        "She forgot her umbrella.", "It will rain tomorrow.",
    ),
    "de": (
        "Das Tor stand offen.", "Wir gingen am Ufer entlang.",
        "Niemand hörte die Glocke.", "Mein Bruder verkaufte das Boot.",
        "Die Suppe ist noch warm.", "Drei Vögel saßen auf der Mauer.",
        "Sie vergaß ihren Schirm.", "Morgen wird es regnen.",
    ),
    "fr": (
        "La porte était ouverte.", "Nous avons longé le rivage.",
        "Personne n'a entendu la cloche.", "Mon frère a vendu le bateau.",
        "La soupe est encore chaude.", "Trois oiseaux étaient sur le mur.",
        "Elle a oublié son parapluie.", "Il va pleuvoir demain.",
    ),
    "es": (
        "La puerta estaba abierta.", "Caminamos por la orilla.",
        "Nadie oyó la campana.", "Mi hermano vendió el barco.",
        "La sopa todavía está caliente.", "Tres pájaros estaban en el muro.",
        "Ella olvidó su paraguas.", "Mañana va a llover.",
    ),
    "it": (
        "Il cancello era aperto.", "Abbiamo camminato lungo la riva.",
        "Nessuno ha sentito la campana.", "Mio fratello ha venduto la barca.",
        "La minestra è ancora calda.", "Tre uccelli stavano sul muro.",
        "Lei ha dimenticato l'ombrello.", "Domani pioverà.",
    ),
}  # fmt: skip


def _recipe(language: str, number: int, voice: str) -> Recipe:
    spoken = Sentence(
        f"{language}-{number}-{voice}", PHRASES[language][number], language,
        f"{'en-us' if language == 'en' else language}+{voice}", RATE, noise_db=-60.0,
    )  # fmt: skip
    return Recipe(
        spoken.id, RATE, spoken.text, voice, spoken.make, language, peak_db=-2.5,
        labels={"voice": voice, "language": language}, split=f"fold{number // 2:02d}",
    )  # fmt: skip


RECIPES = index(_recipe(language, number, voice) for language in PHRASES for number in range(8) for voice in VOICES)
