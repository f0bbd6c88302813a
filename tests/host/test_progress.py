"""Progress goes to the error stream: a bar in a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import sys
import time

import pytest

from ldmbench.host.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_last_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("score", 3) as advance:
        for _ in range(3):
            advance(1, "d/a")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("score: 3/3 in ")
    assert err.count("\n") == 1


def test_lines_on_the_way_with_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 11.0, 12.0, 20.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with progress("score", 10) as advance:
        advance(2, "d/a")
        advance(3, "d/b")
        advance(5, "d/c")
    assert capsys.readouterr().err.splitlines() == ["score: 5/10, 11 s left, d/b", "score: 10/10 in 20.0 s"]


@pytest.mark.parametrize(("total", "quiet"), [(3, True), (0, False)])
def test_nothing(capsys: pytest.CaptureFixture[str], total: int, quiet: bool) -> None:
    with progress("score", total, quiet) as advance:
        advance(1, "d/a")
    assert capsys.readouterr() == ("", "")


def test_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("score", 2) as advance:
        advance(1, "d/a")
        advance(1, "d/b")
    assert "score" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


@pytest.mark.parametrize("tty", [True, False])
def test_what_is_raised_inside_comes_out(tty: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal() if tty else io.StringIO())
    with pytest.raises(KeyError, match="mine"), progress("score", 2):
        raise KeyError("mine")
