"""The lines that must be read beside the numbers of a table: banners, counts, refusals and sources."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from ldmbench.metrics._base import load_metric
from ldmbench.names import parse, some
from ldmbench.reports.cells import Column, Table, marks_of, unique
from ldmbench.reports.published import Published
from ldmbench.runs.identity import VERSION
from ldmbench.runs.labels import FOLDER
from ldmbench.runs.records import OutputRow, ScoreRow
from ldmbench.runs.results import Run
from ldmbench.stats import ALL_ZERO, LEVEL
from ldmbench.system.folder import BITRATE

#: How a note begins that tells of other runs: of use to whoever ran them, not to a reader of the table.
NOT_SHOWN = "Not shown:"

#: Roles that are never best or second, as a note names them.
_UNRANKED = {"reference": "the reference", "anchor": "anchors", "bound": "bounds"}


def banners(runs: Sequence[Run]) -> tuple[str, ...]:
    """The lines that must be read before any number of these runs."""
    lines = []
    untrained = [run.info.system for run in runs if run.info.untrained]
    if untrained:
        lines.append(f"UNTRAINED: random weights in {', '.join(untrained)}; these numbers say nothing about quality")
    random = unique(name for run in runs for name in run.info.metrics if parse(name).settings.get("untrained"))
    if random:
        lines.append(f"UNTRAINED: random weights behind {', '.join(random)}; these numbers say nothing about quality")
    partial = [run for run in runs if run.info.limit]
    if partial:
        limits = ", ".join(unique(str(run.info.limit) for run in partial))
        who = "all systems" if len(partial) == len(runs) else ", ".join(run.info.system for run in partial)
        lines.append(f"PARTIAL: at most {limits} clips of each dataset for {who}")
    lines += unique(
        f"INCOMPLETE: {item.missing} of {sum(clip.dataset == item.name for clip in run.info.clips)} reference files of"
        f" {item.name} are missing; what needs them stands on the other clips"
        for run in runs
        for item in run.info.datasets
        if item.missing
    )
    for run in runs:
        if run.pending:
            done = len(run.info.clips) - run.pending
            lines.append(f"INTERRUPTED: {run.info.system} has {done} of {len(run.info.clips)} clips; run it again")
    for run in runs:
        if run.failures:
            clips = unique(clip for clip, _, _ in run.failures)
            clip, stage, message = run.failures[0]
            more = f" and {len(run.failures) - 1} more" if len(run.failures) > 1 else ""
            what = f"{clip} ({stage}): {' '.join(message.split())}{more}"
            lines.append(f"FAILED: {run.info.system} on {len(clips)} of {len(run.info.clips)} clips: {what}")
    return tuple(lines)


def older(runs: Sequence[Run]) -> list[str]:
    """Which runs have an ID that may have stayed the same when what makes their audio changed."""
    names = [f"{run.info.system} ({run.info.id})" for run in runs if run.info.identity_version < VERSION]
    if not names:
        return []
    what = "its ID" if len(names) == 1 else "an ID of theirs"
    return [f"Made under an older identity: {some(names)}; {what} may not have changed when the audio did"]


def heard(runs: Sequence[Run], columns: Sequence[Column]) -> list[str]:
    """What the files and the way they are compared say about the numbers: delays, channels, and streams left out."""
    datasets = unique(column.dataset for column in columns if "audio" in column.facts.needs)
    lines = []
    for dataset in datasets:
        late: dict[str, list[OutputRow]] = {}
        several: dict[str, list[OutputRow]] = {}
        count: Counter[str] = Counter()
        for run in runs:
            clips = {clip.id for clip in run.info.clips if clip.dataset == dataset}
            rows = [row for clip, row in run.outputs.items() if clip in clips and row.status == "ok"]
            count[run.info.system] += len(rows)
            late.setdefault(run.info.system, []).extend(row for row in rows if row.delay)
            several.setdefault(run.info.system, []).extend(row for row in rows if row.channels > 1)
        # One line for all systems: a suite of eighty would bury its table under eighty.
        if any(late.values()):
            most = 1000 * max(abs(row.delay) for rows in late.values() for row in rows)
            lines.append(
                f"{_of(late, count, dataset)} outputs are late or early, by {most:.{'1f' if most >= 0.1 else '1g'}}"
                " ms at most, and scored as they are where a heading does not say aligned (--align)"
            )
        if any(several.values()):
            lines.append(
                f"{_of(several, count, dataset)} outputs have more than one channel: their mono mixes are"
                " compared where a heading does not say per-channel"
            )
    for run in runs:
        lines += unique(f"{run.info.system}: {note}" for row in run.outputs.values() for note in row.notes)
    return lines


def over_folds(runs: Sequence[Run], columns: Sequence[Column]) -> list[str]:
    """How far the scores of a probe's folds spread, and which networks were chosen; a table's intervals are over clips.

    The deviation is over n - 1, as HEAR has it; the interval is that of Nadeau and Bengio (2003), whose folds share
    what they learn from.
    """
    lines = []
    for column in (column for column in columns if "embedding" in column.facts.needs and column.facts.kind == "ratio"):
        spreads, points = [], []
        count = 0
        for run in runs:
            folds = _by_fold(run, column)
            if len(folds) > 1:
                pairs = [[score.value for score in own if isinstance(score.value, list)] for own in folds.values()]
                means = [sum(value[0] for value in own) / sum(value[1] for value in own) for own in pairs]
                deviation, count = statistics.stdev(means), len(folds)
                spread = " ± ".join(
                    f"{item:.{column.facts.digits}f}" for item in (deviation, deviation * _reach_of_folds(count))
                )
                spreads.append(f"{spread} ({run.info.system})")
            chosen = {split: _point(own[0].message) for split, own in folds.items() if own[0].message}
            if len(set(chosen.values())) == 1:
                points.append(f"{next(iter(chosen.values()))} ({run.info.system})")
            elif chosen:
                points.append(f"{'; '.join(map(' '.join, chosen.items()))} ({run.info.system})")
        what = f"{column.facts.title} on {column.dataset}"
        if spreads:
            lines.append(
                f"{what}, standard deviation over {count} folds ± half the {LEVEL * 100:.0f} % interval over"
                f" folds like these (Nadeau and Bengio 2003): {', '.join(spreads)}; the intervals shown are over clips"
            )
        if points:
            lines.append(f"{what}, chosen on the validation split: {', '.join(points)}")
    return lines


def _by_fold(run: Run, column: Column) -> dict[str, list[ScoreRow]]:
    """Split -> scores of its clips, in the order of the splits' names."""
    folds: dict[str, list[ScoreRow]] = {}
    for clip in run.info.clips:
        score = run.scores.get((clip.id, column.metric))
        if clip.dataset == column.dataset and score is not None and isinstance(score.value, list):
            folds.setdefault(clip.split, []).append(score)
    return dict(sorted(folds.items()))


