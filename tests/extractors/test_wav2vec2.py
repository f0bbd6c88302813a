"""UTMOS and SCOREQ: fairseq's names, and the numbers of their own code with weights drawn by name."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("transformers") is None:
    pytest.skip("transformers is not installed", allow_module_level=True)

from ldmbench.audio.sound import Audio, read
from ldmbench.clips.clip import Clip
from ldmbench.extractors import wav2vec2
from ldmbench.metrics._base import DeviceMetric, load_metric
from ldmbench.metrics.speech_mos import ScoreqDistance
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError
from tests.golden.make_speech_metrics import RECORDING, conditions
from tests.golden.name_drawn import drawn

GOLDEN = Path(__file__).parents[1] / "golden" / "speech_judges.json"

#: Samples of noise -> the value of UTMOS22Strong of tarepan/SpeechMOS ed25eac, with every tensor of its state drawn by
#: its name (``drawn``), and sound ``0.1 * default_rng(samples).standard_normal(samples)``.
UTMOS = {16_000: 3.2095299, 12_345: 3.2884154}


def fairseq() -> dict[str, tuple[int, ...]]:
    """Names and shapes of wav2vec 2.0 base in fairseq's layout."""
    shapes: dict[str, tuple[int, ...]] = {"mask_emb": (768,)}
    for index, width in enumerate((10, 3, 3, 3, 3, 2, 2)):
        shapes[f"feature_extractor.conv_layers.{index}.0.weight"] = (512, 512 if index else 1, width)
    linear = {"post_extract_proj": (768, 512)}
    norms = {"feature_extractor.conv_layers.0.2": 512, "layer_norm": 512, "encoder.layer_norm": 768}
    for layer in (f"encoder.layers.{index}" for index in range(12)):
        linear |= {f"{layer}.self_attn.{name}_proj": (768, 768) for name in ("q", "k", "v", "out")}
        linear |= {f"{layer}.fc1": (3072, 768), f"{layer}.fc2": (768, 3072)}
        norms |= {f"{layer}.self_attn_layer_norm": 768, f"{layer}.final_layer_norm": 768}
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, width in norms.items():
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    convolution = {"bias": (768,), "weight_g": (1, 1, 128), "weight_v": (768, 48, 128)}
    return shapes | {f"encoder.pos_conv.0.{name}": shape for name, shape in convolution.items()}


def test_every_name_is_one_of_transformers() -> None:
    import torch

    with torch.device("meta"):
        names = wav2vec2.make_wav2vec2().state_dict()
    ours = {wav2vec2.renamed(key): shape for key, shape in fairseq().items()}
    assert ours == {key: tuple(value.shape) for key, value in names.items()}


@pytest.mark.slow
def test_utmos_is_that_of_its_own_code(tmp_path: Path) -> None:
    import torch

    shapes = {f"wav2vec2.{key}": shape for key, shape in fairseq().items()}
    shapes |= {"domain_emb": (1, 128), "judge_emb": (1, 128)}
    for suffix in ("", "_reverse"):
        shapes |= {f"blstm.weight_ih_l0{suffix}": (2048, 1024), f"blstm.weight_hh_l0{suffix}": (2048, 512)}
        shapes |= {f"blstm.bias_{kind}_l0{suffix}": (2048,) for kind in ("ih", "hh")}
    shapes |= {"projection.0.weight": (2048, 1024), "projection.0.bias": (2048,)}
    shapes |= {"projection.2.weight": (1, 2048), "projection.2.bias": (1,)}
    path = tmp_path / "utmos.pt"
    torch.save({key: torch.from_numpy(drawn(key, shape)) for key, shape in shapes.items()}, path)
    judge = wav2vec2.SpeechJudge("utmos", "cpu", "drawn", path)
    judge.load()
    for samples, expected in UTMOS.items():
        sound = (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)
        assert float(judge.forward(sound[None])["mos"][0]) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(CheckpointError, match="do not fit SCOREQ"):
        wav2vec2.SpeechJudge("scoreq", "cpu", "drawn", path).load()


def scoreq_file(mode: str, path: Path) -> Path:
    """SCOREQ's file in its own layout, every tensor drawn by its name."""
    import torch

    before = "pt_model." if mode == "nr" else ""
    shapes = {f"{before}ssl_model.{key}": shape for key, shape in fairseq().items()}
    shapes |= {f"{before}embedding_layer.1.weight": (256, 768), f"{before}embedding_layer.1.bias": (256,)}
    if mode == "nr":
        shapes |= {"mos_layer.weight": (1, 768), "mos_layer.bias": (1,)}
    torch.save({key: torch.from_numpy(drawn(key, shape)) for key, shape in shapes.items()}, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mode"), [("scoreq", "nr"), ("scoreq_ref", "ref")])
def test_scoreq_is_that_of_its_package(name: str, mode: str, tmp_path: Path) -> None:
    """Its own ``predict`` on fairseq's wav2vec 2.0; the synthetic domain is another file of the same network."""
    expected = json.loads(GOLDEN.read_text())["scoreq"][mode]
    harmed = conditions(read(RECORDING).samples[0])
    sounds = {harm: Audio.of(harmed[harm][:40_123], 16_000) for harm in expected}
    metric = load_metric(f"{name}:official=false")
    assert isinstance(metric, DeviceMetric)
    metric.configure("cpu", scoreq_file(mode, tmp_path / "scoreq.pt"))
    clips = [Clip(f"set/{harm}", "set", "speech", loaded=sounds["clean"]) for harm in sounds]
    values = metric.measure_batch(clips, [Output(sound) for sound in sounds.values()])
    assert values == pytest.approx(list(expected.values()), abs=2e-6)


def test_a_distance_is_between_unit_vectors() -> None:
    metric = load_metric("scoreq_ref")
    assert (metric.facts.better, metric.facts.low, metric.facts.high) == ("lower", 0.0, 2.0)
    assert set(metric.facts.needs) == {"audio"}
    one = np.array([[0.6, 0.8]])
    assert isinstance(metric, ScoreqDistance)
    assert metric.compare(one, one) == 0
    assert metric.compare(one, -one) == pytest.approx(2)
    assert metric.compare(one, np.array([[-0.8, 0.6]])) == pytest.approx(np.sqrt(2))
