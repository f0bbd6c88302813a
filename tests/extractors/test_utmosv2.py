"""UTMOSv2: its official file's layout, its numbers with weights drawn by name, and what it draws by chance."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("transformers") is None:
    pytest.skip("transformers is not installed", allow_module_level=True)

from ldmbench.audio.sound import Audio, read
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.extractors import utmosv2
from ldmbench.extractors import utmosv2_input as hearing
from ldmbench.extractors.loader import load_extractor
from ldmbench.metrics._base import DeviceMetric, load_metric
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError
from tests.golden.make_speech_metrics import RECORDING, conditions
from tests.golden.name_drawn import drawn_state

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "speech_judges.json").read_text())[
    "utmosv2"
]


def shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of our network's tensors, made without memory."""
    import torch

    with torch.device("meta"):
        state = utmosv2.make_network().state_dict()
    return {key: tuple(value.shape) for key, value in state.items()}


def package_draws(passes: int) -> list[hearing.Draw]:
    """The golden's shares in the package's order: speech; for each spectrogram its crop, then others' and weights."""
    rows = np.array(GOLDEN["shares"]).reshape(-1, 19)[:passes]
    draws = []
    for row in rows:
        patches = row[1:].reshape(2, 9)
        pairs = patches[:, 1:].reshape(2, 4, 2)
        draws.append(hearing.Draw(float(row[0]), patches[:, 0], pairs[:, :, 0], pairs[:, :, 1]))
    return draws


def test_names_and_shapes_are_those_of_the_package() -> None:
    ours = shapes()
    lines = [f"{key} {list(shape)}\n" for key, shape in sorted(ours.items())]
    assert len(ours) == GOLDEN["tensors"]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == GOLDEN["names"]
    # The archive of the official file has a few hundred bytes beside each tensor.
    assert 300 < (utmosv2.CHECKPOINT.size - GOLDEN["bytes"]) / len(ours) < 500


@pytest.mark.parametrize("window", hearing.WINDOWS)
def test_spectrograms_are_those_of_the_package(window: int) -> None:
    signal = read(RECORDING).samples[0][: hearing.PATCH]
    image = hearing.log_mel(signal, window)
    assert image.shape == (512, 701)
    assert (image.min(), image.max()) == (0, 1)
    np.testing.assert_allclose(image[::73, ::100].ravel(), GOLDEN["mel"][str(window)], atol=2e-5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file in the official layout, every tensor drawn by its name."""
    import torch

    path = tmp_path_factory.mktemp("utmosv2") / "fold0_s42_best_model.pth"
    torch.save({key: torch.from_numpy(np.asarray(values)) for key, values in drawn_state(shapes()).items()}, path)
    yield path
    path.unlink()


@pytest.mark.slow
def test_numbers_are_those_of_its_own_code(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own ``predict`` with timm's network, from files, with the same crops."""
    monkeypatch.setattr(utmosv2, "draws", lambda passes, seed: package_draws(passes))
    recording = conditions(read(RECORDING).samples[0])
    network: Any = None
    for name, (harm, samples, passes) in GOLDEN["judged"].items():
        judge = utmosv2.Utmosv2("cpu", "drawn", checkpoint, passes, 0)
        if network is None:
            judge.load()
            network = judge._network
        judge._network = network
        sound = Audio.of(recording[harm][:samples], 16_000)
        value = float(judge.forward(judge.prepare(sound)[None])["mos"][0])
        assert value == pytest.approx(GOLDEN["mos"][name], abs=2e-5), name


@pytest.mark.parametrize("samples", [1, 400, 22_400, 48_000, 48_001, 200_000])
def test_crops_lie_in_the_sound_or_its_repetition(samples: int) -> None:
    signal = np.arange(samples, dtype=np.float32)
    draw = hearing.Draw(0.999_999, np.zeros(2), np.full((2, 4), 0.5), np.ones((2, 4)))
    parts = hearing.crops(signal, draw)
    assert [len(part) for part in parts] == [48_000, *[22_400] * 10]
    assert all((np.diff(part) % samples == 1 % samples).all() for part in parts)
    assert parts[1][0] == 0


def test_what_is_drawn_is_spread_evenly_and_the_same_again() -> None:
    for passes in (1, 5, 50):
        rows = [np.concatenate([[draw.speech], draw.patches, draw.others.ravel()]) for draw in hearing.draws(passes, 0)]
        # A share of each fifth, and so on, whatever is drawn.
        assert (np.sort((np.array(rows) * passes).astype(int), axis=0) == np.arange(passes)[:, None]).all()
    first, again, other = (hearing.draws(5, seed) for seed in (0, 0, 1))
    assert [draw.speech for draw in first] == [draw.speech for draw in again] != [draw.speech for draw in other]
    weights = np.stack([draw.weights for draw in hearing.draws(2_000, 3)])
    drawn = np.random.default_rng(0).beta(0.4, 0.4, weights.size)
    at = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(weights, at), np.quantile(drawn, at), atol=0.02)


def measured(name: str, *sounds: Audio) -> list[Any]:
    metric = load_metric(name)
    assert isinstance(metric, DeviceMetric)
    clips = [Clip(f"set/{index}", "set", "speech", loaded=sound) for index, sound in enumerate(sounds)]
    return list(metric.measure_batch(clips, [Output(sound) for sound in sounds]))


def test_silence_has_no_value() -> None:
    (value,) = measured("utmosv2:untrained=true", Audio.of(np.zeros(16_000), 16_000))
    assert isinstance(value, Unscored)
    assert str(value) == "the output is silent"


@pytest.mark.parametrize("name", ["utmosv2:passes=0", "utmosv2:seed=-1"])
def test_settings_that_are_not_possible_are_refused(name: str) -> None:
    with pytest.raises(BenchError, match="is not possible"):
        load_metric(name)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fold0_s42_best_model.pth"
    path.write_bytes(b"another")
    with pytest.raises(CheckpointError, match="is not the official checkpoint of UTMOSv2"):
        load_extractor(utmosv2.Utmosv2, 5, 0, weights=path)


@pytest.mark.slow
def test_neighbours_change_rounding_only() -> None:
    """On random weights, past the cache: together with a longer sound, or alone."""
    sound = Audio.of(read(RECORDING).samples, 16_000)
    judge = utmosv2.Utmosv2("cpu", "seed 0", None, 1, 0)
    judge.load()
    both = np.stack([judge.prepare(sound.fit(samples)) for samples in (1_600, 100_000)])
    short, long = judge.forward(both)["mos"]
    (alone,) = judge.forward(both[:1])["mos"]
    assert short == pytest.approx(alone, rel=1e-5)
    assert short != pytest.approx(long, rel=1e-4)
