"""Checkpoints: where they are looked for, what is refused, and that every key is named."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")

from ldmbench.extractors.official import fetch_extractor, fetchable  # noqa: E402
from ldmbench.weights.checkpoint import Checkpoint, CheckpointError  # noqa: E402

from ldmbench.errors import BenchError  # noqa: E402
from ldmbench.weights.tensors import fit, read_checkpoint, untrained  # noqa: E402

CONTENT = b"weights"
OFFICIAL = Checkpoint(
    "a network", "net", "net.pth", "https://example.org/net.pth", hashlib.sha256(CONTENT).hexdigest(), 7
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_it_is_found_in_the_weights_home_a_folder_its_subfolder_or_by_name(home):
    usual, deep, flat = (put(home / place / "net.pth") for place in ("weights/net", "a/net", "b"))
    assert OFFICIAL.find() == usual
    assert OFFICIAL.find(home / "a") == deep
    assert OFFICIAL.find(home / "b") == flat
    other = put(home / "c" / "mine.pth")
    assert OFFICIAL.find(other) == other


def test_missing_ones_are_named_with_place_and_address(home):
    with pytest.raises(CheckpointError, match=r"net\.pth of a network is missing.*weights/net.*example\.org"):
        OFFICIAL.find()
    put(home / "weights" / "net" / "net.pth")
    with pytest.raises(CheckpointError, match="is missing"):
        OFFICIAL.find(home / "elsewhere")


def test_another_file_is_refused_by_digest_unless_allowed(home):
    right, wrong = put(home / "right.pth"), put(home / "wrong.pth", b"other weights")
    assert OFFICIAL.verify(right) == OFFICIAL.sha256
    with pytest.raises(CheckpointError, match=r"wrong\.pth is not the official .* of a network.*official=false"):
        OFFICIAL.verify(wrong)
    assert OFFICIAL.verify(wrong, official=False) == hashlib.sha256(b"other weights").hexdigest()


def test_the_beginning_of_a_digest_is_enough_where_no_more_is_published(home):
    short = Checkpoint("a network", "net", "net.pth", "https://example.org", OFFICIAL.sha256[:8])
    assert short.verify(put(home / "right.pth")) == OFFICIAL.sha256
    with pytest.raises(CheckpointError, match="not the official"):
        short.verify(put(home / "wrong.pth", b"x"))


def test_fetching_puts_it_where_it_is_found_and_checks_it(home):
    source = put(home / "server" / "net.pth")
    local = Checkpoint("a network", "net", "net.pth", source.as_uri(), OFFICIAL.sha256)
    assert local.fetch() == local.find()
    changed = Checkpoint("a network", "net", "other.pth", source.as_uri(), hashlib.sha256(b"x").hexdigest())
    with pytest.raises(BenchError, match="not the file that was pinned"):
        changed.fetch()


def test_tensors_and_arrays_are_read(home):
    path = home / "ok.pth"
    sampler = {"order": np.arange(5), "weights": np.ones(3, np.float32), "step": 7}
    torch.save({"model": OrderedDict(a=torch.ones(2)), "sampler": sampler, "iteration": 5}, path)
    content = read_checkpoint(path)
    assert content["model"]["a"].tolist() == [1, 1]
    assert content["sampler"]["order"].tolist() == [0, 1, 2, 3, 4]


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_code_in_a_checkpoint_is_refused_and_does_not_run(home, monkeypatch):
    monkeypatch.chdir(home)
    torch.save({"model": Bomb()}, home / "bomb.pth")
    with pytest.raises(CheckpointError, match=r"bomb\.pth is refused"):
        read_checkpoint(home / "bomb.pth")
    assert not (home / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_an_error(home, content):
    with pytest.raises(CheckpointError, match=r"cannot be read|refused"):
        read_checkpoint(put(home / "x.pth", content))
    torch.save([1, 2], home / "list.pth")
    with pytest.raises(CheckpointError, match="a list"):
        read_checkpoint(home / "list.pth")


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def test_fit_loads_every_key_and_counts_of_batches_may_lack():
    state = untrained(network, seed=3).state_dict()
    module = untrained(network, seed=4)
    fit(module, state, Path("x.pth"), "a network")
    torch.testing.assert_close(module.state_dict(), state)
    del state["1.num_batches_tracked"]
    fit(module, state, Path("x.pth"), "a network")


def test_fit_names_missing_extra_and_misshapen_keys():
    state = dict(network().state_dict())
    del state["0.bias"]
    state["2.weight"] = torch.zeros(1)
    state["0.weight"] = torch.zeros(4, 5)
    with pytest.raises(CheckpointError) as caught:
        fit(network(), state, Path("x.pth"), "a network")
    message = str(caught.value)
    assert "x.pth is not a checkpoint of a network" in message
    assert "missing 0.bias" in message
    assert "extra 2.weight" in message
    assert "0.weight [4, 5] instead of [4, 3]" in message
    fit(network(), {**network().state_dict(), "2.weight": torch.zeros(1)}, Path("x.pth"), "a", ignore=("2.weight",))


def test_many_keys_are_counted_not_listed():
    with pytest.raises(CheckpointError, match="and 2 more"):
        fit(network(), {}, Path("x.pth"), "a network")


def test_untrained_is_seeded_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (untrained(network, seed)[0].weight for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.rand(1), expected)


def test_official_checkpoints_have_names_to_fetch_them_by(home):
    known = fetchable()
    assert {"panns-16khz", "panns-32khz", "vggish"} <= set(known)
    for checkpoints in known.values():
        assert all(len(checkpoint.sha256) == 64 and checkpoint.url.startswith("https://") for checkpoint in checkpoints)
    with pytest.raises(BenchError, match=r"unknown extractor.*panns-8khz"):
        fetch_extractor("panns-8khz")
