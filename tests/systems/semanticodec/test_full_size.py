"""SemantiCodec in full size, from the official layout filled by the rule of the goldens, as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.audio import sound as audio
from ldmbench.runs.results import find_runs
from ldmbench.systems.latent import configs as configs
from ldmbench.systems.semanticodec import audiomae as _audiomae


@pytest.mark.slow
def test_from_the_official_files_to_the_page(
    official: SimpleNamespace, typed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    place, books = weights / "semanticodec_tokenrate_100", weights / "codebook_idx/combine_512_audioset_dominate"
    place.mkdir(parents=True)
    books.mkdir(parents=True)
    torch.save(official.fill(official.encoder(1), _audiomae.positions().numpy()), place / "encoder.ckpt")
    decoder = official.decoder((64, 128, 192, 320), 2 * 768 + 192, (128, 256, 512), configs.VOCODER)
    torch.save(official.fill(decoder), place / "decoder.ckpt")
    np.save(books / "codebook_2048_0.npy", official.drawn("centroids", (4096, 768)))

    table = typed("codec", "semanticodec@1.25kbps:steps=2", weights)
    (row,) = (row for row in table["rows"] if row["system"].startswith("semanticodec"))
    assert all(cell["estimate"]["n"] == 3 for cell in row["cells"])
    (run,) = (run for run in find_runs(tmp_path / "runs", "official+clips") if "semanticodec" in run.info.system)
    assert [item.bits for item in run.outputs.values()] == [25 * count for count in (152, 520, 1256)]
    for name, seconds in (("a", 3.0), ("b", 10.24), ("c", 25.0)):
        path = run.audio_path(f"clips/{name}")
        assert path is not None
        sound = audio.read(path)
        assert (sound.rate, sound.channels, sound.length) == (16_000, 1, round(seconds * 16_000))
        # Every second sounds: no window is missing.
        assert min(part.std() for part in np.array_split(sound.samples[0], int(seconds))) > 1e-3
    assert len(list((tmp_path / "page" / "clips").rglob("*.*"))) >= 6
