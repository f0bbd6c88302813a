"""Fixtures for all tests: homes of their own for cache, data and weights, sounds to work with, and browsers."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from ldmbench.audio.sound import Audio

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver as Chrome

Sound = Callable[..., Audio]

# How long an example takes, or its making, says how busy the machine is.
settings.register_profile("ldmbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ldmbench")


@pytest.fixture(scope="session", autouse=True)
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes the user's homes; the built-in clips are made once for the whole session."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("LDMBENCH_"):
                patch.delenv(name)
        for name in ("cache", "data", "weights"):
            patch.setenv(f"LDMBENCH_{name.upper()}", str(home / name))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield home


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Ctrl-C ends what tests start, also where it is ignored for the tests, as in the background of a script."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tone() -> Sound:
    """``tone(seconds, rate, channels, hz, peak)``: a sine, with another phase in every channel."""

    def make(
        seconds: float = 1.0, rate: int = 16_000, channels: int = 1, hz: float = 440.0, peak: float = 0.5
    ) -> Audio:
        time = np.arange(round(seconds * rate)) / rate
        return Audio.of([peak * np.sin(2 * np.pi * hz * time + phase) for phase in range(channels)], rate)

    return make


@pytest.fixture(scope="session")
def speechlike() -> Sound:
    """``speechlike(seconds, rate, seed)``: a gliding harmonic voice in syllables, with breath between them."""

    def make(seconds: float = 2.0, rate: int = 16_000, seed: int = 0) -> Audio:
        generator = np.random.default_rng(seed)
        time = np.arange(round(seconds * rate)) / rate
        pitch = 120 + 40 * np.sin(2 * np.pi * 0.6 * time + seed)
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        voice = sum(np.sin(k * phase) / k for k in range(1, min(30, int(rate / 2 / 170))))
        syllables = np.clip(np.sin(2 * np.pi * 3.5 * time), 0, None)
        sound = 0.25 * voice * syllables + 0.01 * generator.standard_normal(time.size)
        return Audio.of(sound, rate)

    return make


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """``importable(name, source)`` makes a module that worker processes can import as well."""
    folder = tmp_path / "importable"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def make(name: str, source: str) -> None:
        (folder / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return make


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems and metrics of runs work in this process, where a test can see and change what they do."""
    from ldmbench.runs.generate import generate

    def here(*args: Any, isolate: bool = False, **options: Any) -> list[tuple[str, str]]:
        return generate(*args, **options)

    monkeypatch.setattr("ldmbench.runs.carry_out.generate", here)
    monkeypatch.setattr("ldmbench.runs.carry_out.Apart", nullcontext)
    monkeypatch.setattr("ldmbench.runs.carry_out.crew_of", lambda options: nullcontext())
    monkeypatch.setattr("ldmbench.runs.check.Apart", nullcontext)


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Presses Ctrl-C, which does what it does in a terminal, whatever a test did with it before."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Chrome]]:
    """``browsers(*flags)`` starts a headless Chromium with a profile of its own, which ends with the module's tests."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromium-driver are not installed (apt-get install chromium chromium-driver)")
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    started: list[Chrome] = []

    def start(*flags: str) -> Chrome:
        options = selenium.ChromeOptions()
        options.binary_location = chromium
        for flag in (
            *("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-dev-shm-usage"),
            *("disable-background-networking", "disable-component-update", "disable-sync", "mute-audio"),
            *(f"user-data-dir={tmp_path_factory.mktemp('profile')}", *flags),
        ):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        made: Chrome = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
        started.append(made)
        return made

    yield start
    for made in started:
        made.quit()
