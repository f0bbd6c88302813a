"""Runs as they are worked with in Python and in notebooks: tables, frames and sounds of what ``evaluate`` made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

from pydantic import ValidationError

from ldmbench.errors import BenchError
from ldmbench.runs import prepare
from ldmbench.runs.named import chosen
from ldmbench.runs.results import Run

if TYPE_CHECKING:
    import pandas as pd

    from ldmbench.reports.table_spec import TableSpec

Parameters = ParamSpec("Parameters")


class Text(str):
    """Text that is shown as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Html(str):
    """HTML that a notebook shows as such; printed or written to a file it is its source."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


class Results(list[Run]):
    """A list of runs that a notebook shows as their table.

    Example:
        >>> Results([])
        no runs
    """

    def table(self, to: Literal["terminal", "md", "csv", "latex", "json"] = "terminal", **options: Any) -> Text:
        """The table as text.

        Args:
            to: Format.
            **options: Fields of a table's file (``docs/paper.md``): ``metrics``, ``datasets``, ``systems``, ``sort``,
                ``bands``, ``groups``, ``against_row``, ``average``, ``names``, ``intervals``, ``width``, ...

        Raises:
            BenchError: If there is no such option, or it names what the runs have not.
        """
        from ldmbench.reports import render

        runs, spec = self._asked({"to": to, **options})
        return Text(render.as_text(render.build(runs, spec), spec))

    def dataframe(self, clips: bool = False, **options: Any) -> pd.DataFrame:
        """The numbers as a frame of pandas: a row for each cell of the table, or for each score of each clip.

        Args:
            clips: Whether to have every score of every clip.
            **options: As for ``table``; of them only ``systems`` matters where ``clips`` is true.

        Raises:
            BenchError: As ``table``.
        """
        import pandas as pd

        from ldmbench.reports import render
        from ldmbench.reports.text import CSV_COLUMNS, records
        from ldmbench.runs.export import frames

        runs, spec = self._asked(options)
        if clips:
            return frames(runs)["scores"]
        return pd.DataFrame(list(records(render.build(runs, spec))), columns=list(CSV_COLUMNS))

    def listen(self, clip: str = "", systems: Sequence[str] = (), audio: Literal["flac", "opus"] = "flac") -> Html:
        """Players for the reference and every output of a clip, with the clip's scores; nothing is fetched to play.

        Args:
            clip: Id of a clip, or its end after the dataset; the first clip where empty.
            systems: Those to hear, all where empty.
            audio: ``flac``, exact to 16 bits, or ``opus``, a third of the bytes.

        Raises:
            BenchError: If there is no such clip or system.
        """
        from ldmbench.reports.html import to_players

        return Html(to_players(self._asked({"systems": systems})[0], clip, audio))

    def _asked(self, options: dict[str, Any]) -> tuple[list[Run], TableSpec]:
        """The runs and the table that options ask for."""
        from ldmbench.reports.table_spec import TableSpec

        if not self:
            raise BenchError("there are no runs", fix="evaluate a suite, or open_results of one")
        of_runs = {"runs", "out", "output"} & options.keys()
        fields = ", ".join(sorted(TableSpec.model_fields.keys() - {"runs", "out", "output"}))
        if of_runs:
            raise BenchError(f"{', '.join(sorted(of_runs))} belong to a table's file", fix=f"choose among {fields}")
        try:
            spec = TableSpec(**options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise BenchError(f"no table has this {where}", first["msg"], f"choose among {fields}") from None
        return (chosen(self, spec.systems) if spec.systems else list(self)), spec

    def _repr_html_(self) -> str:
        from ldmbench.reports import render
        from ldmbench.reports.html import to_html

        if not self:
            return "<p>no runs</p>"
        return to_html(render.build(*self._asked({})))

    def __repr__(self) -> str:
        return self.table().rstrip() if self else "no runs"


def _rich(function: Callable[Parameters, list[Run]]) -> Callable[Parameters, Results]:
    @wraps(function)
    def with_results(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Results:
        return Results(function(*args, **kwargs))

    return with_results


evaluate = _rich(prepare.evaluate)


def open_results(*targets: str | Path, systems: Sequence[str] = (), out: str | Path = "runs") -> Results:
    """Runs that are on disk, as ``ldmbench report`` finds them.

    Args:
        *targets: Suites, run folders, folders above them, or baseline files.
        systems: Labels, or names that stand for all variants and settings, in the order wanted; all where empty.
        out: Folder of all runs.

    Raises:
        BenchError: If there are none.
    """
    return Results(prepare.open_runs([str(target) for target in targets], Path(out), systems))
