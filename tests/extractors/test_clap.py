"""LAION-CLAP beside laion_clap's numbers, its long clips, its batches, its checkpoints."""

from __future__ import annotations

import gc
import importlib.util
import json
import pickle
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.extractors import cache, clap_input
from ldmbench.extractors import clap as clap_module
from ldmbench.extractors.clap import CHECKPOINTS, FETCHABLE, Clap, Hearing, load_clap
from ldmbench.extractors.clap_input import LENGTH, TOKENS, as_laion_clap, load_tokenizer, stand_in, views, windows
from ldmbench.extractors.clap_weights import (
    BASE,
    FUSION,
    TINY,
    Architecture,
    OfficialLayout,
    build,
    official_name,
    random_state,
    renamed,
)
from ldmbench.host.homes import cache_home
from ldmbench.weights.record import CheckpointError
from ldmbench.weights.tensors import fit

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

MAKE = Path(__file__).parents[1] / "golden" / "make_clap.py"
spec = importlib.util.spec_from_file_location("make_clap", MAKE)
assert spec is not None
assert spec.loader is not None
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

SMALL = Architecture(**make.SMALL)
SMALL_FUSION = Architecture(fusion=True, **make.SMALL)
GOLDEN = json.loads(make.GOLDEN.read_text())["embeddings"]
RATE = 48_000


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("LDMBENCH_WEIGHTS", raising=False)
    load_clap.cache_clear()
    yield
    load_clap.cache_clear()


def small(fusion: bool = False, hearing: Hearing = "first", identity: str = "", **settings: Any) -> Clap:
    architecture = SMALL_FUSION if fusion else SMALL
    read = partial(random_state, architecture, 3)
    return Clap(read, architecture, hearing, identity=f"{fusion} {identity}", **settings)


def noise(seconds: float, seed: int = 0, rate: int = RATE, channels: int = 1, gain: float = 0.1) -> Audio:
    random = np.random.default_rng(seed)
    colour = np.cumsum(random.standard_normal((channels, round(seconds * rate))), axis=1)
    return Audio.of(gain * (0.02 * colour + 0.3 * random.standard_normal(colour.shape)), rate)


def embedding(clap: Clap, *sounds: Audio) -> np.ndarray:
    return np.stack([features["embedding"] for features in clap.embed(sounds)])


def save(path: Path, state: Mapping[str, Any], **extra: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 15, "state_dict": {f"module.{key}": value for key, value in state.items()}, **extra}, path)
    return path


# Beside laion_clap


@pytest.mark.parametrize("fusion", [False, True])
@pytest.mark.parametrize("name", make.SOUNDS)
def test_equals_laion_clap(fusion: bool, name: str) -> None:
    sound = Audio(make.sound(name), make.SOUNDS[name][1])
    (found,) = embedding(small(fusion), sound)
    assert np.abs(found - GOLDEN["fusion" if fusion else "plain"][name]).max() < 5e-6


def test_goldens_tell_sounds_apart() -> None:
    for embeddings in GOLDEN.values():
        rows = np.array([embeddings[name] for name in make.SOUNDS])
        assert np.linalg.norm(rows[:, None] - rows, axis=2)[~np.eye(len(rows), dtype=bool)].min() > 1e-3


