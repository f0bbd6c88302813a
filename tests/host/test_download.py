from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ldmbench.clips.fetch import fetch_dataset
from ldmbench.errors import BenchError
from ldmbench.host.download import download
from ldmbench.host.homes import cache_home, data_home, file_digest, only_one, weights_home
from tests.present import present

CONTENT = bytes(range(256)) * 20_000  # 5.12 MB: more than one block


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, with ranges or without, and cuts the connection after ``cuts[0]`` bytes."""

    requests: list[str | None]
    cuts: list[int]
    ranges = True

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        type(self).requests.append(wanted)
        if self.path != "/file.bin":
            self.send_error(404)
            return
        first = int(present(re.fullmatch(r"bytes=(\d+)-", wanted))[1]) if wanted and self.ranges else 0
        if first >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        body = CONTENT[first:]
        if self.cuts:
            body = body[: type(self).cuts.pop(0)]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Handler]]]:
    handler = type("Fresh", (Handler,), {"requests": [], "cuts": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as http_server:
        thread = threading.Thread(target=functools.partial(http_server.serve_forever, 0.01))
        thread.start()
        yield f"http://127.0.0.1:{http_server.server_port}", handler
        http_server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LDMBENCH_DATA", "LDMBENCH_WEIGHTS", "LDMBENCH_DATASETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_homes_follow_the_environment(homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_home() == homes
    assert data_home() == homes / "data"
    assert weights_home() == homes / "weights"
    monkeypatch.setenv("LDMBENCH_DATA", str(tmp_path / "d"))
    monkeypatch.setenv("LDMBENCH_WEIGHTS", "~/w")
    assert data_home() == tmp_path / "d"
    assert weights_home() == Path.home() / "w"
    monkeypatch.delenv("LDMBENCH_CACHE")
    assert cache_home() == Path.home() / ".cache" / "ldmbench"


def test_download_once_and_tell_how_far(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = server
    told: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "file.bin"
    for _ in range(2):
        download(f"{url}/file.bin", target, sha(CONTENT).upper(), lambda have, total: told.append((have, total)))
    assert target.read_bytes() == CONTENT
    assert handler.requests == [None]  # the second call asked for nothing
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [have for have, _ in told] == sorted(have for have, _ in told)
    assert os.listdir(target.parent) == ["file.bin"]  # noqa: PTH208 - hidden files count


def test_cut_connections_are_resumed(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = server
    handler.cuts = [3_000_000, 1_000_000]
    download(f"{url}/file.bin", tmp_path / "file.bin", sha(CONTENT))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert handler.requests == [None, "bytes=3000000-", "bytes=4000000-"]


def test_an_earlier_part_is_continued(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = server
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1234])
    download(f"{url}/file.bin", tmp_path / "file.bin", sha(CONTENT))
    assert handler.requests == ["bytes=1234-"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = server
    handler.ranges = False
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1234)
    download(f"{url}/file.bin", tmp_path / "file.bin", sha(CONTENT))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_whole_part_only_needs_its_name(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, _ = server
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    download(f"{url}/file.bin", tmp_path / "file.bin", sha(CONTENT))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"x" * 1234, b"x" * (len(CONTENT) + 5)])
def test_a_part_of_another_file_is_thrown_away(server: tuple[str, type[Handler]], tmp_path: Path, part: bytes) -> None:
    url, handler = server
    (tmp_path / "file.bin.part").write_bytes(part)
    download(f"{url}/file.bin", tmp_path / "file.bin", sha(CONTENT))
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert handler.requests == [f"bytes={len(part)}-", None]


def test_a_connection_that_gives_nothing_is_an_error(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = server
    handler.cuts = [2_000_000, 0]
    with pytest.raises(BenchError, match="connection lost at 2000000 of 5120000 bytes"):
        download(f"{url}/file.bin", tmp_path / "file.bin", sha(CONTENT))
    assert (tmp_path / "file.bin.part").stat().st_size == 2_000_000  # kept for the next call


def test_wrong_checksum_names_both_and_keeps_nothing(server: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, _ = server
    with pytest.raises(BenchError) as caught:
        download(f"{url}/file.bin", tmp_path / "file.bin", "0" * 64)
    assert sha(CONTENT) in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert not list(tmp_path.glob("file.bin*"))


@pytest.mark.parametrize("start", [b"", b"earlier part"])
def test_404_is_one_line(server: tuple[str, type[Handler]], tmp_path: Path, start: bytes) -> None:
    url, _ = server
    if start:
        (tmp_path / "x.part").write_bytes(start)
    with pytest.raises(BenchError, match=r"^cannot download http://\S+/none: HTTP 404 Not Found \(fix: .*\)$"):
        download(f"{url}/none", tmp_path / "x", sha(CONTENT))


def test_no_network_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(BenchError, match=r"^cannot download \S+: Connection refused \(fix: check the network"):
        download(f"http://127.0.0.1:{port}/x", tmp_path / "x", sha(CONTENT))


def test_files_work_and_other_schemes_do_not(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc")
    assert download((tmp_path / "a.bin").as_uri(), tmp_path / "b.bin", sha(b"abc")).read_bytes() == b"abc"
    with pytest.raises(BenchError, match="No such file"):
        download((tmp_path / "none.bin").as_uri(), tmp_path / "c.bin", sha(b"abc"))
    with pytest.raises(BenchError, match="not an https, http or file address"):
        download("ftp://example.org/x", tmp_path / "c.bin", sha(b"abc"))
    with pytest.raises(BenchError, match="no SHA-256 to check it by"):
        download((tmp_path / "a.bin").as_uri(), tmp_path / "c.bin", "")


def dataset_card(root: Path, source: str, rows: str = "a,wavs/a.wav\n") -> None:
    (root / "toy").mkdir(parents=True)
    (root / "toy/test.csv").write_text("id,path\n" + rows)
    digest = sha((root / "toy/test.csv").read_bytes())
    (root / "toy/card.toml").write_text(
        f'name = "toy"\ntitle = "Toy"\ncontent = "speech"\nlicence = "CC0-1.0"\nurl = "https://example.org/toy"\n'
        f'[source]\n{source}\n[splits]\ntest = {{ list = "test.csv", sha256 = "{digest}" }}\n'
    )


def test_dataset_from_an_archive(homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tarfile

    (tmp_path / "wavs").mkdir()
    (tmp_path / "wavs/a.wav").write_bytes(b"sound")
    with tarfile.open(tmp_path / "toy.tar.gz", "w:gz") as rolled:
        rolled.add(tmp_path / "wavs", "wavs")
    url = (tmp_path / "toy.tar.gz").as_uri()
    digest = sha((tmp_path / "toy.tar.gz").read_bytes())
    monkeypatch.setenv("LDMBENCH_DATASETS", str(tmp_path / "cards"))
    dataset_card(tmp_path / "cards", f'kind = "archive"\nurl = "{url}"\nsha256 = "{digest}"')
    assert fetch_dataset("toy") == homes / "data" / "toy"
    assert (homes / "data/toy/wavs/a.wav").read_bytes() == b"sound"
    (tmp_path / "toy.tar.gz").unlink()  # a second fetch needs nothing
    assert fetch_dataset("toy") == homes / "data" / "toy"


def test_dataset_archive_without_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "toy.zip", "w") as packed:
        packed.writestr("other.wav", b"sound")
    digest = sha((tmp_path / "toy.zip").read_bytes())
    monkeypatch.setenv("LDMBENCH_DATASETS", str(tmp_path / "cards"))
    source = f'kind = "archive"\nurl = "{(tmp_path / "toy.zip").as_uri()}"\nsha256 = "{digest}"'
    dataset_card(tmp_path / "cards", source)
    with pytest.raises(BenchError, match=r"toy is incomplete after fetching: wavs/a.wav"):
        fetch_dataset("toy")


def test_dataset_that_must_be_obtained_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDMBENCH_DATASETS", str(tmp_path / "cards"))
    dataset_card(tmp_path / "cards", 'kind = "folder"\nenv = "TOY_ROOT"')
    with pytest.raises(BenchError, match=r"cannot be fetched.*https://example.org/toy and set TOY_ROOT"):
        fetch_dataset("toy")


def test_file_digest_is_remembered_until_the_file_changes(
    homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"abc")
    long_ago = time.time() - 100
    with monkeypatch.context() as patch:
        patch.setattr("ldmbench.host.homes.time.time", lambda: long_ago + 200)
        assert file_digest(file) == sha(b"abc")
    with monkeypatch.context() as patch:
        patch.setattr("ldmbench.host.homes.sha256", lambda path: pytest.fail(f"{path} was read again"))
        assert file_digest(file) == sha(b"abc")
    kept = file.stat()
    file.write_bytes(b"abd")
    os.utime(file, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # same size, same time of modification
    assert file_digest(file) == sha(b"abd")
    file.write_bytes(b"abe")  # perhaps within one tick of the clock: the new content must be seen
    assert file_digest(file) == sha(b"abe")
    (note,) = (homes / "digests").iterdir()
    note.write_text("{torn")
    assert file_digest(file) == sha(b"abe")
    with pytest.raises(BenchError, match="cannot be read"):
        file_digest(tmp_path / "none")


def test_file_digest_without_a_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").write_text("a file where the cache should be")
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "taken"))
    (tmp_path / "a.bin").write_bytes(b"abc")
    os.utime(tmp_path / "a.bin", (1, 1))
    assert file_digest(tmp_path / "a.bin") == sha(b"abc")


def test_one_process_at_a_time() -> None:
    order: list[str] = []

    def second() -> None:
        with only_one("task"):
            order.append("second")

    with only_one("task"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
