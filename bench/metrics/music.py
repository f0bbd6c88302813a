"""Music: whether the output keeps the reference's pitch classes, onsets, beats, key and tempo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import Unscored
from ldmbench.metrics import _librosa as front
from ldmbench.metrics._base import BaseMetric, MetricFacts, register, settings_title
from ldmbench.metrics._pair import refuse_silence, sounds
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output

#: Frames of the reference that are this many decibels below its loudest say nothing of its pitch classes.
QUIET_DB = 60.0

#: Correlation with the best key's profile below which a reference has no key.
UNCLEAR = 0.5

_FRONT = "librosa 0.11 at 22.05 kHz, hop 512"


@dataclass
class MusicMetric(BaseMetric):
    """A comparison of what librosa hears in reference and output, mono at ``facts.rate``.

    Attributes:
        facts: The metric's facts.
        shortest: Seconds that a reference needs to have.
        compare: The value of two sounds, by the settings.
        settings: Its keyword arguments.
    """

    facts: MetricFacts
    shortest: float
    compare: Callable[..., float]
    settings: Mapping[str, Setting]

    def measure(self, clip: Clip, output: Output) -> float:
        """The clip's value, between 0 and 1; a silent output has 0.

        Raises:
            Unscored: If the reference is silent or too short, or has nothing of what is compared.
        """
        reference, estimate = sounds(clip, output, self.facts.rate)
        refuse_silence(reference.samples)
        if reference.duration < self.shortest:
            raise Unscored(f"{reference.duration:.2f} s are shorter than the {self.shortest:g} s that are needed")
        return self.compare(reference, estimate, **self.settings)


def chroma_similarity(reference: Audio, output: Audio) -> float:
    """Mean over the reference's frames of the cosine between the energies of the twelve pitch classes.

    Frames ``QUIET_DB`` below the reference's loudest are left out; where only the output is silent, it is 0.
    """
    first, second = front.chroma(reference), front.chroma(output)
    sizes, others = (np.linalg.norm(side, axis=1).astype(np.float64) for side in (first, second))
    heard = sizes > sizes.max() * 10 ** (-QUIET_DB / 20)
    if not heard.any():
        raise Unscored("the reference has no pitch between C1 and B7")
    products = np.einsum("ij,ij->i", first[heard].astype(np.float64), second[heard])
    scale = sizes[heard] * others[heard]
    return float(np.clip(np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0), 0, 1).mean())


def onset_f(reference: Audio, output: Audio, *, window: float) -> float:
    """F-measure of the output's onsets that match one of the reference's within ``window`` seconds.

    Source: mir_eval 0.8.2, ``onset.f_measure``; MIREX onset detection.
    """
    from mir_eval.onset import f_measure

    expected, heard = front.onsets(reference), front.onsets(output)
    if not len(expected):
        raise Unscored("nothing sets in within the reference")
    # mir_eval gives 0 for none too, with a warning.
    return float(f_measure(expected, heard, window=window)[0]) if len(heard) else 0.0


def beat_f(reference: Audio, output: Audio, *, window: float, after: float) -> float:
    """F-measure of the output's beats that match one of the reference's within ``window`` seconds.

    Only beats from ``after`` seconds on count: 0 for all of them, 5 as mir_eval's ``trim_beats``.

    Source: mir_eval 0.8.2, ``beat.f_measure``; Dixon, JNMR 36 (2007).
    """
    from mir_eval.beat import f_measure, trim_beats

    expected, heard = (trim_beats(front.beats(sound), min_beat_time=after) for sound in (reference, output))
    if len(expected) < 2:
        raise Unscored("the reference has fewer than two beats")
    return float(f_measure(expected, heard, f_measure_threshold=window)) if len(heard) else 0.0


def key_agreement(reference: Audio, output: Audio, *, fit: float) -> float:
    """1 for the reference's key, 0.5 for a fifth above, 0.3 for the relative and 0.2 for the parallel key, else 0.

    A reference whose best key correlates less than ``fit`` has none.

    Source: mir_eval 0.8.2, ``key.weighted_score``; MIREX key detection.
    """
    from mir_eval.key import weighted_score

    expected, heard = front.key(reference), front.key(output)
    if expected is None or expected.fit < fit:
        fits = "" if expected is None else f": the best profile correlates by {expected.fit:.2f}, below {fit:g}"
        raise Unscored(f"the reference has no clear key{fits}")
    return 0.0 if heard is None else float(weighted_score(expected.name, heard.name))


def tempo_agreement(reference: Audio, output: Audio, *, tolerance: float) -> float:
    """P-score: the weights of those of the reference's two strongest tempi that are among the output's two.

    Source: mir_eval 0.8.2, ``tempo.detection``; McKinney et al., JNMR 36 (2007).
    """
    from mir_eval.tempo import detection

    expected, heard = front.tempi(reference), front.tempi(output)
    if expected is None:
        raise Unscored("nothing repeats in the reference, it has no tempo")
    if heard is None:
        return 0.0
    score, *_ = detection(np.array(expected[:2]), expected.share, np.array(heard[:2]), tol=tolerance)
    return float(score)


def _register(
    name: str, title: str, shortest: float, compare: Callable[..., float], defaults: Mapping[str, Setting], **facts: Any
) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> MusicMetric:
        own = MetricFacts(
            name=str(asked),
            title=title + settings_title(asked),
            better="higher",
            rate=front.RATE,
            content=("music",),
            low=0.0,
            high=1.0,
            extras=("music",),
            **facts,
        )
        return MusicMetric(own, shortest, compare, settings)

    register(name, build, defaults=defaults)


_register(
    "chroma_similarity", "Chroma", 2.0, chroma_similarity, {},
    source=f"cosine of frames of chroma_cqt (36 bins an octave, C1 to B7, tuning 0) by {_FRONT}",
    note="Unrelated music has 0.3 to 0.7, and white noise to 0.9: look at what another clip's output scores.",
)  # fmt: skip
_register(
    "onset_f", "Onset F", 0.5, onset_f, {"window": 0.05},
    source=f"mir_eval 0.8.2, onset.f_measure within 50 ms; onset_detect by {_FRONT}",
    note="White noise has 0.2 to 0.5, since chance matches fall within 50 ms; 100 ms of delay cost five steps.",
)  # fmt: skip
_register(
    "beat_f", "Beat F", 3.0, beat_f, {"window": 0.07, "after": 0.0},
    source=f"mir_eval 0.8.2, beat.f_measure within 70 ms, no beats left out; beat_track by {_FRONT}",
    note="Without drums the tracker's beats can flip in noise 20 dB below (1 to 0.1): read it over many clips.",
)  # fmt: skip
_register(
    "key_agreement", "Key", 2.0, key_agreement, {"fit": UNCLEAR}, digits=2,
    source=f"mir_eval 0.8.2, key.weighted_score; Krumhansl-Kessler profiles on the mean of chroma_cqt by {_FRONT}",
    note="It has five values and falls late: music keeps its key in noise 10 dB above it. Drums have no key.",
)  # fmt: skip
_register(
    "tempo_agreement", "Tempo", 3.0, tempo_agreement, {"tolerance": 0.08}, digits=2,
    source=f"mir_eval 0.8.2, tempo.detection (P-score) within 8 %; two strongest peaks of the tempogram by {_FRONT}",
    note="Each tempo is worth about half. What changes of the second is no matter of tempo: read it over many clips.",
)  # fmt: skip
