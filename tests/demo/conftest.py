"""One server of the page for all browser tests, started like a user starts it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

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
    """``ldmbench demo`` as a process; ``outside`` hears of it when it speaks to another machine."""

    url: str
    folder: Path
    temporary: Path
    process: subprocess.Popen[str]
    outside: socket.socket

    @property
    def runs(self) -> Path:
        """Where its runs lie."""
        return self.folder / "runs"


#: What tells Gradio and the libraries below it to be silent; the server says so itself.
_SILENT = ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK")


def started(folder: Path, *words: str, before: str = "import ldmbench.cli") -> Served:
    """A server in a folder of its own, with its own folder for temporary files; ``before`` is run in it first."""
    if find_spec("gradio") is None:  # Its import takes ten seconds.
        pytest.skip("gradio is not installed (the extra 'demo')")
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    outside = socket.create_server(("127.0.0.1", 0))
    outside.setblocking(False)
    proxy = f"http://127.0.0.1:{outside.getsockname()[1]}"
    environment = {name: value for name, value in os.environ.items() if name not in _SILENT}
    environment |= {"PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    environment |= {f"{kind}_proxy": proxy for kind in ("http", "https", "all")} | {"no_proxy": "127.0.0.1,localhost"}
    process = subprocess.Popen(
        [sys.executable, "-c", f"{before}; from ldmbench.cli import main; main()", "demo", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if address := re.search(r"the page is at (http://[^ ;]+)", line):
            return Served(address[1], folder, temporary, process, outside)
    raise AssertionError("".join(lines))


def stopped(served: Served) -> None:
    """End a server as its user's machine does: its temporary files are gone, and it spoke to no other machine."""
    served.process.terminate()
    assert served.process.wait(timeout=30) == 130, "as docs/commands.md says of interrupted commands"
    assert list(served.temporary.iterdir()) == []
    with served.outside, pytest.raises(BlockingIOError):
        served.outside.accept()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server that the browser tests share."""
    folder = tmp_path_factory.mktemp("demo")
    chime(folder)
    server = started(
        folder, "opus@6kbps", "opus@24kbps", "mp3", "resample@8khz", "./chime.toml", "--port", "0", "--most-mb", "1"
    )
    yield server
    stopped(server)


def chime(folder: Path) -> None:
    """Write the system that chimes."""
    (folder / "chime.toml").write_text(CHIME_CARD)
    (folder / "chime.py").write_text(CHIME)
