"""A small but realistic set of runs: three families, anchors, three datasets, a failed clip, an unscored one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import MetricFacts, RecordedMetric
from ldmbench.reports import page
from ldmbench.reports.published import Published, PublishedValue
from ldmbench.runs.identity import VERSION
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow, Status
from ldmbench.runs.results import Run
from ldmbench.system.card import Role
from tests.present import present

TITLE = "Classical codecs & a k-means mel codec"
PUBLISHED = Published(
    (PublishedValue("Opus 12", "opus@12kbps", 12.0, "builtin-speech", "visqol_audio", 3.41, "Doe 2024, table 2"),)
)

RATE = 16_000
CLIPS = 4
SECONDS = 3.0
EVIL = "<script>alert(1)</script> \"quoted\" & 'single' </script>"

FACTS = (
    MetricFacts("kbps", "Bitrate", unit="kbit/s", better="neither", needs=("bits",), kind="ratio", digits=2),
    MetricFacts("visqol_audio", "ViSQOL", better="higher", digits=2, source="doi:10.1109/QoMEX48832.2020.9123150"),
    MetricFacts("mel_dac", "Mel distance", better="lower", digits=3),
    MetricFacts("pesq_wb", "PESQ-WB", better="higher", digits=2, content=("speech",)),
    MetricFacts("rtf", "RTF", better="lower", needs=("cost",), timed=True, digits=3),
)

#: label -> (kbps, quality 0..1, cut-off Hz)
SYSTEMS = {
    "reference": (None, 1.0, 8000),
    "opus@6kbps": (6.1, 0.42, 4000),
    "opus@12kbps": (12.2, 0.66, 6000),
    "opus@24kbps": (24.5, 0.84, 8000),
    "opus@64kbps": (66.0, 0.95, 8000),
    "mp3@8kbps": (8.0, 0.25, 3000),
    "mp3@16kbps": (16.0, 0.48, 5000),
    "mp3@32kbps": (32.0, 0.74, 7000),
    "mp3@64kbps": (64.0, 0.91, 8000),
    "kmeans-mel@0.35kbps": (0.35, 0.08, 8000),
    "kmeans-mel@0.70kbps": (0.70, 0.14, 8000),
    "kmeans-mel@1.40kbps": (1.40, 0.21, 8000),
    "lowpass@3.5khz": (None, 0.5, 3500),
}

#: Of the systems that are not ranked.
ROLES: dict[str, Role] = {"reference": "reference", "lowpass@3.5khz": "anchor"}

DATASETS = (
    DatasetInfo("builtin-speech", "Built-in speech", "speech", "a" * 64, ("16 kHz", "synthesised")),
    DatasetInfo("builtin-music", "Built-in music", "music", "b" * 64),
    DatasetInfo("builtin-general", "Built-in sounds", "general", "c" * 64),
)


@pytest.fixture(autouse=True, scope="module")
def fake_metrics() -> Iterator[None]:
    metrics._import_all()
    with pytest.MonkeyPatch.context() as patch:
        for facts in FACTS:
            patch.setitem(
                metrics._registry, facts.name, metrics._Entry(lambda *_, facts=facts: RecordedMetric(facts), {}, {})
            )
        yield


def tone(index: int, cut: float, noise: float, peak: float = 0.6) -> Audio:
    """A gliding harmonic tone with pauses ``[1, time]``, low-passed at ``cut`` Hz with noise on top."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    phase = 2 * np.pi * np.cumsum(140 + 30 * index + 60 * np.sin(2 * np.pi * (0.7 + 0.2 * index) * time)) / RATE
    signal = sum(np.sin(k * phase) / k for k in range(1, 40)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time))
    spectrum = np.fft.rfft(signal)
    spectrum[np.fft.rfftfreq(time.size, 1 / RATE) > cut] = 0
    signal = np.fft.irfft(spectrum, time.size)
    signal = peak * signal / np.abs(signal).max()
    return Audio.of(signal + noise * np.random.default_rng(index).standard_normal(time.size), RATE)


def make_clips(folder: Path) -> tuple[ClipInfo, ...]:
    """The planned clips; with audio in ``folder``."""
    clips = []
    for d, dataset in enumerate(DATASETS):
        for index in range(CLIPS):
            path = folder / "references" / dataset.name / f"clip-{index:02}.wav"
            audio.write(path, tone(d * CLIPS + index, 8000, 0.0))
            text = EVIL if (d, index) == (1, 2) else f"Sentence {index} of {dataset.title}, spoken slowly."
            clips.append(
                ClipInfo(
                    f"{dataset.name}/clip-{index:02}", dataset.name, str(path), text=text,
                    group=("voice-a", "voice-b")[index % 2],
                )
            )  # fmt: skip
    return tuple(clips)


