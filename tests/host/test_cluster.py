"""Whoever waits for a cluster is told of it, and not for ever; without Ray itself."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from ldmbench.errors import BenchError
from ldmbench.host.cluster import PATIENCE_S, Cluster, Watch


class Machines:
    """A cluster whose machines are what a test says."""

    def __init__(self, *machines: dict[str, float]) -> None:
        self.machines = list(machines)

    def _nodes(self) -> list[dict[str, Any]]:
        return [{"Resources": machine} for machine in self.machines]

    def has(self, resource: str) -> float:
        return sum(machine.get(resource, 0.0) for machine in self.machines)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("ldmbench.host.cluster.time.monotonic", lambda: now[0])
    return now


def watch(machines: Machines, resource: str, amount: float, longest: float | None = None) -> Watch:
    return Watch(cast(Cluster, machines), resource, amount, longest)


def look(watched: Watch, clock: list[float], seconds: float, answered: bool = False) -> None:
    """Time goes by in steps of 10 s."""
    for _ in range(int(seconds // 10)):
        clock[0] += 10
        watched.look(answered, "3 tasks")


def test_a_wait_is_told_of_every_minute(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        look(watch(Machines({"CPU": 2.0}, {"CPU": 4.0}), "CPU", 1.0), clock, 300)
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting for 3 tasks for {seconds} s: the cluster has 2 machines with 6 CPU" for seconds in (70, 140, 210, 280)
    ]


def test_answers_are_waited_for_in_silence(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        look(watch(Machines({"CPU": 2.0}), "CPU", 1.0, longest=50.0), clock, 1000, answered=True)
    assert not caplog.records


def test_what_no_machine_has_any_more_is_not_waited_for(clock: list[float]) -> None:
    machines = Machines({"CPU": 2.0}, {"CPU": 2.0, "GPU": 1.0})
    watched = watch(machines, "GPU", 0.5)
    look(watched, clock, 400)
    lost = machines.machines.pop()
    look(watched, clock, PATIENCE_S - 10)
    machines.machines.append(lost)  # It is there again in time.
    look(watched, clock, 400)
    machines.machines.pop()
    with pytest.raises(BenchError, match="no machine of the cluster has a GPU any more: 1 machines are there") as error:
        look(watched, clock, PATIENCE_S + 20)
    assert error.value.exit_code == 1


def test_a_share_must_be_on_one_machine(clock: list[float]) -> None:
    watched = watch(Machines({"GPU": 0.5}, {"GPU": 0.5}), "GPU", 1.0)
    with pytest.raises(BenchError):
        look(watched, clock, PATIENCE_S + 20)


def test_an_answer_that_is_too_late_is_given_up(clock: list[float]) -> None:
    with pytest.raises(TimeoutError, match="no answer in 95 s"):
        look(watch(Machines({"CPU": 2.0}), "CPU", 0.0, longest=95.0), clock, 120)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", "is no address of a cluster"),
        ("127.0.0.1:1", "no Ray cluster at 127.0.0.1:1: .*refused"),
        ("127.0.0.1:99999", "no Ray cluster at"),
    ],
)
def test_where_there_is_no_cluster_nobody_knocks_for_minutes(address: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        Cluster(address).__enter__()
