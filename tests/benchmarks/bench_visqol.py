"""ViSQOL over one reference and several systems: visqol-python's interface in a loop, beside ours, on one core.

Run: ``python tests/benchmarks/bench_visqol.py [--seconds 10] [--systems 4] [--clips 2]``
"""

from __future__ import annotations

import argparse
import os
import time

# Before numba is imported: what the engine sets in its worker processes.
os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import numpy as np
from visqol.api import VisqolApi

from bench.metrics.perceptual import visqol

RATES = {"svr": 48_000, "lattice": 16_000, "exponential": 16_000}


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
    print(f"{'mapping':12} {'plain':>8} {'ours':>8} {'ratio':>6} {'first system':>13} {'next ones':>10} {'differs':>9}")
    for mapping, rate in RATES.items():
        api = VisqolApi()
        if mapping == "svr":
            api.create(mode="audio")
        else:
            api.create(mode="speech", use_lattice_model=mapping == "lattice")
        warm, (noisy, *_) = pairs(rate, 1.5, 1, 99)
        api.measure_from_arrays(warm, noisy, rate)
        visqol(warm, noisy, rate, mapping=mapping)
        plain, first, later, worst = 0.0, 0.0, 0.0, 0.0
        for seed in range(options.clips):
            reference, estimates = pairs(rate, options.seconds, options.systems, seed)
            for position, estimate in enumerate(estimates):
                start = time.perf_counter()
                expected = api.measure_from_arrays(reference, estimate, rate).moslqo
                middle = time.perf_counter()
                value = visqol(reference, estimate, rate, mapping=mapping)
                taken = time.perf_counter() - middle
                plain += middle - start
                first, later = (first + taken, later) if position == 0 else (first, later + taken)
                worst = max(worst, abs(value - expected))
        count, more = options.clips * options.systems, options.clips * max(options.systems - 1, 1)
        print(
            f"{mapping:12} {plain / count:7.3f}s {(first + later) / count:7.3f}s {plain / (first + later):5.2f}x "
            f"{first / options.clips:12.3f}s {later / more:9.3f}s {worst:9.1e}"
        )


if __name__ == "__main__":
    main()