def test_captions_equal_roberta_padded_to_77() -> None:
    """laion_clap reads captions with RobertaModel, padded to 77 tokens, and a projection of two layers."""
    from transformers import RobertaConfig, RobertaModel

    state = random_state(SMALL, 3)
    config = RobertaConfig(
        vocab_size=SMALL.vocabulary, hidden_size=SMALL.text_width, num_hidden_layers=SMALL.text_layers,
        num_attention_heads=SMALL.text_heads, intermediate_size=4 * SMALL.text_width, max_position_embeddings=514,
        type_vocab_size=1, layer_norm_eps=1e-5,
    )  # fmt: skip
    roberta = RobertaModel(config).eval()
    prefix = "text_branch."
    roberta.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})
    captions = ["rain", "a dog barks at the rain", "x" * 200]
    tokens = [stand_in(caption) for caption in captions]
    numbers = torch.tensor([row + [1] * (TOKENS - len(row)) for row in tokens])
    mask = torch.tensor([[1] * len(row) + [0] * (TOKENS - len(row)) for row in tokens])
    with torch.inference_mode():
        x = roberta(input_ids=numbers, attention_mask=mask).pooler_output
        x = torch.relu(x @ state["text_projection.0.weight"].T + state["text_projection.0.bias"])
        x = x @ state["text_projection.2.weight"].T + state["text_projection.2.bias"]
        expected = torch.nn.functional.normalize(x, dim=-1).numpy()
    assert np.allclose(small().embed_text(captions), expected, rtol=0, atol=2e-6)


# Long, short and silent clips


@pytest.mark.parametrize("fusion", [False, True])
def test_a_long_clip_twice_is_the_same(fusion: bool) -> None:
    sound = noise(25, channels=2)
    first = embedding(small(fusion), sound)
    cache.forget()
    np.random.seed(1)  # noqa: NPY002 - laion_clap's dice
    assert np.array_equal(embedding(small(fusion, identity="uncached"), sound), first)


def test_the_first_ten_seconds_are_what_is_heard() -> None:
    sound = noise(25)
    clap = small()
    assert np.array_equal(embedding(clap, sound), embedding(clap, Audio(sound.samples[:, : 10 * RATE], RATE)))
    everything = small(hearing="all")
    rest = Audio.of(
        np.concatenate([sound.samples[:, : 10 * RATE], -(sound.samples[:, 10 * RATE :] ** 2)], axis=1), RATE
    )
    assert np.array_equal(embedding(clap, sound), embedding(clap, rest))
    assert np.abs(embedding(everything, sound) - embedding(everything, rest)).max() > 1e-3