def make_run(folder: Path, system: str, clips: tuple[ClipInfo, ...], with_audio: bool = True) -> Run:
    kbps, quality, cut = SYSTEMS[system]
    rng = np.random.default_rng(sum(map(ord, system)))
    names = tuple(facts.name for facts in FACTS)
    info = RunInfo(
        id=f"{abs(hash_of(system)):016x}", suite="quickstart", system=system, title=system.split("@")[0].title(),
        task="codec", settings={"bitrate": kbps}, seed=1, untrained=False, limit=0,
        identity={"version": str(VERSION), "code": "0f" * 16}, datasets=DATASETS, clips=clips, metrics=names,
        environment={"python": "3.11.7", "command": "ldmbench run quickstart", "numpy": "2.4.6"},
        created="2026-01-02T03:04:05Z",
        role=ROLES.get(system, "system"),
    )  # fmt: skip
    outputs, scores = {}, {}
    for index, clip in enumerate(clips):
        if system == "mp3@8kbps" and index == 1:
            outputs[clip.id] = OutputRow(clip.id, "failed", "encoder said: <b>8 kHz</b> not supported")
            continue
        name = f"audio/{index:02}.wav" if with_audio else ""
        if with_audio:
            loud = system == "opus@6kbps" and index == 0
            audio.write(folder / system / name, tone(index, cut, 0.03 * (1 - quality), 1.4 if loud else 0.6))
        bits = None if kbps is None else round(kbps * 1000 * SECONDS)
        outputs[clip.id] = OutputRow(
            clip.id, "ok", audio=name, digest=f"{index:064x}", rate=RATE, channels=1, seconds_audio=SECONDS,
            bits=bits, seconds=0.02,
        )  # fmt: skip
        wobble = 0.05 * float(rng.standard_normal())
        for facts in FACTS:
            value: float | list[float] | None = None
            status: Status = "ok"
            message = ""
            if not facts.applies_to(next(d.content for d in DATASETS if d.name == clip.dataset)):
                continue
            if facts.name == "kbps":
                value = None if bits is None else [bits / 1000, SECONDS]
                status, message = ("ok", "") if bits is not None else ("unscored", "no bits")
            elif facts.name == "visqol_audio":
                value = min(4.73, 1 + 3.73 * (quality + wobble))
            elif facts.name == "mel_dac":
                value = 4 * (1 - quality) + abs(wobble)
            elif facts.name == "pesq_wb":
                value = 1 + 3.6 * quality + wobble
                if system == "kmeans-mel@0.35kbps" and index == 2:
                    value, status, message = None, "unscored", "the output is silent"
            else:
                value = 0.01 + abs(wobble) / 10
            scores[clip.id, facts.name] = ScoreRow(clip.id, facts.name, 1, status, value, message, f"{index:064x}")
    return Run(folder / system, info, outputs, scores)


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[:8].ljust(8, b"\0"), "big") >> 4


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipInfo, ...]:
    return make_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, clips: tuple[ClipInfo, ...]) -> list[Run]:
    """All systems, without output audio."""
    folder = tmp_path_factory.mktemp("runs")
    return [make_run(folder, system, clips, with_audio=False) for system in SYSTEMS]


@pytest.fixture(scope="module")
def sounding_runs(tmp_path_factory: pytest.TempPathFactory, clips: tuple[ClipInfo, ...]) -> list[Run]:
    """All systems, with output audio on disk."""
    folder = tmp_path_factory.mktemp("sounding")
    return [make_run(folder, system, clips) for system in SYSTEMS]


@pytest.fixture(scope="module")
def evil() -> str:
    """The text of one clip, that must never be taken for markup."""
    return EVIL


@pytest.fixture
def change() -> Callable[..., Run]:
    """A run with other facts: ``change(run, limit=2)``."""
    return lambda run, **facts: Run(run.path, replace(run.info, **facts), run.outputs, run.scores)


@pytest.fixture(scope="module")
def written(sounding_runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "out"
    return page.write_page(sounding_runs, folder, TITLE, published=PUBLISHED, anchor="opus", max_clips=3)


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return written.read_text(encoding="utf-8")


def embedded(html: str) -> dict[str, Any]:
    script = present(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL))
    data: dict[str, Any] = json.loads(script[1])
    return data
