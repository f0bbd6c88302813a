"""One server of the page for all browser tests, started like a user starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.listening.conftest import browsers

__all__ = ["browsers"]


@dataclass
class Served:
    """``ldmbench demo`` as a process."""

    url: str
    folder: Path
    temporary: Path
    process: subprocess.Popen[str]

    @property
    def runs(self) -> Path:
        """Where its runs lie."""
        return self.folder / "runs"


def started(folder: Path, *words: str) -> Served:
    """A server in a folder of its own, with its own folder for temporary files."""
    pytest.importorskip("gradio", reason="gradio is not installed (the extra 'demo')")
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ldmbench.cli", "demo", "--port", "0", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if address := re.search(r"the page is at (http://[^ ;]+)", line):
            return Served(address[1], folder, temporary, process)
    raise AssertionError("".join(lines))


def stopped(served: Served) -> None:
    """End a server as its user's machine does."""
    served.process.terminate()
    served.process.wait(timeout=30)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server that the browser tests share."""
    server = started(tmp_path_factory.mktemp("demo"), "opus@6kbps", "opus@24kbps", "mp3")
    yield server
    stopped(server)