def test_all_of_a_clip_is_the_mean_over_its_stretches() -> None:
    sound = noise(25)
    clap = small()
    starts = (0, 360_000, 720_000)
    parts = embedding(clap, *(Audio(sound.samples[:, start : start + LENGTH], RATE) for start in starts))
    mean = parts.mean(axis=0)
    assert np.allclose(embedding(small(hearing="all"), sound)[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert np.array_equal(embedding(small(hearing="all"), noise(9)), embedding(clap, noise(9)))


@pytest.mark.parametrize("seconds", [10.0, 10.001, 19.9, 20.0, 20.1, 35.0])
def test_stretches_cover_the_clip(seconds: float) -> None:
    signal = np.arange(round(seconds * RATE), dtype=np.float32)
    parts = windows(signal, every=True)
    assert {len(part) for part in parts} == {LENGTH}
    assert len(parts) == -(-len(signal) // LENGTH)
    assert np.array_equal(np.unique(np.concatenate(parts)), signal)


def test_short_clips_are_repeated_as_often_as_they_fit() -> None:
    (part,) = windows(np.arange(1, 200_001, dtype=np.float32), every=True)
    assert np.array_equal(part[200_000:400_000], part[:200_000])
    assert not part[400_000:].any()


def test_fusion_hears_the_middle_of_each_third() -> None:
    signal = np.zeros(20 * RATE, np.float32)
    filters = clap_input.fusion_filters()
    assert views(signal, filters).shape == (4, 1001, 64)
    assert views(signal[: 10 * RATE], filters).shape == (1, 1001, 64)
    assert views(signal[: 10 * RATE + 479], filters).shape == (1, 1001, 64)
    assert views(signal[: 10 * RATE + 480], filters).shape == (4, 1001, 64)
    signal[333 * 480 + 1000 : 333 * 480 + 1300] = 0.5
    whole = clap_input.log_mel(signal, filters)
    # 1001 possible beginnings: thirds of 334, 334 and 333.
    for view, start in zip(views(signal, filters)[1:], (166, 500, 834), strict=True):
        assert np.array_equal(view, whole[start : start + 1001])


@pytest.mark.parametrize("fusion", [False, True])
def test_silence_and_a_single_sample_have_embeddings(fusion: bool) -> None:
    rows = embedding(small(fusion), Audio.of(np.zeros(RATE), RATE), Audio.of([0.5], RATE), noise(1))
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert np.abs(rows[0] - rows[2]).max() > 1e-3


def test_channels_are_averaged_and_rounded_to_16_bits() -> None:
    samples = np.array([[0.5, 1.7, -1.7, 0.00002], [0.25, 1.7, -1.7, 0.0]], np.float32)
    steps = as_laion_clap(Audio(samples, RATE)) * 32767
    assert np.allclose(steps, [12287, 32767, -32767, 0], atol=1e-3)


# Batches


@pytest.mark.parametrize("fusion", [False, True])
def test_one_by_one_equals_sixteen_together(fusion: bool) -> None:
    sounds = [noise(12 if index % 3 else 4, seed=index, gain=0.02 * (1 + index)) for index in range(16)]
    together = embedding(small(fusion), *sounds)
    alone = small(fusion, identity="uncached")
    one_by_one = np.concatenate([embedding(alone, sound) for sound in sounds])
    assert np.abs(together - one_by_one).max() < 1e-5
    backwards = embedding(small(fusion, identity="backwards"), *sounds[::-1])[::-1]
    assert np.abs(together - backwards).max() < 1e-5


def test_order_and_company_of_captions_do_not_matter() -> None:
    captions = [f"caption {'and so on ' * (index % 4)}{index}" for index in range(40)]
    clap = small()
    together = clap.embed_text(captions)
    assert np.array_equal(clap.embed_text(captions[::-1])[::-1], together)
    fresh = small(identity="uncached")
    assert np.abs(fresh.embed_text(captions[::-1])[::-1] - together).max() < 1e-5
    assert np.abs(small(identity="alone").embed_text(captions[7:8])[0] - together[7]).max() < 1e-5


def test_what_was_heard_needs_no_weights() -> None:
    sound = noise(3)
    first = small()
    rows, text = embedding(first, sound), first.embed_text(["rain"])

    def read() -> dict[str, Any]:
        raise AssertionError("the weights were read")

    again = Clap(read, SMALL, identity="False ")
    assert np.array_equal(embedding(again, sound), rows)
    assert np.array_equal(again.embed_text(["rain"]), text)


# Names of weights


@pytest.mark.parametrize("architecture", [TINY, FUSION, BASE])
def test_every_weight_has_one_official_name(architecture: Architecture) -> None:
    with torch.device("meta"):
        model = build(architecture)
        official = OfficialLayout(model).state_dict()
    names = [key for key in model.state_dict() if "text_model.embeddings.position_ids" not in key]
    assert all(renamed(official_name(name)) == name for name in names)
    assert len({official_name(name) for name in names}) == len(names)
    wide = architecture.width * 8
    depth = architecture.depths[2]
    expected = {
        f"audio_branch.layers.2.blocks.{depth - 1}.attn.qkv.weight": [3 * wide // 2, wide // 2],
        "audio_branch.layers.0.blocks.1.attn.relative_position_bias_table": [225, 4],
        "audio_branch.layers.1.blocks.0.mlp.fc2.weight": [2 * architecture.width, 8 * architecture.width],
        "audio_branch.layers.1.blocks.0.attn.proj.bias": [2 * architecture.width],
        "audio_branch.layers.2.downsample.reduction.weight": [wide, 2 * wide],
        "audio_branch.bn0.running_var": [64],
        "audio_branch.norm.weight": [wide],
        "audio_branch.logmel_extractor.melW": [513, 64],
        "audio_projection.0.weight": [512, wide],
        "text_branch.encoder.layer.11.attention.output.LayerNorm.weight": [768],
        "text_branch.embeddings.word_embeddings.weight": [50_265, 768],
        "text_branch.pooler.dense.bias": [768],
        "text_projection.2.bias": [512],
        "logit_scale_a": [],
    }
    assert {key: list(official[key].shape) for key in expected} == expected
    assert ("audio_branch.patch_embed.mel_conv2d.weight" in official) == architecture.fusion


def test_weights_survive_the_way_there_and_back() -> None:
    state = random_state(SMALL_FUSION, 5)
    layout = OfficialLayout(build(SMALL_FUSION))
    fit(layout, state, Path("x.pt"), "LAION-CLAP")
    back = layout.state_dict()
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], value) for key, value in state.items())


# Checkpoints


@pytest.fixture
def small_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = {name: SMALL_FUSION if "fusion" in name else SMALL for name in CHECKPOINTS}
    monkeypatch.setattr(clap_module, "ARCHITECTURES", shapes)


def test_official_layout_is_read(small_checkpoints: None, tmp_path: Path) -> None:
    unused = {
        "audio_branch.head.weight": torch.zeros(5, 5),
        "audio_branch.tscam_conv.bias": torch.zeros(5),
        "audio_branch.layers.0.blocks.1.attn_mask": torch.zeros(2, 64, 64),
        "audio_transform.sequential.3.bias": torch.zeros(5),
        "text_transform.sequential.0.weight": torch.zeros(5),
        "text_branch.embeddings.position_ids": torch.arange(514)[None],
    }
    save(tmp_path / "clap" / "630k-audioset-best.pt", {**random_state(SMALL, 3), **unused}, lr=np.float64(1e-4))
    clap = load_clap("630k-audioset-best", weights=tmp_path, official=False)
    assert np.array_equal(embedding(clap, noise(2)), embedding(small(), noise(2)))
    gc.collect()
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(tmp_path) not in maps.read_text(), "the file stays mapped"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"audio_branch.norm.bias": None}, "1 missing (audio_branch.norm.bias)"),
        ({"audio_branch.surprise": torch.zeros(1)}, "1 superfluous (audio_branch.surprise)"),
        ({"text_projection.2.bias": torch.zeros(7)}, "1 of another shape (text_projection.2.bias [7] instead of [24])"),
        ({"audio_branch.logmel_extractor.melW": torch.ones(513, 64)}, "melW is another front end"),
    ],
)
def test_wrong_weights_are_named(
    small_checkpoints: None, tmp_path: Path, change: dict[str, torch.Tensor | None], words: str
) -> None:
    state = {**random_state(SMALL, 3), **change}
    path = save(tmp_path / "x.pt", {key: value for key, value in state.items() if value is not None})
    clap = load_clap("630k-audioset-best", weights=path, official=False)
    with pytest.raises(CheckpointError) as caught:
        clap.embed([noise(1)])
    assert words in str(caught.value)


