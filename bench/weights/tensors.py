"""Tensors of official checkpoint files: read without running pickles, fitted key by key, or drawn from a seed."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ldmbench.names import some
from ldmbench.weights.record import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

#: Buffers that older libraries stored and current ones compute, and matrices that are tied to another one.
STORED_BEFORE = ("position_ids", "token_type_ids", "relative_position_index", "attn_mask", "attn.bias", "masked_bias")
TIED = ("lm_head.weight", "embed_tokens.weight", "shared.weight")

#: Batch normalisation counts its training batches; old checkpoints lack the count, and nothing reads it.
_COUNTS = ".num_batches_tracked"

_FIX = "use the official checkpoint"


def read_checkpoint(path: Path, arrays: bool = False) -> dict[str, Any]:
    """The dictionary in a checkpoint: tensors and plain values; nothing in the file is executed.

    Tensors of an archive stay in the file until they are copied: whoever keeps them copies them.

    Args:
        path: The file.
        arrays: Let NumPy arrays through besides tensors. The official Cnn14 16 kHz file holds the state of its
            training sampler as such, VGGish's PCA is one, and LAION-CLAP's learning rates are NumPy scalars.

    Raises:
        CheckpointError: If it cannot be read, is no dictionary, or holds anything else.
    """
    import torch

    try:
        with torch.serialization.safe_globals(_array_kinds() if arrays else []):
            # Files of torch 1.5 and older are no archives, and cannot be mapped into memory.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} lacks {path.name}", fix="fetch it again or correct --weights") from None
    except pickle.UnpicklingError as error:
        # Torch's own words tell how to run the code.
        reason = "refused: it is damaged or holds code besides tensors"
        raise CheckpointError(f"{path} cannot be read as tensors", reason, _FIX) from error
    except Exception as error:  # what torch makes of a file that was cut: RuntimeError, EOFError, KeyError, ...
        reason = short(error).partition(". ")[0]
        raise CheckpointError(f"{path} cannot be read as tensors", reason, "fetch it again") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise CheckpointError(f"{path} is not a state dictionary", f"a {type(content).__name__}", _FIX)
    return content


def read_tensors(path: Path, entry: str = "", arrays: bool = False) -> dict[str, Tensor]:
    """The state dictionary that a checkpoint is, or that lies under its ``entry``; see ``read_checkpoint``.

    Raises:
        CheckpointError: If the file cannot be read, or holds no state dictionary there.
    """
    content = read_checkpoint(path, arrays)
    if not entry:
        return as_tensors(content, path)
    if entry not in content:
        raise CheckpointError(f"{path} is not a state dictionary", f"no entry {entry!r}", _FIX)
    return as_tensors(content[entry], path)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name.

    Raises:
        CheckpointError: If it cannot be read.
    """
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} lacks {path.name}", fix="fetch it again or correct --weights") from None
    except Exception as error:  # safetensors raises SafetensorError, which is an Exception
        raise CheckpointError(f"{path} cannot be read as safetensors", short(error), "fetch it again") from error


def as_tensors(state: Any, path: Path) -> dict[str, Tensor]:
    """``state`` as a dictionary of tensors by name, NumPy arrays made tensors.

    Raises:
        CheckpointError: If it is anything else.
    """
    import numpy as np
    import torch

    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise CheckpointError(f"{path} is not a state dictionary", f"a {type(state).__name__}", _FIX)
    tensors = {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in state.items()}
    for key, value in tensors.items():
        if not isinstance(value, torch.Tensor):
            raise CheckpointError(f"{path} is not a state dictionary", f"{key} is a {type(value).__name__}", _FIX)
    return tensors


