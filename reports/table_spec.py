"""A table of a paper as a TOML file that its repository keeps: runs, rows, columns, and how they are printed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator

from ldmbench.cards import Card, load_card
from ldmbench.errors import BenchError

#: Formats that a file can ask for.
Kind = Literal["terminal", "md", "csv", "latex", "json"]


class TableSpec(Card):
    """One table: what ``ldmbench report`` is asked for, on its command line or in a file.

    Attributes:
        runs: Suites, run folders or baseline files.
        out: Folder of all runs, where suites are looked for.
        to: Format.
        output: File to write; printed where empty.
        systems: Rows in order, each a label or a name for all its variants; all where empty.
        metrics: Columns in order; all where empty.
        datasets: Datasets in order; all where empty.
        sort: Metric whose best row comes first, on the first dataset that has it; the order of ``systems`` where empty.
        bands: Bitrates in kbit/s, ascending: rows stand in groups between them, each with a best and second of its own.
        groups: Heading -> rows, each a label or a name for all its variants: groups by hand, as ``bands`` are by rate.
        against_row: Label of a row; cells that differ from its own by more than chance are marked.
        average: Metrics to average over the datasets shown; the suite's where empty.
        names: System, metric or dataset -> how it is printed.
        caption: Caption of a LaTeX table.
        label: Label of a LaTeX table.
        width: ``page`` or ``column`` of two columns, or points.
        intervals: Show 95 % intervals.
        published: Show published values beside the measured ones.
        published_rows: Add rows that were only published.
        listening: Folder of an analysed listening test, to show beside the metrics; none where empty.
        profiles: JSON of ``ldmbench profile``, to show beside the metrics; none where empty.
    """

    runs: tuple[str, ...] = ()
    out: str = "runs"
    to: Kind = "terminal"
    output: str = ""
    systems: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    sort: str = ""
    bands: tuple[float, ...] = ()
    groups: dict[str, tuple[str, ...]] = {}
    against_row: str = ""
    average: tuple[str, ...] = ()
    names: dict[str, str] = {}
    caption: str = ""
    label: str = ""
    width: Literal["page", "column"] | float = "page"
    intervals: bool = False
    published: bool = True
    published_rows: bool = False
    listening: str = ""
    profiles: str = ""

    @field_validator("width")
    @classmethod
    def _wide_enough(cls, width: str | float) -> str | float:
        if not isinstance(width, str) and not 72 <= width <= 2000:
            raise ValueError("must be page, column, or 72 to 2000 points")
        return width


def load_table_spec(path: Path) -> TableSpec:
    """Read a table's TOML file, in which paths are relative to it; they come back relative to the current folder.

    Raises:
        BenchError: If the file is not there, is not valid or names no runs.
    """
    spec = load_card(path, TableSpec)
    if not spec.runs:
        raise BenchError(f"{path} names no runs", fix='write runs = ["SUITE"], or run folders or baseline files')
    folder = path.parent
    # A run folder or a baseline beside the file is meant; a suite's name is no path.
    runs = tuple(str(folder / name) if (folder / name).exists() else name for name in spec.runs)
    paths = {
        name: str(folder / path) if (path := getattr(spec, name)) else ""
        for name in ("out", "output", "listening", "profiles")
    }
    return spec.model_copy(update={"runs": runs, **paths})
