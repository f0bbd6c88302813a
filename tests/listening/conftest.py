"""Small packs of every method, and a server that runs one like a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.filters import lowpass
from ldmbench.audio.sound import Audio
from ldmbench.listening.export import Exported, Request, export
from ldmbench.listening.items import Material, from_folders
from ldmbench.listening.pack import Method
from ldmbench.listening.presets import DEFAULTS, load_preset
from ldmbench.listening.stimuli import Treatment
from tests.conftest import Sound

if TYPE_CHECKING:
    pass

RATE = 24_000
SYSTEMS = ("coarse", "late", "dull")
CLIPS = ("ant", "bee", "cat")
SECONDS = 1.25


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, speechlike: Sound) -> Path:
    """``references`` and one folder for each system: quantised, 7 ms late and quieter, low-passed."""
    root = tmp_path_factory.mktemp("listening")
    for seed, name in enumerate(CLIPS):
        reference = speechlike(SECONDS + 0.25 * seed, RATE, seed)
        samples = reference.samples
        audio.write(root / "references" / f"{name}.wav", reference)
        audio.write(root / "coarse" / f"{name}.wav", Audio.of(np.round(samples * 24) / 24, RATE))
        late = 0.4 * np.concatenate([np.zeros((1, 168), np.float32), samples], axis=1)
        noise = 0.003 * np.random.default_rng(seed).standard_normal(late.shape)
        audio.write(root / "late" / f"{name}.wav", Audio.of(late + noise, RATE))
        audio.write(root / "dull" / f"{name}.wav", lowpass(reference, 2000))
    (root / "references" / "clips.csv").write_text(
        'path,text,group\nant.wav,an ant walks,small\nbee.wav,"a bee, ""humming"" & more",small\n'
        "cat.wav,ein Kätzchen,large\n",
        encoding="utf-8",
    )
    return root


@pytest.fixture(scope="session")
def material(folders: Path) -> Material:
    return from_folders([folders / name for name in SYSTEMS], folders / "references")


@pytest.fixture(scope="session")
def make(material: Material) -> Callable[..., Exported]:
    """``make(folder, method, **request)``: a pack of the small material."""

    def pack(
        folder: Path, method: Method = "mushra", preset: str = "", of: Material = material, **wanted: Any
    ) -> Exported:
        # Tests hear sounds for as short as they can.
        chosen = load_preset(preset or DEFAULTS[method]).model_copy(update={"must_hear_s": 0.1})
        wanted = {"items": 2, "organiser": "Ada Müller, Example Lab", "seed": 5, **wanted}
        wanted.setdefault("treatment", Treatment(anchors=chosen.anchors))
        return export(of, Request(method=method, preset=chosen, **wanted), folder)

    return pack


@pytest.fixture(scope="session")
def mushra_pack(tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Exported]) -> Exported:
    """A MUSHRA pack that no test changes."""
    return make(tmp_path_factory.mktemp("packs") / "mushra")


@dataclass
class Served:
    """``ldmbench mushra serve`` as a process."""

    pack: Path
    options: tuple[str, ...] = ()
    url: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self, port: int = 0) -> str:
        command = [
            sys.executable,
            "-m",
            "ldmbench.cli",
            "mushra",
            "serve",
            str(self.pack),
            "--port",
            str(port),
            *self.options,
        ]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        address = re.search(r"http://[^ ]+/", first)
        assert address, first + self._process.stdout.read()
        self.url = address[0]
        return self.url

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].strip("/"))

    def kill(self) -> None:
        """As ``kill -9`` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> tuple[int, str]:
        """As Ctrl-C does; the exit code and what it printed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        # ``communicate`` would lose what was read ahead with the first line.
        assert self._process.stdout is not None
        out = self._process.stdout.read()
        return self._process.wait(timeout=30), out

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


@pytest.fixture
def serving() -> Iterator[Callable[..., Served]]:
    """``serving(pack, *options)`` starts a server that ends with the test."""
    running: list[Served] = []

    def start(pack: Path, *options: str) -> Served:
        served = Served(pack, options)
        running.append(served)
        served.start()
        return served

    yield start
    for served in running:
        served.close()