def fit(
    model: Any, state: Mapping[str, Any], path: Path, title: str = "", ignore: Collection[str] = (), **how: bool
) -> None:
    """Load a state dictionary into ``model``, every key of it.

    Args:
        model: A ``torch.nn.Module``, or what has its ``state_dict`` and ``load_state_dict``.
        state: Key -> tensor.
        path: Where it comes from, for messages.
        title: What the model is called in messages.
        ignore: Keys that may be in ``state`` though the model has none of them.
        **how: For ``load_state_dict``; ``assign=True`` takes the tensors themselves instead of copying them.

    Raises:
        CheckpointError: If keys are missing, superfluous, or of another shape; the message names them.
    """
    own = model.state_dict()
    usable = dict(state)
    # The embedding of T5 appears under either of its names, or both.
    tied = [key for key in own if key.endswith(TIED)]
    if stored := [key for key in tied if key in usable]:
        usable.update({key: usable[stored[0]] for key in tied if key not in usable})
    misshapen = [
        f"{key} {list(usable[key].shape)} instead of {list(tensor.shape)}"
        for key, tensor in own.items()
        if key in usable and usable[key].shape != tensor.shape
    ]
    lacking = not_ending((key for key in own if key not in usable), (*STORED_BEFORE, _COUNTS))
    unexpected = not_ending((key for key in usable if key not in own and key not in ignore), STORED_BEFORE)
    check_keys(path, lacking, unexpected, misshapen, title)
    model.load_state_dict({key: usable.get(key, tensor) for key, tensor in own.items()}, **how)


def fitted(make: Callable[[], T], state: Mapping[str, Any], path: Path, title: str = "") -> T:
    """The model that ``make`` builds, with the tensors of ``state``, read from ``path``, as its own.

    It is built without memory, so that nothing is drawn or copied that would be overwritten.

    Raises:
        CheckpointError: If any key is missing, superfluous or of another shape, naming it.
    """
    import torch

    with torch.device("meta"):
        model: Any = make()
    fit(model, state, path, title, assign=True)
    if empty := [name for name, value in model.named_buffers() if value.is_meta]:
        raise CheckpointError(f"the weights in {path} do not fit", f"no values for {empty[0]}", _FIX)
    return cast(T, model.eval())


def own_memory(model: Any) -> None:
    """Copy what a model holds into memory of its own, so that the file it was read from is let go.

    What ``fitted`` and the libraries load on a CPU lies in a mapped file: it would be read in the middle of the first
    clip, and would change with the file. Tensors that share their memory still do so afterwards.
    """
    copies: dict[Any, Any] = {}
    for value in (*model.parameters(), *model.buffers()):
        view = (value.data_ptr(), value.dtype, value.shape, value.stride())
        if view not in copies:
            copies[view] = value.data.clone()
        value.data = copies[view]


def check_keys(
    path: Path, lacking: Sequence[str], unexpected: Sequence[str], misshapen: Sequence[str], title: str = ""
) -> None:
    """Raise unless there are no such keys.

    Raises:
        CheckpointError: If there is a missing, superfluous or misshapen key; the first of each kind are named.
    """
    faults = [
        f"{len(keys)} {word} ({some(keys)})"
        for word, keys in (("missing", lacking), ("superfluous", unexpected), ("of another shape", misshapen))
        if keys
    ]
    if faults:
        what = f"the weights in {path} do not fit" + (f" {title}" if title else "")
        raise CheckpointError(what, "keys " + ", ".join(faults), _FIX)


def seeded(build: Callable[[], T], seed: int = 0) -> T:
    """What ``build`` returns when torch's generator starts at ``seed``, on the CPU; the generator is put back."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def not_ending(keys: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    """The keys that end with none of the endings, sorted."""
    return sorted(key for key in keys if not key.endswith(endings))


def short(error: Exception) -> str:
    """An error's message in one line of at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else f"{text[:300]} ..."


def _array_kinds() -> list[Any]:
    """What a pickle of NumPy arrays and scalars of plain numbers names."""
    import numpy as np
    from numpy._core import multiarray

    # Both names of the module: files written before NumPy 2 say numpy.core.
    builders = [
        (getattr(multiarray, kind), f"numpy.{core}.multiarray.{kind}")
        for kind in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ]
    return [*builders, np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "u1", "?"))]
