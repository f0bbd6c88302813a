"""Reference statistics: mean and covariance of embeddings in a file, in place of references that nobody has to have.

A file is named by its content, ``audiocaps-test-1f2e3d4c5b6a``: the digits are the start of its SHA-256, so that a
metric's name says which statistics its number is against.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Rows
from ldmbench.errors import BenchError
from ldmbench.host.files import OTHER_CACHE, replacing
from ldmbench.host.homes import data_home
from ldmbench.metrics._frechet import Moments

_NAME = re.compile(r"(?P<stem>[A-Za-z0-9][A-Za-z0-9._-]*)-(?P<digest>[0-9a-f]{12})")

#: Key of the record in a file of ours.
_RECORD = "ldmbench"


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of rows, and where they come from.

    Attributes:
        mean: ``[d]``, float64.
        covariance: ``[d, d]``, n - 1 in the denominator, float64.
        rows: How many rows they are of; 0 where the file does not say.
        clips: How many clips; 0 where the file does not say.
        whose: Whose statistics they are, for the notes of a table.
        metric: For which metric they were made, without settings of the reference.
        extractor: Fingerprint and layer of the extractor; empty where another tool made them.
    """

    mean: Rows
    covariance: Rows
    rows: int
    clips: int
    whose: str
    metric: str
    extractor: str = ""

    def moments(self) -> Moments:
        """As the Frechet distance takes them.

        Raises:
            BenchError: If they are no mean and covariance.
        """
        try:
            return Moments.of(self.mean, self.covariance)
        except ValueError as error:
            raise BenchError(f"the statistics of {self.whose} are damaged", str(error), "make them again") from error


def of_rows(rows: Rows, clips: int, whose: str, metric: str, extractor: str) -> Statistics:
    """Statistics of rows ``[n, d]``; the rest as ``Statistics`` has it.

    Raises:
        BenchError: If there are fewer than two.
    """
    if len(rows) < 2:
        raise BenchError("statistics need at least two embeddings", f"{len(rows)}", "take more or longer clips")
    wide = np.asarray(rows, np.float64)
    covariance = np.atleast_2d(np.cov(wide, rowvar=False))
    return Statistics(wide.mean(axis=0), covariance, len(wide), clips, whose, metric, extractor)


def to_bytes(statistics: Statistics) -> bytes:
    """A file's content, the same for the same statistics."""
    record = {key: value for key, value in asdict(statistics).items() if key not in ("mean", "covariance")}
    buffer = io.BytesIO()
    arrays = {
        "mu": statistics.mean,
        "cov": statistics.covariance,
        _RECORD: np.array(json.dumps(record, sort_keys=True)),
    }
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_ours(content: bytes, origin: str) -> Statistics:
    """Statistics from a file that ldmbench wrote.

    Raises:
        BenchError: If it is none.
    """
    arrays = _arrays(content, origin)
    if not {"mu", "cov", _RECORD} <= set(arrays):
        raise BenchError(f"{origin} holds no statistics of ldmbench", f"it has {_listed(arrays)}")
    try:
        record = json.loads(str(arrays[_RECORD]))
        return Statistics(np.asarray(arrays["mu"], np.float64), np.asarray(arrays["cov"], np.float64), **record)
    except (ValueError, TypeError) as error:
        raise BenchError(f"{origin} is damaged", str(error)) from error


