"""Residual blocks piece by piece are the plain ones of transformers, to float32 rounding, at every length."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.models.speecht5.modeling_speecht5 import HifiGanResidualBlock

from ldmbench.systems.latent import residual_pieces as pieces
from ldmbench.systems.latent.block_convolution import by_blocks
from ldmbench.systems.latent.parts import untrained_vocoder
from ldmbench.weights.tensors import seeded

#: 3 convolutions of 7 taps with dilations 1, 3 and 5, and 3 without dilation: 3 * (1 + 3 + 5) + 3 * 3.
REACH = 36


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> int:
    """Times of a piece, where only its reach asks for some."""
    monkeypatch.setattr(pieces, "_BYTES", 0)
    return REACH * pieces._LONGER


def _block(taps: int = 7) -> Any:
    plain = seeded(lambda: HifiGanResidualBlock(4, taps, (1, 3, 5), leaky_relu_slope=0.1))
    return plain.requires_grad_(False)


def _noise(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("more", [-280, -1, 0, 1, 36, 37, 288, 1000])
@pytest.mark.parametrize("blocks", [False, True])
def test_same_numbers(short: int, more: int, blocks: bool) -> None:
    """Shorter than a piece, one piece, and pieces of which the last is shorter than the reach, or not."""
    plain, made = _block(), pieces.ResidualPieces(_block())
    if blocks:
        by_blocks(made)
    given = _noise(2, 4, short + more)
    kept = given.clone()
    found, exact = made(given), plain.double()(given.double())
    assert found.shape == given.shape
    assert float((found - exact).abs().max()) < 3e-6 * float(exact.abs().max())
    assert torch.equal(given, kept)


def test_no_layer_sees_more_than_a_piece_and_its_reach(short: int) -> None:
    made = pieces.ResidualPieces(_block())
    lengths: list[int] = []
    for layer in (*made.convs1, *made.convs2):
        layer.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[2]))
    made(_noise(1, 4, 5 * short))
    assert max(lengths) == short + 2 * REACH
    assert len(lengths) == 5 * 6


def test_reach_is_as_far_as_a_time_is_heard() -> None:
    made = pieces.ResidualPieces(_block())
    assert made.reach == REACH
    silent, click = _noise(1, 4, 200), _noise(1, 4, 200)
    click[:, :, 100] += 1
    changed = (made(silent) != made(click)).any(1)[0].nonzero().flatten()
    assert torch.equal(changed, torch.arange(100 - REACH, 101 + REACH))


@pytest.mark.usefixtures("short")
def test_items_of_a_batch_are_bit_equal_to_each_alone() -> None:
    made = pieces.ResidualPieces(_block(3))
    by_blocks(made)
    given = _noise(3, 4, 500)
    together = made(given)
    assert all(torch.equal(together[index], made(given[index, None])[0]) for index in range(3))


def test_a_vocoder_gets_them() -> None:
    small = {"upsample_initial_channel": 32, "model_in_dim": 8, "upsample_rates": [5, 2]}
    vocoder = untrained_vocoder({**small, "upsample_kernel_sizes": [16, 4]})
    by_blocks(vocoder)
    assert {type(block) for block in vocoder.resblocks} == {pieces.ResidualPieces}
