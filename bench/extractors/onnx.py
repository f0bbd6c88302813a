"""Networks in ONNX files: run on the CPU, alone on one thread unless told otherwise, with the same digits each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.extractors.onnx_part import part

#: Only errors: shapes that a file declares wrongly are told at every call otherwise.
_ERRORS = 3


class Network:
    """A session of onnxruntime.

    Args:
        path: The file.
        threads: Threads that share an operator. One where workers share the cores: then also the digits do not depend
            on the machine's number of cores.
        cut: Names of the values that go into a part of the network, and of those that come out; the whole network
            where there are none.
    """

    def __init__(self, path: Path, threads: int = 1, cut: tuple[Sequence[str], Sequence[str]] | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = _ERRORS
        content = part(path.read_bytes(), *cut) if cut else str(path)
        self._session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(str(item.name) for item in self._session.get_inputs())

    def __call__(self, feed: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """All outputs for inputs by name."""
        return [np.asarray(item, np.float32) for item in self._session.run(None, dict(feed))]


@lru_cache(maxsize=8)
def load_network(path: Path, threads: int = 1, cut: tuple[tuple[str, ...], tuple[str, ...]] | None = None) -> Network:
    """The network in a file, or a part of it; the latest ones are kept."""
    return Network(path, threads, cut)
