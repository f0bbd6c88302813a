"""Errors are one line, and survive the way between processes."""

from __future__ import annotations

import pickle

import pytest

from ldmbench.errors import BenchError, Unscored


def test_one_line_with_what_found_and_fix() -> None:
    error = BenchError("the file\n x", "two\nlines", "write\tone")
    assert str(error) == "the file x: two lines (fix: write one)"
    assert (error.what, error.found, error.fix, error.exit_code) == ("the file x", "two lines", "write one", 2)


@pytest.mark.parametrize(
    ("error", "text"),
    [(BenchError("a"), "a"), (BenchError("a", "b"), "a: b"), (BenchError("a", "", "c"), "a (fix: c)")],
)
def test_parts_may_be_left_out(error: BenchError, text: str) -> None:
    assert str(error) == text


def test_pickles_with_all_its_parts() -> None:
    error = pickle.loads(pickle.dumps(BenchError("what", "found", "fix", exit_code=3)))
    assert isinstance(error, BenchError)
    assert (str(error), error.exit_code) == ("what: found (fix: fix)", 3)


def test_unscored_is_not_a_bench_error() -> None:
    assert not issubclass(Unscored, BenchError)
    assert str(pickle.loads(pickle.dumps(Unscored("silent")))) == "silent"
