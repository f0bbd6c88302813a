"""Embeddings of voices: ECAPA as speechbrain computes it on weights drawn by name, WavLM from a file as on the hub."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
    pytest.skip("the extra 'models' is not installed", allow_module_level=True)

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.extractors import ecapa, wavlm
from ldmbench.extractors.loader import load_extractor
from ldmbench.metrics._base import DeviceMetric, load_metric
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError
from tests.golden.name_drawn import drawn

#: Samples of noise -> first numbers and length of speechbrain 1.1.2's embedding (``Fbank(n_mels=80)``,
#: ``InputNormalization(norm_type="sentence", std_norm=False)``, ``ECAPA_TDNN`` of the checkpoint's sizes), with every
#: tensor of its state drawn by its name (``ecapa_file``), and sound as ``noise`` below makes it.
ECAPA = {
    16_000: ([-31.2063, -10.60453, -1.26432, -2.00704], 263.616516),
    12_345: ([-30.67493, -12.07079, -1.59139, -1.7431], 262.681000),
}

#: A WavLM as small as may be.
SMALL: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "conv_dim": (16,) * 7,
    "num_conv_pos_embedding_groups": 2, "num_conv_pos_embeddings": 16, "tdnn_dim": (24, 24, 24, 24, 40),
    "xvector_output_dim": 20,
}  # fmt: skip


def noise(samples: int) -> Audio:
    return Audio.of((0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32), 16_000)


@pytest.fixture(scope="module")
def ecapa_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the official layout, counts of batches included."""
    import torch

    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in ecapa.make_network().state_dict().items()}
    state = {}
    for key, shape in shapes.items():
        value = torch.from_numpy(drawn(key, shape)) if shape else torch.tensor(1000)
        state[key] = value.abs() + 0.5 if key.endswith("running_var") else value
    path = tmp_path_factory.mktemp("ecapa") / "embedding_model.ckpt"
    torch.save(state, path)
    return path


def test_ecapa_is_that_of_speechbrain(ecapa_file: Path) -> None:
    extractor = ecapa.Ecapa("cpu", "drawn", ecapa_file)
    extractor.load()
    for samples, (first, length) in ECAPA.items():
        embedding = extractor.forward(extractor.prepare(noise(samples))[None])["all"][0]
        assert embedding.shape == (192,)
        np.testing.assert_allclose(embedding[:4], first, atol=3e-4)
        assert float(np.linalg.norm(embedding)) == pytest.approx(length, rel=1e-5)


def test_ecapa_in_a_batch_is_ecapa_alone(ecapa_file: Path) -> None:
    extractor = ecapa.Ecapa("cpu", "drawn", ecapa_file)
    extractor.load()
    inputs = np.stack([extractor.prepare(noise(samples)) for samples in (8_000, 8_001)])
    together = extractor.forward(inputs)["all"]
    alone = np.concatenate([extractor.forward(one[None])["all"] for one in inputs])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


@pytest.fixture
def small_wavlm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Any]]:
    """A small network's file in the hub's layout, written as torch 1 names it, and the network of transformers."""
    import torch
    from transformers import WavLMConfig, WavLMForXVector

    settings: dict[str, Any] = {"use_weighted_layer_sum": True, "num_labels": 7, **SMALL}
    network = WavLMForXVector(WavLMConfig(**settings)).eval()
    network.load_state_dict(
        {key: torch.from_numpy(drawn(key, tuple(value.shape))) for key, value in network.state_dict().items()}
    )
    old = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
    state = {}
    for key, value in network.state_dict().items():
        for today, then in old.items():
            key = key.replace(today, then)
        state[key] = value
    assert {"objective.weight", "wavlm.encoder.pos_conv_embed.conv.weight_g"} <= set(state)
    path = tmp_path / "pytorch_model.bin"
    torch.save(state, path)
    monkeypatch.setattr(wavlm, "make_network", partial(wavlm.make_network, **SMALL))
    load_extractor.cache_clear()
    yield path, network
    load_extractor.cache_clear()


def test_wavlm_is_that_of_transformers(small_wavlm: tuple[Path, Any]) -> None:
    import torch

    path, network = small_wavlm
    extractor = load_extractor(wavlm.WavLmSpeaker, weights=path)
    sounds = [noise(9_000), noise(12_000), Audio.of(noise(9_000).samples[:, ::-1], 16_000)]
    embeddings = [heard["all"] for heard in extractor.embed(sounds)]
    for sound, embedding in zip(sounds, embeddings, strict=True):
        with torch.no_grad():
            expected = network(torch.from_numpy(np.array(sound.samples))).embeddings[0].numpy()
        np.testing.assert_allclose(embedding, expected, atol=1e-6)
        assert np.abs(expected).max() > 0.1
    assert np.abs(embeddings[2] - embeddings[0]).max() > 1e-3


def test_similarity_of_voices_that_are_long_enough(small_wavlm: tuple[Path, Any]) -> None:
    metric = load_metric("speaker_similarity_wavlm:untrained=true")
    assert isinstance(metric, DeviceMetric)
    sounds = [noise(9_000), noise(5_200), noise(9_000), noise(9_000)]
    outputs = [noise(9_000), noise(5_200), noise(5_000), Audio.of(np.zeros(9_000), 16_000)]
    clips = [Clip(f"set/{index}", "set", "speech", loaded=sound) for index, sound in enumerate(sounds)]
    same, short, cut, silent = metric.measure_batch(clips, [Output(sound) for sound in outputs])
    assert same == pytest.approx(1.0, abs=1e-6)
    assert [str(value).replace(metric.facts.name, "it") for value in (short, cut, silent)] == [
        "the reference has 0.33 s, it needs 0.35 s", "the output has 0.31 s, it needs 0.35 s", "the output is silent",
    ]  # fmt: skip


def test_another_file_is_refused(ecapa_file: Path, small_wavlm: tuple[Path, Any]) -> None:
    with pytest.raises(CheckpointError, match="is not the official checkpoint of ECAPA-TDNN"):
        load_extractor(ecapa.Ecapa, weights=ecapa_file)
    with pytest.raises(CheckpointError, match="do not fit ECAPA"):
        load_extractor(ecapa.Ecapa, weights=small_wavlm[0], official=False).load()
    with pytest.raises(CheckpointError, match="do not fit WavLM"):
        load_extractor(wavlm.WavLmSpeaker, weights=ecapa_file).load()
