from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.registry import load_system_card, resolve
from tests.golden.make_neural_codecs import ENCODEC, draw, sound
from tests.systems.neural_codecs.conftest import as_audio, check_losses

torch = pytest.importorskip("torch")


def official(kind: str) -> dict[str, Any]:
    """A state dictionary with the original's names and shapes: those of our network, weight normalisation apart."""
    from ldmbench.systems.neural_codecs.encodec import build

    state = {}
    for key, value in build(kind).state_dict().items():
        key = re.sub(r"^(encoder|decoder)\.layers\.", r"\1.model.", key)
        key = re.sub(r"^quantizer\.layers\.(\d+)\.codebook\.", r"quantizer.vq.layers.\1._codebook.", key)
        # The network's transposed convolutions stand where it upsamples.
        wide = "convtr" if re.match(r"^decoder\.model\.(3|6|9|12)\.(conv|norm)\.", key) else "conv"
        key = re.sub(r"\.conv\.(weight|bias)$", rf".{wide}.{wide}.\1", key)
        key = re.sub(r"\.norm\.(weight|bias)$", rf".{wide}.norm.\1", key)
        if (kind == "24khz" and key.endswith("conv.weight")) or (kind == "24khz" and key.endswith("convtr.weight")):
            state[f"{key}_g"] = value.new_empty([value.shape[0], *[1] * (value.ndim - 1)])
            state[f"{key}_v"] = value
        else:
            state[key] = value
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ldmbench.systems.neural_codecs.encodec import FILES

    folder = tmp_path_factory.mktemp("encodec")
    for kind, file in FILES.items():
        torch.save(draw(official(kind)), folder / file)
    return folder


@pytest.fixture(scope="module")
def codecs(codec: Callable[..., Any], weights: Path) -> dict[str, Any]:
    return {"24khz": codec("encodec@6kbps", weights), "48khz": codec("encodec@48khz-6kbps", weights)}


