"""How often the intervals cover, simulated: the table of ``docs/intervals.md``, and the least that each must reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ldmbench import stats
from ldmbench.stats import Estimate

DOCS = Path(__file__).parents[1] / "docs" / "intervals.md"

#: Draws for each cell; a coverage of 0.95 then has a standard error of 0.005.
DRAWS = 2000

SIZES = (3, 4, 5, 8, 20, 100)

Draw = Callable[[np.random.Generator, int], np.ndarray]


def _ceiling(random: np.random.Generator, n: int) -> np.ndarray:
    """MOS of which two fifths are at the best that the metric gives."""
    return np.where(random.random(n) < 0.4, 4.73, 4.73 - random.gamma(2.0, 0.4, n))


def _zeros(random: np.random.Generator, n: int) -> np.ndarray:
    return np.where(random.random(n) < 0.6, 0.0, random.exponential(1.0, n))


#: Name in the docs -> how it is drawn, its mean, and the range of the quantity.
MEANS: Mapping[str, tuple[Draw, float, tuple[float | None, float | None]]] = {
    "normal": (lambda random, n: random.normal(2.0, 3.0, n), 2.0, (None, None)),
    "MOS, 1 + 3.64 Beta(1.2, 2.5)": (lambda r, n: 1 + 3.64 * r.beta(1.2, 2.5, n), 1 + 3.64 * 1.2 / 3.7, (1.0, 5.0)),
    "MOS, 40 % at the ceiling": (_ceiling, 4.73 - 0.6 * 0.8, (1.0, 5.0)),
    "STOI, Beta(12, 1.2)": (lambda random, n: random.beta(12, 1.2, n), 12 / 13.2, (-1.0, 1.0)),
    "LSD, log-normal 0.4": (lambda random, n: random.lognormal(0, 0.4, n), float(np.exp(0.08)), (0.0, None)),
    "log-normal 1": (lambda random, n: random.lognormal(0, 1, n), float(np.exp(0.5)), (0.0, None)),
    "60 % zeros": (_zeros, 0.4, (0.0, None)),
    "t, 3 degrees of freedom": (lambda random, n: random.standard_t(3, n), 0.0, (None, None)),
}

#: Least coverage by number of clips: what the docs promise, below which the closed forms would be broken.
LEAST = {"log-normal 1": (0.86, 0.86, 0.84, 0.86, 0.90, 0.92), "60 % zeros": (0.70, 0.77, 0.82, 0.90, 0.93, 0.93)}
ELSEWHERE = (0.89, 0.90, 0.90, 0.90, 0.92, 0.93)


def coverage(estimate: Callable[[np.random.Generator], Estimate], truth: float, seed: int) -> float:
    """How often an interval is there and holds the truth; a sample without one counts as not covered."""
    random = np.random.default_rng(seed)
    held = 0
    for _ in range(DRAWS):
        found = estimate(random)
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    return held / DRAWS


def documented(row: str) -> list[float]:
    """The numbers of a row of the docs' tables."""
    (line,) = (line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {row} |"))
    return [float(number) for number in re.findall(r"\| (\d\.\d\d) (?=\|)", line)]


@pytest.mark.slow
@pytest.mark.parametrize("name", MEANS)
def test_intervals_of_means_cover_as_the_docs_say(name: str) -> None:
    draw, truth, (low, high) = MEANS[name]

    def estimate(n: int, random: np.random.Generator) -> Estimate:
        return stats.mean(draw(random, n), low, high)

    found = [coverage(partial(estimate, n), truth, n) for n in SIZES]
    assert np.greater_equal(found, LEAST.get(name, ELSEWHERE)).all(), found
    assert found == pytest.approx(documented(name), abs=0.02), found


def _errors(n: int, rate: float, random: np.random.Generator) -> Estimate:
    """Word errors in bursts: utterances of 3 to 25 words, the rate of each drawn around ``rate``."""
    words = random.integers(3, 26, n)
    return stats.ratio(np.stack([random.binomial(words, random.beta(0.5, 0.5 / rate - 0.5, n)), words], axis=1), 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate", "least"), [
    ("WER 10 %", 0.10, (0.60, 0.70, 0.80, 0.85, 0.90, 0.92)), ("WER 3 %", 0.03, (0.2, 0.25, 0.3, 0.5, 0.73, 0.90)),
])  # fmt: skip
def test_intervals_of_ratios_cover_as_the_docs_say(name: str, rate: float, least: tuple[float, ...]) -> None:
    found = [coverage(partial(_errors, n, rate), rate, n) for n in SIZES]
    assert np.greater_equal(found, least).all(), found
    assert found == pytest.approx(documented(name), abs=0.02), found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "sizes", "least"), [
    ("3 groups of 4", (4, 4, 4), 0.91), ("8 groups of 3", (3,) * 8, 0.95), ("12, 10 and 10", (12, 10, 10), 0.92),
    ("2, 8 and 20", (2, 8, 20), 0.97),
])  # fmt: skip
def test_intervals_of_means_of_means_cover_as_the_docs_say(name: str, sizes: tuple[int, ...], least: float) -> None:
    def normal(random: np.random.Generator) -> Estimate:
        return stats.mean_of_means([random.normal(i, 1 + i, n).tolist() for i, n in enumerate(sizes)])

    def skewed(random: np.random.Generator) -> Estimate:
        return stats.mean_of_means([random.lognormal(0, 0.4, n).tolist() for n in sizes])

    found = [coverage(normal, (len(sizes) - 1) / 2, 1), coverage(skewed, float(np.exp(0.08)), 2)]
    assert min(found) >= least, found
    assert found == pytest.approx(documented(name), abs=0.02), found


def test_the_percentile_bootstrap_would_not_pass() -> None:
    """Of four normal values it covers about 0.81: the bound above is one that other intervals can miss."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        values = random.normal(size=4)
        low, high = np.quantile(values[random.integers(0, 4, (500, 4))].mean(axis=1), (0.025, 0.975))
        held += low <= 0 <= high
    assert held / 400 < ELSEWHERE[1]
    assert coverage(lambda generator: stats.mean(generator.normal(size=4)), 0.0, 1) >= ELSEWHERE[1]
