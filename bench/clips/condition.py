"""Input conditions of a dataset: how ``clip.input``, which a codec or an enhancer gets, is made from ``clip.audio``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from ldmbench.audio.filters import FAMILIES, iir_lowpass, lowpass, stft_lowpass
from ldmbench.audio.impairments import overloaded, reverberant, telephone
from ldmbench.audio.noise import noisy
from ldmbench.audio.sound import Audio
from ldmbench.cards import Card

#: Fields that came after the first ones -> the kind that reads them, which has to set them.
_OWN: Mapping[str, str] = {
    "text": "restyle", "snr_db": "noise", "colour": "noise", "rt60_s": "reverb", "drr_db": "reverb",
    "below_peak_db": "clip", "law": "telephone",
}  # fmt: skip


class Condition(Card):
    """One way to degrade a clip, declared in a dataset's card under ``[conditions.NAME]``.

    ``lowpass`` removes what is above ``cutoff_hz`` at the clip's own rate: with ``filter`` ``kaiser`` by a steep FIR of
    60 dB, with ``stft`` by silencing bins of its STFT, with ``cheby1``, ``butter``, ``ellip`` or ``bessel`` by that
    family at ``order``, forwards and backwards; ``random`` draws one of these four for each clip from the clip's
    seed. ``resample`` takes the clip to ``rate`` Hz and leaves it there; ``gap`` silences ``start_s`` to ``end_s``.
    ``noise`` adds Gaussian noise, ``white`` or ``pink``, ``snr_db`` below the clip, drawn from the clip's seed.
    ``reverb`` puts it into a synthetic room whose tail falls by 60 dB in ``rt60_s`` and lies ``drr_db`` below the
    direct sound, drawn from the clip's seed. ``clip`` cuts it off ``below_peak_db`` under its peak. ``telephone``
    takes it through 8 kHz and G.711 (``law`` ``mu`` or ``a``) and back: the first codec of a tandem.
    ``restyle`` leaves the sound as it is and asks for another one: ``text`` becomes the text of every clip.

    With ``reference = "clean"`` outputs are compared with the sound before all that: is it as if nothing had happened?
    With ``reference = "input"`` they are compared with the input: does a codec keep what it is given?
    """

    kind: Literal["lowpass", "resample", "gap", "noise", "reverb", "clip", "telephone", "restyle"]
    cutoff_hz: float = Field(0.0, ge=0.0, allow_inf_nan=False)
    filter: Literal["kaiser", "stft", "cheby1", "butter", "ellip", "bessel", "random"] = "kaiser"
    order: int = Field(8, ge=1)
    rate: int = Field(0, ge=0)
    start_s: float = Field(0.0, ge=0.0)
    end_s: float = Field(0.0, ge=0.0)
    text: str = ""
    snr_db: float = 0.0
    colour: Literal["white", "pink", ""] = ""
    rt60_s: float = Field(0.0, ge=0.0, le=20.0)
    drr_db: float = 0.0
    below_peak_db: float = Field(0.0, ge=0.0)
    law: Literal["mu", "a", ""] = ""
    reference: Literal["clean", "input"] = "clean"

    @model_validator(mode="after")
    def _text_where_it_is_read(self) -> Condition:
        if (self.kind == "restyle") != bool(self.text.strip()):
            raise ValueError("text: what kind = 'restyle' asks for, and nothing else")
        return self

    @model_validator(mode="after")
    def _colour_of_noise(self) -> Condition:
        if (self.kind == "noise") != bool(self.colour):
            raise ValueError("colour: white or pink for kind = 'noise', and for nothing else")
        return self

    @model_validator(mode="after")
    def _degraded_by_something(self) -> Condition:
        for field, kind, what in (
            ("cutoff_hz", "lowpass", "Hz above which nothing is left"),
            ("rate", "resample", "Hz to which it is taken"),
            ("end_s", "gap", "seconds at which the silence ends"),
            ("rt60_s", "reverb", "seconds in which the tail falls by 60 dB"),
            ("below_peak_db", "clip", "dB under the peak at which it is cut off"),
            ("law", "telephone", "mu or a"),
        ):
            if (self.kind == kind) != bool(getattr(self, field)):
                raise ValueError(f"{field}: {what} for kind = {kind!r}, and for nothing else")
        if self.kind == "gap" and self.start_s >= self.end_s:
            raise ValueError("end_s: seconds after start_s at which the silence ends")
        if self.reference == "input" and self.kind == "restyle":
            raise ValueError("reference: a text has no sound to compare with")
        return self

    def digest(self) -> str:
        """As of every card; without what came later and its kind does not read, so that older runs stay comparable."""
        unused = {field for field, kind in _OWN.items() if kind != self.kind}
        fields = self.model_dump(mode="json", exclude=unused | ({"reference"} if self.reference == "clean" else set()))
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def apply(self, audio: Audio, seed: int = 0) -> Audio:
        """The degraded input for ``audio``; ``seed`` is the clip's."""
        if self.kind == "lowpass":
            family = self.family(seed)
            if family == "kaiser":
                return lowpass(audio, self.cutoff_hz)
            if family == "stft":
                return stft_lowpass(audio, self.cutoff_hz)
            return iir_lowpass(audio, self.cutoff_hz, family, self.order)
        if self.kind == "resample":
            return audio.at(self.rate)
        if self.kind == "noise":
            assert self.colour, "checked when it was read"
            return noisy(audio, self.snr_db, self.colour, seed)
        if self.kind == "reverb":
            return reverberant(audio, self.rt60_s, self.drr_db, seed)
        if self.kind == "clip":
            return overloaded(audio, self.below_peak_db)
        if self.kind == "telephone":
            assert self.law, "checked when it was read"
            return telephone(audio, self.law)
        if self.kind == "restyle":
            return audio
        samples = np.array(audio.samples)
        samples[:, round(self.start_s * audio.rate) : round(self.end_s * audio.rate)] = 0.0
        return Audio(samples, audio.rate)

    def family(self, seed: int) -> str:
        """The filter a clip with this seed gets."""
        if self.filter != "random":
            return self.filter
        return FAMILIES[int(np.random.default_rng(seed).integers(len(FAMILIES)))]
