"""Fetching checkpoints: by address and from the hub, in their place, verified."""

from __future__ import annotations

import hashlib
import sys
import types
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.weights.fetch import fetch_checkpoints
from ldmbench.weights.find import find_file
from ldmbench.weights.record import Checkpoint


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def served(home: Path, name: str, digest: str) -> Checkpoint:
    """A checkpoint of one file, published on this disk."""
    source = home / "server" / "net.pth"
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(b"weights")
    return Checkpoint(title="a network", folder="net", urls={name: source.as_uri()}, files={name: digest})


def test_by_address_it_comes_to_where_it_is_found(home: Path) -> None:
    checkpoint = served(home, "sub/net.pth", sha(b"weights").upper())
    assert fetch_checkpoints([checkpoint]) == home / "weights" / "net"
    assert find_file(checkpoint) == home / "weights" / "net" / "sub" / "net.pth"
    (home / "server" / "net.pth").unlink()  # a second fetch needs nothing
    fetch_checkpoints([checkpoint])


def test_what_was_changed_at_its_source_is_refused(home: Path) -> None:
    with pytest.raises(BenchError, match="not the file that was pinned"):
        fetch_checkpoints([served(home, "net.pth", sha(b"x"))])
    assert not list((home / "weights").rglob("*.pth*"))


@pytest.mark.parametrize("digest", ["", "970ea276"])
def test_nothing_is_downloaded_that_cannot_be_checked(home: Path, digest: str) -> None:
    with pytest.raises(BenchError, match="no SHA-256 to check it by"):
        fetch_checkpoints([served(home, "net.pth", digest)])


@pytest.mark.parametrize("beginning", ["", sha(b"weights")[:8]])
def test_what_nobody_published_a_digest_of_is_pinned_when_it_first_comes(home: Path, beginning: str) -> None:
    checkpoint = served(home, "net.pth", beginning).model_copy(update={"pin_first": True})
    folder = fetch_checkpoints([checkpoint])
    assert (folder / "net.pth.sha256").read_text().split() == [sha(b"weights"), "net.pth"]
    (home / "server" / "net.pth").write_bytes(b"others!")
    fetch_checkpoints([checkpoint])  # what is there is what came first
    (folder / "net.pth").unlink()
    with pytest.raises(BenchError, match=f"not the file that was pinned: SHA-256 {sha(b'others!')}"):
        fetch_checkpoints([checkpoint])
    assert not (folder / "net.pth").exists()


def test_the_beginning_of_a_digest_is_checked_when_it_first_comes(home: Path) -> None:
    checkpoint = served(home, "net.pth", "00000000").model_copy(update={"pin_first": True})
    with pytest.raises(BenchError, match="not the file that was pinned"):
        fetch_checkpoints([checkpoint])
    assert not (home / "weights" / "net" / "net.pth").exists()
    unsafe = checkpoint.model_copy(update={"urls": {"net.pth": "http://example.org/net.pth"}})
    with pytest.raises(BenchError, match="not an https address"):
        fetch_checkpoints([unsafe])


def test_from_the_hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def snapshot_download(**call: object) -> None:
        asked.append(call)
        Path(str(call["local_dir"])).mkdir(parents=True, exist_ok=True)
        Path(str(call["local_dir"]), "net.bin").write_bytes(b"abc")

    hub = types.ModuleType("huggingface_hub")
    hub.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    pinned = Checkpoint(title="Toy", folder="toy", repo="lab/toy", revision="c0ffee", files={"net.bin": sha(b"abc")})
    assert fetch_checkpoints([pinned]) == home / "weights" / "toy"
    assert asked == [
        {"repo_id": "lab/toy", "revision": "c0ffee", "repo_type": "model", "local_dir": home / "weights" / "toy",
         "allow_patterns": ["net.bin"]},
    ]  # fmt: skip
    with pytest.raises(BenchError, match=r"net\.bin is not the official checkpoint of Toy: SHA-256 .*remove it"):
        fetch_checkpoints([pinned.model_copy(update={"files": {"net.bin": sha(b"other")}})])
    with pytest.raises(BenchError, match=r"toy is incomplete after fetching: missing two\.bin"):
        fetch_checkpoints([pinned.model_copy(update={"files": {"two.bin": sha(b"other")}})])
    with pytest.raises(BenchError, match="pins no revision"):
        fetch_checkpoints([Checkpoint(repo="lab/toy")])

    def refuse(**_: object) -> None:
        raise OSError("no route\nto host")

    hub.snapshot_download = refuse  # type: ignore[attr-defined]
    with pytest.raises(BenchError, match=r"^cannot fetch lab/toy: no route to host"):
        fetch_checkpoints([pinned])


def test_the_hub_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BenchError, match=r"pip install 'ldmbench\[models\]'"):
        fetch_checkpoints([Checkpoint(repo="lab/toy", revision="c0ffee")])
