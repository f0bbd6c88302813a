"""Differences from arrays of a reference implementation, with one and with two threads, each beside its tolerance."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

#: Numbers of threads that everything is computed with.
THREADS = (1, 2)
#: Allowed: ten times what two runs of the reference differed by, not below this share of the largest value.
FLOOR = 1e-5
#: Every array has to be so many times inside what is allowed: then another machine's rounding is inside, too.
INSIDE = 5


class Parity:
    """What was compared: of every array the largest difference by the number of threads, and what is allowed."""

    def __init__(self, folder: Path, own: Mapping[str, float]) -> None:
        """Compare with ``arrays.json`` and the ``.npz`` files in ``folder``.

        Args:
            folder: Of one system.
            own: Ending of an array's name -> its tolerance, where rounding grows.
        """
        self.facts: dict[str, Any] = json.loads((folder / "arrays.json").read_text())
        self.stored = {group: dict(np.load(folder / f"{group}.npz")) for group in self.facts}
        self.own = own
        self.differences: dict[tuple[str, str], dict[int, float]] = {}
        self.failed: list[str] = []
        self.threads = 0

    @contextmanager
    def with_threads(self, count: int) -> Iterator[None]:
        """Compute the body with ``count`` threads."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(count)
        self.threads = count
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def check(self, group: str, name: str, value: Any) -> None:
        """Compare ``value`` with the stored part of one array."""
        wanted, facts = self.stored[group][name], self.facts[group][name]
        found = np.asarray(value, np.float64).reshape(facts["full_shape"])[_slice(facts["stored_slice"])]
        if found.shape != wanted.shape:
            raise SystemExit(f"{group}/{name}: stored as {wanted.shape}, cut to {found.shape}")
        difference = float(np.abs(found - wanted).max())
        self.differences.setdefault((group, name), {})[self.threads] = difference
        inside = _times(difference, self.allowed(group, name))
        print(f"{self.threads} threads  {group}/{name}: {difference:.1e}, {inside:.3g} times inside", flush=True)
        if not inside >= INSIDE:
            self.failed.append(f"{group}/{name} with {self.threads} threads")

    def expect(self, fine: bool, what: str) -> None:
        """Print and count ``what``, which has no tolerance."""
        print(f"{self.threads} threads  {what}: {'ok' if fine else 'DIFFERS'}", flush=True)
        if not fine:
            self.failed.append(f"{what} with {self.threads} threads")

    def allowed(self, group: str, name: str) -> float:
        """The tolerance of an array; whole numbers have to be equal."""
        facts, wanted = self.facts[group][name], self.stored[group][name]
        if wanted.dtype.kind in "iu":
            return 0.0
        rule = max(10 * facts.get("observed_diff", 0.0), FLOOR * facts["full_mean_std_absmax"][2])
        return float(next((width for ending, width in self.own.items() if name.endswith(ending)), rule))

    def table(self) -> None:
        """Print every array in Markdown, those nearest to their tolerance first."""
        rows = []
        for (group, name), by_threads in self.differences.items():
            allowed = self.allowed(group, name)
            rows.append((_times(max(by_threads.values()), allowed), f"{group}/{name}", allowed, by_threads))
        print("\n| array | allowed |" + "".join(f" {count} threads |" for count in THREADS) + " times inside |")
        print("|---|---|" + "---|" * (len(THREADS) + 1))
        for inside, name, allowed, by_threads in sorted(rows, key=lambda row: row[:2]):
            cells = "".join(f" {by_threads[count]:.1e} |" for count in THREADS if count in by_threads)
            print(f"| {name} | {allowed:.1e} |{cells} {'equal' if math.isinf(inside) else f'{inside:.1f}'} |")


def name_seeded(folder: Path) -> Any:
    """The module ``name_seeded``, which draws weights and noise from names."""
    spec = importlib.util.spec_from_file_location("name_seeded", folder / "name_seeded.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cosine_schedule() -> np.ndarray:
    """``alphas_cumprod`` of the fixtures: in double precision, then float32."""
    left = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - (1 - left[1:] / left[:-1])).astype(np.float32)


def _slice(written: str | None) -> tuple[slice, ...]:
    """``":, ::2"`` as an index."""
    axes = (written or ":").replace(" ", "").split(",")
    return tuple(slice(*(int(part) if part else None for part in axis.split(":"))) for axis in axes)


def _times(difference: float, allowed: float) -> float:
    """How often ``difference`` fits into ``allowed``; nothing that is no number does."""
    if math.isnan(difference):
        return 0.0
    return math.inf if difference == 0 else allowed / difference
