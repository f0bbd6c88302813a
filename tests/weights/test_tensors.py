"""Checkpoints: what is read and what is refused without running it, that every key is named, and seeded builds."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pickle
import runpy
import subprocess
import sys
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")

from ldmbench.weights.record import CheckpointError
from ldmbench.weights.tensors import fit, fitted, own_memory, read_checkpoint, read_tensors, seeded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pth"


def test_a_state_dictionary_is_read_whole_or_by_entry(path: Path) -> None:
    for archive in (True, False):
        torch.save(OrderedDict(a=torch.ones(2)), path, _use_new_zipfile_serialization=archive)
        assert read_tensors(path)["a"].tolist() == [1, 1]
        torch.save({"model": {"a": torch.ones(2)}, "step": 7}, path, _use_new_zipfile_serialization=archive)
        assert read_tensors(path, "model")["a"].tolist() == [1, 1]
        assert read_checkpoint(path)["step"] == 7


def test_arrays_are_read_where_the_official_file_has_them(path: Path) -> None:
    sampler = {"order": np.arange(5), "weights": np.ones(3, np.float32), "rate": np.float64(0.5)}
    torch.save({"model": OrderedDict(a=torch.ones(2), b=np.zeros(3)), "sampler": sampler}, path)
    assert read_checkpoint(path, arrays=True)["sampler"]["order"].tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(read_tensors(path, "model", arrays=True)["b"], torch.zeros(3, dtype=torch.float64))
    with pytest.raises(CheckpointError, match="refused: it is damaged or holds code besides tensors"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "entry", "message"),
    [
        ([1, 2], "", "a list"),
        (torch.zeros(2), "", "a Tensor"),
        ({1: torch.zeros(2)}, "", "a dict"),
        ({"a": torch.zeros(2), "b": "text"}, "", "b is a str"),
        ({"model": {"a": torch.zeros(2)}}, "", "model is a dict"),
        ({"model": {"a": torch.zeros(2)}}, "state_dict", "no entry 'state_dict'"),
        ({"model": torch.zeros(2)}, "model", "a Tensor"),
        ({"model": None}, "model", "a NoneType"),
    ],
)
def test_anything_but_tensors_by_name_is_named(path: Path, content: Any, entry: str, message: str) -> None:
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=f"x.pth is not a state dictionary: {message}"):
        read_tensors(path, entry)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04", b"\x80\x02}", b"\x80\x05\x95\xff"])
def test_what_is_no_checkpoint_is_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.pth cannot be read as tensors: ") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value), "no advice to run what is in it"


def test_a_file_that_is_not_there_is_one_line(path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"lacks x\.pth \(fix: fetch it again or correct --weights\)"):
        read_checkpoint(path)


@pytest.mark.parametrize("part", [0.01, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("archive", [True, False])
def test_a_file_that_was_cut_is_one_line(path: Path, part: float, archive: bool) -> None:
    torch.save({"a": torch.arange(1000)}, path, _use_new_zipfile_serialization=archive)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(CheckpointError, match=r"x\.pth cannot be read as tensors: ") as caught:
        read_checkpoint(path)
    assert len(str(caught.value)) < len(str(path)) + 250


# ---- code in a checkpoint: calls, each packed in every way a checkpoint may be, for every way of reading


class Call:
    """Unpickled by calling ``function``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def _witness(folder: Path) -> dict[str, Any]:
    """Kind -> what makes the folder ``executed`` when it is unpickled by a reader that runs it."""
    made = str(folder / "executed")
    line = f"import os; os.mkdir({made!r})"
    (folder / "script.py").write_text(line)
    unsafe = partial(torch.load, weights_only=False)
    return {
        "a function of os": Call(os.mkdir, made),
        "a shell": Call(os.system, f"mkdir {made}"),
        "a process": Call(subprocess.call, ["mkdir", made]),
        "eval": Call(eval, f"__import__('os').mkdir({made!r})"),
        "exec": Call(exec, line),
        "a method": Call(Path.mkdir, Path(made)),
        "a script": Call(runpy.run_path, str(folder / "script.py")),
        "a second pickle": Call(pickle.loads, pickle.dumps(Call(os.mkdir, made))),
        "torch's own reader": Call(unsafe, io.BytesIO(pickle.dumps(Call(os.mkdir, made)))),
        "an array of objects": np.array([Call(os.mkdir, made)], dtype=object),
    }


def _saved(bomb: Any, path: Path) -> None:
    torch.save({"model": {"a": torch.ones(2)}, "more": bomb}, path)


def _saved_among_tensors(bomb: Any, path: Path) -> None:
    torch.save({"model": {"a": torch.ones(2), "b": bomb}}, path)


def _saved_alone(bomb: Any, path: Path) -> None:
    torch.save(bomb, path)


def _saved_as_before_torch_16(bomb: Any, path: Path) -> None:
    torch.save({"model": {"a": torch.ones(2)}, "more": bomb}, path, _use_new_zipfile_serialization=False)