def read_other(path: Path, metric: str, whose: str, model: str = "") -> Statistics:
    """Statistics that another tool left, as it names them.

    Args:
        path: fadtk's folder of ``mu.npy`` and ``cov.npy``, its packaged ``.npz`` (``MODEL.mu``, ``MODEL.cov``), or
            stable-audio-metrics' ``.npz`` (``mu_ref``, ``sigma_ref``).
        metric: The metric whose embeddings they are of.
        whose: What the notes of a table call them.
        model: fadtk's name of the model, where a file holds several.

    Raises:
        BenchError: If the file has another layout, or several models and none is named.

    Source: fadtk, ``fad.py`` (``load_stats``) and ``package.py``; stable-audio-metrics, ``openl3_fd.py``.
    """
    if path.is_dir():
        pair = [path / "mu.npy", path / "cov.npy"]
        if absent := [file.name for file in pair if not file.is_file()]:
            raise BenchError(f"{path} is no folder of statistics", f"{' and '.join(absent)} not in it",
                             "name the folder that holds fadtk's mu.npy and cov.npy: stats/MODEL")  # fmt: skip
        try:
            mean, covariance = (np.load(file, allow_pickle=False) for file in pair)
        except (ValueError, EOFError) as error:
            raise BenchError(f"{path} is damaged", str(error)) from error
        return _other(mean, covariance, f"{whose} (fadtk's file)", metric)
    arrays = _arrays(path.read_bytes(), str(path))
    if {"mu_ref", "sigma_ref"} <= set(arrays):
        return _other(arrays["mu_ref"], arrays["sigma_ref"], f"{whose} (stable-audio-metrics' file)", metric)
    models = sorted(name.removesuffix(".mu") for name in arrays if name.endswith(".mu"))
    if model and model not in models:
        raise BenchError(f"{path} has no statistics of {model}", f"it has {', '.join(models) or _listed(arrays)}")
    if not models:
        raise BenchError(f"{path} holds no statistics", f"it has {_listed(arrays)}",
                         "arrays mu_ref and sigma_ref, or MODEL.mu and MODEL.cov, are needed")  # fmt: skip
    if not model and len(models) > 1:
        raise BenchError(f"{path} holds statistics of several models", ", ".join(models), "name one with --model")
    (chosen,) = [model] if model else models
    if f"{chosen}.cov" not in arrays:
        raise BenchError(f"{path} has no {chosen}.cov", f"it has {_listed(arrays)}")
    whose = f"{whose} (fadtk's file, {chosen})"
    return _other(arrays[f"{chosen}.mu"], arrays[f"{chosen}.cov"], whose, metric)


def _other(mean: NDArray[np.float64], covariance: NDArray[np.float64], whose: str, metric: str) -> Statistics:
    made = Statistics(np.asarray(mean, np.float64), np.asarray(covariance, np.float64), 0, 0, whose, metric)
    made.moments()
    return made


def home() -> Path:
    """Where statistics are kept."""
    return data_home() / "statistics"


def keep(statistics: Statistics, stem: str) -> str:
    """Put statistics into the home, under ``STEM-DIGEST``; that name is returned.

    Raises:
        BenchError: If ``stem`` is no name.
    """
    content = to_bytes(statistics)
    name = f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}"
    if not _NAME.fullmatch(name):
        raise BenchError("this cannot be the name of statistics", stem, "use letters, digits, dots and hyphens")
    with replacing(home() / f"{name}.npz", OTHER_CACHE) as handle:
        handle.write(content)
    return name


def kept() -> dict[str, Statistics]:
    """All statistics in the home by name."""
    names = sorted(path.stem for path in home().glob("*.npz") if _NAME.fullmatch(path.stem))
    return {name: load(name) for name in names}


def load(name: str) -> Statistics:
    """Statistics by their name, with the digits of their content.

    Raises:
        BenchError: If they are not in the home, or its file is not the one that the name says.
    """
    return _load(name, home())


@lru_cache(maxsize=8)
def _load(name: str, folder: Path) -> Statistics:
    match = _NAME.fullmatch(name)
    path = folder / f"{name}.npz"
    if match is None or not path.is_file():
        raise BenchError(f"there are no statistics {name}", f"looked for {path}",
                         "ldmbench statistics add FILE keeps a file and says its name")  # fmt: skip
    content = path.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()[:12]) != match["digest"]:
        raise BenchError(f"{path} is not what its name says", f"its digest is {digest}", "add the original file again")
    return read_ours(content, str(path))


@lru_cache(maxsize=8)
def moments(name: str) -> Moments:
    """Moments of statistics by their name.

    Raises:
        BenchError: As ``load``.
    """
    return load(name).moments()


def about(name: str) -> str:
    """Whose statistics these are, in words."""
    try:
        made = load(name)
    except BenchError as error:
        return f"{name}, which is not here: {error.found}"
    size = f", {made.clips} clips" if made.clips else ""
    return f"statistics of {made.whose}{size} ({name})"


def renamed(statistics: Statistics, whose: str) -> Statistics:
    """The same, called otherwise."""
    return replace(statistics, whose=whose)


def _arrays(content: bytes, origin: str) -> Mapping[str, NDArray[np.float64]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if isinstance(file, np.ndarray):
                raise BenchError(f"{origin} is one array", fix="name the folder that holds mu.npy and cov.npy")
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BenchError(f"{origin} is no .npz file", str(error)) from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:6]) or "nothing"
