"""A page: one folder with ``index.html`` that shows and plays runs, without a server or a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.metrics._base import MetricFacts
from ldmbench.reports import bdrate, curves, drawing, encoding, heatmaps, media, panels
from ldmbench.reports import text as table
from ldmbench.reports.cells import Beside, joined, marks_of, number, unique
from ldmbench.reports.listening.beside import LISTENING, Heard
from ldmbench.reports.notes import interval_notes
from ldmbench.reports.profiles import DEPLOYMENT
from ldmbench.reports.published import Published
from ldmbench.reports.result import AVERAGE, SYSTEM_FACTS
from ldmbench.runs.records import ClipInfo, DatasetInfo
from ldmbench.runs.results import Run

TEMPLATES = Path(__file__).parent / "templates"

#: The page's script, in the order in which its files stand in it.
SCRIPTS = ("core.js", "table.js", "panel.js", "player.js", "dock.js", "clips.js", "listen.js")

#: Marks a page as ours, so that only such a folder is ever replaced.
GENERATOR = '<meta name="generator" content="ldmbench">'

#: Threads that read, analyse and write sounds.
WORKERS = 2


def write_page(
    runs: Sequence[Run],
    folder: str | Path,
    title: str,
    *,
    metrics: Sequence[str] | None = None,
    curve_metrics: Sequence[str] | None = None,
    published: Published | None = None,
    anchor: str | None = None,
    max_clips: int = 20,
    note: str = "",
    averages: Sequence[str] = (),
    heard: Heard | None = None,
    audio: str = "flac",
    profiled: Beside | None = None,
) -> Path:
    """Write a page of runs; a page that was written there before is replaced.

    Args:
        runs: The systems, in order.
        folder: Where ``index.html`` and ``clips/`` go.
        title: Heading of the page.
        metrics: Metrics to show; all where None.
        curve_metrics: Metrics of the curves; all quality metrics where None.
        published: Published numbers to set beside the measured ones.
        anchor: Family that BD-rates refer to; the one with most points where None.
        max_clips: Clips of each dataset that can be heard, the failed ones first; the page says how many of how many.
        note: A line below the heading.
        averages: Metrics to average over the datasets.
        heard: A listening test to show beside them.
        audio: ``flac``, the sounds to 16 bits, or ``opus``, a third of the bytes.
        profiled: Deployment columns to show beside them.

    Returns:
        The path of ``index.html``.

    Raises:
        BenchError: If there is no run, the folder holds something else, or it cannot be written.
    """
    beside = joined(heard.beside if heard is not None else None, profiled)
    result = table.build(runs, metrics, None, published, published is not None, averages, beside)
    folder = Path(folder)
    try:
        clear(folder)
        chosen = _choose_clips(runs, max_clips)
        sounds = _write_sounds(chosen, runs, folder / "clips", audio)
        drawn = _curves(runs, curve_metrics, anchor)
        listened = {} if heard is None else {"grids": heard.grids, "log": heard.log, "pictures": heard.pictures(folder)}
        context = {
            "title": title,
            "note": note,
            "listened": listened,
            "sound": encoding.WORDS[audio],
            **_content(runs, result, drawn, chosen, sounds),
        }
        path = folder / "index.html"
        path.write_text(_render(context), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write {folder}", error.strerror or str(error), "free disk space", 1) from None
    return path


def _write_sounds(clips: Sequence[ClipInfo], runs: Sequence[Run], folder: Path, audio: str) -> list[media.ClipMedia]:
    names = [f"{index:03}_{media.file_name(clip.id)}" for index, clip in enumerate(clips)]
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda clip, name: media.write_clip(clip, runs, folder, name, audio), clips, names))


def _content(
    runs: Sequence[Run],
    result: table.Table,
    drawn: Mapping[str, Any],
    chosen: Sequence[ClipInfo],
    sounds: Sequence[media.ClipMedia],
) -> dict[str, Any]:
    """What the template shows of runs: the table, the curves, and the chosen clips with their sounds."""
    facts = list({column.metric: column.facts for column in result.columns}.values())
    datasets = _datasets(runs)
    failing = [{clip for clip, _, _ in run.failures} for run in runs]
    return {
        "suite": result.suite,
        "banners": [_banner(line) for line in result.banners],
        "table": result,
        "curves": drawn,
        "clip_total": len(unique(clip.id for run in runs for clip in run.info.clips)),
        "titles": {
            AVERAGE: "Mean over the datasets",
            LISTENING: "Listening test",
            DEPLOYMENT: "Deployment",
            **{item.name: item.title for item in datasets},
        },
        "ranked": any(cell.rank for row in result.rows for cell in row.cells),
        "clips": [_clip_row(clip, runs, facts, failing) for clip in chosen],
        "clip_counts": _clip_counts(runs, chosen),
        "groups": unique(clip.group for clip in chosen if clip.group),
        "runs": runs,
        "places": {run.info.id: index for index, run in enumerate(runs)},
        "families": {run.info.id: curves.family_of(run) for run in runs},
        "datasets": datasets,
        "facts": facts,
        "data": embed(_data(chosen, sounds, runs, facts, drawn["colours"])),
    }


def clear(folder: Path) -> None:
    """Make a folder ready for a page, or for one in place of the page that is there.

    Raises:
        BenchError: If it holds something else.
    """
    index = folder / "index.html"
    if folder.exists() and not folder.is_dir():
        raise BenchError(f"{folder} is a file", fix="name a folder for the page")
    if folder.is_dir() and any(folder.iterdir()):
        if not index.is_file() or GENERATOR not in index.read_text(encoding="utf-8", errors="replace")[:4000]:
            raise BenchError(f"{folder} holds something other than a page", fix="name a new or empty folder")
        if (folder / "clips").exists():
            shutil.rmtree(folder / "clips")
    folder.mkdir(parents=True, exist_ok=True)
    # Interrupted from here on, the folder is still known as a page, and opening it says what happened.
    index.write_text(f"<!doctype html>{GENERATOR}<p>This page was not finished; write it again.", encoding="utf-8")


def _choose_clips(runs: Sequence[Run], most: int) -> list[ClipInfo]:
    """At most so many clips of each dataset: those on which something failed, then the first; in planned order."""
    clips = {clip.id: clip for run in runs for clip in run.info.clips}
    failed = {clip for run in runs for clip, _, _ in run.failures}
    chosen: set[str] = set()
    for dataset in unique(clip.dataset for clip in clips.values()):
        names = [name for name, clip in clips.items() if clip.dataset == dataset]
        chosen |= set(sorted(names, key=lambda name: name not in failed)[:most])
    return [clip for name, clip in clips.items() if name in chosen]


def _clip_counts(runs: Sequence[Run], chosen: Sequence[ClipInfo]) -> list[str]:
    clips = {clip.id: clip.dataset for run in runs for clip in run.info.clips}
    lines = []
    for dataset in unique(clips.values()):
        total = list(clips.values()).count(dataset)
        shown = sum(clip.dataset == dataset for clip in chosen)
        if shown < total:
            lines.append(f"{dataset}: showing {shown} of {total} clips")
    return lines


def _curves(runs: Sequence[Run], metrics: Sequence[str] | None, anchor: str | None) -> dict[str, Any]:
    """Curves and heat maps as panels, and the BD-rates."""
    built = curves.build(runs, metrics)
    maps = heatmaps.build(runs, metrics if metrics is not None else curves.quality_metrics(runs))
    names = drawing.family_names(built)
    drawn = [panels.curve_panel(curve, names, f"c{index}-") for index, curve in enumerate(built)]
    drawn += [panels.heatmap_panel(item, f"h{index}-") for index, item in enumerate(maps)]
    base = bdrate.find_anchor(built, anchor) if anchor else ""
    base = base or bdrate.choose_anchor(built)
    rates = bdrate.bd_table(built, base) if base else ()
    return {
        "panels": drawn,
        "datasets": unique(panel.dataset for panel in drawn),
        "anchor": base,
        "asked": anchor or base,
        "bd_columns": [(curve.dataset, curve.facts) for curve in built if curve.axis == curves.RATE],
        "bd_rows": {
            name: [item for item in rates if item.family == name] for name in unique(item.family for item in rates)
        },
        "colours": {name: index % len(drawing.PALETTE) for index, name in enumerate(names)},
    }


def _clip_row(
    clip: ClipInfo, runs: Sequence[Run], facts: Sequence[MetricFacts], failing: Sequence[set[str]]
) -> dict[str, Any]:
    failed = [run.info.system for run, clips in zip(runs, failing, strict=True) if clip.id in clips]
    unscored = sum(
        score is not None and score.status == "unscored"
        for run in runs
        for score in (run.scores.get((clip.id, fact.name)) for fact in facts if not _cannot(run, fact))
    )
    name = clip.id.removeprefix(f"{clip.dataset}/")
    words = " ".join([clip.id, clip.group, clip.text, *failed]).lower()
    return {"clip": clip, "name": name, "failed": failed, "unscored": unscored, "words": words}


def _data(
    clips: Sequence[ClipInfo],
    sounds: Sequence[media.ClipMedia],
    runs: Sequence[Run],
    facts: Sequence[MetricFacts],
    colours: dict[str, int],
) -> dict[str, Any]:
    """What the player reads."""
    entries = []
    for clip, sound in zip(clips, sounds, strict=True):
        stimuli = []
        for item in sound.stimuli:
            run = runs[item.run] if item.run >= 0 else next((r for r in runs if r.info.role == "reference"), None)
            marks = [mark.upper() for mark in marks_of(run)] if run is not None and item.run >= 0 else []
            stimuli.append(
                {
                    "name": "Reference" if item.run < 0 else runs[item.run].info.system,
                    "run": item.run,
                    "role": "reference" if item.run < 0 else runs[item.run].info.role,
                    "lufs": item.loudness,
                    "marks": marks,
                    "colour": colours.get(curves.family_of(runs[item.run])) if item.run >= 0 else None,
                    "status": item.status,
                    "message": item.message,
                    "audio": item.audio,
                    "image": item.image,
                    "facts": item.facts,
                    "scores": [] if run is None else [_score(run, clip.id, fact) for fact in facts],
                }
            )
        entries.append(
            {
                "id": clip.id,
                "dataset": clip.dataset,
                "seconds": sound.seconds,
                "ticks": sound.ticks,
                "note": sound.note,
                "stimuli": stimuli,
            }
        )
    metrics = [
        {"name": f.name, "title": f.title, "unit": f.unit, "better": f.better, "arrow": table.ARROWS[f.better]}
        for f in facts
    ]
    systems = [{"name": run.info.system, "role": run.info.role} for run in runs]
    return {"clips": entries, "metrics": metrics, "runs": systems, "loudness": media.can_match()}


def _score(run: Run, clip: str, fact: MetricFacts) -> list[str]:
    """Status and what to print: the value of one clip, or the reason why there is none."""
    row = run.scores.get((clip, fact.name))
    # What a system cannot have (a low-pass filter has no bitrate) is not said again at every clip.
    if row is None or (row.status == "unscored" and _cannot(run, fact)):
        return ["none", ""]
    if row.status != "ok" or row.value is None:
        return [row.status, row.message]
    if isinstance(row.value, str):
        return ["set", "a vector: this metric has values for sets of clips only"]
    if isinstance(row.value, list):
        if not row.value[1]:
            return ["unscored", "the denominator is 0"]
        return ["ok", number(row.value[0] / row.value[1], fact.digits)]
    return ["ok", number(row.value, fact.digits)]


def _cannot(run: Run, fact: MetricFacts) -> bool:
    """Whether a metric without a value says nothing about a clip: of a system's facts, and of a perfect reference."""
    return set(fact.needs) <= SYSTEM_FACTS or run.info.role == "reference"


def _datasets(runs: Sequence[Run]) -> list[DatasetInfo]:
    return list({(item.name, item.digest): item for run in runs for item in run.info.datasets}.values())


def _banner(line: str) -> tuple[str, str]:
    kind, _, text = line.partition(": ")
    return kind, text


def embed(data: Any) -> str:
    """JSON that no HTML parser can leave early and that reads as JavaScript, too."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def render(
    template: str, scripts: Sequence[str], context: Mapping[str, Any], styles: Sequence[str] = ("page.css",)
) -> str:
    """A page of one of the templates, with styles and scripts in it."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        css="".join((TEMPLATES / name).read_text(encoding="utf-8") for name in styles),
        js="\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in scripts),
    )
    return environment.get_template(template).render(context)


def _render(context: dict[str, Any]) -> str:
    functions = {
        "value_text": table.value_text,
        "count_text": table.count_text,
        "signed": table.signed,
        "number": number,
        "arrows": table.ARROWS,
        "interval_notes": interval_notes,
    }
    return render("index.html.j2", SCRIPTS, {**context, **functions})
