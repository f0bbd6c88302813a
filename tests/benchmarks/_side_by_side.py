"""An implementation beside ours, by turns, each time in a process of its own: seconds by stage, peak memory, outputs.

Also read by the peers' Python, which needs torch and NumPy only.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[2] / "src"))  # ``ldmbench.host.memory``, for the peers' Python

_MARK = "RESULT"


class Stages:
    """Seconds by the wall clock and of all cores, by stage; a stage that comes again is added up."""

    def __init__(self, settle: Callable[[], Any] = lambda: None) -> None:
        self.spent: dict[str, tuple[float, float]] = {}
        self._settle = settle

    @contextmanager
    def stage(self, label: str) -> Iterator[None]:
        """Count the body for ``label``."""
        self._settle()
        start, busy = time.perf_counter(), time.process_time()
        yield
        self._settle()
        wall, cores = self.spent.get(label, (0.0, 0.0))
        self.spent[label] = (wall + time.perf_counter() - start, cores + time.process_time() - busy)

    def watch(self, owner: Any, attribute: str, label: str) -> None:
        """Count every call of ``owner.attribute`` for ``label`` from here on; ``owner`` may be frozen."""
        plain = getattr(owner, attribute)

        def call(*given: Any, **named: Any) -> Any:
            with self.stage(label):
                return plain(*given, **named)

        object.__setattr__(owner, attribute, call)


def measured(load: Callable[[], Any], run: Callable[[Any, Stages], Mapping[str, Any]], folder: Path, name: str) -> None:
    """Build, run once, keep the arrays that ``run`` returns as ``folder/NAME_ARRAY.npy``, and print one result line."""
    from ldmbench.host.memory import peak_memory

    stages = Stages()
    with peak_memory() as loading:
        start = time.perf_counter()
        loaded = load()
        seconds, loading_peak = time.perf_counter() - start, loading()
    with peak_memory() as running:
        arrays = run(loaded, stages)
        peak = running()
    for key, array in arrays.items():
        np.save(folder / f"{name}_{key}.npy", np.asarray(array))
    result = {"stages": stages.spent, "loading": seconds, "loading_peak": loading_peak, "peak": peak}
    print(_MARK + json.dumps(result), flush=True)


def process(command: Sequence[Any], threads: int) -> dict[str, Any]:
    """The result line of a process that computes on the CPU alone, with ``threads`` threads; {} if it prints none.

    Raises:
        SystemExit: If it fails.
    """
    limits = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    given = [str(part) for part in command]
    done = subprocess.run(given, env={**os.environ, **limits}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(given)} failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    lines = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    result: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return result


def by_turns(commands: Mapping[str, Sequence[Any]], repeats: int, threads: int) -> dict[str, list[dict[str, Any]]]:
    """Results of every command, run one after the other and that ``repeats`` times, so that noise meets all alike."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for turn in range(repeats):
        for name, command in commands.items():
            results[name].append(process(command, threads))
            print(f"turn {turn + 1}, {name}: " + _spent(results[name][-1]) + f", load {_load()}", flush=True)
    return results


def table(results: Mapping[str, Sequence[Mapping[str, Any]]], stages: Iterable[str]) -> None:
    """Print each stage's seconds in its least disturbed turn, ours first, and the largest resident set of any turn."""
    names = list(results)

    def least(name: str, stage: str, kind: int) -> float:
        return float(min(turn["stages"].get(stage, (0.0, 0.0))[kind] for turn in results[name]))

    heads = "".join(f" {name + ' s':>10} {'cpu s':>8}" for name in names)
    print(f"\n{'stage':22}{heads} {'ratio':>7} {'cpu':>6}")
    for stage in stages:
        pairs = [[least(name, stage, kind) for kind in (0, 1)] for name in names]
        ratios = [last / first if first else math.nan for first, last in zip(pairs[0], pairs[-1], strict=True)]
        print(f"{stage:22}" + "".join(f" {wall:10.3f} {cpu:8.2f}" for wall, cpu in pairs), end="")
        print(f" {ratios[0]:7.2f} {ratios[1]:6.2f}")
    for label, key in (("peak GiB while running", "peak"), ("peak GiB while loading", "loading_peak")):
        peaks = [max(turn[key] or 0 for turn in results[name]) / 2**30 for name in names]
        print(f"{label:22}" + "".join(f" {peak:10.2f} {'':8}" for peak in peaks) + f" {peaks[-1] / peaks[0]:7.2f}")


def difference(folder: Path, first: str, second: str, key: str) -> str:
    """How far ``FIRST_KEY.npy`` and ``SECOND_KEY.npy`` in ``folder`` are apart over what both have, in words."""
    one, other = (np.load(folder / f"{name}_{key}.npy").squeeze() for name in (first, second))
    length = min(one.shape[-1], other.shape[-1])
    one, other = one[..., :length], other[..., :length]
    if one.dtype.kind in "iu":
        return f"{key}: {int((one != other).sum())} of {one.size} differ, {len(np.unique(one))} distinct"
    largest = float(np.abs(other).max())
    return f"{key}: largest difference {float(np.abs(one - other).max()):.1e}, largest value {largest:.3g}"


def fill(model: Any, gains: Mapping[str, float]) -> None:
    """Give every parameter of ``model`` a seeded value, drawn from its name, under which nothing dies or explodes.

    Args:
        model: A module.
        gains: End of a matrix's name (without the digits that follow) -> factor, where unit gain would be dull.
    """
    import torch

    with torch.no_grad():
        for name, value in model.named_parameters():
            generator = torch.Generator("cpu").manual_seed(zlib.crc32(name.encode()))
            if value.ndim > 1:
                gain = next((gain for part, gain in gains.items() if part in name), 1.0)
                value.normal_(0.0, gain / math.sqrt(math.prod(value.shape[1:])), generator=generator)
            elif name.endswith(".weight"):
                value.normal_(1.0, 0.1, generator=generator)
            else:
                value.normal_(0.0, 0.05, generator=generator)


@contextmanager
def drawn(noise: Path) -> Iterator[None]:
    """Let ``torch.randn`` return the arrays of a file, one after the other, with whatever leading axes are asked."""
    import torch

    plain, draws = torch.randn, iter(np.load(noise))

    def randn(*size: Any, **_: Any) -> Any:
        shape = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
        return torch.from_numpy(next(draws).copy()).reshape(tuple(shape))

    torch.randn = randn
    try:
        yield
    finally:
        torch.randn = plain


def read_with_soundfile() -> None:
    """Let ``torchaudio.load`` read through soundfile, to equal float32 samples: from 2.9 on it wants torchcodec."""
    import soundfile
    import torch
    import torchaudio

    def load(path: str) -> Any:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return torch.from_numpy(np.ascontiguousarray(samples.T)), rate

    torchaudio.load = load


def _spent(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{stage} {wall:.2f} s" for stage, (wall, _) in result["stages"].items())


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
