"""A thread that works off what waits: in order, everything, and an error is heard of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from ldmbench.host.together import MOST, Together


def test_what_waits_is_worked_off_together_and_in_order() -> None:
    busy, go = threading.Event(), threading.Event()
    groups: list[list[int]] = []

    def work(items: list[int]) -> None:
        groups.append(items)
        busy.set()
        go.wait(10)

    with Together(work, lambda _: 0) as together:
        together.put(0)
        busy.wait(10)
        for item in range(1, MOST + 10):
            together.put(item)
        go.set()
    assert groups == [[0], list(range(1, MOST + 1)), list(range(MOST + 1, MOST + 10))]


def test_only_so_many_bytes_wait() -> None:
    go = threading.Event()
    done: list[int] = []

    def work(items: list[int]) -> None:
        go.wait(10)
        done.extend(items)

    with Together(work, lambda size: size, room=100) as together:
        for size in (500, 60, 40):  # A large one is taken when nothing waits, and then fills the room by itself.
            if size == 60:
                assert not done
                threading.Timer(0.05, go.set).start()
            together.put(size)
        assert done[0] == 500, "60 waited until there was room"
    assert done == [500, 60, 40]


def given(work: Callable[[list[int]], None], items: Iterable[int]) -> None:
    with Together(work, lambda _: 0) as together:
        for item in items:
            together.put(item)


def test_an_error_ends_it_and_is_raised() -> None:
    done: list[int] = []

    def work(items: list[int]) -> None:
        if 2 in items:
            raise OSError("full")
        done.extend(items)

    with pytest.raises(OSError, match="full"):
        given(work, [1, *[2] * 10_000])
    assert done in ([1], []), "nothing after the error"


def test_an_error_is_raised_at_the_end_at_the_latest() -> None:
    def work(_: list[int]) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        given(work, [1])


def test_whoever_waits_for_room_hears_of_an_error() -> None:
    """Also of one that is no ``Exception``, as where a library leaves the process."""
    go = threading.Event()
    raised: list[BaseException] = []

    def work(_: list[int]) -> None:
        go.wait(10)
        raise SystemExit(3)

    def fill() -> None:
        try:
            with Together(work, lambda size: size, room=100) as together:
                for size in (90, 90, 90):
                    together.put(size)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    go.set()
    thread.join(10)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [SystemExit]


def test_the_threads_error_is_told_where_the_block_fails_too() -> None:
    def work(_: list[int]) -> None:
        raise OSError("full")

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("another")

    with pytest.raises(OSError, match="full") as caught:
        given(work, broken())
    assert isinstance(caught.value.__context__, ValueError)


def test_what_was_handed_over_is_worked_off_though_the_block_fails() -> None:
    def interrupted() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        given(done.extend, interrupted())
    assert done == [1]
