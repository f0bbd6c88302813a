"""Official checkpoints of extractors: found or fetched, verified, read without running pickles, fitted by key."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import BenchError

T = TypeVar("T")

_FIX = "use the official checkpoint"


class CheckpointError(BenchError):
    """An extractor cannot be had at all: no sound is to blame, and trying others does not help."""


@dataclass(frozen=True)
class Checkpoint:
    """An official checkpoint file.

    Attributes:
        title: What it is called in messages.
        folder: Its folder below the weights home.
        file: Its official file name.
        url: Where it is published.
        sha256: SHA-256 (hex) of the official file, or the beginning of it where only that is published.
        size: Its size in bytes, 0 where not known.
    """

    title: str
    folder: str
    file: str
    url: str
    sha256: str
    size: int = 0

    def find(self, weights: Path | None = None) -> Path:
        """The file: ``weights`` itself, in that folder or its subfolder ``folder``, or in the weights home.

        Raises:
            CheckpointError: If it is not there.
        """
        if weights is None:
            from bench.homes import weights_home

            places = [weights_home() / self.folder / self.file]
        else:
            places = [weights / self.file, weights / self.folder / self.file]
            if weights.is_file():
                return weights
        for place in places:
            if place.is_file():
                return place
        raise CheckpointError(
            f"the checkpoint {self.file} of {self.title} is missing",
            f"not in {places[-1].parent}",
            f"put {self.url} there, or give its folder with --weights",
        )

    def fetch(self) -> Path:
        """Download it into the weights home, and verify it.

        Raises:
            BenchError: If the download fails, its SHA-256 is wrong, or only part of that is published.
        """
        from bench.fetch import download
        from bench.homes import weights_home

        path = weights_home() / self.folder / self.file
        download(self.url, path, self.sha256)
        return path

    def verify(self, path: Path, official: bool = True) -> str:
        """SHA-256 (hex) of the file at ``path``.

        Raises:
            CheckpointError: If it is not the official file, and ``official`` insists on that.
        """
        from bench.homes import file_digest

        found = file_digest(path)
        if official and not found.startswith(self.sha256):
            raise CheckpointError(
                f"{path} is not the official checkpoint of {self.title}",
                f"SHA-256 {found[:12]}, not {self.sha256[:12]}",
                f"get {self.url}, or name the metric with :official=false to use another checkpoint",
            )
        return found


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
        f"{kind} {_some(keys)}"
        for kind, keys in (("missing", missing), ("extra", extra), ("wrong shape", shapes))
        if keys
    ]
    if faults:
        raise CheckpointError(
            f"{path} is not a checkpoint of {title}", "; ".join(faults), "use the official checkpoint"
        )
    module.load_state_dict({key: torch.as_tensor(state.get(key, tensor)) for key, tensor in wanted.items()})


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def untrained(build: Callable[[], T], seed: int = 0) -> T:
    """``build()`` with torch's random numbers seeded, on the CPU, leaving the generator as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
