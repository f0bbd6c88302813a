from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.registry import load_system_card
from tests.golden.make_neural_codecs import DAC, SMALL_DAC, draw, sound
from tests.present import present
from tests.systems.neural_codecs.conftest import as_audio, check_losses, one

torch = pytest.importorskip("torch")


def official() -> dict[str, Any]:
    """A state dictionary with the original's names and shapes, written down from its layers, not from ours."""
    width, rates, latent = SMALL_DAC["encoder_dim"], SMALL_DAC["encoder_rates"], 8 * 2**4
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, outer: int, inner: int, kernel: int, bias: int) -> None:
        shapes[f"{name}.weight_g"] = (outer, 1, 1)
        shapes[f"{name}.weight_v"] = (outer, inner, kernel)
        shapes[f"{name}.bias"] = (bias,)

    def units(name: str, first: int, channels: int) -> None:
        for unit in range(first, first + 3):
            inside = f"{name}.block.{unit}.block"
            shapes[f"{inside}.0.alpha"] = shapes[f"{inside}.2.alpha"] = (1, channels, 1)
            conv(f"{inside}.1", channels, channels, 7, channels)
            conv(f"{inside}.3", channels, channels, 1, channels)

    conv("encoder.block.0", width, 1, 7, width)
    for index, rate in enumerate(rates, 1):
        units(f"encoder.block.{index}", 0, width)
        shapes[f"encoder.block.{index}.block.3.alpha"] = (1, width, 1)
        conv(f"encoder.block.{index}.block.4", 2 * width, width, 2 * rate, 2 * width)
        width *= 2
    shapes["encoder.block.5.alpha"] = (1, width, 1)
    conv("encoder.block.6", latent, width, 3, latent)
    for book in range(SMALL_DAC["n_codebooks"]):
        name = f"quantizer.quantizers.{book}"
        conv(f"{name}.in_proj", 8, latent, 1, 8)
        conv(f"{name}.out_proj", latent, 8, 1, latent)
        shapes[f"{name}.codebook.weight"] = (1024, 8)
    wide = SMALL_DAC["decoder_dim"]
    conv("decoder.model.0", wide, latent, 7, wide)
    for index, rate in enumerate(SMALL_DAC["decoder_rates"], 1):
        shapes[f"decoder.model.{index}.block.0.alpha"] = (1, wide, 1)
        conv(f"decoder.model.{index}.block.1", wide, wide // 2, 2 * rate, wide // 2)
        wide //= 2
        units(f"decoder.model.{index}", 2, wide)
    shapes["decoder.model.5.alpha"] = (1, wide, 1)
    conv("decoder.model.6", 1, wide, 7, 1)
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dac")
    saved = {"state_dict": draw(official()), "metadata": {"kwargs": SMALL_DAC}}
    torch.save(saved, folder / "weights_16khz.pth")
    return folder


@pytest.fixture(scope="module")
def small(codec: Callable[..., Any], weights: Path) -> Any:
    return codec("dac@16khz-3kbps", weights)


@pytest.mark.parametrize("length", DAC)
def test_tokens_and_sound_are_the_packages(length: int, small: Any, golden: Mapping[str, np.ndarray]) -> None:
    """Source: descript-audio-codec 1.0.0 on the same weights, encode and decode."""
    stream = small.encode(as_audio(sound(16_000, length), 16_000))
    np.testing.assert_array_equal(stream.tokens, golden[f"dac_{length}_tokens"])
    made = small.decode(stream)
    assert made.length == length
    expected = golden[f"dac_{length}_sound"]
    np.testing.assert_allclose(made.samples[0, :: max(1, length // 2000)], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [1, 319, 320, 321, 640])
def test_every_length_has_its_last_frame_and_comes_back(length: int, small: Any) -> None:
    """Transformers drops the last frame; the odd stride leaves 8 samples out at the end, and nothing is shifted."""
    stream = small.encode(as_audio(sound(16_000, length), 16_000))
    assert stream.tokens.shape == (6, -(-length // 320))
    assert stream.bits == -(-60 * stream.tokens.shape[1] // 8) * 8
    assert small.decode(stream).length == length
    with torch.no_grad():
        assert len(small.sound(torch.from_numpy(stream.tokens))) == 320 * stream.tokens.shape[1] - 8


def test_fewer_codebooks_are_the_first_of_all(small: Any, codec: Callable[..., Any], weights: Path) -> None:
    audio = as_audio(sound(16_000, 6_001), 16_000)
    every = codec("dac@16khz-6kbps", weights)
    np.testing.assert_array_equal(every.encode(audio).tokens[:6], small.encode(audio).tokens)
    assert every.nominal_kbps == 6.0
    assert not every.model.training


def test_each_channel_can_be_coded_by_itself(codec: Callable[..., Any], weights: Path, small: Any) -> None:
    stereo = as_audio(sound(16_000, 3_000, 2), 16_000)
    clip = Clip("x/a", "x", loaded=stereo)
    (mixed,), (each,) = small.process([clip]), codec("dac@16khz-3kbps:channels=each", weights).process([clip])
    assert (mixed.audio.channels, each.audio.channels) == (1, 2)
    assert (each.bits, each.nominal_kbps) == (2 * mixed.bits, 2 * mixed.nominal_kbps)
    for row, samples, tokens in zip(stereo.samples, each.audio.samples, np.split(each.tokens, 2), strict=True):
        alone = small.encode(Audio(row[None], 16_000))
        np.testing.assert_array_equal(alone.tokens, tokens)
        np.testing.assert_array_equal(small.decode(alone).samples[0], samples)


def test_embeddings_are_means_of_what_the_decoder_gets(small: Any) -> None:
    audio = as_audio(sound(16_000, 6_001), 16_000)
    layers = next(iter(small.embed([Clip("x/a", "x", loaded=audio)])))
    codes = torch.from_numpy(small.encode(audio).tokens)[None]
    with torch.no_grad():
        for name, part in (("all", codes), ("first", codes[:, :1])):
            latent = small.model.quantizer.from_codes(part)[0][0]
            np.testing.assert_allclose(layers[name], latent.mean(dim=1), atol=1e-5)


def test_the_model_with_a_narrow_latent(codec: Callable[..., Any], tmp_path: Path) -> None:
    """The configuration would compute its width."""
    from ldmbench.systems.neural_codecs.dac import DEFAULTS, RELEASES, build

    release = RELEASES["44khz-16kbps"]
    model: Any = build({**DEFAULTS, **release.constructor, "encoder_dim": 4, "decoder_dim": 16})
    assert model.quantizer.quantizers[0].in_proj.in_channels == 128
    assert len(model.quantizer.quantizers) == 18


@pytest.mark.slow
def test_untrained_in_full_size_is_heard_and_its_tokens_vary(codec: Callable[..., Any]) -> None:
    made = codec("dac")
    stream = made.encode(as_audio(sound(44_100, 22_050), 44_100))
    assert stream.tokens.shape == (9, 44)
    assert all(len(set(row)) > 10 for row in stream.tokens.tolist())
    assert 0.01 < made.decode(stream).samples.std() < 0.9
    assert made.parameters == pytest.approx(76.7e6, rel=2e-3)


def test_other_files_are_refused_in_one_line(codec: Callable[..., Any], weights: Path, tmp_path: Path) -> None:
    saved = torch.load(weights / "weights_16khz.pth", weights_only=True)
    torch.save(saved["state_dict"], tmp_path / "weights_16khz.pth")
    with pytest.raises(BenchError, match=r"weights_16khz\.pth is no file of DAC: no metadata\.kwargs"):
        codec("dac@16khz-3kbps", tmp_path)
    torch.save({**saved, "metadata": {"kwargs": {**SMALL_DAC, "n_codebooks": 9}}}, tmp_path / "weights_16khz.pth")
    with pytest.raises(BenchError, match="it has 16000 Hz and 9 codebooks, not 16000 and 12"):
        codec("dac@16khz-3kbps", tmp_path)
    torch.save(
        {**saved, "metadata": {"kwargs": {**SMALL_DAC, "decoder_rates": [2, 4, 5, 8]}}}, tmp_path / "weights_16khz.pth"
    )
    with pytest.raises(BenchError, match=r"DacModel has no such network: rates \[2, 4, 5, 8\] down and \[2"):
        codec("dac@16khz-3kbps", tmp_path)
    half = {key: value for key, value in saved["state_dict"].items() if key != "encoder.block.0.weight_g"}
    torch.save({**saved, "state_dict": half}, tmp_path / "weights_16khz.pth")
    with pytest.raises(BenchError, match=r"1 missing \(encoder\.conv1\.weight\), 1 superfluous \(encoder"):
        codec("dac@16khz-3kbps", tmp_path)
    with pytest.raises(BenchError, match=r"codebooks of .* must be 1 to 12 for 16khz"):
        codec("dac@16khz-3kbps:codebooks=13", weights)


def test_variants_say_what_they_take() -> None:
    from ldmbench.systems.neural_codecs.dac import RELEASES

    card = load_system_card("dac")
    for name, own in card.variants.items():
        settings = {**card.settings, **own}
        release = RELEASES[str(settings["model"])]
        hop = int(np.prod(release.ratios))
        kbps = release.rate / hop * int(settings["codebooks"]) * 10 / 1000
        named = re.search(r"-([\d.]+)kbps$", name)
        assert named
        assert float(named[1]) == pytest.approx(kbps, abs=0.51 if name == "44khz-16kbps" else 0.005)
        (checkpoint,) = card.weights_of(name).values()
        assert checkpoint.file == release.file


def test_lost_frames_are_repeated_in_what_the_network_hears(
    codec: Callable[..., Any], weights: Path, small: Any
) -> None:
    perfect, lossy = (codec(f"dac@16khz-3kbps:loss={loss}", weights) for loss in (0, 30))
    check_losses(small, perfect, lossy, as_audio(sound(16_000, 16_000), 16_000))


def test_a_frame_that_is_lost_is_lost_in_every_channel(codec: Callable[..., Any], weights: Path) -> None:
    """Each channel is then as it is by itself, with the same losses."""
    each, mono = (codec(f"dac@16khz-3kbps:channels={kind},loss=30", weights) for kind in ("each", "mix"))
    stereo = as_audio(sound(16_000, 16_000, 2), 16_000)
    clip = Clip("set/stereo", "set", loaded=stereo).seeded(0)
    heard = one(each, clip)
    assert heard.details["packets"] == 50
    for row, channel in zip(present(heard.audio).samples, stereo.samples, strict=True):
        alone = one(mono, replace(clip, loaded=Audio(channel[None], 16_000)))
        assert alone.details["packets_lost"] == heard.details["packets_lost"]
        np.testing.assert_array_equal(row, present(alone.audio).samples[0])
