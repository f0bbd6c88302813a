"""A system that misbehaves in the way that its clip's text names, for ``test_misbehaving_systems.py``."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.system.card import SystemSpec
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


def good(clip: Clip, **changes: Any) -> Output:
    return replace(Output(clip.audio, bits=100), **changes)


def deep(number: int = 0) -> int:
    return deep(number + 1) + 1


def close_everything() -> None:
    os.closerange(0, 256)
    time.sleep(60)


def fork_and_go_on(clip: Clip) -> Output:
    os.fork()
    return good(clip)


def leave_a_program(clip: Clip) -> Output:
    program = subprocess.Popen(["sleep", "300"])
    return good(clip, details={"pid": program.pid})


def leave_a_program_and_crash() -> None:
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    os.abort()


def change_directory(clip: Clip) -> Output:
    os.chdir("/")
    return good(clip)


def print_everywhere(clip: Clip) -> Output:
    print('{"suite": "nonsense"}', flush=True)
    os.write(1, b"NOISE on the descriptor\n")
    return good(clip)


def lose_the_streams(clip: Clip) -> Output:
    sys.stdout = sys.stderr = None
    return good(clip)


def spoil_the_environment(clip: Clip) -> Output:
    os.environ["LDMBENCH_CACHE"] = "/nowhere"
    np.seterr(all="raise")
    sys.setrecursionlimit(400)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return good(clip)


def never_ending_thread(clip: Clip) -> Output:
    threading.Thread(target=time.sleep, args=(300,)).start()
    return good(clip)


def ring() -> None:
    signal.alarm(1)
    time.sleep(60)


def spin() -> None:
    while True:
        pass


KINDS: dict[str, Callable[[Clip], Any]] = {
    "error": lambda clip: throw(ValueError("out of\n luck")),
    "exit 0": lambda clip: sys.exit(0),
    "exit text": lambda clip: sys.exit("had enough"),
    "keyboard": lambda clip: throw(KeyboardInterrupt()),
    "generator exit": lambda clip: throw(GeneratorExit()),
    "stop iteration": lambda clip: throw(StopIteration()),
    "base exception": lambda clip: throw(Beyond("beyond")),
    "memory": lambda clip: bytearray(1 << 60),
    "recursion": lambda clip: deep(),
    "unspeakable": lambda clip: throw(Unspeakable()),
    "unpicklable": lambda clip: throw(Unpicklable(1, "b")),
    "surrogates": lambda clip: throw(ValueError("file \udcff.wav")),
    "escapes": lambda clip: throw(ValueError("\x1b]0;title\x07\x1b[31mred\x1b[0m\x9b2J")),
    "long message": lambda clip: throw(ValueError("x" * 10**6)),
    "_exit 0": lambda clip: os._exit(0),
    "_exit 3": lambda clip: os._exit(3),
    "abort": lambda clip: os.abort(),
    "segfault": lambda clip: faulthandler._sigsegv(),  # type: ignore[attr-defined]
    "kill": lambda clip: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda clip: os.kill(os.getpid(), signal.SIGTERM),
    "alarm": lambda clip: ring(),
    "close everything": lambda clip: close_everything(),
    "program and crash": lambda clip: leave_a_program_and_crash(),
    "sleep": lambda clip: time.sleep(600),
    "spin": lambda clip: spin(),
    "nothing": lambda clip: None,
    "text": lambda clip: "a sound",
    "array": lambda clip: Output(clip.audio.samples),  # type: ignore[arg-type]
    "no audio": lambda clip: good(clip, audio=None),
    "no samples": lambda clip: good(clip, audio=Audio.of(np.zeros((1, 0)), 16_000)),
    "no channels": lambda clip: good(clip, audio=Audio(np.zeros((0, 3200), np.float32), 16_000)),
    "nan": lambda clip: good(clip, audio=Audio.of([np.nan] * 3200, 16_000)),
    "too long": lambda clip: good(clip, audio=clip.audio.fit(32_000)),
    "70000 channels": lambda clip: good(clip, audio=Audio(np.zeros((70_000, 3200), np.float32), 16_000)),
    "rate of a half": lambda clip: good(clip, audio=Audio(clip.audio.samples, 16_000.5)),  # type: ignore[arg-type]
    "negative bits": lambda clip: good(clip, bits=-1),
    "bits of a book": lambda clip: good(clip, bits=10**400),
    "half a bit": lambda clip: good(clip, bits=1.5),
    "nan bits": lambda clip: good(clip, bits=float("nan")),
    "bits of text": lambda clip: good(clip, bits="many"),
    "details of numpy": lambda clip: good(clip, details={"x": np.int64(1)}),
    "details of nan": lambda clip: good(clip, details={"x": float("nan")}),
    "details of surrogates": lambda clip: good(clip, details={"x": "\udcff"}),
    "details of none": lambda clip: good(clip, details=None),
    "file that is not there": lambda clip: good(clip, path=Path("/nowhere/a.wav")),
    "fork": fork_and_go_on,
    "program": leave_a_program,
    "chdir": change_directory,
    "prints": print_everywhere,
    "no streams": lose_the_streams,
    "environment": spoil_the_environment,
    "thread": never_ending_thread,
}


def _exit_while_building() -> None:
    os._exit(0)


def _killed_once() -> None:
    """By somebody else, the first time: the file that the environment names is there the second time."""
    mark = Path(os.environ["LDMBENCH_TEST_MARK"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


SETUPS: dict[str, Callable[[], Any]] = {
    "killed_once": _killed_once,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: sys.exit(0),
    "_exit": _exit_while_building,
    "abort": os.abort,
    "error": lambda: throw(OSError("no weights")),
    "keyboard": lambda: throw(KeyboardInterrupt()),
}


class Misbehaving:
    """Gives every clip back but those whose text names a kind."""

    def __init__(self, spec: SystemSpec) -> None:
        self.card = spec.card
        if kind := spec.settings["setup"]:
            SETUPS[str(kind)]()

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        for clip in clips:
            if clip.text == "two":
                yield good(clip)
            output = KINDS[clip.text](clip) if clip.text in KINDS else good(clip)
            if output is not None:
                yield output
            while clip.text == "endless":
                yield good(clip)
