"""Tasks in one process apart: it keeps what it has, and a task that ends it ends nothing else."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ldmbench.errors import BenchError
from ldmbench.host.apart import Apart, Team
from ldmbench.host.executor import WorkerDiedError
from ldmbench.host.orphans import descendants

SOURCE = """
import os, signal, time
from ldmbench.errors import BenchError

held = []

def work(task):
    kind, value = task
    if kind == "hold":
        held.append(value)
        return os.getpid(), list(held)
    if kind == "error": raise BenchError("what", f"found {value}", "fix", exit_code=3)
    if kind == "local": raise type("Local", (Exception,), {})("nowhere to be found")
    if kind == "result": return lambda: value
    if kind == "leave": os._exit(value)
    if kind == "abort": os.abort()
    if kind == "sleep": time.sleep(value)
    if kind == "killed once":
        if os.path.exists(value): return "second time"
        open(value, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def work(importable: Callable[[str, str], None]) -> Callable[[Any], Any]:
    importable("ldmbench_test_apart", SOURCE)
    work: Callable[[Any], Any] = importlib.import_module("ldmbench_test_apart").work
    return work


def collect(pairs: Iterator[tuple[int, Any]]) -> dict[int, Any]:
    return dict(pairs)


@pytest.fixture
def apart() -> Iterator[Apart]:
    with Apart() as apart:
        yield apart


def test_it_keeps_what_it_has_from_call_to_call(work: Callable[[Any], Any], apart: Apart) -> None:
    first, _ = apart.call(work, ("hold", 1))
    again, held = collect(apart.map(work, [("hold", 2), ("hold", 3)], [9, 9]))[1]
    assert first == again != os.getpid()
    assert held == [1, 2, 3]
    assert apart.ends == 0


def test_what_is_raised_comes_back_and_the_process_stays(work: Callable[[Any], Any], apart: Apart) -> None:
    results = collect(apart.map(work, [("hold", 1), ("error", 5), ("local", 0), ("result", 1), ("hold", 2)]))
    assert isinstance(results[1], BenchError)
    assert (str(results[1]), results[1].exit_code) == ("what: found 5 (fix: fix)", 3)
    assert str(results[2]) == "Local: nowhere to be found"
    assert isinstance(results[3], Exception)
    assert results[4] == (results[0][0], [1, 2])


def test_a_task_that_ends_the_process_or_stalls_is_the_only_one_lost(
    work: Callable[[Any], Any], apart: Apart, tmp_path: Path
) -> None:
    tasks = [("leave", 0), ("hold", 1), ("abort", 0), ("sleep", 60), ("killed once", str(tmp_path / "mark"))]
    results = collect(apart.map(work, tasks, [60, 60, 60, 0.5, 60]))
    for index, message in {0: "exit code 0", 2: "SIGABRT", 3: "took longer than 0.5 s"}.items():
        assert isinstance(results[index], WorkerDiedError)
        assert message in str(results[index])
    assert results[1][1] == [1]
    assert results[4] == "second time"
    assert apart.ends == 4


def test_a_team_works_at_once_and_keeps_its_first(work: Callable[[Any], Any], apart: Apart) -> None:
    first, _ = apart.call(work, ("hold", 0))
    with Team(apart, 2) as team:
        # While one sleeps the other does the rest.
        results = collect(team.map(work, [("sleep", 1.5), *[("hold", 1)] * 6], [60] * 7))
        assert results[0] is None
        held = [results[index] for index in range(1, 7)]
        assert all(not isinstance(result, Exception) for result in held)
        assert len({process for process, _ in held}) == 1
        again = collect(team.map(work, [("hold", 2)]))
        assert again[0][0] == first, "one task is for the first alone"
    assert apart.call(work, ("hold", 3))[0] == first


def test_in_a_team_only_what_ends_a_process_is_lost(work: Callable[[Any], Any], apart: Apart, tmp_path: Path) -> None:
    tasks = [("leave", 3), ("hold", 1), ("error", 5), ("killed once", str(tmp_path / "mark")), ("hold", 1)]
    with Team(apart, 2) as team:
        results = collect(team.map(work, tasks, [60] * 5))
    assert "exit code 3" in str(results[0])
    assert str(results[2]) == "what: found 5 (fix: fix)"
    assert results[3] == "second time"
    assert not any(isinstance(results[index], Exception) for index in (1, 4))


def test_a_team_that_is_left_leaves_nothing(work: Callable[[Any], Any], apart: Apart) -> None:
    before = set(descendants(os.getpid()))
    with Team(apart, 2) as team:
        answers = team.map(work, [("hold", 1), ("sleep", 60), ("sleep", 60)])
        next(answers)
        with pytest.raises(RuntimeError, match="enough"):  # As where a disk is full.
            answers.throw(RuntimeError("enough"))  # type: ignore[attr-defined]
    apart.__exit__()
    deadline = time.monotonic() + 10
    while (left := set(descendants(os.getpid())) - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left
