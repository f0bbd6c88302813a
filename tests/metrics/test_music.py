"""Metrics of music on sounds of certain onsets, beats, keys and tempi, beside mir_eval and librosa themselves."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.clips.load import load_dataset
from ldmbench.errors import Unscored
from ldmbench.metrics import _librosa as front
from ldmbench.metrics._base import list_metrics, load_metric
from ldmbench.system.protocol import Output

pytest.importorskip("librosa", reason="the extra 'music' is not installed")
mir_eval = pytest.importorskip("mir_eval", reason="the extra 'music' is not installed")

RATE = front.RATE
SECONDS = 10.0
NAMES = ("chroma_similarity", "onset_f", "beat_f", "key_agreement", "tempo_agreement")

#: Semitones of the chords I IV V I, in major and in minor.
CADENCES = {
    "major": ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)),
    "minor": ((0, 3, 7), (5, 8, 12), (7, 10, 14), (0, 3, 7)),
}

Sound = NDArray[np.float64]


def times(bpm: float) -> Sound:
    """Beats of ten seconds, the first after half a second."""
    return np.arange(0.5, SECONDS - 0.5, 60 / bpm)


def clicks(at: ArrayLike) -> Sound:
    """Short clicks, sonified by mir_eval."""
    import mir_eval.sonify

    samples: Sound = 0.5 * mir_eval.sonify.clicks(np.asarray(at), fs=RATE, length=round(SECONDS * RATE))
    return samples


def cadence(tonic: int, mode: str) -> Sound:
    """A cadence of plucked triads on a bass, ``tonic`` semitones above C."""
    time = np.arange(RATE) / RATE
    chords = []
    for degrees in CADENCES[mode]:
        chord = np.zeros(RATE)
        for degree in (*degrees, degrees[0] - 12):
            hertz = 261.6256 * 2 ** ((tonic + degree) / 12)
            chord += sum(0.05 / n * np.sin(2 * np.pi * n * hertz * time) for n in (1, 2, 3))
        chords.append(chord * np.exp(-2 * time))
    return np.concatenate(chords)


def score(name: str, reference: ArrayLike, estimate: ArrayLike) -> float:
    clip = Clip("set/clip", "set", "music", loaded=Audio.of(reference, RATE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = load_metric(name).measure(clip, Output(Audio.of(estimate, RATE)))
    assert isinstance(value, float)
    return value


@pytest.fixture(scope="module")
def piece() -> Sound:
    """Twelve seconds with notes, a beat and a key."""
    music = np.concatenate([cadence(7, "major")] * 3)
    return music + 0.3 * np.resize(clicks(times(120)), len(music))


@pytest.mark.parametrize("name", NAMES)
def test_identity_is_one_silence_none_and_noise_between(name: str, piece: Sound) -> None:
    noise = np.random.default_rng(0).standard_normal(len(piece))
    assert score(name, piece, piece) == pytest.approx(1.0, abs=1e-6)
    assert score(name, piece, 0 * piece) == 0.0
    assert score(name, piece, noise) < 0.9
    assert score(name, piece, 0.1 * piece) == pytest.approx(1.0, abs=0.02)


def test_a_delay_counts_where_time_does_and_align_takes_it_out(piece: Sound) -> None:
    late = np.concatenate([np.zeros(RATE // 22), piece])[: len(piece)]
    for name in ("onset_f:window=0.03", "beat_f:window=0.03"):
        assert score(name, piece, late) < 0.6
        assert score(f"{name},align=true", piece, late) > 0.9
    for name in ("key_agreement", "tempo_agreement"):
        assert score(name, piece, late) == 1.0


def test_what_is_heard_is_what_librosa_hears(piece: Sound) -> None:
    import librosa

    sound = Audio.of(piece, RATE)
    y = sound.samples[0]
    np.testing.assert_array_equal(front.onsets(sound), librosa.onset.onset_detect(y=y, sr=RATE, units="time"))
    tempo, beats = librosa.beat.beat_track(y=y, sr=RATE, units="time")
    np.testing.assert_array_equal(front.beats(sound), beats)
    tempi = front.tempi(sound)
    assert tempi is not None
    assert tempi.first == pytest.approx(librosa.feature.tempo(y=y, sr=RATE)[0])
    assert tempi.first == pytest.approx(float(np.ravel(tempo)[0]), rel=0.08)
    chroma = librosa.feature.chroma_cqt(y=y, sr=RATE, norm=None, tuning=0.0)
    np.testing.assert_array_equal(front.chroma(sound), chroma.T)


@pytest.mark.parametrize("left_out", [0, 1, 4, 9])
def test_onsets_left_out_cost_what_mir_eval_says_of_the_true_times(left_out: int) -> None:
    true = times(100)
    kept = np.delete(true, np.arange(2, 2 + left_out))
    np.testing.assert_allclose(front.onsets(Audio.of(clicks(true), RATE)), true, atol=0.04)
    expected = mir_eval.onset.f_measure(true, kept)[0]
    assert score("onset_f", clicks(true), clicks(kept)) == pytest.approx(expected, abs=1e-9)


def test_onsets_that_are_moved_cost_more_and_a_wider_window_less() -> None:
    true = times(100)
    jitter = np.random.default_rng(3).uniform(-1, 1, len(true))
    moved = [clicks(np.clip(true + jitter * by, 0.1, None)) for by in (0.0, 0.05, 0.1, 0.2)]
    values = [score("onset_f", clicks(true), output) for output in moved]
    assert values[0] == 1.0
    assert all(more < less for less, more in pairwise(values[1:]))
    assert values[-1] < 0.6
    assert score("onset_f:window=0.15", clicks(true), moved[-1]) > values[-1] + 0.2


@pytest.mark.parametrize("other", [120.0, 90.0, 60.0])
def test_beats_of_another_tempo_cost_what_mir_eval_says_of_the_true_times(other: float) -> None:
    heard = {bpm: front.beats(Audio.of(clicks(times(bpm)), RATE)) for bpm in (120.0, other)}
    np.testing.assert_allclose(heard[120.0][:4], times(120)[:4], atol=0.04)
    expected = mir_eval.beat.f_measure(times(120), times(other) if other != 60 else heard[60.0])
    assert score("beat_f", clicks(times(120)), clicks(times(other))) == pytest.approx(expected, abs=0.1)


def test_beats_after_five_seconds_are_mir_evals_trimmed_ones(piece: Sound) -> None:
    broken = piece.copy()
    broken[: 4 * RATE] = 0
    assert score("beat_f:after=5.0", piece, broken) > score("beat_f", piece, broken)


@pytest.mark.parametrize(
    ("tonic", "mode", "value"),
    [(7, "major", 1.0), (2, "major", 0.5), (4, "minor", 0.3), (7, "minor", 0.2), (1, "major", 0.0), (0, "major", 0.0)],
)
def test_keys_are_worth_what_mir_eval_says(tonic: int, mode: str, value: float) -> None:
    reference = cadence(7, "major")
    assert score("key_agreement", reference, cadence(tonic, mode)) == value
    key = front.key(Audio.of(cadence(tonic, mode), RATE))
    assert key is not None
    assert key.fit > 0.7
    assert mir_eval.key.weighted_score("G major", key.name) == value


@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("mode", ["major", "minor"])
def test_every_key_is_that_of_its_own_profile(step: int, mode: str) -> None:
    name = f"{front._NAMES[step]} {mode}"
    key = front.key_of(np.roll(np.array(front._PROFILES[mode]), step))
    assert key is not None
    assert key.name == name
    assert key.fit == pytest.approx(1.0)
    mir_eval.key.validate_key(name)
    assert front.key_of(np.ones(12)) is None


def test_chroma_falls_with_every_semitone_of_a_shift_and_with_noise() -> None:
    reference = cadence(0, "major")
    values = [score("chroma_similarity", reference, cadence(step, "major")) for step in (0, 1)]
    assert values[0] > 0.999
    assert values[1] < 0.5
    noise = np.random.default_rng(1).standard_normal(len(reference))
    noisy = [score("chroma_similarity", reference, reference + level * noise) for level in (0, 0.003, 0.03, 0.3)]
    assert noisy == sorted(noisy, reverse=True)
    assert noisy[-1] < 0.8


def test_tempi_within_eight_percent_agree() -> None:
    values = [score("tempo_agreement", clicks(times(120)), clicks(times(bpm))) for bpm in (120, 123, 100, 60)]
    assert values[:2] == [1.0, 1.0]
    assert values[2] == 0.0
    # Half the tempo is one of the two.
    assert 0 < values[3] < 1
    tempi = front.tempi(Audio.of(clicks(times(120)), RATE))
    assert tempi is not None
    assert tempi.first == pytest.approx(120, rel=0.03)
    assert tempi.second == pytest.approx(60, rel=0.03)


@pytest.mark.parametrize(
    ("name", "reference", "reason"),
    [
        *((name, np.zeros(5 * RATE), "the reference is silent") for name in NAMES),
        *((name, clicks(times(120))[RATE // 2 :][: RATE // 3], "0.33 s are shorter than") for name in NAMES),
        ("onset_f", 1e-8 * np.sin(np.arange(RATE)), "nothing sets in"),
        ("beat_f", np.full(5 * RATE, 0.1), "fewer than two beats"),
        ("tempo_agreement", np.full(5 * RATE, 0.1), "nothing repeats"),
        ("key_agreement", np.random.default_rng(0).standard_normal(5 * RATE), "no clear key: the best profile"),
    ],
)
def test_what_has_nothing_to_compare_is_unscored(name: str, reference: Sound, reason: str) -> None:
    with pytest.raises(Unscored, match=reason):
        score(name, reference, reference)


def test_all_are_metrics_of_music() -> None:
    assert set(NAMES) <= set(list_metrics())
    for name in NAMES:
        assert load_metric(name).facts.content == ("music",)
        assert load_metric(name).facts.extras == ("music",)


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


@pytest.mark.slow
def test_built_in_music_is_worse_in_more_noise_and_worst_as_other_music() -> None:
    clips = list(load_dataset("builtin-music").clips)
    random = np.random.default_rng(0)
    for name in ("chroma_similarity", "onset_f", "beat_f", "key_agreement", "tempo_agreement"):
        metric = load_metric(name)
        steps: list[list[float]] = []
        for index, clip in enumerate(clips):
            samples = clip.audio.mono().samples[0]
            loud = np.sqrt(np.mean(samples**2))
            outputs = [
                samples + loud * 10 ** (-snr / 20) * random.standard_normal(len(samples)) for snr in (30, 10, -10)
            ]
            other = clips[(index + 1) % len(clips)].audio.at(clip.audio.rate).mono().samples[0]
            outputs = [samples, *outputs, np.resize(other, len(samples))]
            try:
                values = [metric.measure(clip, Output(Audio.of(sound, clip.audio.rate))) for sound in outputs]
            except Unscored:
                continue
            steps.append([float(np.asarray(value)) for value in values])
        assert len(steps) >= 8
        means = [mean(step) for step in zip(*steps, strict=True)]
        assert means[0] == pytest.approx(1.0, abs=1e-6), name
        assert means[:-1] == sorted(means[:-1], reverse=True), (name, means)
        assert means[-1] < means[1] - 0.2, (name, means)
