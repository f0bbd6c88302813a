"""How often the tests of a comparison are wrong where nothing changed, and how often they find what did."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ldmbench.audio.arrays import Real
from ldmbench.compare.noise import across_runs
from ldmbench.compare.paired import ALPHA, by_signs, paired, smallest_detectable
from ldmbench.metrics._swaps import frechet_differences

Draw = Callable[[np.random.Generator, int], Real]

#: Differences of clips with mean 0 and unit spread, as metrics give them; two are skewed to either side.
DIFFERENCES: dict[str, Draw] = {
    "normal": lambda random, n: random.standard_normal(n),
    "t, 3 df": lambda random, n: random.standard_t(3, n) / np.sqrt(3),
    "70 % ties": lambda random, n: random.standard_normal(n) * (random.random(n) > 0.7) / np.sqrt(0.3),
    "edits": lambda random, n: random.integers(-2, 3, n) / np.sqrt(2),
    "few far better": lambda random, n: (random.lognormal(0, 0.5, n) - np.exp(0.125)) / 0.6039,
    "few break": lambda random, n: -(random.lognormal(0, 0.5, n) - np.exp(0.125)) / 0.6039,
}


def share(test: Callable[[np.random.Generator], bool], draws: int) -> float:
    return float(np.mean([test(np.random.default_rng(seed)) for seed in range(draws)]))


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 100, 500])
@pytest.mark.parametrize("kind", DIFFERENCES)
def test_level_and_power_of_clip_metrics(kind: str, n: int) -> None:
    """1,000 null comparisons; the standard error of a level of 0.05 is 0.007."""
    draw = DIFFERENCES[kind]

    def worse(random: np.random.Generator, shift: float) -> bool:
        test = paired(draw(random, n) - shift)
        return test is not None and test.p <= ALPHA

    level = share(lambda random: worse(random, 0.0), 1000)
    power = share(lambda random: worse(random, smallest_detectable(1.0, n)), 1000)
    print(f"{kind:15} n {n:3}  level {level:.3f}  power {power:.3f} of 0.80")
    assert level <= (0.09 if kind == "few far better" and n < 100 else 0.05 + 3 * 0.007)
    assert 0.6 < power < 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("n", "dim", "draws"), [(20, 16, 1000), (100, 64, 400), (500, 16, 200)])
def test_level_and_power_of_frechet_distances(n: int, dim: int, draws: int) -> None:
    """Rows with a spectrum 1 / k and heavy tails; outputs are references with errors, 30 % larger where worse."""
    spectrum = 1 / np.sqrt(np.arange(1, dim + 1))

    def worse(random: np.random.Generator, factor: float) -> bool:
        x = random.standard_t(6, (n, dim)) * spectrum
        y, z = (x + size * random.standard_normal((n, dim)) * spectrum for size in (0.5, 0.5 * factor))
        terms = frechet_differences([*x[:, None]], [*y[:, None]], [*z[:, None]])
        test = by_signs(-terms, -float(terms.mean()))
        return test is not None and test.p <= ALPHA

    level = share(lambda random: worse(random, 1.0), draws)
    power = share(lambda random: worse(random, 1.3), draws)
    print(f"FD n {n} d {dim}: level {level:.3f} ({draws} draws), power {power:.3f}")
    assert level <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)
    assert power > 2 * level


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [3, 5])
@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0, 10.0])
def test_level_of_worse_with_noise(shift: float, repeats: int) -> None:
    """Runs shift by ``shift`` standard errors of a run's mean; the paired test alone fires on that."""
    n = 100

    def worse(random: np.random.Generator) -> tuple[bool, bool]:
        hard = random.standard_normal(n)
        runs = [
            hard + 0.5 * random.standard_normal(n) + shift * 0.05 * random.standard_normal() for _ in range(repeats + 1)
        ]
        test = paired(runs[-1] - np.mean(runs[:-1], axis=0))
        outcome = across_runs([float(run.mean()) for run in runs[:-1]], float(runs[-1].mean()))
        assert test is not None
        assert outcome is not None
        return test.p <= ALPHA, max(test.p, outcome[0]) <= ALPHA

    alone, both = np.mean([worse(np.random.default_rng(seed)) for seed in range(1000)], axis=0)
    print(f"R {repeats} run shift {shift:4.1f}: paired alone {alone:.3f}, both {both:.3f}")
    assert both <= 0.05 + 3 * 0.007
    assert alone > 0.2 or shift < 3
