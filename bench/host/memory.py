"""Memory: its peak in a stretch of code, and what to do where there was not enough of it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def peak_memory(device: str = "cpu") -> Iterator[Callable[[], int | None]]:
    """Measure the body; call the yielded function afterwards for the peak in bytes.

    On Linux the kernel's high-water mark of the resident set is reset first and read afterwards, so it is the
    largest amount of memory the whole process held meanwhile. None where the platform cannot tell.
    """
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: int(torch.cuda.max_memory_allocated(device))
        return
    reset = _reset_high_water_mark()
    yield lambda: high_water_mark() if reset else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory was short, of a device or of the machine."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())


def free_memory() -> None:
    """Give back what is held by nobody: torch keeps what it freed, in pieces that may be too small for a smaller batch.

    To be called once the exception, whose traceback holds what was being computed, is gone.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _reset_high_water_mark() -> bool:
    try:
        # proc(5): 5 resets the peak resident set size.
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def high_water_mark() -> int | None:
    """The most bytes that this process has held, since it began or they were last reset; None where nobody tells."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
