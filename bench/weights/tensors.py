"""Tensors of official checkpoint files: read without running pickles, fitted key by key, or drawn from a seed."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from ldmbench.errors import BenchError
from ldmbench.names import some
from ldmbench.weights.checkpoint import CheckpointError

T = TypeVar("T")


_FIX = "use the official checkpoint"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The dictionary in a checkpoint: tensors, arrays and plain values; nothing in the file is executed.

    NumPy arrays are let through besides tensors, since the official Cnn14 16 kHz file holds the state of its
    training sampler as such, and LAION-CLAP's learning rates are NumPy scalars.

    Raises:
        CheckpointError: If it cannot be read, or holds anything else.
    """
    import numpy as np
    import torch
    from numpy._core import multiarray

    # Both names of the module: files written before NumPy 2 say numpy.core.
    arrays = [
        (getattr(multiarray, kind), f"numpy.{core}.multiarray.{kind}")
        for kind in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ]
    kinds = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "u1", "?")]
    try:
        with torch.serialization.safe_globals([*arrays, np.ndarray, np.dtype, *kinds]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path} is refused", "it is damaged or holds code besides tensors", _FIX) from error
    except (RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError, AttributeError) as error:
        # The last three are what torch makes of a pickle that was cut.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} cannot be read", reason, "get it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path} is not a checkpoint", f"a {type(content).__name__}", "use the official checkpoint"
        )
    return content


def fit(module: Any, state: Mapping[str, Any], path: Path, title: str, ignore: Collection[str] = ()) -> None:
    """Load a state dictionary into ``module``, every key of it.

    Args:
        module: A ``torch.nn.Module``.
        state: Key -> tensor.
        path: Named in messages.
        title: The network, named in messages.
        ignore: Keys that may be in ``state`` though the module has none of them.

    Raises:
        CheckpointError: If keys are missing, extra, or of another shape; the message names them.
    """
    import torch

    wanted = module.state_dict()
    # Batch normalisation counts its training batches; old checkpoints lack the count, and nothing reads it.
    missing = [key for key in wanted if key not in state and not key.endswith(".num_batches_tracked")]
    extra = [key for key in state if key not in wanted and key not in ignore]
    shapes = [
        f"{key} {list(getattr(state[key], 'shape', ()))} instead of {list(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in state and tuple(getattr(state[key], "shape", ())) != tuple(tensor.shape)
    ]
    faults = [
        f"{kind} {some(keys)}"
        for kind, keys in (("missing", missing), ("extra", extra), ("wrong shape", shapes))
        if keys
    ]
    if faults:
        raise CheckpointError(
            f"{path} is not a checkpoint of {title}", "; ".join(faults), "use the official checkpoint"
        )
    module.load_state_dict({key: torch.as_tensor(state.get(key, tensor)) for key, tensor in wanted.items()})


def untrained(build: Callable[[], T], seed: int = 0) -> T:
    """``build()`` with torch's random numbers seeded, on the CPU, leaving the generator as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


#: Buffers that older libraries stored and current ones compute, and matrices that are tied to another one.
STORED_BEFORE = ("position_ids", "token_type_ids", "relative_position_index", "attn_mask", "attn.bias", "masked_bias")


TIED = ("lm_head.weight", "embed_tokens.weight", "shared.weight")


def fitted(make: Callable[[], T], state: Mapping[str, Any], path: Path) -> T:
    """The model that ``make`` builds, with the tensors of ``state``, read from ``path``, as its own.

    It is built without memory, so that nothing is drawn or copied that would be overwritten.

    Raises:
        BenchError: If any key is missing, superfluous or of another shape, naming it.
    """
    import torch

    with torch.device("meta"):
        model: Any = make()
    own = model.state_dict()
    given = dict(state)
    # The embedding of T5 appears under either of its names, or both.
    tied = [key for key in own if key.endswith(TIED)]
    if known := [key for key in tied if key in given]:
        given.update({key: given[known[0]] for key in tied if key not in given})
    usable = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    missing = not_ending((key for key in own if key not in given), STORED_BEFORE)
    unexpected = not_ending((key for key in given if key not in own), STORED_BEFORE)
    check_keys(path, missing, unexpected, sorted(key for key in own if key in given and key not in usable))
    model.load_state_dict(usable, strict=False, assign=True)
    if empty := [name for name, value in model.named_buffers() if value.is_meta]:
        raise BenchError(f"the weights in {path} do not fit", f"no values for {empty[0]}", "use the official files")
    return cast(T, model.eval())


def check_keys(path: Path, missing: list[str], unexpected: list[str], mismatched: list[str]) -> None:
    """Raise ``BenchError`` naming the first keys of each kind, unless there are none.

    Raises:
        BenchError: If there is a missing, superfluous or mismatched key.
    """
    faults = [
        f"{len(keys)} {word} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for word, keys in (("missing", missing), ("superfluous", unexpected), ("of another shape", mismatched))
        if keys
    ]
    if faults:
        raise BenchError(f"the weights in {path} do not fit", "keys " + ", ".join(faults), "use the official files")


def read_tensors(path: Path, entry: str = "") -> dict[str, Any]:
    """The state dictionary in a pickle of tensors, or under its ``entry``; nothing in the file is executed.

    Raises:
        BenchError: If the file is missing, damaged, or holds more than tensors.
    """
    import torch

    try:
        # Files of torch 1.5 and older are no archives, and cannot be mapped into memory.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise BenchError(f"{path.parent} lacks {path.name}", fix="fetch it again or correct --weights") from None
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError, ...
        raise BenchError(f"{path} cannot be read as tensors", short(error), "fetch it again") from error
    if entry:
        state = state.get(entry) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(hasattr(value, "shape") for value in state.values()):
        raise BenchError(f"{path} is not a state dictionary", type(state).__name__, "use the official file")
    return state


def not_ending(keys: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    """The keys that end with none of the endings, sorted."""
    return sorted(key for key in keys if not key.endswith(endings))


def short(error: Exception) -> str:
    """An error's message in one line of at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else f"{text[:300]} ..."
