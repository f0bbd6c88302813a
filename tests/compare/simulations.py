"""Simulated comparisons: how often "worse" is said where nothing changed, and how often where something did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.compare.noise import across_runs
from ldmbench.compare.paired import ALPHA, PairedTest, by_signs, paired, smallest_detectable
from ldmbench.compare.sequential import EARLIEST, LOOKS, overall
from ldmbench.metrics._swaps import frechet_differences, inception_differences, kernel_differences
from tests.present import present

Random = np.random.Generator
Draw = Callable[[Random, int], Real]

#: Differences of clips with mean 0 and unit spread, as metrics give them; two are skewed to either side.
DIFFERENCES: dict[str, Draw] = {
    "normal": lambda random, n: random.standard_normal(n),
    "t, 3 df": lambda random, n: random.standard_t(3, n) / np.sqrt(3),
    "70 % ties": lambda random, n: random.standard_normal(n) * (random.random(n) > 0.7) / np.sqrt(0.3),
    "edits": lambda random, n: random.integers(-2, 3, n) / np.sqrt(2),
    "few far better": lambda random, n: (random.lognormal(0, 0.5, n) - np.exp(0.125)) / 0.6039,
    "few break": lambda random, n: -(random.lognormal(0, 0.5, n) - np.exp(0.125)) / 0.6039,
}


@dataclass(frozen=True)
class Outcome:
    """Shares of "worse" among the draws, and of a sequential rule the share of clips that it used."""

    level: float
    power: float
    draws: int
    clips: float = 1.0
    clips_if_same: float = 1.0

    @property
    def limit(self) -> float:
        """Three standard errors above the level that is aimed at."""
        return ALPHA + 3 * float(np.sqrt(ALPHA * (1 - ALPHA) / self.draws))


def share(test: Callable[[Random], float], draws: int) -> float:
    """The mean of what a test says of so many seeded draws."""
    return float(np.mean([test(np.random.default_rng(seed)) for seed in range(draws)]))


def of_clips(kind: str, n: int, draws: int) -> Outcome:
    """A clip metric, and the truth worse by the smallest detectable difference."""

    def worse(random: Random, shift: float) -> bool:
        return present(paired(DIFFERENCES[kind](random, n) - shift)).p <= ALPHA

    loss = smallest_detectable(1.0, n)
    return Outcome(share(lambda r: worse(r, 0.0), draws), share(lambda r: worse(r, loss), draws), draws)


def sequential(kind: str, n: int, draws: int, errors: float = 2.5) -> Outcome:
    """A clip metric looked at five times; the truth worse by so many standard errors of the complete run."""
    sizes = [-(-n * number // LOOKS) for number in range(1, LOOKS + 1)]

    def stopped(random: Random, shift: float) -> tuple[bool, float]:
        values = DIFFERENCES[kind](random, n) - shift
        for number, size in enumerate(sizes, 1):
            if size < min(n, EARLIEST):
                continue
            test = paired(values[:size])
            if test is not None and overall(test.p, number) <= ALPHA:
                return True, size / n
        return False, 1.0

    null, loss = (
        np.mean([stopped(np.random.default_rng(seed), shift) for seed in range(draws)], axis=0)
        for shift in (0.0, errors / np.sqrt(n))
    )
    return Outcome(float(null[0]), float(loss[0]), draws, float(loss[1]), float(null[1]))


def of_sets(metric: str, n: int, dim: int, draws: int, factor: float = 1.3) -> Outcome:
    """A metric over sets of ``n`` clips with ``dim`` numbers each; errors larger by ``factor`` where it is worse.

    Rows have a spectrum 1 / k and heavy tails; outputs are references with errors. Of the inception score rows are
    logits, which errors make flatter.
    """

    def worse(random: Random, size: float) -> bool:
        test = _set_test(metric, random, n, dim, size)
        return test.p <= ALPHA

    return Outcome(share(lambda r: worse(r, 1.0), draws), share(lambda r: worse(r, factor), draws), draws)


def _set_test(metric: str, random: Random, n: int, dim: int, factor: float) -> PairedTest:
    if metric == "IS":
        logits = 2 * random.standard_normal((n, dim))
        y, z = (logits / size + 0.5 * random.standard_normal((n, dim)) for size in (1.0, factor))
        terms = inception_differences([*y[:, None]], [*z[:, None]])
    else:
        spectrum = 1 / np.sqrt(np.arange(1, dim + 1))
        x = random.standard_t(6, (n, dim)) * spectrum
        y, z = (x + size * random.standard_normal((n, dim)) * spectrum for size in (0.5, 0.5 * factor))
        differences = frechet_differences if metric == "FD" else kernel_differences
        terms = -differences([*x[:, None]], [*y[:, None]], [*z[:, None]])
    return present(by_signs(terms, float(terms.mean())))


def with_noise(repeats: int, shift: float, draws: int, n: int = 100) -> tuple[float, float, float]:
    """Runs that shift as a whole by ``shift`` standard errors of a run's mean.

    Returns:
        The level of the paired test alone, of both tests, and the power of both where NEW is worse by 4 standard
        deviations of the difference of two runs.
    """

    def worse(random: Random, loss: float) -> tuple[bool, bool]:
        hard = random.standard_normal(n)
        runs = [
            hard + 0.5 * random.standard_normal(n) + shift * 0.05 * random.standard_normal() for _ in range(repeats + 1)
        ]
        runs[-1] -= loss
        test = present(paired(runs[-1] - np.mean(runs[:-1], axis=0)))
        p, _ = present(across_runs([float(run.mean()) for run in runs[:-1]], float(runs[-1].mean())))
        return test.p <= ALPHA, max(test.p, p) <= ALPHA

    loss = 4 * 0.05 * np.sqrt(1 + shift**2) * np.sqrt(2)
    alone, both = np.mean([worse(np.random.default_rng(seed), 0.0) for seed in range(draws)], axis=0)
    power = np.mean([worse(np.random.default_rng(seed), loss)[1] for seed in range(draws)])
    return float(alone), float(both), float(power)
