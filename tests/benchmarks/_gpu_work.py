"""The measuring half of bench_gpu.py: one system in one precision, or one metric's network, in a process of its own."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.host.memory import peak_memory
from ldmbench.names import Setting, show
from ldmbench.system.card import SystemCard
from ldmbench.system.protocol import Learned, Output, Prepares, System

#: What the text-to-audio systems are asked for, and what recognisers should have heard.
CAPTION = "a dog barks while rain falls on a tin roof"

#: Settings that say how many steps a sampler takes, the first that a card has with a number above 0.
STEPS = ("steps", "tau")

#: Seconds of the clip whose sound is compared with that of a CPU.
SHORT_S = 1.0


@dataclass(frozen=True)
class Task:
    """One process's work.

    Attributes:
        kind: ``reference`` (the short clip on a CPU in float32), ``system`` or ``metric``.
        name: Of the system, or of the metric with its settings.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: Of the system; empty where its card has no such setting.
        steps: Sampling steps; 0 where the card has no such setting.
        seconds: Length of the clips that are timed.
        largest: Largest batch.
        repeats: How often each batch is timed; the fastest counts.
        limit_s: No larger batch is begun that would end later than this after the first.
        folder: Where results are written.
    """

    kind: str
    name: str
    device: str
    precision: str
    steps: int
    seconds: float
    largest: int
    repeats: int
    limit_s: float
    folder: str

    @property
    def short(self) -> Path:
        """Where the sound of the short clip is kept."""
        return Path(self.folder) / f"{self.name.replace('@', '_')}-{self.kind}-{self.precision}.npy"

    def write(self, **row: Any) -> None:
        """Add a line to the results."""
        row = {"kind": self.kind, "name": self.name, "device": self.device, "precision": self.precision, **row}
        with (Path(self.folder) / "gpu.jsonl").open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")

    def to_json(self) -> str:
        """The task as an argument of a process."""
        return json.dumps(asdict(self))


def work(task: Task) -> None:
    """Do one task, writing each result as it comes."""
    if task.kind == "metric":
        _metric(task)
    else:
        _system(task)


def clips_of(card: SystemCard, count: int, seconds: float) -> list[Clip]:
    """Clips for a system: sounds with a caption, low-passed where something has to be restored."""
    condition = Condition(kind="lowpass", cutoff_hz=4000.0) if "enhance" in card.tasks else None
    rate = card.rate or 48_000
    return [
        Clip(f"gpu/{seed}", "gpu", text=CAPTION, language="en", condition=condition, seed=seed,
             loaded=sound(seconds, rate, seed))
        for seed in range(count)
    ]  # fmt: skip


def sound(seconds: float, rate: int, seed: int) -> Audio:
    """Seeded pulsing harmonics and noise, mono."""
    random = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * random.uniform(90, 400) * time_s
    tone = np.sum([np.sin(k * phase) / k for k in range(1, 9)], axis=0)
    return Audio.of(0.1 * tone * (1.2 + np.sin(9 * time_s)) + 0.02 * random.standard_normal(len(time_s)), rate)


def steps_of(card: SystemCard) -> tuple[str, int]:
    """The setting for the number of sampling steps and its usual value; nothing and 0 without a sampler."""
    settings = {**card.settings, **card.variants.get(card.default, {})}
    return next(((key, int(settings[key])) for key in STEPS if int(settings.get(key) or 0) > 0), ("", 0))


def system_name(card: SystemCard, task: Task) -> str:
    """The system's name with the settings that the task wants and its card has."""
    wanted: dict[str, Setting] = {
        steps_of(card)[0]: task.steps,
        "precision": task.precision,
        "batch": task.largest,
        "seconds": 0.0,
    }
    settings = [f"{key}={show(value)}" for key, value in wanted.items() if key in card.settings]
    return card.name + (f":{','.join(settings)}" if settings else "")


def doubled(largest: int) -> Iterator[int]:
    """1, 2, 4, ... up to ``largest``."""
    batch = 1
    while batch <= largest:
        yield batch
        batch *= 2


def _system(task: Task) -> None:
    from ldmbench.system.registry import load_system, load_system_card, resolve

    card = load_system_card(task.name)
    begin = time.perf_counter()
    system = load_system(resolve(system_name(card, task), task.device, untrained=True))
    task.write(
        built_s=time.perf_counter() - begin, parameters=system.parameters if isinstance(system, Learned) else None
    )
    with _alone(task):
        # Of this sound's samples the error is computed; it also warms the device up.
        (short,) = _process(system, _set_up(system, clips_of(card, 1, SHORT_S)))
        np.save(task.short, short.samples)
        if task.kind == "reference":
            return
        _batches(task, system, card)


def _batches(task: Task, system: System, card: SystemCard) -> None:
    import torch

    until, last = time.perf_counter() + task.limit_s, 0.0
    for batch in doubled(task.largest):
        if batch > 1 and time.perf_counter() + 2 * last > until:
            task.write(stopped=f"batch {batch} would not have ended in time")
            return
        clips = _set_up(system, clips_of(card, batch, task.seconds))
        begin = time.perf_counter()
        times = []
        try:
            with peak_memory(task.device) as peak:
                for _ in range(task.repeats):
                    start = time.perf_counter()
                    sounds = _process(system, clips)
                    times.append(time.perf_counter() - start)
        except torch.OutOfMemoryError:
            task.write(stopped=f"batch {batch} does not fit the device's memory")
            return
        last = time.perf_counter() - begin
        made = sum(item.duration for item in sounds)
        task.write(batch=batch, steps=task.steps, seconds=min(times), audio_s=made, peak_bytes=peak())


def _set_up(system: System, clips: list[Clip]) -> list[Clip]:
    """The clips, once the system has seen them: that is never timed."""
    if isinstance(system, Prepares):
        system.setup(clips)
    return clips


def _process(system: System, clips: Sequence[Clip]) -> list[Audio]:
    """The sounds that a system makes of clips together."""
    sounds = [output.audio for output in system.process(clips)]
    assert len(sounds) == len(clips), "one output for every clip"
    return [item for item in sounds if item is not None]


def _metric(task: Task) -> None:
    from ldmbench.metrics._base import load_metric

    metric: Any = load_metric(task.name)
    metric.configure(task.device, None)
    sides = 1 + ("audio" in metric.facts.needs)

    def measure(first: int, count: int) -> float:
        clips = [
            Clip(f"gpu/{seed}", "gpu", text=CAPTION, language="en", loaded=sound(task.seconds, 16_000, 2 * seed))
            for seed in range(first, first + count)
        ]
        outputs = [Output(sound(task.seconds, 16_000, 2 * seed + 1)) for seed in range(first, first + count)]
        start = time.perf_counter()
        values = metric.measure_batch(clips, outputs)
        seconds = time.perf_counter() - start
        faults = [value for value in values if isinstance(value, Exception)]
        if faults:
            raise faults[0]
        return seconds

    begin = time.perf_counter()
    measure(0, 1)
    task.write(built_s=time.perf_counter() - begin)
    with _alone(task), peak_memory(task.device) as peak:
        seconds = measure(1, task.largest)
    task.write(batch=task.largest, sounds=sides * task.largest, seconds=seconds, peak_bytes=peak())


@contextmanager
def _alone(task: Task) -> Iterator[None]:
    """Nothing else is measured on the device meanwhile; others may be built."""
    with (Path(task.folder) / f"{task.device.replace(':', '_')}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
