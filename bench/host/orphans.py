"""No process outlives what started it: ending with the parent, and ending a process with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

#: ``prctl`` options (linux/prctl.h).
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent() -> None:
    """Let the kernel kill this process when the one that started it ends, however that ends (Linux only)."""
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It ended before the kernel knew.
        os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of what its children leave behind, so that ``end_tree`` finds it (Linux only)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_tree(pid: int) -> None:
    """Kill everything that ``pid`` started, its process group if it leads one, and itself."""
    # What is killed first can start nothing anew; what it started meanwhile is found in the next round.
    for _ in range(3):
        started = descendants(pid)
        for child in started:
            _kill(child)
        if not started:
            break
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    _kill(pid)


def descendants(pid: int) -> list[int]:
    """Processes below ``pid`` that still run; none where there is no ``/proc``."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold anything; state and parent follow it.
            state, parent = entry.read_bytes().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(entry.parent.name))
    below: list[int] = []
    todo = [pid]
    while todo:
        more = children.get(todo.pop(), [])
        below += more
        todo += more
    return below


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        # Where it is refused, as in a sandbox, what it would have done is not done.
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
