"""Embeddings on disk, by extractor fingerprint and digest of the sound, with the latest of them in memory."""

from __future__ import annotations

import threading
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.host.files import OTHER_CACHE, replacing
from ldmbench.host.homes import cache_home

Arrays = Mapping[str, NDArray[Any]]

#: Bytes of embeddings that are kept in memory: about 6000 clips of PANNs.
LARGEST = 64 << 20

_memory: OrderedDict[tuple[Path, str, str], Arrays] = OrderedDict()
_bytes = 0
_lock = threading.Lock()


def get(fingerprint: str, key: str) -> Arrays | None:
    """The arrays kept for a sound (or text) under this fingerprint, or None.

    An entry that was damaged on disk counts as absent: it is computed and written anew.
    """
    home = cache_home()
    with _lock:
        kept = _memory.get((home, fingerprint, key))
        if kept is not None:
            _memory.move_to_end((home, fingerprint, key))
            return kept
    try:
        with np.load(_path(fingerprint, key), allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    _keep((home, fingerprint, key), arrays)
    return arrays


def holds(fingerprint: str, key: str) -> bool:
    """Whether there is an entry on disk; ``get`` may yet find it damaged."""
    return _path(fingerprint, key).is_file()


def put(fingerprint: str, key: str, arrays: Arrays) -> None:
    """Keep arrays; a reader never sees half of an entry.

    Raises:
        BenchError: If the cache home cannot be written.
    """
    with replacing(_path(fingerprint, key), OTHER_CACHE) as handle:
        np.savez(handle, allow_pickle=False, **arrays)
    _keep((cache_home(), fingerprint, key), dict(arrays))


def forget() -> None:
    """Drop what is in memory; what is on disk stays."""
    global _bytes
    with _lock:
        _memory.clear()
        _bytes = 0


def _keep(key: tuple[Path, str, str], arrays: Arrays) -> None:
    global _bytes
    for array in arrays.values():
        array.setflags(write=False)
    with _lock:
        if key in _memory:
            return
        _memory[key] = arrays
        _bytes += _size(arrays)
        while _bytes > LARGEST and len(_memory) > 1:
            _bytes -= _size(_memory.popitem(last=False)[1])


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())


def _path(fingerprint: str, key: str) -> Path:
    return cache_home() / "embeddings" / fingerprint[:32] / key[:2] / f"{key}.npz"
