"""Whoever waits for a cluster is told of it, and not for ever; without Ray itself."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from ldmbench.errors import BenchError
from ldmbench.host.cluster import PATIENCE_S, Cluster, LostError, Remote, Watch
from ldmbench.host.executor import WorkerDiedError


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


class RayError(Exception):
    """What Ray raises for a worker that is lost."""


class Ray:
    """As much of Ray as a driver asks for; ``answers`` says what each reference comes to, and None never comes.

    Waiting takes as long as it is told to, by the test's clock.
    """

    def __init__(self, clock: list[float], answers: Callable[[str], Any]) -> None:
        self.clock, self.answers = clock, answers
        self.asked: list[str] = []
        self.killed: list[object] = []
        self.cancelled: list[str] = []

    def remote(self, **_: object) -> Callable[[Any], Any]:
        return lambda made: SimpleNamespace(
            remote=(lambda *args: SimpleNamespace(here=self.method("here"), do=self.method("do")))
            if isinstance(made, type)
            else lambda function, task, limit: self.reference(str(task))
        )

    def method(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *args: self.reference(f"{name} {args[0]}" if args else name))

    def reference(self, asked: str) -> str:
        self.asked.append(asked)
        return f"{asked} #{len(self.asked)}"

    def wait(self, references: list[str], timeout: float) -> tuple[list[str], list[str]]:
        ready = [item for item in references if self.answers(item.partition(" #")[0]) is not None][:1]
        self.clock[0] += 0.0 if ready else timeout
        return ready, [item for item in references if item not in ready]

    def get(self, reference: str) -> Any:
        answer = self.answers(reference.partition(" #")[0])
        if isinstance(answer, RayError):
            raise answer
        return answer

    def kill(self, actor: object) -> None:
        self.killed.append(actor)

    def cancel(self, reference: str, force: bool) -> None:
        assert force
        self.cancelled.append(reference.partition(" #")[0])

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}}, {"Alive": False, "Resources": {"CPU": 64.0}}]


@pytest.fixture
def on_ray(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[str], Any]], tuple[Cluster, Ray]]:
    exceptions = ModuleType("ray.exceptions")
    vars(exceptions)["RayError"] = RayError
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    monkeypatch.setitem(sys.modules, "ray.exceptions", exceptions)

    def connected(answers: Callable[[str], Any]) -> tuple[Cluster, Ray]:
        cluster, ray = Cluster("head:6379"), Ray(clock, answers)
        cluster._ray = ray
        return cluster, ray

    return connected


Connected = Callable[[Callable[[str], Any]], tuple[Cluster, Ray]]


def test_a_task_that_hangs_ends_the_run_and_not_what_was_done_before_it(on_ray: Connected, clock: list[float]) -> None:
    cluster, ray = on_ray(lambda task: None if task == "c" else (f"done {task}", None))
    done: list[Any] = []
    before = clock[0]
    with pytest.raises(BenchError, match="the cluster does not answer: no answer in 910 s") as error:
        done.extend(cluster.map(str, ["a", "b", "c", "d"], [10.0] * 4))
    assert sorted(done) == [(0, "done a"), (1, "done b"), (3, "done d")]
    assert error.value.exit_code == 1
    assert 910 < clock[0] - before < 930
    assert ray.cancelled == ["c"], "what hangs is ended"


def test_a_task_whose_worker_is_lost_again_and_again_has_failed_and_the_others_go_on(on_ray: Connected) -> None:
    cluster, ray = on_ray(lambda task: RayError("worker died\nadvice") if task == "b" else (task.upper(), None))
    done = dict(cluster.map(str, ["a", "b", "c"]))
    assert (done[0], done[2]) == ("A", "C")
    assert isinstance(done[1], WorkerDiedError)
    assert str(done[1]) == "its worker was lost 6 times (RayError: worker died)"
    assert not ray.cancelled


def test_few_tasks_are_under_way_at_a_time(on_ray: Connected) -> None:
    cluster, ray = on_ray(lambda task: (task, None))
    results = cluster.map(str, [str(number) for number in range(50)])
    next(results)
    assert len(ray.asked) == 4, "two for each CPU of the machines that are there"
    assert isinstance(results, Generator)
    results.close()
    assert len(ray.cancelled) == 3


def test_an_actor_that_hangs_or_is_lost_is_ended_and_made_anew(on_ray: Connected) -> None:
    answers: dict[str, Any] = {"here": True, "do fine": (7, None), "do lost": RayError("node died")}
    cluster, ray = on_ray(lambda asked: answers.get(asked))
    remote = Remote(cluster, dict, gpus=0.5)
    for number, (method, message) in enumerate((("hangs", "no answer in 920 s"), ("lost", "RayError: node died")), 1):
        assert remote.ready()
        assert remote.times_made == number
        assert remote.call("fine") == 7
        with pytest.raises(LostError, match=message):
            remote.call(method, limit=20.0)
        assert len(ray.killed) == number
        with pytest.raises(AssertionError, match="ready comes first"):
            remote.call("fine")
    answers["do wrong"] = None, ValueError("its own")
    assert remote.ready()
    with pytest.raises(ValueError, match="its own"):
        remote.call("wrong")
    assert remote.times_made == 3
    assert len(ray.killed) == 2, "what an object raises is no loss of it"


def test_actors_that_never_start_end_the_run(on_ray: Connected) -> None:
    cluster, ray = on_ray(lambda asked: RayError("no environment"))
    with pytest.raises(BenchError, match="the cluster starts no workers: RayError: no environment"):
        Remote(cluster, dict).ready()
    assert ray.asked == ["here"] * 5
    cluster, ray = on_ray(lambda asked: None)
    looks = iter([False, False, True])
    assert Remote(cluster, dict).ready(lambda: next(looks)) is False
    assert len(ray.killed) == 1, "nobody needs it any more"
