"""NISQA: the numbers of its own code with weights drawn by name, from a file in the official layout."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("the extra 'models' is not installed", allow_module_level=True)

from ldmbench.audio.sound import Audio
from ldmbench.extractors import nisqa
from ldmbench.extractors.loader import load_extractor
from ldmbench.weights.record import CheckpointError
from tests.golden.name_drawn import drawn

#: Rate and samples of noise -> MOS, noisiness, discontinuity, coloration and loudness of ``NISQA_DIM`` of
#: gabrielmittag/NISQA fe84f0f with the settings of its nisqa.tar and every tensor of its state drawn by its name
#: (``write``), on ``get_librosa_melspec`` and ``segment_specs`` of ``noise`` in a float file.
VALUES = {
    (16_000, 16_000): (0.3667341, 0.0928697, -1.9031506, 0.0233829, 0.6357899),
    (48_000, 40_001): (0.8520014, -0.0473526, -1.6823366, 0.1702224, 1.1258034),
    (8_000, 2_000): (0.1894072, 0.130559, -1.9332708, -0.2439367, 0.7896027),
}


def noise(rate: int, samples: int) -> Audio:
    return Audio.of((0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32), rate)


def write(path: Path) -> Path:
    import torch

    state = {}
    for key, value in nisqa.make_network().state_dict().items():
        # All but the counts of batches.
        own = torch.from_numpy(drawn(key, tuple(value.shape))) if value.ndim else torch.tensor(1000)
        state[key] = own.abs() + 0.5 if key.endswith("running_var") else own
    torch.save({"model_state_dict": state, "args": {}}, path)
    return path


def test_numbers_are_those_of_its_own_code(tmp_path: Path) -> None:
    extractor = load_extractor(nisqa.Nisqa, 0, weights=write(tmp_path / "nisqa.tar"), official=False)
    every = extractor.embed([noise(*key) for key in VALUES])
    for heard, expected in zip(every, VALUES.values(), strict=True):
        assert [float(heard[column][0]) for column in nisqa.COLUMNS] == pytest.approx(expected, abs=3e-6)


def test_at_48_khz_it_hears_the_resampled_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "nisqa.tar")
    own, fixed = (load_extractor(nisqa.Nisqa, rate, weights=path, official=False) for rate in (0, 48_000))
    sound = noise(16_000, 16_000)
    (resampled,), (heard,) = own.embed([sound.at(48_000)]), fixed.embed([sound])
    assert heard["mos"] == resampled["mos"]
    assert abs(float(heard["mos"][0]) - VALUES[16_000, 16_000][0]) > 1e-3


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not the official checkpoint of NISQA v2"):
        load_extractor(nisqa.Nisqa, 0, weights=write(tmp_path / "nisqa.tar"))
