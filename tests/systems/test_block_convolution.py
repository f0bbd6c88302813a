"""Convolutions by blocks are the plain ones, to float32 rounding, at every shape."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ldmbench.systems.latent import block_convolution as blocks
from ldmbench.systems.latent.parts import for_inference, untrained_vocoder
from ldmbench.weights.tensors import seeded


def _filled(module: Any, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    for value in module.parameters():
        value.data.normal_(0.0, 0.2, generator=generator)
    return module.requires_grad_(False)


def _noise(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def _same(fast: Any, plain: Any, given: Any) -> None:
    """As near to the exact sum as float32 is: two dozen roundings of the largest value."""
    exact = plain.double()(given.double())
    plain.float()
    found = fast(given)
    assert found.shape == exact.shape
    assert float((found - exact).abs().max()) < 3e-6 * float(exact.abs().max()) + 1e-7


@pytest.mark.parametrize(
    "form",
    [blocks.toom_cook(6, 3), blocks.toom_cook(2, 3), blocks.toom_cook(4, 5)]
    + [blocks.fourier(outputs, taps) for outputs, taps in ((10, 7), (22, 11), (18, 15), (1, 2), (2, 1))],
)
def test_matrices_are_correlation(form: blocks.Bilinear) -> None:
    rng = np.random.default_rng(0)
    taps, inputs = form.kernel.shape[1], form.before.shape[1]
    kernel, given = rng.standard_normal(taps), rng.standard_normal(inputs)
    found = form.after @ ((form.kernel @ kernel) * (form.before @ given))
    np.testing.assert_allclose(found, np.correlate(given, kernel, "valid"), atol=1e-12)


@pytest.mark.parametrize(("taps", "products"), [(3, 8), (5, 23), (7, 23), (11, 47), (15, 47)])
def test_products_are_fewer_than_of_the_plain_sum(taps: int, products: int) -> None:
    form = blocks.bilinear(taps)
    assert form.kernel.shape == (products, taps)
    assert len(form.after) * taps > 2 * products


def test_too_many_points_and_odd_transforms_are_refused() -> None:
    with pytest.raises(ValueError, match="9 inputs, at most 8"):
        blocks.toom_cook(7, 3)
    with pytest.raises(ValueError, match="9 inputs, must be even"):
        blocks.fourier(7, 3)


@pytest.mark.parametrize("taps", [3, 5, 7, 11, 15])
@pytest.mark.parametrize("dilation", [1, 3, 5])
@pytest.mark.parametrize("time", [1, 18, 131])
def test_one_axis(taps: int, dilation: int, time: int) -> None:
    """Shorter than a block, a whole number of blocks, and neither; two items."""
    plain = _filled(nn.Conv1d(4, 6, taps, dilation=dilation, padding=dilation * (taps // 2)))
    _same(blocks.BlockConvolution(plain), plain, _noise(2, 4, time))


@pytest.mark.parametrize(("time", "bands"), [(1, 1), (6, 16), (47, 5)])
@pytest.mark.parametrize("across", [3, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_two_axes(time: int, bands: int, across: int, bias: bool) -> None:
    plain = _filled(nn.Conv2d(4, 6, (3, across), padding=(1, across // 2), bias=bias))
    _same(blocks.BlockConvolution(plain), plain, _noise(2, 4, time, bands))


@pytest.mark.parametrize("rows", [1, 40, 100])
def test_parts_join_without_a_seam(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """However many blocks are computed at once."""
    monkeypatch.setattr(blocks, "_ROWS", rows)
    monkeypatch.setattr(blocks, "_BYTES", 0)
    line = _filled(nn.Conv1d(4, 6, 7, dilation=3, padding=9))
    _same(blocks.BlockConvolution(line), line, _noise(1, 4, 500))
    plane = _filled(nn.Conv2d(4, 6, 3, padding=1))
    _same(blocks.BlockConvolution(plane), plane, _noise(1, 4, 100, 9))


def test_what_was_computed_before_is_forgotten() -> None:
    """Memory is used again: broken input must not reach another sound."""
    line = blocks.BlockConvolution(_filled(nn.Conv1d(4, 6, 7, dilation=3, padding=9)))
    plane = blocks.BlockConvolution(_filled(nn.Conv2d(4, 6, 3, padding=1)))
    for fast, given in ((line, _noise(1, 4, 131)), (plane, _noise(1, 4, 47, 5))):
        fresh = fast(given)
        for broken in (line, _noise(1, 4, 200)), (plane, _noise(1, 4, 60, 9)):
            assert broken[0](broken[1] * math.nan).isnan().all()
            assert torch.equal(fast(given), fresh)


@pytest.mark.parametrize(("taps", "stride", "padding"), [(16, 5, 5), (16, 4, 6), (12, 6, 3), (4, 2, 1), (3, 3, 0)])
def test_transposed(taps: int, stride: int, padding: int) -> None:
    plain = _filled(nn.ConvTranspose1d(4, 6, taps, stride, padding))
    for time in (1, 2, 37):
        _same(blocks.TransposedConvolution(plain), plain, _noise(2, 4, time))


def test_channels_stay_together() -> None:
    """So that what comes between two convolutions moves nothing."""
    plain = _filled(nn.Conv1d(4, 6, 7, padding=3))
    made = blocks.BlockConvolution(plain)(_noise(2, 50, 4).movedim(-1, 1))
    assert made.movedim(1, -1).is_contiguous()


def test_kernels_stay_in_order() -> None:
    """Whatever their model is told about the channels of its own: matrix products would copy them every time."""
    fast = blocks.BlockConvolution(_filled(nn.Conv2d(4, 6, 3, padding=1)))
    fast.to(memory_format=torch.channels_last)
    assert all(value.is_contiguous() for value in fast.buffers())


def test_replaced_are_those_that_gain() -> None:
    model = nn.ModuleDict(
        {
            "line": nn.Conv1d(4, 4, 11, padding=15, dilation=3),
            "plane": nn.Conv2d(4, 4, 3, padding=1),
            "up": nn.ConvTranspose1d(4, 4, 4, 2, 1),
            "point": nn.Conv2d(4, 4, 1),
            "stride": nn.Conv2d(4, 4, 3, stride=2, padding=1),
            "valid": nn.Conv1d(4, 4, 3),
            "grouped": nn.Conv1d(4, 4, 3, padding=1, groups=4),
            "mirrored": nn.Conv1d(4, 4, 3, padding=1, padding_mode="reflect"),
            "one": nn.Conv1d(4, 1, 7, padding=3),
            "coarse": nn.Conv1d(4, 4, 3, padding=1).half(),
            "elsewhere": nn.Conv1d(4, 4, 3, padding=1, device="meta"),
            "longer": nn.ConvTranspose1d(4, 4, 4, 2, 1, output_padding=1),
        }
    )
    before = {name: value.data_ptr() for name, value in model.state_dict().items()}
    blocks.by_blocks(model)
    kinds = {name: type(part) for name, part in model.items()}
    assert kinds.pop("line") is kinds.pop("plane") is blocks.BlockConvolution
    assert kinds.pop("up") is blocks.TransposedConvolution
    assert set(kinds.values()) == {nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d}
    after = {name: value.data_ptr() for name, value in model.state_dict().items()}
    replaced = {"line.weight", "plane.weight", "up.weight"}
    assert after == {name: place for name, place in before.items() if name not in replaced}


def test_a_whole_vocoder_and_autoencoder() -> None:
    from diffusers import AutoencoderKL

    small = {
        "upsample_initial_channel": 32,
        "model_in_dim": 8,
        "upsample_rates": [5, 2],
        "resblock_kernel_sizes": [3, 7, 11],
    }
    vocoder = untrained_vocoder({**small, "upsample_kernel_sizes": [16, 4], "resblock_dilation_sizes": [[1, 3, 5]] * 3})
    vae = seeded(lambda: AutoencoderKL(1, 1, ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2, (32, 64)))
    mel, spectrogram = _noise(2, 40, 8), _noise(2, 1, 24, 16)
    with torch.inference_mode():
        sound = vocoder(mel)
        latents = vae.encode(spectrogram).latent_dist.mean
        decoded = vae.decode(latents).sample
        blocks.by_blocks(vocoder, vae)
        assert sum(isinstance(part, blocks.BlockConvolution) for part in vocoder.modules()) == 37
        torch.testing.assert_close(vocoder(mel), sound, rtol=0, atol=2e-6 * float(sound.abs().max()))
        torch.testing.assert_close(vae.encode(spectrogram).latent_dist.mean, latents, rtol=0, atol=2e-5)
        torch.testing.assert_close(vae.decode(latents).sample, decoded, rtol=0, atol=2e-5)


def test_items_of_a_batch_are_bit_equal_to_each_alone() -> None:
    fast = blocks.BlockConvolution(_filled(nn.Conv1d(4, 6, 11, padding=5)))
    given = _noise(3, 4, 200)
    alone = torch.cat([fast(item[None]) for item in given])
    assert torch.equal(fast(given), alone)


def test_a_model_for_inference_lets_its_file_go(tmp_path: Path) -> None:
    """Nothing is read from the mapped file any more: its bytes may change."""
    plain = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4))
    path = tmp_path / "weights.ckpt"
    torch.save(_filled(plain).state_dict(), path)
    given = _noise(1, 4, 20, 8)
    for precision, fast in (("float32", True), ("float32", False), ("bfloat16", False)):
        model = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4))
        model.load_state_dict(torch.load(path, mmap=True, weights_only=True), assign=True)
        mapped = {value.data_ptr() for value in model.state_dict().values()}
        for_inference(model, "cpu", precision, blocks=fast)
        assert isinstance(model[0], blocks.BlockConvolution) is fast
        assert not model.training
        assert not mapped & {value.data_ptr() for value in (*model.parameters(), *model.buffers())}
        assert {value.dtype for value in model.parameters()} == {getattr(torch, precision)}
        found = model(given.to(getattr(torch, precision))).float()
        torch.testing.assert_close(found, plain.eval()(given), rtol=0, atol=1e-5 if precision == "float32" else 0.1)
