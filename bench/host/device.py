"""Devices that networks run on: whether torch sees the one that was asked for."""

from __future__ import annotations

from ldmbench.errors import BenchError


def check_device(device: str) -> str:
    """``device`` if torch can use it.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ...

    Raises:
        BenchError: If it is not a device, or torch is not there or does not see it.
    """
    try:
        import torch
    except ImportError:
        raise BenchError(f"device {device!r} needs torch", fix="pip install 'ldmbench[models]'") from None
    try:
        asked = torch.device(device)
    except RuntimeError:
        raise BenchError(f"{device!r} is not a device", fix="write cpu, cuda, cuda:1, ...") from None
    if asked.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (asked.index or 0) >= count:
            sees = f"torch sees {count} of them" if count else "torch sees no CUDA device"
            raise BenchError(f"device {device!r} is not available", sees, "use --device cpu")
    return device
