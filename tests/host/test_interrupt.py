"""Ctrl-C ends a run with exit code 130, whatever is being loaded or swallowed when it comes."""

from __future__ import annotations

import contextlib
import importlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ldmbench.audio.sound import Audio, write
from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.host import interrupt
from ldmbench.host.interrupt import Interrupted, interruptible

Press = Callable[[], None]

pytestmark = pytest.mark.usefixtures("ctrl_c")


def test_it_is_raised_at_once(ctrl_c: Press) -> None:
    with pytest.raises(Interrupted), interruptible():
        ctrl_c()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    interrupt.check()


def test_swallowed_is_raised_at_the_next_check(ctrl_c: Press) -> None:
    with contextlib.suppress(Interrupted), interruptible():
        interrupt.check()
        with contextlib.suppress(BaseException):
            ctrl_c()
        with pytest.raises(Interrupted):
            interrupt.check()


@pytest.mark.parametrize("error", [None, BenchError("half of a library cannot be used")])
def test_swallowed_is_raised_at_the_end_at_the_latest(error: BenchError | None, ctrl_c: Press) -> None:
    """In place of an error, which it may have caused; and only once."""

    @interruptible()
    def body() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            ctrl_c()
        if error:
            raise error

    with pytest.raises(Interrupted):
        body()
    with interruptible():
        interrupt.check()


def test_it_stays_ignored_where_it_was(ctrl_c: Press) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptible():
        ctrl_c()
        interrupt.check()


def test_a_thread_changes_nothing() -> None:
    handlers = []

    def body() -> None:
        with interruptible():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


@pytest.mark.parametrize(("kind", "code"), [("Interrupted", 0), ("KeyboardInterrupt", -signal.SIGINT)])
def test_what_was_handled_does_not_end_the_process(kind: str, code: int) -> None:
    """Python's own class does after it left code that ``exec`` runs from a text: why there is another one."""
    lines = [
        "from ldmbench.host.interrupt import Interrupted",
        f"try: exec('raise {kind}')",
        "except KeyboardInterrupt: pass",
    ]
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False).returncode == code


@pytest.mark.parametrize(("stage", "part", "outputs"), [("produce:Producer", "_timed", 0), ("measure", "score", 2)])
def test_a_run_ends_and_stores_nothing_more(
    stage: str,
    part: str,
    outputs: int,
    ctrl_c: Press,
    in_this_process: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tone: Callable[..., Audio],
) -> None:
    """Swallowed while the first clip is at work."""
    for name in "ab":
        write(tmp_path / "clips" / f"{name}.wav", tone())
    name, _, inside = stage.partition(":")
    module: Any = importlib.import_module(f"ldmbench.runs.{name}")
    module = getattr(module, inside) if inside else module
    plainly = getattr(module, part)

    def swallowing(*given: Any) -> Any:
        with contextlib.suppress(KeyboardInterrupt):
            ctrl_c()
        return plainly(*given)

    monkeypatch.setattr(module, part, swallowing)
    words = ["run", "codecs", "--audio", tmp_path / "clips", "-s", "reference", "-m", "snr", "--jobs", 1]
    result = CliRunner().invoke(cli, [*map(str, words), "--out", str(tmp_path / "runs"), "--quiet"])
    assert result.exit_code == 130, result.output
    assert "interrupted: what is finished is stored" in result.stderr
    rows = {path.name: len(path.read_text().splitlines()) for path in (tmp_path / "runs").rglob("*.jsonl")}
    assert (rows.get("outputs.jsonl", 0), rows.get("scores.jsonl", 0)) == (outputs, 0)