@pytest.mark.parametrize(("kind", "length"), [(kind, n) for kind, (_, _, lengths) in ENCODEC.items() for n in lengths])
def test_tokens_and_sound_are_the_packages(
    kind: str, length: int, codecs: dict[str, Any], golden: Mapping[str, np.ndarray]
) -> None:
    """Source: encodec 0.1.1 on the same weights."""
    rate, channels, _ = ENCODEC[kind]
    stream = codecs[kind].encode(as_audio(sound(rate, length, channels), rate))
    np.testing.assert_array_equal(stream.tokens, golden[f"encodec_{kind}_{length}_tokens"])
    made = codecs[kind].decode(stream)
    assert made.length == length
    expected = golden[f"encodec_{kind}_{length}_sound"]
    np.testing.assert_allclose(made.samples[:, :: max(1, length // 2000)], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("whole", "rest"), [(1, 161), (1, 320), (2, 1), (2, 200)])
def test_every_length_of_the_last_chunk_works(rest: int, whole: int, codecs: dict[str, Any]) -> None:
    """The package fails at 161 to 320 samples after a whole chunk, transformers also below after two."""
    length = 47_520 * whole + rest
    codec = codecs["48khz"]
    audio = as_audio(sound(48_000, length, 2), 48_000)
    stream = codec.encode(audio)
    made = codec.decode(stream)
    assert made.samples.shape == (2, length)
    assert np.isfinite(made.samples).all()
    assert stream.tokens.shape[1] == sum(-(-min(48_000, length - start) // 320) for start in range(0, length, 47_520))


def test_the_level_is_that_of_the_last_chunk_as_it_is(codecs: dict[str, Any]) -> None:
    """Transformers' feature extractor pads the last chunk, which lowers its level and changes its tokens."""
    audio = as_audio(sound(48_000, 47_520 + 5_000, 2), 48_000)
    _, (_, level) = codecs["48khz"].encode(audio).payload[0]
    assert level == pytest.approx(float(np.sqrt((audio.samples[:, 47_520:].mean(axis=0) ** 2).mean())), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "seconds", "measured"),
    [
        ("encodec@24kbps", 1, 24.0),
        # 150, 150 and 3 frames of 20 bits, each chunk in whole bytes, and three levels of 32 bits.
        ("encodec@48khz-3kbps", 2, (375 + 375 + 8 + 12) * 8 / 2000),
        # As measured with the package, files' headers apart.
        pytest.param("encodec@48khz-6kbps", 10, 6.095, marks=pytest.mark.slow),
    ],
)
def test_bits_are_those_of_the_packages_payload(
    name: str, seconds: int, measured: float, codec: Callable[..., Any]
) -> None:
    made = codec(name)
    channels = 2 if made.rate == 48_000 else 1
    stream = made.encode(as_audio(sound(made.rate, made.rate * seconds, channels), made.rate))
    assert stream.bits / seconds / 1000 == pytest.approx(measured, abs=5e-4)
    assert stream.nominal_kbps == resolve(name).settings["kbps"]
    assert stream.side_bits == (32 * len(stream.payload[0]) if channels == 2 else 0)
    assert stream.tokens.shape[0] == len(stream.codebooks)


def test_layouts(codecs: dict[str, Any]) -> None:
    """24 kHz mixes down; 48 kHz codes mono as two equal channels and gives their mean."""
    stereo = as_audio(sound(48_000, 9_600, 2), 48_000)
    clips = [Clip("x/a", "x", loaded=stereo), Clip("x/b", "x", loaded=stereo.mono())]
    first, second = codecs["48khz"].process(clips)
    assert (first.audio.channels, second.audio.channels) == (2, 1)
    assert "downmix" not in first.details
    both = codecs["48khz"]
    coded = both.encode(stereo.mono())
    np.testing.assert_array_equal(coded.tokens, both.encode(stereo.mono().with_channels(2)).tokens)
    mixed, mono = codecs["24khz"].process(clips)
    assert mixed.details["downmix"] == "mean of 2 channels"
    np.testing.assert_array_equal(mixed.tokens, mono.tokens)


def test_embeddings_are_means_of_what_the_decoder_gets(codecs: dict[str, Any]) -> None:
    audio = as_audio(sound(24_000, 5_000), 24_000)
    codec = codecs["24khz"]
    layers = next(iter(codec.embed([Clip("x/a", "x", loaded=audio)])))
    codes = torch.from_numpy(codec.encode(audio).tokens)
    with torch.no_grad():
        latent = codec.model.quantizer.decode(codes[:, None])[0]
        first = codec.model.quantizer.decode(codes[:1, None])[0]
    np.testing.assert_allclose(layers["all"], latent.mean(dim=1), atol=1e-5)
    np.testing.assert_allclose(layers["first"], first.mean(dim=1), atol=1e-5)


def test_untrained_tokens_vary_and_are_heard(codec: Callable[..., Any]) -> None:
    for name in ("encodec@6kbps", "encodec@48khz-6kbps"):
        made = codec(name)
        audio = as_audio(sound(made.rate, made.rate // 2, len(made.channels)), made.rate)
        stream = made.encode(audio)
        assert all(len(set(row)) > 10 for row in stream.tokens.tolist())
        assert 0.01 < made.decode(stream).samples.std() < 1.0


def test_other_files_and_settings_are_refused_in_one_line(
    codec: Callable[..., Any], weights: Path, tmp_path: Path
) -> None:
    state = torch.load(weights / "encodec_24khz-d7cc33bc.th", weights_only=True)
    torch.save({**state, "extra": torch.zeros(1)}, tmp_path / "encodec_24khz-d7cc33bc.th")
    with pytest.raises(BenchError, match=r"do not fit EnCodec 24khz: keys 1 superfluous \(extra\)"):
        codec("encodec@6kbps", tmp_path)
    with pytest.raises(
        BenchError, match=r"kbps of encodec@6kbps:kbps=5\.0 must be one of 1\.5, 3, 6, 12, 24 for 24khz"
    ):
        codec("encodec@6kbps:kbps=5")
    with pytest.raises(BenchError, match=r"encodec.* missing encodec_24khz-d7cc33bc\.th.*ldmbench fetch encodec@6kbps"):
        codec("encodec@6kbps", tmp_path / "nothing")


def test_the_card_names_the_file_of_each_variant() -> None:
    card = load_system_card("encodec")
    for variant in card.variants:
        (checkpoint,) = card.weights_of(variant).values()
        assert checkpoint.file.startswith("encodec_48khz" if variant.startswith("48khz") else "encodec_24khz")
        assert checkpoint.files[checkpoint.file] == checkpoint.file[-11:-3]


def test_lost_frames_are_repeated_in_what_the_network_hears(
    codec: Callable[..., Any], weights: Path, codecs: dict[str, Any]
) -> None:
    perfect, lossy = (codec(f"encodec@6kbps:loss={loss}", weights) for loss in (0, 30))
    check_losses(codecs["24khz"], perfect, lossy, as_audio(sound(24_000, 12_000), 24_000))


def test_chunks_of_a_second_are_no_packets(codec: Callable[..., Any], weights: Path) -> None:
    with pytest.raises(BenchError, match="has no packets that could be lost: chunks of a second"):
        codec("encodec@48khz-6kbps:loss=5", weights)
