"""Journals lose nothing but a torn last line, and have one writer."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ldmbench.errors import BenchError
from ldmbench.runs.journal import Journal, lock, read_journal


def rows(path: Path) -> list[dict[str, Any]]:
    return list(read_journal(path))


def append(path: Path, *batches: list[dict[str, Any]]) -> None:
    journal = Journal(path)
    for batch in batches:
        journal.append(batch)
    journal.close()


def test_appends_and_reads_in_order(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    append(path, [{"a": 1}, {"a": 2}], [], [{"a": "ü\n\u2028"}])
    append(path, [{"a": None}])
    assert rows(path) == [{"a": 1}, {"a": 2}, {"a": "ü\n\u2028"}, {"a": None}]
    assert path.read_bytes().count(b"\n") == 4


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert rows(tmp_path / "none.jsonl") == []


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))
ROWS = st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=5)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=ROWS, second=ROWS, data=st.data())
def test_cut_anywhere_and_continued(
    tmp_path_factory: pytest.TempPathFactory, first: list[Any], second: list[Any], data: st.DataObject
) -> None:
    """Whatever ``kill -9`` leaves of the file, the whole lines count, and what is appended later is read."""
    path = tmp_path_factory.mktemp("cut") / "j.jsonl"
    append(path, first)
    content = path.read_bytes()
    kept = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:kept])
    whole = first[: content[:kept].count(b"\n")]
    assert rows(path) == whole
    append(path, second)
    assert rows(path) == [*whole, *second]


def test_a_long_torn_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    append(path, [{"a": 1}])
    with path.open("ab") as handle:
        handle.write(b'{"a": "' + b"x" * 200_000)
    append(path, [{"a": 2}])
    assert rows(path) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("line", [b'{"a": 1', b"\x00\x00\x00", b'{"a": "\xff"}', b"no json"])
def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"a": 0}\n' + line + b'\n{"a": 2}\n')
    with pytest.raises(BenchError, match=r"j\.jsonl line 2 is not valid JSON: .*remove .* and run it again"):
        rows(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_is_not_json_leaves_the_file_as_it_was(tmp_path: Path, value: object) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append([{"a": 1}])
    with pytest.raises((ValueError, TypeError)):
        journal.append([{"a": 2}, {"a": value}])
    journal.append([{"a": 3}])
    assert rows(tmp_path / "j.jsonl") == [{"a": 1}, {"a": 3}]


class Full:
    """A file on a disk with room for ``room`` more bytes."""

    def __init__(self, handle: Any, room: int) -> None:
        self.handle, self.room = handle, room

    def write(self, data: Any) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.handle.write(data[: self.room])
        self.room -= written
        return int(written)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handle, name)


@pytest.mark.parametrize("room", [0, 1, 10, 5000])
@pytest.mark.parametrize("count", [1, 1000])
def test_all_or_nothing_on_a_full_disk(tmp_path: Path, room: int, count: int) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append([{"a": 1}])
    whole = journal._handle
    journal._handle = Full(whole, room)  # type: ignore[assignment]
    with pytest.raises(BenchError, match=r"cannot write .*j\.jsonl: No space left on device") as caught:
        journal.append(
            [{"row": "x" * 20, "index": index} for index in range(count * 2 if room > 1000 else count)] * 100
        )
    assert caught.value.exit_code == 1
    assert rows(tmp_path / "j.jsonl") == [{"a": 1}]
    journal._handle = whole
    journal.append([{"a": 2}])
    journal.close()
    assert rows(tmp_path / "j.jsonl") == [{"a": 1}, {"a": 2}], "nothing of the failed append may come later"


def test_a_real_limit_in_a_process(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from ldmbench.errors import BenchError\n"
        "from ldmbench.runs.journal import Journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "journal.append([{'a': 1}])\n"
        "for size in (5000, 995):\n"
        "    try: journal.append([{'a': 'x' * size}])\n"
        "    except BenchError as error: print(error)\n"
        "journal.append([{'a': 2}])\n"
        "journal.close()\n"
        # What Python itself writes at the end, such as its measured coverage, is not the journal's.
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
    )
    path = tmp_path / "j.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    line = f"cannot write {path}: File too large (fix: free disk space or choose another --out)\n"
    assert (done.stdout, done.stderr) == (line * 2, "")
    assert rows(path) == [{"a": 1}, {"a": 2}]


def test_interrupted_while_appending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append([{"a": 1}])

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            journal.append([{"a": 2}])
    journal.append([{"a": 3}])
    assert rows(tmp_path / "j.jsonl") == [{"a": 1}, {"a": 3}]


def test_every_append_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def fsync(number: int) -> None:
        synced.append(number)
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    append(tmp_path / "j.jsonl", [{"a": 1}], [{"a": 2}])
    assert len(synced) == 2


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(BenchError, match=r"cannot write .*x: "):
        lock(tmp_path / "x")
    with pytest.raises(BenchError, match=r"cannot write .*j\.jsonl: No such file"):
        Journal(tmp_path / "none" / "j.jsonl")


LOCK = "import sys\nfrom pathlib import Path\nfrom ldmbench.runs.journal import lock\nheld = lock(Path(sys.argv[1]))\n"


def test_one_writer(tmp_path: Path) -> None:
    held = lock(tmp_path / "run")
    words = [sys.executable, "-c", LOCK, str(tmp_path / "run")]
    second = subprocess.run(words, capture_output=True, text=True, check=False)
    assert second.returncode != 0
    last = second.stderr.strip().splitlines()[-1]
    assert last.endswith(f"{tmp_path}/run is in use: another ldmbench writes to it (fix: wait until it is done)")
    with pytest.raises(BenchError, match="is in use"):
        lock(tmp_path / "run")
    held.close()
    assert subprocess.run(words, check=False).returncode == 0


def test_a_killed_writer_holds_no_lock(tmp_path: Path) -> None:
    code = LOCK + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode < 0
    lock(tmp_path).close()


def test_rows_are_plain_json_lines(tmp_path: Path) -> None:
    append(tmp_path / "j.jsonl", [{"a": 0.1, "b": [1, 2]}])
    assert json.loads((tmp_path / "j.jsonl").read_text()) == {"a": 0.1, "b": [1, 2]}
