"""Published numbers: ``reports/published/SUITE.csv``, shown beside the measured ones."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.names import unknown

COLUMNS = ("row", "system", "kbps", "dataset", "metric", "value", "source")

#: What must be read beside a published score of a listening test.
OTHER_COMPANY = "of other listeners, items and systems, which moves scores by up to a fifth of the scale"

FOLDER = Path(__file__).parent / "published"


@dataclass(frozen=True)
class PublishedValue:
    """One number of one paper.

    Attributes:
        row: The name of the row as the paper prints it.
        system: Label of the system it corresponds to (``opus@6kbps``), empty if there is none.
        kbps: Bitrate as printed, None where the paper gives none.
        dataset: Dataset with its condition, as the suite names it.
        metric: Metric, as the suite names it.
        value: The number as printed.
        source: Paper and table.
    """

    row: str
    system: str
    kbps: float | None
    dataset: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True)
class Published:
    """The published numbers of one suite, in the order of the file."""

    values: tuple[PublishedValue, ...]

    def find(self, system: str, dataset: str, metric: str) -> PublishedValue | None:
        """The number that corresponds to a system's cell."""
        for item in self.values:
            if item.system and (item.system, item.dataset, item.metric) == (system, dataset, metric):
                return item
        return None

    def extra_rows(self) -> dict[str, dict[tuple[str, str], PublishedValue]]:
        """Rows to which no system corresponds: name to (dataset, metric) to number."""
        rows: dict[str, dict[tuple[str, str], PublishedValue]] = {}
        for item in self.values:
            if not item.system:
                rows.setdefault(item.row, {})[item.dataset, item.metric] = item
        return rows


def load(suite: str, folder: Path = FOLDER) -> Published | None:
    """The published numbers of a suite, None where there is no file for it.

    Raises:
        BenchError: If the file is there and is not valid.
    """
    path = folder / f"{suite}.csv"
    return read(path) if path.is_file() else None


def read(path: Path) -> Published:
    """Read and check a file of published numbers.

    Raises:
        BenchError: On a wrong column, an empty field, a value that is no finite number, or the same cell twice;
            the line is named.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            values = tuple(_rows(csv.DictReader(handle, strict=True), path))
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path} is not a CSV file in UTF-8", str(error)) from None
    return Published(values)


def _rows(reader: csv.DictReader[str], path: Path) -> Iterator[PublishedValue]:
    header = reader.fieldnames or []
    for column in header:
        if column not in COLUMNS:
            raise unknown(f"column of {path}", column, COLUMNS)
    absent = [column for column in COLUMNS if column not in header]
    if absent:
        raise BenchError(f"{path} lacks columns", ", ".join(absent), f"the header is {','.join(COLUMNS)}")
    if len(set(header)) < len(header):
        raise BenchError(f"{path} names a column twice", ",".join(header), f"the header is {','.join(COLUMNS)}")
    seen: dict[tuple[str, str, str], int] = {}
    for fields in reader:
        where = f"{path}, line {reader.line_num}"
        # DictReader files surplus fields under None and leaves missing ones None.
        if None in fields or None in fields.values():
            raise BenchError(
                f"{where} has the wrong number of fields", fix=f"write {len(COLUMNS)}, quoted where they hold commas"
            )
        item = _value({key: text.strip() for key, text in fields.items()}, where)
        keys = [(item.row, item.dataset, item.metric)]
        if item.system:
            keys.append((f"\0{item.system}", item.dataset, item.metric))
        for key in keys:
            if key in seen:
                name = key[0].lstrip("\0")
                raise BenchError(
                    f"{where} repeats a cell", f"{name}, {item.dataset}, {item.metric} is in line {seen[key]} already"
                )
            seen[key] = reader.line_num
        yield item


def _value(fields: Mapping[str, str], where: str) -> PublishedValue:
    for column in ("row", "dataset", "metric", "value", "source"):
        if not fields[column]:
            raise BenchError(f"{where}: {column} is empty", fix="only system and kbps may be")
    kbps = _number(fields["kbps"], "kbps", where) if fields["kbps"] else None
    return PublishedValue(
        row=fields["row"],
        system=fields["system"],
        kbps=kbps,
        dataset=fields["dataset"],
        metric=fields["metric"],
        value=_number(fields["value"], "value", where),
        source=fields["source"],
    )


def _number(text: str, column: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BenchError(f"{where}: {column} is not a number", repr(text), "write it as the paper prints it, 3.42")
    return number


def of_listening_tests(systems: Iterable[str]) -> tuple[PublishedValue, ...]:
    """The scores of those papers' listening tests in which one of these systems was rated.

    A hidden reference and anchors are in every test and make none comparable. What else a paper rated comes with it,
    since scores of a test depend on its company.
    """
    values = read(FOLDER / "listening-tests.csv").values
    wanted = {name for name in systems if name and name.partition("@")[0] not in ("reference", "lowpass")}
    papers = {_paper(item) for item in values if item.system in wanted}
    return tuple(item for item in values if _paper(item) in papers)


def _paper(item: PublishedValue) -> str:
    return item.source.partition(",")[0]
