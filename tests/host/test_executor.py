"""Serial and in processes: the same results, and a task that breaks breaks nothing else."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ldmbench.errors import BenchError
from ldmbench.host.executor import Processes, Serial, WorkerDiedError, cores, executor

SOURCE = '''
import os, signal, time
from ldmbench.errors import BenchError

class Odd(Exception):
    """Cannot be unpickled: its constructor wants two arguments, and Exception keeps one."""
    def __init__(self, code, text):
        super().__init__(f"{code} {text}")

def work(task):
    kind, value = task
    if kind == "square": return value * value
    if kind == "error": raise BenchError("what", f"found {value}", "fix", exit_code=3)
    if kind == "odd": raise Odd(7, "bottles")
    if kind == "local": raise type("Local", (Exception,), {})("nowhere to be found")
    if kind == "result": return lambda: value
    if kind == "die": os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit": os._exit(3)
    if kind == "die once":
        if os.path.exists(value): return "second time"
        open(value, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "threads": return {name: os.environ.get(name) for name in value}
    if kind == "pid": return os.getpid()
    if kind == "note":
        with open(value, "a") as handle: handle.write("x")
        return os.getpid()
    if kind == "sleep":
        time.sleep(value)
        return value
'''


@pytest.fixture
def work(importable: Callable[[str, str], None]) -> Callable[[Any], Any]:
    importable("ldmbench_test_work", SOURCE)
    work: Callable[[Any], Any] = importlib.import_module("ldmbench_test_work").work
    return work


def collect(pairs: Any) -> dict[int, Any]:
    found = list(pairs)
    results = dict(found)
    assert len(results) == len(found), "one pair for every task"
    return results


def generator(pairs: Iterator[Any]) -> Generator[Any, None, None]:
    """What ``map`` returns, as what can be closed."""
    assert isinstance(pairs, Generator)
    return pairs


def test_the_same_results_in_order_here_and_there(work: Any) -> None:
    tasks = [("square", number) for number in range(9)]
    assert list(Serial().map(work, tasks)) == [(number, number**2) for number in range(9)]
    assert collect(Processes(2).map(work, tasks)) == {number: number**2 for number in range(9)}


def test_a_task_that_fails_does_not_stop_the_others(work: Any) -> None:
    tasks = [("square", 1), ("error", 5), ("odd", 0), ("local", 0), ("result", 1), ("square", 2)]
    here = collect(Serial().map(work, tasks))
    there = collect(Processes(2).map(work, tasks))
    for results in (here, there):
        assert (results[0], results[5]) == (1, 4)
        assert isinstance(results[1], BenchError)
        assert (str(results[1]), results[1].exit_code) == ("what: found 5 (fix: fix)", 3)
    assert type(here[2]).__name__ == "Odd"
    # What cannot come back as it is comes back by name, and is not taken for a dead worker.
    assert str(there[2]) == "Odd: 7 bottles"
    assert str(there[3]) == "Local: nowhere to be found"
    assert isinstance(there[4], Exception)
    assert not any(isinstance(result, WorkerDiedError) for result in there.values())


@pytest.mark.parametrize("end", ["die", "exit"])
def test_a_dead_worker_takes_only_its_own_task_along(work: Any, end: str) -> None:
    tasks = [("square", 0), (end, 0), *(("square", number) for number in range(2, 8))]
    results = collect(Processes(2).map(work, tasks))
    dead = results.pop(1)
    assert isinstance(dead, WorkerDiedError)
    assert "segmentation fault or out of memory" in str(dead)
    assert results == {0: 0, **{number: number**2 for number in range(2, 8)}}


def test_a_worker_that_dies_once_is_given_another_chance(work: Any, tmp_path: Path) -> None:
    tasks = [("die once", str(tmp_path / "mark")), ("square", 3)]
    assert collect(Processes(2).map(work, tasks)) == {0: "second time", 1: 9}


def test_few_tasks_are_in_flight(work: Any, tmp_path: Path) -> None:
    """Nothing is computed far ahead of what is taken, so memory does not grow with the number of tasks."""
    tasks = [("note", str(tmp_path / "count")) for _ in range(40)]
    pairs = generator(Processes(2).map(work, tasks))
    next(pairs)
    time.sleep(0.3)
    assert len((tmp_path / "count").read_text()) <= 4
    pairs.close()


def test_closing_ends_the_workers(work: Any) -> None:
    pairs = generator(Processes(2).map(work, [("pid", 0), ("sleep", 60), ("sleep", 60), ("sleep", 60)]))
    _, pid = next(pairs)
    assert isinstance(pid, int)
    assert multiprocessing.active_children()
    start = time.monotonic()
    pairs.close()
    assert time.monotonic() - start < 10
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not multiprocessing.active_children()


def test_workers_have_one_thread_each_and_this_process_keeps_its_own(
    work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    results = collect(Processes(2).map(work, [("threads", names)] * 2))
    assert results == dict.fromkeys(range(2), dict.fromkeys(names, "1"))
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_no_tasks(work: Any) -> None:
    assert list(Serial().map(work, [])) == list(Processes(2).map(work, [])) == []


def test_an_interrupt_here_is_not_a_result(work: Any) -> None:
    def interrupt(task: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Serial().map(interrupt, [1, 2]))


@pytest.mark.parametrize(("jobs", "tasks", "expected"), [(1, 9, 0), (4, 1, 0), (4, 0, 0), (4, 3, 3), (2, 9, 2)])
def test_processes_only_where_they_pay(jobs: int, tasks: int, expected: int) -> None:
    chosen = executor(jobs, tasks)
    assert getattr(chosen, "jobs", 0) == expected
    assert isinstance(chosen, Processes if expected else Serial)


def test_cores() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