def _plain_pickle(bomb: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": bomb}, protocol=2))


def _tar_of_before_torch_01(bomb: Any, path: Path) -> None:
    with tarfile.open(path, "w") as rolled:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            content = pickle.dumps(bomb, protocol=2)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            rolled.addfile(member, io.BytesIO(content))


PACKINGS = (
    _saved,
    _saved_among_tensors,
    _saved_alone,
    _saved_as_before_torch_16,
    _plain_pickle,
    _tar_of_before_torch_01,
)
KINDS = (
    "a function of os", "a shell", "a process", "eval", "exec", "a method", "a script", "a second pickle",
    "torch's own reader", "an array of objects",
)  # fmt: skip


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_is_refused_and_does_not_run(kind: str, packing: Callable[[Any, Path], None], path: Path) -> None:
    packing(_witness(path.parent)[kind], path)
    for read in (
        read_checkpoint,
        lambda file: read_checkpoint(file, arrays=True),
        read_tensors,
        lambda file: read_tensors(file, "model", arrays=True),
    ):
        with pytest.raises(CheckpointError, match=r"x\.pth cannot be read as tensors: "):
            read(path)
    assert not (path.parent / "executed").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", KINDS)
def test_the_code_would_run_where_nothing_refuses_it(kind: str, path: Path) -> None:
    """What the test above stands on: each kind does its deed in Python's own reader."""
    with contextlib.suppress(RuntimeError):  # torch's reader executes first and complains afterwards
        pickle.loads(pickle.dumps(_witness(path.parent)[kind]))
    assert (path.parent / "executed").is_dir()


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_module_saved_whole_is_refused(path: Path) -> None:
    torch.save(network(), path)
    with pytest.raises(CheckpointError, match="cannot be read as tensors"):
        read_checkpoint(path)
    torch.jit.script(network()).save(str(path))
    with pytest.raises(CheckpointError, match="cannot be read as tensors"):
        read_checkpoint(path)


def test_an_archive_without_a_checkpoint_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("model.txt", "text")
    with pytest.raises(CheckpointError, match="cannot be read as tensors"):
        read_checkpoint(path)


# ---- fitting


def network() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def test_fit_loads_every_key_and_counts_of_batches_may_lack() -> None:
    state = seeded(network, seed=3).state_dict()
    module = seeded(network, seed=4)
    fit(module, state, Path("x.pth"), "a network")
    torch.testing.assert_close(module.state_dict(), state)
    del state["1.num_batches_tracked"]
    fit(module, state, Path("x.pth"), "a network")


def test_fitted_takes_the_tensors_themselves_and_fit_copies_them() -> None:
    state = seeded(network, seed=3).state_dict()
    model = fitted(network, state, Path("x.pth"))
    assert not model.training
    assert model[0].weight.data_ptr() == state["0.weight"].data_ptr()
    module = network()
    fit(module, state, Path("x.pth"))
    assert module[0].weight.data_ptr() != state["0.weight"].data_ptr()


def _copying(state: dict[str, Any]) -> None:
    fit(network(), state, Path("x.pth"), "a network")


def _building(state: dict[str, Any]) -> None:
    fitted(network, state, Path("x.pth"), "a network")


@pytest.mark.parametrize("load", [_copying, _building])
def test_missing_superfluous_and_misshapen_keys_are_named(load: Callable[[dict[str, Any]], None]) -> None:
    state = dict(network().state_dict())
    del state["0.bias"]
    state["2.weight"] = torch.zeros(1)
    state["0.weight"] = torch.zeros(4, 5)
    with pytest.raises(CheckpointError) as caught:
        load(state)
    assert str(caught.value) == (
        "the weights in x.pth do not fit a network: keys 1 missing (0.bias), 1 superfluous (2.weight), "
        "1 of another shape (0.weight [4, 5] instead of [4, 3]) (fix: use the official checkpoint)"
    )


def test_superfluous_keys_may_be_allowed_and_many_are_counted() -> None:
    fit(network(), {**network().state_dict(), "2.weight": torch.zeros(1)}, Path("x.pth"), ignore=("2.weight",))
    with pytest.raises(CheckpointError, match=r"6 missing \(.* and 2 more\)"):
        fit(network(), {}, Path("x.pth"), "a network")


def test_buffers_without_values_are_not_left_empty() -> None:
    state = dict(network().state_dict())
    del state["1.num_batches_tracked"]
    with pytest.raises(CheckpointError, match=r"no values for 1\.num_batches_tracked"):
        fitted(network, state, Path("x.pth"))


class Tied(torch.nn.Module):
    """An embedding under two names, as T5's."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = torch.nn.Embedding(3, 2)
        self.embed_tokens = self.shared


@pytest.mark.parametrize("name", ["shared.weight", "embed_tokens.weight"])
def test_a_tied_matrix_may_stand_under_either_of_its_names(name: str) -> None:
    model = fitted(Tied, {name: torch.ones(3, 2)}, Path("x.pth"))
    assert model.shared.weight.tolist() == model.embed_tokens.weight.tolist() == [[1, 1]] * 3


# ---- memory and chance


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_fitted_network_keeps_no_file_mapped(path: Path) -> None:
    torch.save(network().state_dict(), path)
    state = read_tensors(path)
    mapped = Path("/proc/self/maps")
    assert str(path) in mapped.read_text()
    module = network()
    fit(module, state, path)
    del state
    assert str(path) not in mapped.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_its_own_lets_the_file_go_and_keeps_what_is_shared(path: Path) -> None:
    torch.save(Tied().state_dict(), path)
    model = fitted(Tied, read_tensors(path), path)
    before = model.shared.weight.clone()
    gc.collect()
    mapped = Path("/proc/self/maps")
    assert str(path) in mapped.read_text()
    own_memory(model)
    assert str(path) not in mapped.read_text()
    assert torch.equal(model.shared.weight, before)
    assert model.shared.weight.data_ptr() == model.embed_tokens.weight.data_ptr()


def test_seeded_builds_repeat_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (seeded(network, seed)[0].weight for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.rand(1), expected)
