"""Microsoft CLAP beside msclap's numbers, its long clips, its captions, its checkpoint and its score."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.extractors import msclap as module
from ldmbench.extractors.msclap import CHECKPOINT, LENGTH, TOKENS, MsClap, load_msclap, load_tokenizer, windows
from ldmbench.extractors.msclap_weights import RATE, Architecture, layout, random_state
from ldmbench.metrics._base import load_metric
from ldmbench.metrics._embedding import EmbeddingMetric, Source
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")
pytest.importorskip("transformers")

MAKE = Path(__file__).parents[1] / "golden" / "make_msclap.py"
spec = importlib.util.spec_from_file_location("make_msclap", MAKE)
assert spec is not None
assert spec.loader is not None
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

SMALL = Architecture(**make.SMALL)
GOLDEN = json.loads(make.GOLDEN.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _no_weights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(home / "weights"))
    load_msclap.cache_clear()


@pytest.fixture(scope="module")
def state() -> Mapping[str, Any]:
    return random_state(SMALL, 3)


def small(state: Mapping[str, Any], hearing: Any = "first", identity: str = "small", **how: Any) -> MsClap:
    return MsClap(lambda: state, SMALL, hearing, identity=identity, **how)


def noise(seconds: float, seed: int = 0, rate: int = RATE, channels: int = 1) -> Audio:
    random = np.random.default_rng(seed)
    return Audio.of(0.1 * np.cumsum(random.standard_normal((channels, round(seconds * rate))), axis=1) / 50, rate)


def embedding(clap: MsClap, *sounds: Audio) -> np.ndarray:
    return np.stack([features["embedding"] for features in clap.embed(sounds)])


# Beside msclap


@pytest.mark.parametrize("name", make.SOUNDS)
def test_sounds_equal_msclap(state: Mapping[str, Any], name: str) -> None:
    (row,) = embedding(small(state), Audio(make.sound(name), make.SOUNDS[name][1]))
    assert np.abs(row - GOLDEN["sounds"][name]).max() < 5e-5


def test_captions_and_their_tokens_equal_msclap(state: Mapping[str, Any]) -> None:
    tokenize, digest = load_tokenizer()
    assert [tokenize(caption) for caption in make.CAPTIONS] == GOLDEN["tokens"]
    rows = small(state, tokenizer=lambda: (tokenize, digest)).embed_text(make.CAPTIONS)
    assert np.abs(rows - np.array(GOLDEN["captions"])).max() < 5e-6


def test_goldens_tell_sounds_and_captions_apart() -> None:
    for rows in (np.array(list(GOLDEN["sounds"].values())), np.array(GOLDEN["captions"])):
        apart = np.linalg.norm(rows[:, None] - rows, axis=2)[~np.eye(len(rows), dtype=bool)]
        assert apart.min() > 1e-2


def test_a_caption_longer_than_gpt2_reads_keeps_its_end() -> None:
    tokenize, _ = load_tokenizer()
    tokens = tokenize("rain " * 2000)
    assert len(tokens) == TOKENS
    assert tokens[-1] == 50_256


# Long, short, silent and other clips


def test_stretches_are_the_first_or_cover_the_clip() -> None:
    signal = np.arange(round(16.5 * RATE), dtype=np.float32)
    (first,) = windows(signal, every=False)
    np.testing.assert_array_equal(first, signal[:LENGTH])
    parts = windows(signal, every=True)
    assert {len(part) for part in parts} == {LENGTH}
    assert len(parts) == 3
    np.testing.assert_array_equal(np.unique(np.concatenate(parts)), signal)


def test_a_short_clip_is_repeated_until_seven_seconds_are_full() -> None:
    (part,) = windows(np.arange(1, 200_001, dtype=np.float32), every=True)
    np.testing.assert_array_equal(part[200_000:], part[: LENGTH - 200_000])


def test_all_of_a_clip_is_the_mean_over_its_stretches(state: Mapping[str, Any]) -> None:
    sound = noise(10)
    parts = embedding(small(state), *(Audio.of(part, RATE) for part in windows(sound.samples[0], every=True)))
    assert len(parts) == 2
    np.testing.assert_allclose(embedding(small(state, "all"), sound)[0], parts.mean(axis=0), atol=2e-5)
    np.testing.assert_array_equal(embedding(small(state, "all"), noise(3)), embedding(small(state), noise(3)))
    with pytest.raises(BenchError, match="use first or all"):
        small(state, "some")


def test_silence_short_stereo_and_other_rates_have_embeddings(state: Mapping[str, Any]) -> None:
    stereo = noise(2, channels=2)
    sounds = [Audio.of(np.zeros(RATE), RATE), noise(0.1), stereo, noise(1, rate=8000), noise(1, rate=192_000)]
    rows = embedding(small(state), *sounds, Audio.of(stereo.samples.mean(axis=0), RATE))
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows[2], rows[5], rtol=0, atol=1e-5)
    assert np.linalg.norm(rows[0] - rows[1]) > 1e-3


def test_company_and_order_do_not_matter(state: Mapping[str, Any]) -> None:
    sounds = [noise(1 + index, seed=index) for index in range(4)]
    together = embedding(small(state), *sounds)
    backwards = embedding(small(state, identity="backwards"), *sounds[::-1])[::-1]
    alone = np.concatenate([embedding(small(state, identity="alone"), sound) for sound in sounds])
    assert max(np.abs(together - backwards).max(), np.abs(together - alone).max()) < 1e-4
    captions = [f"caption {'and so on ' * (index % 3)}{index}" for index in range(9)]
    read = small(state).embed_text(captions)
    other = small(state, identity="other").embed_text(captions[::-1])[::-1]
    assert np.abs(read - other).max() < 1e-5


# The checkpoint


def test_names_are_those_of_the_official_file() -> None:
    with torch.device("meta"):
        official = layout(Architecture()).state_dict()
    expected = {
        "audio_encoder.base.htsat.spectrogram_extractor.stft.conv_real.weight": [513, 1, 1024],
        "audio_encoder.base.htsat.logmel_extractor.melW": [513, 64],
        "audio_encoder.base.htsat.bn0.running_var": [64],
        "audio_encoder.base.htsat.patch_embed.proj.weight": [96, 1, 4, 4],
        "audio_encoder.base.htsat.layers.2.blocks.5.attn.qkv.weight": [1152, 384],
        "audio_encoder.base.htsat.layers.0.downsample.reduction.weight": [192, 384],
        "audio_encoder.projection.linear1.weight": [1024, 768],
        "caption_encoder.base.wte.weight": [50_257, 768],
        "caption_encoder.base.h.11.attn.c_attn.weight": [768, 2304],
        "caption_encoder.projection.layer_norm.bias": [1024],
    }
    assert {key: list(official[key].shape) for key in expected} == expected


def test_a_file_in_the_official_layout_is_read(
    state: Mapping[str, Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "weights" / "msclap" / CHECKPOINT.file
    path.parent.mkdir(parents=True)
    # What the official file holds besides, as its size and its kinds of storage tell: all of it in single precision.
    more = {
        "logit_scale": torch.tensor(4.0),
        "audio_encoder.base.htsat.tscam_conv.bias": torch.zeros(5),
        "audio_encoder.base.htsat.head.weight": torch.zeros(5, 5),
        "audio_encoder.base.htsat.layers.0.blocks.1.attn_mask": torch.zeros(2, 64, 64),
        "caption_encoder.base.h.0.attn.bias": torch.ones(1, 1, 8, 8),
        "caption_encoder.base.h.0.attn.masked_bias": torch.tensor(-1e4),
    }
    single = {key: value.float() for key, value in state.items()}
    torch.save({"model": {**single, **more}}, path)
    monkeypatch.setattr(module, "ARCHITECTURE", SMALL)
    loaded = load_msclap()
    np.testing.assert_array_equal(embedding(loaded, noise(2)), embedding(small(state), noise(2)))
    load_msclap.cache_clear()
    torch.save({"model": {**single, "audio_encoder.base.htsat.logmel_extractor.melW": torch.ones(513, 64)}}, path)
    with pytest.raises(CheckpointError, match="is not a checkpoint of Microsoft CLAP 2023"):
        load_msclap().embed([noise(2)])
    load_msclap.cache_clear()
    torch.save({"model": {key: value for key, value in single.items() if "c_proj.bias" not in key}}, path)
    with pytest.raises(CheckpointError, match=r"4 missing \(caption_encoder\.base\.h\.0\.attn\.c_proj\.bias"):
        load_msclap().embed([noise(2)])


# The score


def test_the_score_is_the_cosine_of_caption_and_output(state: Mapping[str, Any]) -> None:
    extractor = small(state)
    metric = load_metric("msclap_score")
    assert isinstance(metric, EmbeddingMetric)
    metric.source = Source(lambda **_: extractor, (), "embedding", True, False)
    clips = [Clip(f"set/{index}", "set", "general", text=text) for index, text in enumerate(("rain", "", "a dog"))]
    outputs = [Output(noise(2, seed=seed)) for seed in range(3)]
    values = metric.measure_batch(clips, outputs)
    assert isinstance(values[1], Unscored)
    for index in (0, 2):
        sound, text = embedding(extractor, noise(2, seed=index))[0], extractor.embed_text([clips[index].text or ""])[0]
        assert values[index] == pytest.approx(sound @ text / np.linalg.norm(sound) / np.linalg.norm(text), abs=1e-6)


def test_facts_say_what_takes_the_place_of_chance_and_whose_licence() -> None:
    facts = load_metric("msclap_score").facts
    assert "first 7 s of longer clips (msclap: 7 s at random)" in facts.source
    assert "Ms-PL" in facts.source
    assert "msclap itself draws 7 s at random" in facts.note
    assert "mean over 7 s stretches" in load_metric("msclap_score:windows=all").facts.source
    with pytest.raises(BenchError, match="use first or all"):
        load_metric("msclap_score:windows=some")
    metric = load_metric("msclap_score")
    with pytest.raises(CheckpointError, match="ldmbench fetch msclap-2023"):
        metric.measure(Clip("set/a", "set", text="rain"), Output(noise(1)))