def test_another_model_is_refused(small_checkpoints: None, tmp_path: Path) -> None:
    wider = Architecture(**{**make.SMALL, "width": 32, "depths": (2, 2, 4, 2)})
    path = save(tmp_path / "x.pt", random_state(wider))
    with pytest.raises(CheckpointError) as caught:
        load_clap(weights=path, official=False).embed([noise(1)])
    assert "superfluous (audio_branch.layers.2.blocks.2." in str(caught.value)
    assert "audio_branch.patch_embed.proj.weight [32, 1, 4, 4] instead of [16, 1, 4, 4]" in str(caught.value)
    path = save(tmp_path / "plain.pt", random_state(SMALL))
    with pytest.raises(CheckpointError, match=r"missing \(audio_branch\.patch_embed\.(fusion_model|mel_conv2d)"):
        load_clap("630k-audioset-fusion-best", weights=path, official=False).embed([noise(1)])


def test_other_files_are_refused(small_checkpoints: None, tmp_path: Path) -> None:
    path = save(tmp_path / "x.pt", random_state(SMALL))
    with pytest.raises(CheckpointError, match="is not the official checkpoint of LAION-CLAP 630k-audioset-best"):
        load_clap(weights=path)
    torch.save(random_state(SMALL), path)
    with pytest.raises(CheckpointError, match="no entry 'state_dict'"):
        load_clap(weights=path, official=False).embed([noise(1)])
    torch.save({"state_dict": {}, "code": partial(print, "hello")}, path)
    load_clap.cache_clear()
    with pytest.raises(CheckpointError, match="code besides tensors"):
        load_clap(weights=path, official=False).embed([noise(1)])
    path.write_bytes(pickle.dumps({"state_dict": 1}, protocol=2)[:-3])
    load_clap.cache_clear()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_clap(weights=path, official=False).embed([noise(1)])
    with pytest.raises(
        CheckpointError, match=r"missing 630k-audioset-best\.pt \(1864 MB\).*fetch clap-630k-audioset-best"
    ):
        load_clap(weights=tmp_path)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(BenchError, match="first or all"):
        small(hearing=cast(Hearing, "some"))
    with pytest.raises(BenchError, match="whole already"):
        small(fusion=True, hearing="all")


