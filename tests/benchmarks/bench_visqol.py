"""ViSQOL over one reference and several systems: visqol-python's interface in a loop, beside ours, on one core.

Run: ``python tests/benchmarks/bench_visqol.py [--seconds 10] [--systems 4] [--clips 2]``
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import chain

# Before numba is imported: what the engine sets in its worker processes.
os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import numpy as np
from visqol.api import VisqolApi

from ldmbench.metrics.perceptual import Mapper, visqol

RATES: dict[Mapper, int] = {"svr": 48_000, "lattice": 16_000, "exponential": 16_000}


def pairs(rate: int, seconds: float, systems: int, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """A reference of gliding, pulsing harmonics and its noisy versions, float32 ``[time]``."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(rate * seconds)) / rate
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(2 * np.pi * 0.4 * t)) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    reference = (0.1 * tone * np.clip(np.sin(2 * np.pi * 1.7 * t) + 0.4, 0, None)).astype(np.float32)
    noise = rng.standard_normal((systems, t.size)).astype(np.float32)
    return reference, [reference + 0.003 * 2**system * noise[system] for system in range(systems)]


def main() -> None:
    """Print seconds per comparison and their ratio, once compiled, for each mapping."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--systems", type=int, default=4)
    parser.add_argument("--clips", type=int, default=2)
    options = parser.parse_args()
    apis = {mapping: VisqolApi() for mapping in RATES}
    for mapping, api in apis.items():
        api.create(mode="audio" if mapping == "svr" else "speech", use_lattice_model=mapping == "lattice")
        reference, (estimate, *_) = pairs(RATES[mapping], 1.5, 1, 99)
        api.measure_from_arrays(reference, estimate, RATES[mapping])
        visqol(reference, estimate, RATES[mapping], mapping=mapping)
    plain: dict[str, list[float]] = {mapping: [] for mapping in RATES}
    ours: dict[str, list[float]] = {mapping: [] for mapping in RATES}
    worst = 0.0
    for seed in range(options.clips):
        sounds = {rate: pairs(rate, options.seconds, options.systems, seed) for rate in set(RATES.values())}
        for system in range(options.systems):
            for mapping, rate in RATES.items():
                reference, estimate = sounds[rate][0], sounds[rate][1][system]
                start = time.perf_counter()
                expected = apis[mapping].measure_from_arrays(reference, estimate, rate).moslqo
                middle = time.perf_counter()
                value = visqol(reference, estimate, rate, mapping=mapping)
                ours[mapping].append(time.perf_counter() - middle)
                plain[mapping].append(middle - start)
                worst = max(worst, abs(value - expected))
    print(f"{'mapping':12} {'plain':>8} {'ours':>8} {'ratio':>6}   seconds per comparison of {options.seconds:g} s")
    for mapping in RATES:
        print(_row(mapping, plain[mapping], ours[mapping]))
    print(_row("all", list(chain(*plain.values())), list(chain(*ours.values()))))
    print(f"largest difference {worst:.1e}")


def _row(name: str, plain: list[float], ours: list[float]) -> str:
    count = len(plain)
    return f"{name:12} {sum(plain) / count:7.3f}s {sum(ours) / count:7.3f}s {sum(plain) / sum(ours):5.2f}x"


if __name__ == "__main__":
    main()
