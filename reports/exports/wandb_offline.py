"""Runs for Weights & Biases, written without a network: ``wandb sync`` sends them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.host.apart import Apart
from ldmbench.reports.exports.series import Series, scores, series
from ldmbench.reports.notes import banners
from ldmbench.runs.results import Run


def write(runs: Sequence[Run], folder: Path, project: str = "ldmbench") -> list[Path]:
    """Write an offline run of Weights & Biases for each series into ``folder / wandb``.

    Scores are logged as ``DATASET/METRIC`` at their training step, with the ends of their intervals as ``/low`` and
    ``/high`` and the number of scored and failed clips as ``/n`` and ``/failed``. The group is the suite; the ID
    follows from those of the runs. A session that the caller has open is neither used nor ended.

    Returns:
        The folders of the offline runs.

    Raises:
        BenchError: If the extra ``loggers`` is not installed or the folder cannot be written.
    """
    if importlib.util.find_spec("wandb") is None:
        raise BenchError("Weights & Biases is not installed", fix="pip install 'ldmbench[loggers]'")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"cannot write {folder}", error.strerror or str(error), exit_code=1) from None
    logs = [(_about(item), [(step, _numbers(run)) for step, run in item.steps]) for item in series(runs)]
    # A process of its own: files are whole only when wandb's service has ended, and a caller's must not end with it.
    with Apart({"WANDB_SERVICE": ""}) as apart:
        return [Path(path) for path in apart.call(_log, project, str(folder), logs)]


def _log(
    project: str, folder: str, logs: Sequence[tuple[dict[str, Any], Sequence[tuple[int, dict[str, float]]]]]
) -> list[str]:
    """In the other process: write each series, with what ``wandb.init`` is told of it; returns the folders."""
    import wandb

    settings = wandb.Settings(
        console="off", silent=True, disable_git=True, save_code=False, disable_job_creation=True,
        x_disable_stats=True, x_disable_meta=True,
    )  # fmt: skip
    written = []
    for about, steps in logs:
        logged: Any = wandb.init(
            project=project, dir=folder, mode="offline", job_type="evaluation", settings=settings, **about
        )
        for step, numbers in steps:
            logged.log(numbers, step=step)
        written.append(str(Path(logged.dir).parent))
        logged.finish()
    wandb.teardown()
    return written


def _about(item: Series) -> dict[str, Any]:
    """Name, ID and group of a series, what must be read before its numbers, and what made them."""
    first = item.steps[0][1].info
    config = {
        "suite": item.suite,
        "system": item.name,
        "task": first.task,
        "seed": first.seed,
        "settings": dict(first.settings),
        "runs": {str(step): run.info.id for step, run in item.steps},
        "datasets": {dataset.name: dataset.digest for dataset in first.datasets},
    }
    notes = "\n".join(banners([run for _, run in item.steps])) or None
    return {"name": item.name, "id": item.id, "group": item.suite, "config": config, "notes": notes}


def _numbers(run: Run) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for dataset, facts, estimate in scores(run):
        tag = f"{dataset}/{facts.name}"
        parts = {"": estimate.value, "/low": estimate.low, "/high": estimate.high}
        parts |= {"/n": estimate.n, "/failed": estimate.failed}
        numbers |= {tag + end: value for end, value in parts.items() if value is not None}
    return numbers
