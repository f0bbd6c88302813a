"""A Ray cluster: work on its machines, done again where these are lost, and never waited for in silence."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from ldmbench.errors import BenchError, describe, one_line
from ldmbench.host.apart import Apart
from ldmbench.host.executor import WorkerDiedError, portable
from ldmbench.host.homes import absolute_homes

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

#: Seconds between two looks at what is waited for, and after which a wait is told of.
_LOOK_S, _TELL_S = 5.0, 60.0

#: Seconds for which the cluster may lack every machine that could do the work, before the run ends.
PATIENCE_S = 120.0

#: Seconds beyond its limit that an answer may take: for a worker to start, to import and to load.
_SLACK_S = 900.0

#: Times that a task is done again whose worker or machine is lost.
_RETRIES = 5

#: Variables that workers have as this process has them, beside those of the homes.
_HANDED_ON = ("PYTHONPATH", "OMP_NUM_THREADS", "HF_HUB_OFFLINE", "HF_HOME")


#: What to do where there is no cluster.
_START = "ray start --head on one machine and ray start --address on the others, or leave --ray out"


class LostError(RuntimeError):
    """What was asked is gone with all it held, as when its machine was switched off; another try may succeed."""


class Cluster:
    """A connection to a Ray cluster, and an ``Executor`` on its CPUs; use as a context manager, in the main thread.

    Its end ends everything that was started through it.

    Args:
        address: ``auto`` for the cluster that this machine belongs to, or ``HOST:PORT`` of its head.

    Raises:
        BenchError: If Ray is not installed, or there is no such cluster.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._ray: Any = None

    def __enter__(self) -> Cluster:
        if "://" in self._address:
            fix = "run this on a machine of the cluster (ray job submit), with --ray auto"
            raise BenchError(f"--ray {self._address} is no address of a cluster", "it is one for clients", fix)
        self._refuse_silent()
        # Read when Ray is imported: no reports to the outside, and no environment made by its own uv.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        try:
            import ray
        except ImportError:
            raise BenchError("--ray needs Ray", "it is not installed", "pip install 'ldmbench[cluster]'") from None
        variables = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(
                address=self._address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": {**variables, **absolute_homes()}},
            )
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise BenchError(f"no Ray cluster at {self._address}", one_line(error), _START) from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self._ray = ray
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # Workers go on after Ctrl-C until their driver leaves.
        self._ray.shutdown()

    def _refuse_silent(self) -> None:
        """Ray itself would knock at a door that nobody opens for minutes."""
        host, _, port = self._address.rpartition(":")
        if not host or not port.isdigit():
            return
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise BenchError(f"no Ray cluster at {self._address}", one_line(error), _START) from None

    def has(self, resource: str) -> float:
        """How much the machines that are there have of ``CPU`` or ``GPU`` together."""
        return sum(float(node["Resources"].get(resource, 0.0)) for node in self._nodes())

    def _nodes(self) -> list[Mapping[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def map(
        self, function: Callable[[T], R], tasks: Sequence[T], limits: Sequence[float] | None = None
    ) -> Iterator[tuple[int, R | Exception]]:
        """Yield one pair for every task as it finishes; few are under way at a time.

        What a task does to its process, and how long it may take, is as with ``Apart``; one whose machine is lost is
        done again.

        Raises:
            BenchError: If no machine is left that could do it, or none answers.
        """
        remote = self._ray.remote(num_cpus=1, max_retries=_RETRIES)(_one_task)
        waiting = deque(range(len(tasks)))
        under_way: dict[Any, int] = {}
        watch = Watch(self, "CPU", 1.0, _SLACK_S + max(limits or (0.0,), default=0.0))
        try:
            while waiting or under_way:
                while waiting and len(under_way) < max(2, 2 * int(watch.amount)):
                    index = waiting.popleft()
                    limit = None if limits is None else limits[index]
                    under_way[remote.remote(function, tasks[index], limit)] = index
                done, _ = self._ray.wait(list(under_way), timeout=_LOOK_S)
                try:
                    watch.look(answered=bool(done), what=f"{len(under_way)} tasks")
                except TimeoutError as error:
                    fix = "what is finished is stored; the same command continues"
                    raise BenchError("the cluster does not answer", str(error), fix, exit_code=1) from None
                for reference in done:
                    yield under_way.pop(reference), self._answer(reference)
        finally:
            for reference in under_way:
                self._ray.cancel(reference, force=True)

    def _answer(self, reference: Any) -> Any:
        from ray.exceptions import RayError

        try:
            result, error = self._ray.get(reference)
        except RayError as lost:
            return WorkerDiedError(f"its worker was lost {_RETRIES + 1} times ({_first_line(lost)})")
        return result if error is None else error


class Remote:
    """An object in a worker of its own somewhere in the cluster, made anew where that is lost.

    Args:
        cluster: Where.
        factory: Makes it there; importable.
        args: For the factory.
        gpus: Share of a GPU that it takes; it takes no CPU, which metrics need.
    """

    def __init__(self, cluster: Cluster, factory: Callable[..., Any], *args: Any, gpus: float = 0.0) -> None:
        self._cluster, self._factory, self._args, self._gpus = cluster, factory, args, gpus
        self._actor: Any = None
        self._failures = 0
        #: How often the object was made: what it was told before the last time is gone.
        self.times_made = 0

    def ready(self, unneeded: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the object is there; False as soon as nobody needs it any more.

        Raises:
            BenchError: If it cannot be made, or no machine is left that could hold it.
        """
        while self._actor is None:
            if unneeded():
                return False
            ray = self._cluster._ray
            options = {"num_cpus": 0, "num_gpus": self._gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
            actor = ray.remote(**options)(_Room).remote(self._factory, self._args)
            try:
                answered = self._wait(actor.here.remote(), None, unneeded)
            except LostError as error:
                self._failures += 1
                if self._failures >= _RETRIES:
                    fix = "see that every machine has the same environment at the same path"
                    raise BenchError("the cluster starts no workers", str(error), fix, exit_code=1) from None
                continue
            if not answered:
                ray.kill(actor)
                return False
            self._actor, self._failures = actor, 0
            self.times_made += 1
        return True

    def call(self, method: str, *args: Any, limit: float | None = None) -> Any:
        """``object.method(*args)``; what it raises is raised here.

        Raises:
            LostError: If its worker was lost, or took ``limit`` seconds and more than it needs to start; the object is
                made anew by the next ``ready``.
        """
        assert self._actor is not None, "ready comes first"
        answer: list[Any] = []
        try:
            self._wait(self._actor.do.remote(method, args), limit, answer=answer)
        except LostError:
            self.end()
            raise
        ((result, error),) = answer
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """End the worker with all that runs in it."""
        actor, self._actor = self._actor, None
        if actor is not None and self._cluster._ray.is_initialized():
            self._cluster._ray.kill(actor)

    def _wait(
        self,
        reference: Any,
        limit: float | None,
        unneeded: Callable[[], bool] = lambda: False,
        answer: list[Any] | None = None,
    ) -> bool:
        from ray.exceptions import RayError

        need = ("GPU", self._gpus) if self._gpus else ("CPU", 0.0)
        watch = Watch(self._cluster, *need, longest=None if limit is None else limit + _SLACK_S)
        while not unneeded():
            done, _ = self._cluster._ray.wait([reference], timeout=_LOOK_S if answer is not None else 0.5)
            if done:
                try:
                    value = self._cluster._ray.get(reference)
                except RayError as error:
                    raise LostError(_first_line(error)) from None
                if answer is not None:
                    answer.append(value)
                return True
            try:
                watch.look(answered=False, what="a worker")
            except TimeoutError as error:
                raise LostError(str(error)) from None
        return False


class Watch:
    """Sees to it that nobody waits for ever in silence.

    Args:
        cluster: That is waited for.
        resource: What the work needs.
        amount: How much of it one machine must have.
        longest: Seconds without an answer, after which there will be none; None for no such limit.
    """

    def __init__(self, cluster: Cluster, resource: str, amount: float, longest: float | None) -> None:
        self._cluster, self._resource, self._needed, self._longest = cluster, resource, amount, longest
        self.amount = cluster.has(resource)
        self._answered = self._able = self._told = self._looked = time.monotonic()

    def look(self, answered: bool, what: str) -> None:
        """Call often while waiting.

        Raises:
            BenchError: If no machine could do it for ``PATIENCE_S``.
            TimeoutError: If it took longer than ``longest``.
        """
        now = time.monotonic()
        if answered:
            self._answered = self._able = self._told = now
        if now - self._looked < _LOOK_S:
            return
        self._looked, self.amount = now, self._cluster.has(self._resource)
        nodes = self._cluster._nodes()
        if any(float(node["Resources"].get(self._resource, 0.0)) >= self._needed for node in nodes):
            self._able = now
        if now - self._able > PATIENCE_S:
            raise BenchError(
                f"no machine of the cluster has a {self._resource} any more",
                f"{len(nodes)} machines are there, waited {PATIENCE_S:.0f} s",
                "what is finished is stored; the same command continues once there is one",
                exit_code=1,
            )
        if self._longest is not None and now - self._answered > self._longest:
            raise TimeoutError(f"no answer in {self._longest:.0f} s")
        if now - self._told > _TELL_S:
            self._told = now
            waited = now - self._answered
            _log.warning(
                "waiting for %s for %.0f s: the cluster has %d machines with %g %s",
                what, waited, len(nodes), self.amount, self._resource,
            )  # fmt: skip


class _Room:
    """The actor: holds one object."""

    def __init__(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._object = factory(*args)

    def here(self) -> bool:
        """Whether it is there."""
        return True

    def do(self, method: str, args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
        """The result of a method, or what it raised as it survives the way back."""
        try:
            return getattr(self._object, method)(*args), None
        except BaseException as error:
            return None, portable(error)


#: The process beside this worker in which tasks run.
_beside: list[Apart] = []


def _one_task(function: Callable[[T], R], task: T, limit: float | None) -> tuple[R | None, Exception | None]:
    """In a worker: a task, in the process beside it, which the worker keeps as long as it lives."""
    if not _beside:
        _beside.append(Apart())
    try:
        return _beside[0].call(function, task, limit=limit), None
    except BaseException as error:
        return None, portable(error)


def _first_line(error: BaseException) -> str:
    """What Ray says, without its paragraphs of advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else describe(error)
