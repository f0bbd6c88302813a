"""Human-CLAP beside transformers' own model and processor on the same file, which is all that its authors use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.extractors import cache
from ldmbench.extractors import clap as module
from ldmbench.extractors.clap import CHECKPOINTS, HUMAN, Clap, load_clap
from ldmbench.extractors.clap_input import stand_in
from ldmbench.extractors.clap_weights import BASE, CONVERTED, FUSION, TINY, Architecture, build, random_state
from ldmbench.metrics._base import list_metrics, load_metric
from ldmbench.weights.record import CheckpointError

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")
pytest.importorskip("transformers")

SMALL = Architecture(
    fusion=True, width=16, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), text_width=32, text_layers=2, text_heads=2,
    vocabulary=400, joint=24, converted=True,
)  # fmt: skip
RATE = 48_000


@pytest.fixture(autouse=True)
def _small(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(home / "weights"))
    monkeypatch.setitem(module.ARCHITECTURES, HUMAN, SMALL)
    load_clap.cache_clear()
    yield
    load_clap.cache_clear()


@pytest.fixture
def saved(home: Path) -> Any:
    """A small model that transformers saved to the weights home, as its authors did."""
    model = build(SMALL)
    model.load_state_dict(random_state(SMALL, 3))
    model.save_pretrained(home / "published")
    path = home / "weights" / "clap" / CHECKPOINTS[HUMAN].file
    path.parent.mkdir(parents=True)
    (home / "published" / "model.safetensors").rename(path)
    return model


def sound(seconds: float, seed: int = 0, rate: int = RATE, channels: int = 1) -> Audio:
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (300 + 100 * seed) * t * (1 + 0.1 * t))
    return Audio.of(0.3 * tone + 0.05 * random.standard_normal((channels, t.size)), rate)


def by_transformers(model: Any, sounds: list[Audio], monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """What its processor and model give of each sound alone, drawing the middle of each third."""
    from transformers import ClapFeatureExtractor

    processor = ClapFeatureExtractor(frequency_min=50, frequency_max=14_000, truncation="fusion", padding="repeatpad")
    rows = []
    with monkeypatch.context() as patch, torch.inference_mode():
        patch.setattr(np.random, "choice", lambda values: values[(len(values) - 1) // 2])
        for one in sounds:
            inputs = processor(one.samples[0].astype(np.float64), sampling_rate=RATE, return_tensors="pt")
            assert inputs["is_longer"].all()
            row = model.audio_model(**inputs).pooler_output
            rows.append(torch.nn.functional.normalize(model.audio_projection(row), dim=-1)[0].numpy())
    return np.stack(rows)


@pytest.mark.slow
def test_sounds_equal_transformers(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = [sound(0.4), sound(3, 1), sound(10, 2), sound(10.005, 3), sound(25, 4)]
    clap = load_clap(HUMAN, official=False)
    rows = np.stack([features["embedding"] for features in clap.embed(sounds)])
    assert np.abs(rows - by_transformers(saved, sounds, monkeypatch)).max() < 1e-5
    assert min(np.linalg.norm(rows[1:] - rows[:-1], axis=1)) > 1e-3


def test_captions_equal_transformers(saved: Any) -> None:
    captions = ["rain", "a dog barks at the rain"]
    clap = Clap(lambda: random_state(SMALL, 3), SMALL)
    rows = clap.embed_text(captions)
    for caption, row in zip(captions, rows, strict=True):
        with torch.inference_mode():
            state = saved.text_model(input_ids=torch.tensor([stand_in(caption)])).pooler_output
            expected = torch.nn.functional.normalize(saved.text_projection(state), dim=-1)[0].numpy()
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-6)
    assert saved.text_model.encoder.layer[0].output.LayerNorm.eps == 1e-12


def test_short_silent_stereo_and_other_rates_have_embeddings(saved: Any) -> None:
    others = [sound(1, rate=8000), sound(1, rate=192_000)]
    sounds = [Audio.of(np.zeros(RATE), RATE), sound(0.1), sound(2, channels=2), *others]
    rows = np.stack([features["embedding"] for features in load_clap(HUMAN, official=False).embed(sounds)])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    load_clap.cache_clear()
    cache.forget()
    again = np.stack([features["embedding"] for features in load_clap(HUMAN, official=False).embed(sounds[::-1])])
    assert np.abs(again[::-1] - rows).max() < 1e-5


def test_other_files_are_refused(saved: Any, home: Path) -> None:
    with pytest.raises(CheckpointError, match="not the official checkpoint of Human-CLAP"):
        load_clap(HUMAN)
    from safetensors.torch import load_file, save_file

    path = home / "weights" / "clap" / CHECKPOINTS[HUMAN].file
    tensors = load_file(path)
    save_file({key: value for key, value in tensors.items() if key != "audio_projection.linear2.bias"}, path)
    load_clap.cache_clear()
    with pytest.raises(CheckpointError, match=r"1 missing \(audio_projection\.linear2\.bias\)"):
        load_clap(HUMAN, official=False).embed([sound(1)])
    path.write_bytes(b"nothing of the kind")
    load_clap.cache_clear()
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        load_clap(HUMAN, official=False).embed([sound(1)])


def test_every_checkpoint_is_a_variant_of_the_score() -> None:
    names = list_metrics()
    assert {f"clap_score@{name}" for name in CHECKPOINTS} <= set(names)
    assert {f"fad_clap@{name}" for name in CHECKPOINTS if name != HUMAN} <= set(names)
    assert f"fad_clap@{HUMAN}" not in names
    facts = load_metric(f"clap_score@{HUMAN}").facts
    assert facts.title == "CLAP Human"
    assert "arXiv:2506.23553" in facts.source
    assert "states no licence" in facts.source
    with pytest.raises(BenchError, match="whole already"):
        load_metric(f"clap_score@{HUMAN}:windows=all")


def test_sizes_of_the_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.ARCHITECTURES, HUMAN, CONVERTED)
    expected = {TINY: 2, FUSION: 2, BASE: 3, CONVERTED: 1}
    sizes = list(module.ARCHITECTURES.values())
    assert {size: sizes.count(size) for size in sizes} == expected
    assert module.ARCHITECTURES.keys() == CHECKPOINTS.keys()
