"""Plans: which clips are chosen, and when a run is a part of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldmbench.clips.clip import Clip, Dataset
from ldmbench.runs.plan import make_plan
from ldmbench.suite import Suite
from ldmbench.system.registry import resolve


@pytest.mark.parametrize(
    ("clips", "limit", "chosen", "partial"),
    [(0, 0, 3, 0), (0, 2, 2, 2), (0, 3, 3, 0), (2, 0, 2, 0), (2, 1, 1, 1), (2, 3, 2, 0), (5, 4, 3, 0), (5, 2, 2, 2)],
)
def test_a_limit_that_leaves_out_nothing_makes_no_partial_run(
    tmp_path: Path, clips: int, limit: int, chosen: int, partial: int
) -> None:
    """Three clips, of which the suite takes so many; a limit counts only where it is below both."""
    data = Dataset("d", "D", "general", tuple(Clip(f"d/{name}", "d", text=name) for name in "abc"), "digest")
    suite = Suite(name="mini", title="Mini", task="codec", datasets=("d",), metrics=(), clips=clips)
    plan = make_plan(suite, [data], [resolve("noise")], tmp_path, limit=limit)
    assert [clip.id for clip in plan.clips] == ["d/a", "d/b", "d/c"][:chosen]
    assert plan.runs[0].limit == partial
