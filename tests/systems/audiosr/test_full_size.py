"""AudioSR in full size, from the official file filled with seeded weights, as a user types it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.audio import sound as audio
from ldmbench.audio.filters import lowpass
from ldmbench.runs.results import find_runs
from ldmbench.systems.audiosr import models as models
from ldmbench.systems.latent.v_diffusion import cosine_alphas


def drawn(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Unit gain in every layer: at the usual initialisation the vocoder is silent."""
    generator = torch.Generator("cpu").manual_seed(zlib.crc32(key.encode()))
    value = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return value / math.sqrt(math.prod(shape[1:]))
    return 1 + 0.1 * value if key.endswith(".weight") else 0.05 * value


@pytest.mark.slow
def test_from_the_official_file_to_the_page(
    official_keys: dict[str, tuple[int, ...]], typed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    state: dict[str, torch.Tensor] = {}
    for key, shape in official_keys.items():
        twin = key.replace("cond_stage_models.0.vae.", "first_stage_model.")
        # The copy of the autoencoder is a view of the first: torch stores it once.
        state[key] = state[twin] if twin in state else drawn(twin, shape)
    state["alphas_cumprod"] = torch.tensor(cosine_alphas())
    state["scale_factor"] = torch.tensor(0.4)
    state["model_ema.decay"] = torch.tensor(0.9999)
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.save({"epoch": 0, "state_dict": state}, folder / models.FILE)
    del state

    table = typed("enhance", "audiosr@basic:steps=1", folder)
    (row,) = (row for row in table["rows"] if row["system"].startswith("audiosr"))
    assert all(cell["estimate"]["n"] == 3 for cell in row["cells"])
    (run,) = (run for run in find_runs(tmp_path / "runs", "official+clips") if "audiosr" in run.info.system)
    for name, seconds in (("a", 3.0), ("b", 10.24), ("c", 25.0)):
        path = run.audio_path(f"clips@4khz/{name}")
        assert path is not None
        sound = audio.read(path)
        assert (sound.rate, sound.channels, sound.length) == (48_000, 1, round(seconds * 48_000))
        given = audio.read(tmp_path / "clips" / f"{name}.wav").mono().at(48_000)
        # What was there (most of its energy ends at 2.6 kHz) stays, at its level; something is above, in every second.
        kept, wanted = lowpass(sound, 2000.0).samples[0], lowpass(given, 2000.0).samples[0]
        assert np.corrcoef(kept, wanted)[0, 1] > 0.998
        assert np.std(kept) == pytest.approx(np.std(wanted), rel=0.05)
        new = sound.samples[0] - lowpass(sound, 6000.0).samples[0]
        assert min(part.std() for part in np.array_split(new, int(seconds))) > 1e-6
    rows = run.outputs.values()
    assert [np.ndim(item.details["cutoff_hz"]) for item in rows] == [0, 0, 1]
    assert len(list((tmp_path / "page" / "clips").rglob("*.*"))) >= 6
