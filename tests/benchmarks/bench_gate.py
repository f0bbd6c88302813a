"""How often ``ldmbench compare`` is wrong, and how often it finds what changed: the tables of ``docs/compare.md``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from tests.compare import simulations

#: Clips, numbers a clip, share of the draws, and how much larger the errors are where it is worse.
SETS = {
    "FD": ((20, 16, 1, 1.3), (100, 64, 1, 1.1), (500, 64, 1, 1.05), (100, 512, 1, 1.1), (500, 512, 0.2, 1.05),
           (100, 2048, 0.4, 1.1)),
    "KAD": ((20, 16, 1, 1.5), (100, 64, 1, 1.2), (500, 64, 1, 1.1)),
    "IS": ((20, 50, 1, 1.1), (100, 50, 1, 1.05), (500, 50, 1, 1.02)),
}  # fmt: skip


def clips(draws: int) -> None:
    """A metric with a value for each clip."""
    print("| differences of clips | level 20 | 100 | 500 | power 20 | 100 | 500 |\n|---|---|---|---|---|---|---|")
    for kind in simulations.DIFFERENCES:
        outcomes = [simulations.of_clips(kind, n, draws) for n in (20, 100, 500)]
        row([kind, *(f"{item.level:.3f}" for item in outcomes), *(f"{item.power:.2f}" for item in outcomes)])


def sequential(draws: int) -> None:
    """Five looks at a run."""
    print("| differences of clips | n | level | power | clips used where worse by 2.5 se | by 4 se | where the same |")
    print("|---|---|---|---|---|---|---|")
    for kind in simulations.DIFFERENCES:
        for n in (20, 100, 500):
            some, much = (simulations.sequential(kind, n, draws, errors) for errors in (2.5, 4.0))
            shares = (f"{100 * share:.0f} %" for share in (some.clips, much.clips, some.clips_if_same))
            row([kind, str(n), f"{some.level:.3f}", f"{some.power:.2f}", *shares])


def sets(metric: str, draws: int) -> None:
    """A metric over sets of clips."""
    print("| metric | clips | dimensions | draws | level | errors larger by | power |\n|---|---|---|---|---|---|---|")
    for n, dim, part, factor in SETS[metric]:
        outcome = simulations.of_sets(metric, n, dim, int(draws * part), factor)
        numbers = (f"{outcome.level:.3f}", f"{100 * (factor - 1):.0f} %", f"{outcome.power:.2f}")
        row([metric, str(n), str(dim), str(outcome.draws), *numbers])


def noise(draws: int) -> None:
    """Whole runs that shift."""
    print("| shift | runs of BASE | paired test alone | both | power of both |\n|---|---|---|---|---|")
    for repeats in (3, 5):
        for shift in (0.0, 1.0, 3.0, 10.0):
            numbers = simulations.with_noise(repeats, shift, draws)
            row([f"{shift:g}", str(repeats), *(f"{number:.2f}" for number in numbers)])


def row(cells: list[str]) -> None:
    """Print a line of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


PARTS: dict[str, Callable[[int], None]] = {
    "clips": clips,
    "sequential": sequential,
    **{metric: lambda draws, metric=metric: sets(metric, draws) for metric in SETS},  # type: ignore[misc]
    "noise": noise,
}


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; all of them where none is named")
    parser.add_argument("--draws", type=int, default=1000)
    arguments = parser.parse_args()
    for name in arguments.parts or PARTS:
        start = time.perf_counter()
        PARTS[name](arguments.draws)
        print(f"{name}: {time.perf_counter() - start:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
