"""Audiobox Aesthetics: the package's own numbers with weights drawn by name, from a file in the official layout."""

from __future__ import annotations

import importlib.util
import warnings
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
from ldmbench.extractors import audiobox
from ldmbench.extractors.loader import load_extractor
from ldmbench.metrics._base import DeviceMetric, load_metric
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError
from tests.golden.name_drawn import drawn

#: A WavLM as small as may be.
SMALL: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "conv_dim": (16,) * 7,
    "num_conv_pos_embedding_groups": 2, "num_conv_pos_embeddings": 16,
}  # fmt: skip

#: Samples of noise -> CE, CU, PC and PQ of ``AesPredictor`` of audiobox_aesthetics 0.0.4, its ``DEFAULT_AUDIO_CFG`` cut
#: to ``SMALL``, with every tensor of its state drawn by its name, and sound as ``noise`` below makes it.
VALUES = {
    12_345: (5.1435280, 5.8786554, 1.2195309, 6.7270269),
    160_000: (4.5485520, 6.6404481, 1.2937411, 6.6985164),
    160_100: (4.6007233, 6.7854195, 1.3693832, 6.8300648),
    250_001: (4.3552279, 6.5616250, 1.2183924, 6.7649107),
}

#: What the official file says of its network.
CONFIG = {
    "proj_num_layer": 5, "proj_ln": True, "proj_act_fn": "gelu", "proj_dropout": 0.0, "nth_layer": 3,
    "use_weighted_layer_sum": True, "precision": "32", "normalize_embed": True, "output_dim": 1,
}  # fmt: skip
TRANSFORM = {
    "CE": {"mean": 5.06865, "std": 1.93029}, "CU": {"mean": 5.73633, "std": 1.75669},
    "PC": {"mean": 3.18591, "std": 1.86637}, "PQ": {"mean": 6.57505, "std": 1.51466},
}  # fmt: skip


def noise(samples: int) -> Audio:
    return Audio.of((0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32), 16_000)


def shapes(width: int = 32, inner: int = 48, conv: int = 16, layers: int = 2, taps: int = 16, groups: int = 2,
           heads: int = 2) -> dict[str, tuple[int, ...]]:  # fmt: skip
    """Names and shapes in the official file's layout, without ``model.``."""
    named: dict[str, tuple[int, ...]] = {"wavlm_model.mask_emb": (width,)}
    for index, size in enumerate((10, 3, 3, 3, 3, 2, 2)):
        named[f"wavlm_model.feature_extractor.conv_layers.{index}.0.weight"] = (conv, conv if index else 1, size)
    convolution = {"bias": (width,), "weight_g": (1, 1, taps), "weight_v": (width, width // groups, taps)}
    named |= {f"wavlm_model.encoder.pos_conv.0.{name}": shape for name, shape in convolution.items()}
    linear = {"wavlm_model.post_extract_proj": (width, conv)}
    norms = {"feature_extractor.conv_layers.0.2": conv, "layer_norm": conv, "encoder.layer_norm": width}
    norms = {f"wavlm_model.{name}": size for name, size in norms.items()}
    named["wavlm_model.encoder.layers.0.self_attn.relative_attention_bias.weight"] = (320, heads)
    for layer in (f"wavlm_model.encoder.layers.{index}" for index in range(layers)):
        linear |= {f"{layer}.self_attn.{name}_proj": (width, width) for name in ("q", "k", "v", "out")}
        linear |= {f"{layer}.fc1": (inner, width), f"{layer}.fc2": (width, inner)}
        linear |= {f"{layer}.self_attn.grep_linear": (8, width // heads)}
        named[f"{layer}.self_attn.grep_a"] = (1, heads, 1, 1)
        norms |= {f"{layer}.self_attn_layer_norm": width, f"{layer}.final_layer_norm": width}
    for head in (f"proj_layer.{axis}" for axis in TRANSFORM):
        linear |= {f"{head}.{index}": (1 if index == 12 else width, width) for index in (0, 3, 6, 9, 12)}
        norms |= {f"{head}.{index}": width for index in (1, 4, 7, 10)}
    named |= {f"layer_weights.{axis}": (layers + 1,) for axis in TRANSFORM}
    named |= {f"{name}.weight": shape for name, shape in linear.items()}
    named |= {f"{name}.bias": shape[:1] for name, shape in linear.items()}
    return named | {f"{name}.{kind}": (size,) for name, size in norms.items() for kind in ("weight", "bias")}


def write(path: Path, **changed: Any) -> Path:
    import torch

    state = {f"model.{key}": torch.from_numpy(drawn(key, shape)) for key, shape in shapes().items()}
    torch.save({"state_dict": state, "model_cfg": CONFIG, "target_transform": TRANSFORM} | changed, path)
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(audiobox, "make_network", partial(audiobox.make_network, **SMALL))
    load_extractor.cache_clear()
    yield
    load_extractor.cache_clear()


def test_names_and_shapes_are_those_of_the_official_file() -> None:
    """Of its 324 tensors."""
    import torch

    full = shapes(768, 3072, 512, 12, 128, 16, 12)
    assert len(full) == 324
    with torch.device("meta"):
        ours = audiobox.make_network().state_dict()
    assert {audiobox.renamed(f"model.{key}"): shape for key, shape in full.items()} == {
        key: tuple(value.shape) for key, value in ours.items()
    }


@pytest.mark.usefixtures("small")
def test_numbers_are_those_of_the_package(tmp_path: Path) -> None:
    extractor = load_extractor(audiobox.Audiobox, weights=write(tmp_path / "checkpoint.pt"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        every = extractor.embed([noise(samples) for samples in VALUES])
    for heard, expected in zip(every, VALUES.values(), strict=True):
        assert [float(heard[axis][0]) for axis in audiobox.AXES] == pytest.approx(expected, abs=1e-5)
    # Two of one length go through together.
    together = extractor.forward(np.stack([noise(12_345).samples[0], noise(12_345).samples[0][::-1]]))
    assert float(together["PQ"][0]) == pytest.approx(VALUES[12_345][3], abs=1e-5)
    assert abs(float(together["PQ"][1] - together["PQ"][0])) > 1e-4


@pytest.mark.usefixtures("small")
def test_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    for changed, message in (
        ({"model_cfg": CONFIG | {"proj_num_layer": 1}}, "proj_num_layer is 1"),
        ({"target_transform": {}}, "it lacks 'CE'"),
        ({"state_dict": {}}, "do not fit Audiobox Aesthetics"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_extractor(audiobox.Audiobox, weights=write(path, **changed)).load()


@pytest.mark.usefixtures("small")
def test_columns_share_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    judged = audiobox.judged

    def counted(network: Any, windows: Any, frames: int) -> Any:
        passes.append(frames)
        return judged(network, windows, frames)

    monkeypatch.setattr(audiobox, "judged", counted)
    sounds = [noise(16_000), noise(200), Audio.of(np.zeros(16_000), 16_000)]
    clips = [Clip(f"set/{index}", "set", "music", loaded=sound) for index, sound in enumerate(sounds)]
    columns = {}
    for axis in audiobox.AXES:
        metric = load_metric(f"audiobox_{axis.lower()}:untrained=true")
        assert isinstance(metric, DeviceMetric)
        columns[axis], short, silent = metric.measure_batch(clips, [Output(sound) for sound in sounds])
        assert str(short) == f"the output has 0.01 s, {metric.facts.name} needs 0.025 s"
        assert str(silent) == "the output is silent"
    assert passes == [50]
    assert len({float(value) for value in columns.values() if isinstance(value, float)}) == 4
