"""Rows of a table in groups, each with ranks of its own: by bitrate, or as a table's file names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ldmbench.errors import BenchError
from ldmbench.metrics._base import load_metric
from ldmbench.names import parse, unknown
from ldmbench.reports.cells import Row, number, unique
from ldmbench.runs.results import Run

#: Heading of the systems that have no bitrate, where rows are grouped by it.
WITHOUT_RATE = "no bitrate"


@dataclass(frozen=True)
class Grouping:
    """Which rows stand together.

    Attributes:
        bands: Bitrates in kbit/s between which groups lie, ascending; none where empty.
        named: Heading -> rows, each a label or a name for all its variants.
    """

    bands: tuple[float, ...] = ()
    named: Mapping[str, Sequence[str]] = field(default_factory=dict)


def grouped(rows: Sequence[Row], runs: Sequence[Run], grouping: Grouping) -> list[Row]:
    """The rows with the headings of their groups, those of a group together; the others and the reference first.

    Args:
        rows: Those of the runs first, in their order.
        runs: The runs.
        grouping: Which rows stand together.

    Raises:
        BenchError: If a group names a row that is not there, bands do not ascend, or no row has a bitrate.
    """
    if grouping.bands and grouping.named:
        raise BenchError("rows are grouped once", "bands and groups", "keep one of the two")
    if grouping.bands:
        headings, order = _by_rate(rows, runs, grouping.bands)
    elif grouping.named:
        headings, order = _by_name(rows, grouping.named)
    else:
        return list(rows)
    named = [replace(row, group=heading) for row, heading in zip(rows, headings, strict=True)]
    return sorted(named, key=lambda row: order.index(row.group))


def _by_rate(rows: Sequence[Row], runs: Sequence[Run], edges: Sequence[float]) -> tuple[list[str], list[str]]:
    if any(low >= high for low, high in zip((0.0, *edges), edges, strict=False)):
        raise BenchError(f"bands {', '.join(f'{edge:g}' for edge in edges)} do not ascend from 0", fix="such as 3,8,24")
    bands = [f"up to {edges[0]:g} kbit/s"]
    bands += [f"{low:g} to {high:g} kbit/s" for low, high in pairwise(edges)]
    bands += [f"above {edges[-1]:g} kbit/s"]
    headings = []
    digits = load_metric("kbps").facts.digits
    for index, row in enumerate(rows):
        # Over all datasets: a system stands in one band, whatever its rate is on each of them.
        estimate = runs[index].estimate("kbps") if index < len(runs) else None
        if estimate is not None and estimate.value is not None:
            # As it is printed: a codec at "8.00" is not above 8.
            rate = float(number(estimate.value, digits))
            headings.append(bands[sum(rate > edge for edge in edges)])
        else:
            headings.append("" if row.role == "reference" else WITHOUT_RATE)
    if not set(headings) & set(bands):
        raise BenchError("no row has a bitrate to be grouped by", fix="score with -m kbps, or state --kbps FOLDER=KBPS")
    return headings, ["", *bands, WITHOUT_RATE]


def _by_name(rows: Sequence[Row], groups: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    called = [_called(row) for row in rows]
    headings = ["" for _ in rows]
    # A label counts before a name that stands for several.
    for depth in range(3):
        for heading, names in groups.items():
            for name in names:
                for index, own in enumerate(called):
                    if not headings[index] and own[depth] == name:
                        headings[index] = heading
    present = {name for own in called for name in own}
    for name in (name for names in groups.values() for name in names):
        if name not in present:
            raise unknown("row of this table", name, unique(name for own in called for name in own))
    return headings, ["", *groups]


def _called(row: Row) -> tuple[str, str, str]:
    """What a row answers to: its label, its name and variant without settings, and its name."""
    if not row.system:
        return row.label, row.label, row.label
    name = parse(row.system)
    return row.label, str(replace(name, settings={})), name.name
