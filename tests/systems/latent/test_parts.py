from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from ldmbench.systems.latent.parts import for_inference
from ldmbench.weights.tensors import seeded


def _layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4))


def test_a_model_for_inference_lets_its_file_go(tmp_path: Path) -> None:
    """Nothing is read from the mapped file any more: its bytes may change."""
    plain = seeded(_layers).eval()
    path = tmp_path / "weights.ckpt"
    torch.save(plain.state_dict(), path)
    image = torch.randn(1, 4, 20, 8, generator=torch.Generator().manual_seed(0))
    for precision, rounding in (("float32", 0.0), ("bfloat16", 0.1)):
        model = _layers()
        model.load_state_dict(torch.load(path, mmap=True, weights_only=True), assign=True)
        mapped = {value.data_ptr() for value in model.state_dict().values()}
        for_inference(model, "cpu", precision)
        assert not model.training
        assert not any(value.requires_grad for value in model.parameters())
        assert not mapped & {value.data_ptr() for value in (*model.parameters(), *model.buffers())}
        assert {value.dtype for value in model.parameters()} == {getattr(torch, precision)}
        output = model(image.to(getattr(torch, precision))).float()
        torch.testing.assert_close(output, plain(image), rtol=0, atol=rounding)


@pytest.mark.parametrize("threads", [1, 2])
def test_normalisation_is_exact_with_any_number_of_threads(threads: int) -> None:
    """Where the channels of one place lie together, torch 2.11 is off by 1e-5 to 3e-4 of these, by what it shares."""
    plain = nn.GroupNorm(8, 32)
    norm = nn.GroupNorm(8, 32)
    for_inference(norm, "cpu")
    images = 3 + torch.randn(1, 32, 256, 128, generator=torch.Generator().manual_seed(0))
    expected = plain.double()(images.double())
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for layout in (torch.contiguous_format, torch.channels_last):
            output = norm(images.contiguous(memory_format=layout))
            torch.testing.assert_close(output.double(), expected, rtol=0, atol=2e-6)
    finally:
        torch.set_num_threads(before)
