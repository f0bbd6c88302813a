"""Progress of long work: a bar with rate and time left in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two plain lines.
_EVERY = 10.0

#: Called with the number of items done since the last call, and with what is being worked on.
Advance = Callable[[int, str], None]


@contextmanager
def progress(title: str, total: int, quiet: bool = False) -> Iterator[Advance]:
    """Show ``title`` with ``total`` items on the standard error stream while the body runs.

    Args:
        title: What is being done.
        total: Number of items.
        quiet: Show nothing.
    """
    if quiet or total == 0:
        yield lambda count, text: None
    elif sys.stderr.isatty():
        yield from _bar(title, total)
    else:
        yield from _lines(title, total)


@contextmanager
def transfer(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a download; the yielded function takes the bytes there are and the bytes there will be (None: unknown)."""
    if sys.stderr.isatty():
        yield from _transfer_bar(title)
        return
    shown = time.monotonic()

    def tell(done: int, total: int | None) -> None:
        nonlocal shown
        if time.monotonic() - shown >= _EVERY:
            shown = time.monotonic()
            whole = f"/{total / 1e6:.0f}" if total else ""
            print(f"{title}: {done / 1e6:.0f}{whole} MB", file=sys.stderr, flush=True)

    yield tell


def _transfer_bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn(title), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _bar(title: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[item]}"),
    )
    start = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(title, total=total, item="", rate="")

        def advance(count: int, text: str) -> None:
            done = bar.tasks[0].completed + count
            rate = f"{done / max(time.monotonic() - start, 1e-6):.1f}/s"
            bar.update(task, advance=count, item=text, rate=rate)

        yield advance
        bar.update(task, item="")


def _lines(title: str, total: int) -> Iterator[Advance]:
    start = shown = time.monotonic()
    done = 0

    def advance(count: int, text: str) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if now - shown >= _EVERY:
            shown = now
            left = (now - start) / max(done, 1) * (total - done)
            print(f"{title}: {done}/{total}, {left:.0f} s left, {text}", file=sys.stderr, flush=True)

    yield advance
    print(f"{title}: {done}/{total} in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