def _reach_of_folds(count: int) -> float:
    """Half an interval over folds in standard deviations: of each, one fold is tested and all but two are learned from.

    Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52 (2003), section 3.
    """
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, (1 + LEVEL) / 2) * math.sqrt(1 / count + 1 / (count - 2)))


def _point(message: str) -> str:
    """What was chosen, without how well it did: that is in the records."""
    return ",".join(part for part in message.split(",") if not part.startswith(("valid=", "epoch=")))


def _of(rows: Mapping[str, Sequence[OutputRow]], count: Mapping[str, int], dataset: str) -> str:
    """``SYSTEMS on DATASET: k of n``, of the systems that have such rows."""
    systems = [system for system, own in rows.items() if own]
    part, whole = sum(len(rows[system]) for system in systems), sum(count[system] for system in systems)
    return f"{some(systems)} on {dataset}: {part} of {whole}"


def stated(runs: Sequence[Run]) -> list[str]:
    """Whose bitrates nobody measured."""
    names = [run.info.system for run in runs if FOLDER in run.info.environment and BITRATE in run.info.settings]
    return [f"Bitrates as stated by who made the folders, not measured: {', '.join(names)}"] if names else []


def others(runs: Sequence[Run]) -> list[str]:
    """Which other runs of the same systems there are; shown is what was asked for last."""
    of_each = [f"{run.info.system} ({some(run.others)})" for run in runs if run.others]
    return [f"{NOT_SHOWN} other runs of {', '.join(of_each)}"] if of_each else []


def inapplicable(runs: Sequence[Run], metrics: Sequence[str]) -> list[str]:
    """Which metrics were asked for and are in no column, since they are not defined for what the datasets hold."""
    datasets = {item.name: item.content for run in runs for item in run.info.datasets}
    titles: dict[tuple[str, ...], list[str]] = {}
    for facts in (load_metric(name).facts for name in metrics):
        if not any(facts.applies_to(content) for content in datasets.values()):
            titles.setdefault(facts.content, []).append(facts.title)
    held = ", ".join(f"{name} holds {content}" for name, content in datasets.items())
    return [f"No {', '.join(names)}: for {' and '.join(kinds)} only, and {held}" for kinds, names in titles.items()]


def incomparable(runs: Sequence[Run], metric: str, dataset: str) -> str:
    """Why the cells of a column do not compare, empty where they do."""
    versions = {row.version for run in runs for (_, name), row in run.scores.items() if name == metric}
    if len(versions) > 1:
        shown = ", ".join(map(str, sorted(versions)))
        return f"{metric} on {dataset}: versions {shown} are mixed, the rows do not compare; run the older ones again"
    digests = {item.digest for run in runs for item in run.info.datasets if item.name == dataset}
    if len(digests) > 1:
        return f"{metric} on {dataset}: the clip lists differ between the runs, the rows do not compare"
    return ""


