"""Signals and builders shared by the tests of systems."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.system.protocol import Checks, Output, System
from ldmbench.system.registry import load_adapter, load_system, load_system_card, resolve


def _speech_like(rate: int = 48000, seconds: float = 2.0, seed: int = 0, channels: int = 1) -> Audio:
    """Jittered pulses through formants, in turn with broadband noise bursts; RMS 0.1; channels differ by seed."""
    rows = []
    for channel in range(channels):
        generator = np.random.default_rng([seed, channel])
        count = round(rate * seconds)
        time = np.arange(count) / rate
        wander = scipy.signal.lfilter([1], [1, -0.98], generator.standard_normal(max(1, count // 400)))
        jitter = np.interp(np.arange(count), np.arange(len(wander)) * 400, wander)
        pitch = (125 + 40 * channel) * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * time) + 0.01 * jitter)
        voice = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0) + 0.01 * generator.standard_normal(count)
        for formant, width in ((650, 80), (1200, 100), (2600, 150)):
            radius = np.exp(-np.pi * width / rate)
            poles = [1, -2 * radius * np.cos(2 * np.pi * formant / rate), radius**2]
            voice = scipy.signal.lfilter([1 - radius], poles, voice)
        noise = scipy.signal.lfilter([1, -0.9], [1], generator.standard_normal(count))
        syllables = np.clip(np.sin(2 * np.pi * 3.1 * time) + 0.3, 0, None)
        bursts = np.clip(-np.sin(2 * np.pi * 3.1 * time) - 0.5, 0, None)
        mix = voice / voice.std() * syllables + 0.3 * noise / noise.std() * bursts
        rows.append(0.1 * mix / np.sqrt(np.mean(mix**2)))
    return Audio.of(np.stack(rows), rate)


@pytest.fixture(scope="session")
def speech_like() -> Callable[..., Audio]:
    return _speech_like


def _build(name: str) -> System:
    card = load_system_card(resolve(name).card.name)
    absent = [program for program in card.programs if shutil.which(program) is None]
    if absent:
        pytest.skip(f"program {', '.join(absent)} is not installed")
    adapter = load_adapter(card)
    if isinstance(adapter, Checks) and adapter.available():
        pytest.skip(adapter.available())
    return load_system(resolve(name))


@pytest.fixture(scope="session")
def build() -> Callable[[str], System]:
    """Build a system, or skip where its program is missing."""
    return _build


@pytest.fixture(scope="session")
def through() -> Callable[..., Output]:
    """What a system makes of a sound: ``through(name, audio)``."""

    def run(name: str, audio: Audio, seed: int = 7) -> Output:
        (output,) = _build(name).process([Clip("test/clip", "test", loaded=audio, seed=seed)])
        return output

    return run


@pytest.fixture(scope="session")
def lag() -> Callable[[np.ndarray, np.ndarray], int]:
    """Samples by which the second signal is late, from the peak of the cross-correlation."""

    def find(reference: np.ndarray, decoded: np.ndarray) -> int:
        product = scipy.signal.correlate(decoded.astype(float), reference.astype(float), method="fft")
        return int(np.argmax(product)) - (len(reference) - 1)

    return find


@pytest.fixture(scope="session")
def snr() -> Callable[[np.ndarray, np.ndarray], float]:
    """Signal-to-noise ratio in dB."""

    def ratio(reference: np.ndarray, decoded: np.ndarray) -> float:
        reference, decoded = reference.astype(float), decoded.astype(float)
        return float(10 * np.log10(np.sum(reference**2) / np.sum((reference - decoded) ** 2)))

    return ratio


#: Prints the mebibytes by which the peak of a long input exceeds that of a short one, in a process of its own:
#: what other tests have freed would hide the growth.
_GROWTH = """
import importlib.util, resource, sys
import numpy as np, pytest, torch
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.system.registry import load_system, resolve

path, name, rate, long = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("shrinking", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.slim(pytest.MonkeyPatch())
system = load_system(resolve(name, untrained=True))
peaks = []
for seconds in (20.0, long):
    noise = np.random.default_rng(0).standard_normal((1, round(seconds * rate)), dtype=np.float32)
    noise *= 0.1
    for output in system.process([Clip("x/a", "x", loaded=Audio(noise, rate))]):
        assert abs(output.audio.duration - seconds) < 1e-3
        assert np.isfinite(output.audio.samples[0, -rate:]).all()
        assert output.audio.samples[0, -rate:].std() > 1e-5
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print("GROWTH", peaks[1] - peaks[0])
"""


@pytest.fixture
def growth() -> Callable[[str, str, int, float], float]:
    """``growth(folder, name, rate, seconds)``: MiB more at the peak than for 20 s, of a narrow untrained system.

    The input itself, which the clip holds, is part of it.
    """

    def measure(folder: str, name: str, rate: int, seconds: float) -> float:
        shrinking = Path(__file__).parent / folder / "conftest.py"
        words = [sys.executable, "-c", _GROWTH, str(shrinking), name, str(rate), str(seconds)]
        # Without a fixed threshold the allocator keeps freed blocks, and the peak wanders by hundreds of MiB.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "4194304"}
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        found = float(done.stdout.split()[-1])
        print(found)
        return found

    return measure


@pytest.fixture
def typed(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``typed(task, system, weights)``: a user runs a system on three clips and writes the page; its table as JSON.

    The clips are 3 s at 16 kHz, 10.24 s in stereo at 48 kHz, and 25 s at 44.1 kHz; of an enhancement their input ends
    at 4 kHz.
    """

    def ldmbench(*words: str | Path) -> str:
        command = [sys.executable, "-m", "ldmbench.cli", *map(str, words)]
        environment = {**os.environ, "LDMBENCH_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def run(task: str, system: str, weights: Path) -> dict[str, Any]:
        for name, seconds, rate, channels in (("a", 3.0, 16_000, 1), ("b", 10.24, 48_000, 2), ("c", 25.0, 44_100, 1)):
            audio.write(tmp_path / "clips" / f"{name}.wav", _speech_like(rate, seconds, channels=channels))
        suite = tmp_path / "official.toml"
        datasets = ["builtin-general@4khz"] if task == "enhance" else []
        suite.write_text(
            f'name = "official"\ntitle = "Official files"\ntask = "{task}"\ndatasets = {datasets}\n'
            'metrics = ["mel_dac", "rtf", "peak_memory"]\n'
        )
        words = ("run", suite, "--audio", tmp_path / "clips", "-s", "reference", "-s", system, "--weights", weights)
        table = json.loads(ldmbench(*words, "--out", tmp_path / "runs", "--quiet", "--json"))
        ldmbench("report", tmp_path / "runs" / "official+clips", "--to", "html", "-o", tmp_path / "page")
        assert "UNTRAINED" not in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
        assert table["banners"] == []
        return dict(table)

    return run
