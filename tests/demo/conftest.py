"""One server of the page for all browser tests, started like a user starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.listening.conftest import browsers

__all__ = ["browsers"]


CHIME_CARD = """
name = "chime"
title = "A chime that takes its time"
tasks = ["generate"]
module = "chime:Chime"
rate = 16000
licence = "CC0"

[settings]
steps = 4
seconds = 1.0
negative = ""
"""

#: Notes when it works in a file beside the card, so that a test can see whether two of them worked at once.
CHIME = """
import hashlib
import time
from pathlib import Path

import numpy as np

from ldmbench.audio.sound import Audio
from ldmbench.host.steps import counted
from ldmbench.system.protocol import Output

LOG = Path(__file__).with_name("chime.log")


class Chime:
    def __init__(self, spec):
        self.card, self.spec = spec.card, spec

    def process(self, clips):
        for clip in clips:
            began = time.time()
            for _ in counted(range(self.spec.settings["steps"]), "step"):
                time.sleep(0.05)
            rate, seconds = self.card.rate, self.spec.settings["seconds"]
            times = np.arange(round(seconds * rate)) / rate
            pitch = 220 + int(hashlib.sha256(clip.text.encode()).hexdigest(), 16) % 440 + clip.seed % 7
            yield Output(Audio.of(0.3 * np.sin(2 * np.pi * pitch * times) * np.exp(-3 * times), rate))
            with LOG.open("a") as handle:
                handle.write(f"{began} {time.time()}\\n")
"""


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
    if find_spec("gradio") is None:  # Its import takes ten seconds.
        pytest.skip("gradio is not installed (the extra 'demo')")
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
    """The server that the browser tests share; when it is gone, so are its temporary files."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "chime.toml").write_text(CHIME_CARD)
    (folder / "chime.py").write_text(CHIME)
    server = started(folder, "opus@6kbps", "opus@24kbps", "mp3", "resample@8khz", "./chime.toml", "--most-mb", "1")
    yield server
    stopped(server)
    assert list(server.temporary.iterdir()) == []
