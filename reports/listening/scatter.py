"""A page on which every point of a scatter plot, a metric against listeners, can be heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.listening.validation import Validation
from ldmbench.metrics._base import load_metric
from ldmbench.reports import media, page
from ldmbench.reports.cells import unique
from ldmbench.reports.listening import agreements
from ldmbench.runs.results import Run

#: The page's script, in the order in which its files stand in it.
SCRIPTS = ("core.js", "validation.js")


def write_page(
    validation: Validation, runs: Sequence[Run], folder: Path, limits: tuple[float, float] = (0.0, 100.0)
) -> Path:
    """Write the page; one that was written there before is replaced.

    Args:
        validation: What it shows.
        runs: The systems, whose sounds it plays.
        folder: Where ``index.html`` and ``clips/`` go.
        limits: Lowest and highest score.

    Returns:
        The path of ``index.html``.

    Raises:
        BenchError: If the folder holds something else, or it cannot be written.
    """
    try:
        page.clear(folder)
        sounds = _sounds(validation, runs, folder / "clips")
        path = folder / "index.html"
        path.write_text(_render(validation, sounds, runs, limits), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot write {folder}", error.strerror or str(error), "free disk space", 1) from None
    return path


def _sounds(validation: Validation, runs: Sequence[Run], folder: Path) -> dict[str, media.ClipMedia]:
    """Clip -> its sounds, of those that the plot shows."""
    clips = {clip.id: clip for run in runs for clip in run.info.clips}
    shown = [clips[name] for name in unique(point.clip for point in validation.points)]
    names = [f"{index:03}_{media.file_name(clip.id)}" for index, clip in enumerate(shown)]
    with ThreadPoolExecutor(page.WORKERS) as pool:
        made = pool.map(lambda clip, name: media.write_clip(clip, runs, folder, name), shown, names)
        return {clip.id: sound for clip, sound in zip(shown, made, strict=True)}


def _render(
    validation: Validation, sounds: Mapping[str, media.ClipMedia], runs: Sequence[Run], limits: tuple[float, float]
) -> str:
    systems = unique(point.system for point in validation.points)
    rows = validation.sections[0].rows
    facts = [load_metric(row.metric).facts for row in rows]
    metrics = [
        {
            "title": item.title,
            "unit": item.unit,
            "better": item.better,
            "digits": item.digits,
            "r": agreements.signed(row.agreements["sounds pearson"].value),
        }
        for item, row in zip(facts, rows, strict=True)
    ]
    points = [_point(point, systems, sounds, runs, [row.metric for row in rows]) for point in validation.points]
    data = {
        "systems": systems, "metrics": metrics, "points": points, "scale": validation.scale,
        "low": limits[0], "high": limits[1],
    }  # fmt: skip
    grids = agreements.everything(validation)
    return page.render(
        "validation.html.j2",
        SCRIPTS,
        {
            "title": validation.title,
            "notes": validation.notes,
            "points": points,
            "systems": systems,
            "metrics": metrics,
            "listeners": validation.sections[0].listeners,
            "grids": grids,
            "data": page.embed(data),
        },
    )


def _point(
    point: Any,
    systems: Sequence[str],
    sounds: Mapping[str, media.ClipMedia],
    runs: Sequence[Run],
    metrics: Sequence[str],
) -> dict[str, Any]:
    stimuli = sounds[point.clip].stimuli
    reference = next((item for item in stimuli if item.run < 0), None)
    own = next((item for item in stimuli if item.run >= 0 and runs[item.run].info.system == point.system), None)
    return {
        "item": point.item,
        "system": systems.index(point.system),
        "score": point.score,
        "half": point.half,
        "values": [point.values.get(name) for name in metrics],
        "audio": own.audio if own is not None else "",
        "reference": reference.audio if reference is not None else "",
        "message": own.message if own is not None else "no sound of this run",
    }
