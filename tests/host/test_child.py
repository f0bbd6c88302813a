"""A process that is asked for several things with one question."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

from ldmbench.host.child import Child, ChildEndedError

SOURCE = """
import time

def answers(waits):
    for wait in waits:
        time.sleep(wait)
        yield wait
"""


def test_every_answer_may_take_as_long(importable: Callable[[str, str], None]) -> None:
    importable("ldmbench_test_child", SOURCE)
    answers = importlib.import_module("ldmbench_test_child").answers
    with Child() as child:
        list(child.ask(answers, []))  # The start of the process is not the question's.
        got: list[float] = []
        with pytest.raises(ChildEndedError, match=r"longer than 1\.2 s"):
            got.extend(child.ask(answers, [0.5, 0.5, 0.5, 60], timeout=1.2, each=True))
        assert got == [0.5, 0.5, 0.5], "together they took longer than one may"
        list(child.ask(answers, []))
        with pytest.raises(ChildEndedError, match=r"longer than 0\.6 s"):
            list(child.ask(answers, [0.2] * 5, timeout=0.6))
