"""Commands as a user starts them: seconds by the wall clock and of processors, and memory of all their processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ldmbench.host.orphans import descendants

#: Seconds between two looks at the memory of all processes.
_LOOK_S = 0.2


@dataclass(frozen=True)
class Used:
    """What a command took.

    Attributes:
        wall: Seconds by the wall clock.
        cpu: Seconds of processors, in all processes together.
        largest: MiB that the largest of its processes held.
        together: MiB that all of them held at once, what they share counted once; looked at five times a second.
    """

    wall: float
    cpu: float
    largest: float
    together: float


@dataclass(frozen=True)
class Tree:
    """A checkout whose command line is started.

    Attributes:
        name: What it is called in the table.
        folder: The checkout.
    """

    name: str
    folder: Path

    def environment(self, cache: Path) -> dict[str, str]:
        """Byte code is kept, as it is of what is installed."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {
            **kept,
            "PYTHONPATH": str(self.folder / "src"),
            "PYTHONPYCACHEPREFIX": str(cache / "bytecode" / self.name),
            "LDMBENCH_CACHE": str(cache / "home" / self.name),
            "OMP_NUM_THREADS": "1",
        }


def trees(beside: Path | None) -> list[Tree]:
    """This checkout, and before it another one where one is named."""
    own = Tree("this", Path(__file__).parents[2])
    return [own] if beside is None else [Tree("other", beside.absolute()), own]


def command(
    tree: Tree, cache: Path, *words: object, stop: Callable[[], bool] | None = None, code: int | None = 0
) -> Used:
    """Start ``ldmbench WORDS`` and wait for its end.

    Args:
        tree: Whose.
        cache: Folder of caches, kept from one command to the next.
        words: What is typed.
        stop: Asked again and again; the command is killed (SIGKILL) when it says so.
        code: The exit code that is expected; None for any.
    """
    return started([sys.executable, "-m", "ldmbench.cli", *map(str, words)], tree.environment(cache), stop, code)


def started(
    words: Sequence[str],
    environment: Mapping[str, str],
    stop: Callable[[], bool] | None = None,
    code: int | None = 0,
) -> Used:
    """Start a command and wait for its end; see ``command``."""
    start = time.perf_counter()
    process = subprocess.Popen(
        words, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    said: list[bytes] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda pipe: said.extend(pipe), args=(process.stderr,), daemon=True)
    reader.start()
    together = 0.0
    looked = 0.0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.perf_counter() - looked > _LOOK_S:
            looked = time.perf_counter()
            together = max(together, sum(map(_proportional, [process.pid, *descendants(process.pid)])))
            if stop is not None and stop():
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.005)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    reader.join(5)
    if code is not None and process.returncode != code:
        raise RuntimeError(f"{words} ended with {process.returncode}: {b''.join(said[-5:]).decode()}")
    return Used(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, together / 1024)


def _proportional(pid: int) -> float:
    """KiB of a process, what it shares with others divided among them; 0 where it cannot be told."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1])
    except OSError:
        pass
    return 0.0


def clips(folder: Path, count: int, seconds: float, rate: int = 16_000) -> Path:
    """A folder of so many clips of noise, 16 bits, mono."""
    import scipy.io.wavfile

    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for index in range(count):
        sound = generator.normal(0, 0.1, round(seconds * rate)).clip(-1, 1)
        scipy.io.wavfile.write(folder / f"{index:06}.wav", rate, (sound * 32767).astype(np.int16))
    return folder


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows in Markdown."""
    lines = [head, ["---"] * len(head), *([_cell(item) for item in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(item: object) -> str:
    if isinstance(item, float):
        return f"{item:.0f}" if abs(item) >= 100 else f"{item:.3g}"
    return str(item)