def test_a_checkpoint_is_fetched_with_its_vocabulary() -> None:
    network, vocabulary = FETCHABLE["clap-630k-audioset-best"]
    assert network.names == ("630k-audioset-best.pt",)
    assert vocabulary.names == ("vocab.json", "merges.txt")


# Tokens


def tokenizer_files(folder: Path, tokens: int) -> list[str]:
    folder.mkdir(parents=True)
    from tokenizers.pre_tokenizers import ByteLevel

    letters = ByteLevel.alphabet()
    names = ["<s>", "<pad>", "</s>", "<unk>", *letters, "ra", "in", "rain"]
    names += [f"word{number}" for number in range(tokens - len(names) - 1)] + ["<mask>"]
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\nr a\ni n\nra in\n")
    return names


def test_tokens_are_merged_and_cut(tmp_path: Path) -> None:
    names = tokenizer_files(tmp_path / "roberta-base", 50_265)
    tokenize, identity = load_tokenizer(tmp_path, official=False)
    assert [names[token] for token in tokenize("rain in")] == ["<s>", "rain", "Ġ", "in", "</s>"]
    assert len(tokenize("rain" * 100)) == TOKENS
    assert tokenize("rain" * 100)[-1] == 2
    assert len(identity) == 128


def test_a_tokeniser_without_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"weights of RoBERTa's tokeniser .*vocab\.json.*fetch roberta-base"):
        load_tokenizer(tmp_path)
    tokenizer_files(tmp_path / "roberta-base", 300)
    with pytest.raises(CheckpointError, match="is not the official checkpoint of RoBERTa's tokeniser"):
        load_tokenizer(tmp_path)
    with pytest.raises(CheckpointError, match="300 tokens"):
        load_tokenizer(tmp_path, official=False)
    (tmp_path / "roberta-base" / "vocab.json").write_text("{}")
    with pytest.raises(CheckpointError):
        load_tokenizer(tmp_path / "roberta-base", official=False)


def test_stand_in_tokens_are_bytes() -> None:
    assert stand_in("aé") == [0, 4 + 97, 4 + 0xC3, 4 + 0xA9, 2]
    assert len(stand_in("x" * 500)) == TOKENS


# The whole model


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_whole_model_untrained(name: str) -> None:
    clap = load_clap(name, untrained=True)
    sounds = [noise(25, 1), noise(3, 2), noise(10, 3, gain=0.01)]
    rows = embedding(clap, *sounds)
    assert rows.shape == (3, 512)
    cache.forget()
    load_clap.cache_clear()
    for path in (cache_home() / "embeddings").glob("*/*/*.npz"):
        path.unlink()
    again = np.concatenate([embedding(load_clap(name, untrained=True), sound) for sound in sounds])
    assert np.abs(again - rows).max() < 1e-5
    assert (rows @ rows.T)[~np.eye(3, dtype=bool)].max() < 0.999
    text = clap.embed_text(["rain", "a dog barks"])
    assert text.shape == (2, 512)
    assert np.allclose(np.linalg.norm(text, axis=1), 1, atol=1e-6)