def counts(table: Table) -> list[str]:
    """One line of n for each dataset, and what the marks mean."""
    lines = []
    for dataset in table.datasets:
        columns = [table.columns[index] for index in table.positions(dataset)]
        counts = unique(str(column.n) for column in columns)
        each = counts[0] if len(counts) == 1 else ", ".join(f"{column.n} ({column.facts.title})" for column in columns)
        cells = [
            row.cells[index] for row in table.rows for index in table.positions(dataset) if row.cells[index].estimate
        ]
        if not any(column.n for column in columns) and any(cell.estimate and cell.estimate.value for cell in cells):
            continue  # Of the systems themselves, over no clips.
        whole = not any(cell.deviates for cell in cells)
        lines.append(f"{dataset}: n = {each} clips" + (", none failed" if whole else " unless a cell says otherwise"))
    lines += _too_few(table)
    lines += _below_zero(table)
    lines += reference_notes(table)
    if len(table.rows) > 1 and (unranked := _not_ranked(table)):
        lines.append(unranked)
    return lines


def interval_notes(table: Table) -> list[str]:
    """What the intervals of a table are, why some are missing, and how far they carry."""
    shown = [
        (table.columns[index], cell.estimate)
        for row in table.rows
        for index, cell in enumerate(row.cells)
        if cell.estimate is not None and cell.estimate.value is not None
    ]
    lines = [f"Intervals: {LEVEL * 100:.0f} %, over clips: of what other clips like these would give"]
    if few := sorted({item.n for _, item in shown if item.low is not None and item.note}):
        counts = " or ".join(map(str, few))
        lines.append(
            f"* of {counts} clips: too few to show how skewed the scores are; skewed ones are covered less often"
        )
    reasons = unique(item.note for _, item in shown if item.low is None and item.note)
    if reasons:
        lines.append(f"No interval: {', '.join(reasons)}")
    for n in sorted({item.n for _, item in shown if item.note == ALL_ZERO}):
        most = 100 * (1 - (1 - LEVEL) ** (1 / n))
        lines.append(f"All zero in {n} clips: at most {most:.0f} % of all clips differ from zero (95 % confidence)")
    lines += unique(
        f"Interval of {column.facts.title}: {column.facts.interval}" for column, _ in shown if column.facts.interval
    )
    return lines


def reference_notes(table: Table) -> tuple[str, ...]:
    """Whose statistics stand for the references, column by column."""
    facts = [column.facts for column in table.columns]
    return unique(f"References of {item.title}: {item.reference}, not heard here" for item in facts if item.reference)


def _below_zero(table: Table) -> list[str]:
    """Where an estimate of a distance is negative, which a reader may take for a fault."""
    who: dict[int, list[str]] = {}
    for row in table.rows:
        for index, cell in enumerate(row.cells):
            facts = table.columns[index].facts
            estimate = cell.estimate
            if facts.kind == "set" and estimate is not None and estimate.value is not None and estimate.value < 0:
                who.setdefault(index, []).append(row.label)
    return [
        f"{table.columns[index].facts.title} below 0 for {', '.join(labels)} on {table.columns[index].dataset}: "
        "an estimate of a distance too small for so few clips"
        for index, labels in who.items()
    ]


def _not_ranked(table: Table) -> str:
    """Which rows show the ends of a scale and so are never best or second; empty where all rows are systems."""
    roles = {row.role for row in table.rows}
    kinds = [name for role, name in _UNRANKED.items() if role in roles]
    if not kinds:
        return ""
    shown = " and ".join(filter(None, [", ".join(kinds[:-1]), kinds[-1]]))
    names = sorted({parse(row.system).name for row in table.rows if row.role in _UNRANKED})
    return f"Not ranked: {shown} ({', '.join(names)}), and cells short of clips"


def _too_few(table: Table) -> list[str]:
    """Metrics over sets that have scored clips and no value all the same."""
    who: dict[tuple[int, int], list[str]] = {}
    for row in table.rows:
        for index, cell in enumerate(row.cells):
            if cell.estimate is not None and cell.estimate.value is None and cell.estimate.n:
                who.setdefault((index, cell.estimate.n), []).append(row.label)
    return [
        f"No {table.columns[index].facts.title} for {', '.join(labels)} on {table.columns[index].dataset}: "
        f"{n} {'clip is' if n == 1 else 'clips are'} too few"
        for (index, n), labels in who.items()
    ]


def refusals(runs: Sequence[Run], published: Published) -> list[str]:
    """Why published numbers are not shown beside runs that have some."""
    lines = []
    systems = {item.system for item in published.values}
    for run in runs:
        marks = marks_of(run)
        if marks and run.info.system in systems:
            lines.append(f"No published numbers beside {run.info.system}: the run is {' and '.join(marks)}")
    return lines


def sources(table: Table, published: Published) -> tuple[str, ...]:
    """Where the published numbers that the table shows come from, each source with its rows."""
    shown = {
        (row.system or row.label, column.dataset, column.metric)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if cell.published is not None
    }
    rows: dict[str, list[str]] = {}
    for item in published.values:
        if (item.system or item.row, item.dataset, item.metric) in shown:
            rows.setdefault(item.source, []).append(item.row)
    return tuple(f"{source}: {', '.join(unique(names))}" for source, names in rows.items())


def nothing_published(table: Table, published: Published) -> list[str]:
    """That there are published numbers for the suite, and none for what the table shows."""
    if any(cell.published is not None for row in table.rows for cell in row.cells):
        return []
    systems = unique(item.system or item.row for item in published.values)
    return [f"No published number belongs to these rows and columns; there are some of {some(systems)}"]
