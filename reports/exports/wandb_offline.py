"""Runs for Weights & Biases, written without a network: ``wandb sync`` sends them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.reports.exports.series import Series, scores, series
from ldmbench.reports.notes import banners
from ldmbench.runs.results import Run


def write(runs: Sequence[Run], folder: Path, project: str = "ldmbench") -> list[Path]:
    """Write an offline run of Weights & Biases for each series into ``folder / wandb``.

    Scores are logged as ``DATASET/METRIC`` at their training step, with the ends of their intervals as ``/low`` and
    ``/high`` and the number of scored and failed clips as ``/n`` and ``/failed``. The group is the suite; the ID
    follows from those of the runs.

    Returns:
        The folders of the offline runs.

    Raises:
        BenchError: If the extra ``loggers`` is not installed or the folder cannot be written.
    """
    try:
        import wandb
    except ImportError:
        raise BenchError("Weights & Biases is not installed", fix="pip install 'ldmbench[loggers]'") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"cannot write {folder}", error.strerror or str(error), exit_code=1) from None
    settings = wandb.Settings(
        console="off", silent=True, disable_git=True, save_code=False, disable_job_creation=True,
        x_disable_stats=True, x_disable_meta=True,
    )  # fmt: skip
    written = []
    for item in series(runs):
        logged: Any = wandb.init(
            project=project, name=item.name, id=item.id, group=item.suite, dir=str(folder), mode="offline",
            config=_config(item), notes="\n".join(banners([run for _, run in item.steps])) or None,
            job_type="evaluation", settings=settings, reinit="finish_previous",
        )  # fmt: skip
        for step, run in item.steps:
            logged.log(_numbers(run), step=step)
        written.append(Path(logged.dir).parent)
        logged.finish()
    wandb.teardown()  # Its service writes the files: they are whole only when it has ended.
    return written


def _config(item: Series) -> dict[str, Any]:
    """What made the numbers: of the series, and of each step."""
    first = item.steps[0][1].info
    return {
        "suite": item.suite,
        "system": item.name,
        "task": first.task,
        "seed": first.seed,
        "settings": dict(first.settings),
        "runs": {str(step): run.info.id for step, run in item.steps},
        "datasets": {dataset.name: dataset.digest for dataset in first.datasets},
    }


def _numbers(run: Run) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for dataset, facts, estimate in scores(run):
        tag = f"{dataset}/{facts.name}"
        parts = {"": estimate.value, "/low": estimate.low, "/high": estimate.high}
        parts |= {"/n": estimate.n, "/failed": estimate.failed}
        numbers |= {tag + end: value for end, value in parts.items() if value is not None}
    return numbers
