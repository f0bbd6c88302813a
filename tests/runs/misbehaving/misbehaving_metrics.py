"""Metrics that misbehave on the clip ``bad``, each in its way, for ``test_misbehaving_metrics.py``."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from ldmbench.clips.clip import Clip
from ldmbench.errors import Unscored
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import BaseMetric, MetricFacts, ModelMetric
from ldmbench.system.protocol import Output


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Unpicklable(Exception):
    def __init__(self, first: int, second: str) -> None:
        super().__init__(first)
        self.second, self.lock = second, threading.Lock()


class Beyond(BaseException):
    pass


def throw(error: BaseException) -> NoReturn:
    raise error


def change_directory() -> float:
    os.chdir("/")
    return 1.0


def print_everywhere() -> float:
    print("NOISE of a metric", flush=True)
    os.write(1, b"NOISE on the descriptor\n")
    return 1.0


def spin() -> NoReturn:
    while True:
        pass


KINDS: dict[str, Callable[[], Any]] = {
    "error": lambda: throw(ValueError("out of\n luck")),
    "exit": lambda: sys.exit(0),
    "keyboard": lambda: throw(KeyboardInterrupt()),
    "beyond": lambda: throw(Beyond("beyond")),
    "memory": lambda: bytearray(1 << 60),
    "unspeakable": lambda: throw(Unspeakable()),
    "unpicklable": lambda: throw(Unpicklable(1, "b")),
    "surrogates": lambda: throw(ValueError("file \udcff.wav")),
    "escapes": lambda: throw(ValueError("\x1b[31mred\x1b[0m")),
    "leave": lambda: os._exit(0),
    "abort": os.abort,
    "segfault": lambda: faulthandler._sigsegv(),  # type: ignore[attr-defined]
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "sleep": lambda: time.sleep(600),
    "spin": spin,
    "none": lambda: None,
    "text": lambda: "good",
    "nan": lambda: float("nan"),
    "complex": lambda: 1 + 2j,
    "array": lambda: np.ones(3),
    "unscored": lambda: throw(Unscored("nothing to hear")),
    "chdir": change_directory,
    "prints": print_everywhere,
}


class Misbehaving(BaseMetric):
    """1 on every clip but ``bad``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.facts = MetricFacts(f"bad_{kind}", kind)

    def measure(self, clip: Clip, output: Output) -> Any:
        return KINDS[self.kind]() if clip.id.endswith("/bad") else 1.0


class MisbehavingModel(ModelMetric):
    """The same with a model: it hears both clips together."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.facts = MetricFacts(f"model_{kind}", kind, device=True)

    def problem(self) -> str:
        return ""

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Any]:
        return [KINDS[self.kind]() if clip.id.endswith("/bad") else 1.0 for clip in clips]


for _kind in KINDS:
    metrics._registry[f"bad_{_kind}"] = metrics._Entry(lambda *_, kind=_kind: Misbehaving(kind), {}, {})
    metrics._registry[f"model_{_kind}"] = metrics._Entry(lambda *_, kind=_kind: MisbehavingModel(kind), {}, {})
