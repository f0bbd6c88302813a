from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from tests.golden.make_neural_codecs import HIFICODEC, draw, sound
from tests.systems.neural_codecs.conftest import as_audio

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official file's parts and names, as AcademiCodec's code has them: weight normalisation but for two layers."""
    from ldmbench.systems.neural_codecs.hificodec import RELEASES
    from ldmbench.systems.neural_codecs.hificodec_network import HifiCodecNetwork

    release = RELEASES["16khz"]
    with torch.device("meta"):
        own = HifiCodecNetwork(release.rates, release.kernels).state_dict()
    state = {}
    for key, value in own.items():
        plain = value.ndim == 1 or "embedding" in key or key == "encoder.conv_post.weight"
        if not plain:
            state[f"{key}_g"] = torch.empty([value.shape[0], 1, 1])
        state[key if plain else f"{key}_v"] = torch.empty(value.shape)
    folder = tmp_path_factory.mktemp("hificodec")
    parts = {}
    for name in ("encoder", "quantizer", "generator"):
        parts[name] = draw({key: value for key, value in state.items() if key.startswith(name)}, name)
    torch.save(parts, folder / release.file)
    return folder


@pytest.fixture(scope="module")
def official(codec: Callable[..., Any], weights: Path) -> Any:
    return codec("hificodec@2kbps", weights)


def test_tokens_and_sound_are_academicodecs(official: Any, golden: Mapping[str, np.ndarray]) -> None:
    """Source: yangdongchao/AcademiCodec b6ac134 on the same weights."""
    stream = official.encode(as_audio(sound(16_000, HIFICODEC), 16_000))
    np.testing.assert_array_equal(stream.tokens, golden["hificodec_tokens"])
    made = official.decode(stream)
    np.testing.assert_allclose(made.samples[:, ::2], golden["hificodec_sound"], rtol=0, atol=1e-5)
    assert (stream.nominal_kbps, stream.bits) == (2.0, 480)


@pytest.mark.parametrize("length", [1, 321, 640])
def test_the_last_frame_is_filled_up_and_cut(length: int, official: Any) -> None:
    """The original drops what is behind the last whole frame."""
    stream = official.encode(as_audio(sound(16_000, length), 16_000))
    assert stream.tokens.shape == (4, -(-length // 320))
    assert official.decode(stream).length == length


def test_embeddings_are_means_of_what_the_generator_gets(official: Any) -> None:
    audio = as_audio(sound(16_000, 3_200), 16_000)
    layers = next(iter(official.embed([Clip("x/a", "x", loaded=audio)])))
    with torch.no_grad():
        latent = official.model.quantizer.decode(torch.from_numpy(official.encode(audio).tokens)[None])
    np.testing.assert_allclose(layers["all"], latent[0].mean(dim=1), atol=1e-5)
    assert layers["first"].shape == (512,)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hop", "kbps"), [("24khz-3kbps", 320, 3.0), ("24khz-4kbps", 240, 4.0)])
def test_the_other_models_untrained(name: str, hop: int, kbps: float, codec: Callable[..., Any]) -> None:
    made = codec(f"hificodec@{name}")
    stream = made.encode(as_audio(sound(24_000, hop * 30 + 1), 24_000))
    assert stream.tokens.shape == (4, 31)
    assert stream.nominal_kbps == kbps
    assert all(len(set(row)) > 10 for row in stream.tokens.tolist())
    assert 0.005 < made.decode(stream).samples.std() < 1.0


def test_other_files_are_refused(codec: Callable[..., Any], weights: Path, tmp_path: Path) -> None:
    parts = torch.load(weights / "HiFi-Codec-16k-320d", weights_only=True)
    torch.save({key: value for key, value in parts.items() if key != "quantizer"}, tmp_path / "HiFi-Codec-16k-320d")
    with pytest.raises(BenchError, match="is no file of HiFi-Codec: no 'quantizer' in it"):
        codec("hificodec@2kbps", tmp_path)
    torch.save(parts, tmp_path / "HiFi-Codec-24k-240d")
    with pytest.raises(BenchError, match=r"do not fit HiFi-Codec: keys 2 of another shape"):
        codec("hificodec@24khz-4kbps", tmp_path)
