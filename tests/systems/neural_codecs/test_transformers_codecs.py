"""Codecs whose published folder transformers reads: narrow networks in such a folder, through our adapters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from tests.golden.make_neural_codecs import sound
from tests.systems.neural_codecs.conftest import as_audio

torch = pytest.importorskip("torch")

#: Name, rate, samples of a frame, layers, bits of a token, kbps.
CODECS = [("mimi", 24_000, 1920, 8, 11, 1.1), ("xcodec", 16_000, 320, 8, 10, 4.0)]


def narrow_mimi() -> Any:
    from transformers import MimiConfig, MimiModel

    return MimiModel(
        MimiConfig(
            hidden_size=32, num_filters=4, codebook_dim=8, vector_quantization_hidden_dimension=8, upsample_groups=32,
            num_hidden_layers=1, intermediate_size=32, num_attention_heads=2, num_key_value_heads=2,
        )
    )  # fmt: skip


def narrow_xcodec() -> Any:
    from transformers import DacConfig, HubertConfig, XcodecConfig, XcodecModel

    acoustic = DacConfig(encoder_hidden_size=4, decoder_hidden_size=32, downsampling_ratios=(8, 5, 4, 2))
    acoustic.hidden_size = 16
    semantic = HubertConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    return XcodecModel(XcodecConfig(acoustic_model_config=acoustic, semantic_model_config=semantic))


@pytest.fixture(scope="module")
def official(codec: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The adapters, with narrow networks from folders as their authors publish them."""
    from ldmbench.systems.neural_codecs.network import drawn
    from ldmbench.weights.tensors import seeded

    home = tmp_path_factory.mktemp("weights")
    built = {}
    for name, make in (("mimi", narrow_mimi), ("xcodec", narrow_xcodec)):
        model = drawn(seeded(make))
        generator = torch.Generator().manual_seed(0)
        for key, value in model.named_buffers():
            if key.endswith((".embed", ".embed_sum")):
                value.copy_(torch.randn(value.shape, generator=generator))
        model.save_pretrained(home / name)
        built[name] = codec(name, home)
        assert type(built[name].model) is type(model)
        for key, value in built[name].model.state_dict().items():
            torch.testing.assert_close(value, model.state_dict()[key], rtol=0, atol=0, msg=key)
    return built


@pytest.mark.parametrize(("name", "rate", "hop", "layers", "width", "kbps"), CODECS)
def test_tokens_bits_and_lengths(
    name: str, rate: int, hop: int, layers: int, width: int, kbps: float, official: dict[str, Any]
) -> None:
    for length in (1, hop, hop + 1, 5 * hop - 1):
        stream = official[name].encode(as_audio(sound(rate, length), rate))
        frames = -(-length // hop)
        assert stream.tokens.shape == (layers, frames)
        assert stream.bits == -(-layers * frames * width // 8) * 8
        assert stream.nominal_kbps == pytest.approx(kbps)
        assert official[name].decode(stream).length == length
    assert len({tuple(row) for row in stream.tokens.tolist()}) == layers


@pytest.mark.parametrize("name", [name for name, *_ in CODECS])
def test_words_add_up_to_what_the_decoder_gets(name: str, official: dict[str, Any]) -> None:
    codec = official[name]
    audio = as_audio(sound(codec.rate, 4 * codec.hop), codec.rate)
    codes = torch.from_numpy(codec.encode(audio).tokens)
    layers = next(iter(codec.embed([Clip("x/a", "x", loaded=audio)])))
    with torch.no_grad():
        batch = codes[None] if name == "mimi" else codes[:, None]
        latent = codec.model.quantizer.decode(batch)[0]
    np.testing.assert_allclose(layers["all"], latent.mean(dim=1), atol=1e-5)
    assert not np.allclose(layers["first"], layers["all"])


def test_fewer_codebooks_are_the_first(official: dict[str, Any], codec: Callable[..., Any]) -> None:
    """Of Mimi's 32, papers use 8; transformers' own default is all."""
    audio = as_audio(sound(24_000, 9_600), 24_000)
    every = official["mimi"].model.encode(torch.tensor(audio.samples)[None]).audio_codes[0]
    assert len(every) == 32
    np.testing.assert_array_equal(official["mimi"].encode(audio).tokens, every[:8])
    with pytest.raises(BenchError, match="codebooks of xcodec@4kbps:codebooks=5 must be 1, 2, 3, 4 or 8"):
        codec("xcodec:codebooks=5")


def test_a_folder_that_lacks_a_file_is_named(codec: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"missing config\.json, model\.safetensors.*ldmbench fetch mimi@1\.1kbps"):
        codec("mimi", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate", "hop", "layers", "width", "kbps"), CODECS)
def test_untrained_in_full_size(
    name: str, rate: int, hop: int, layers: int, width: int, kbps: float, codec: Callable[..., Any]
) -> None:
    made = codec(name)
    stream = made.encode(as_audio(sound(rate, hop * 30), rate))
    assert all(len(set(row)) > 10 for row in stream.tokens.tolist())
    assert 0.01 < made.decode(stream).samples.std() < 2.0
