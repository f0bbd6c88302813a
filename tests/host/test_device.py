"""Devices: what torch sees passes, everything else is one line."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")

from ldmbench.errors import BenchError  # noqa: E402
from ldmbench.host.device import check_device  # noqa: E402


def see(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_what_torch_sees_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, 2)
    for device in ("cpu", "cuda", "cuda:0", "cuda:1"):
        assert check_device(device) == device


@pytest.mark.parametrize(
    ("count", "device", "message"),
    [
        (0, "cuda", r"^device 'cuda' is not available: torch sees no CUDA device \(fix: use --device cpu\)$"),
        (0, "cuda:0", "device 'cuda:0' is not available"),
        (2, "cuda:2", "device 'cuda:2' is not available: torch sees 2 of them"),
        (2, "gpu", "'gpu' is not a device"),
        (2, "cuda:x", "'cuda:x' is not a device"),
        (2, "", "'' is not a device"),
    ],
)
def test_other_devices_are_refused(count: int, device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, count)
    with pytest.raises(BenchError, match=message):
        check_device(device)
