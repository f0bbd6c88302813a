"""A run as the evaluation results of a model card on Hugging Face: front matter that the Hub reads, and a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.host.files import replacing, safe_name
from ldmbench.metrics._base import load_metric
from ldmbench.reports import text as tables
from ldmbench.runs.records import DatasetInfo
from ldmbench.runs.results import Run

#: Task of the bench -> task of the Hub, and its name.
TASKS = {
    "codec": ("audio-to-audio", "Audio reconstruction"),
    "enhance": ("audio-to-audio", "Audio enhancement"),
    "generate": ("text-to-audio", "Text-to-audio generation"),
    "embed": ("feature-extraction", "Audio representation"),
}

SOURCE = {"name": "ldmbench", "url": "https://github.com/ldmbench/ldmbench"}


def write(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write ``SYSTEM.md`` for each run: a model index as YAML between dashes, then the results as a table.

    Returns:
        The files written.

    Raises:
        BenchError: If a run is of random weights, has no value, or a file cannot be written.
    """
    for run in runs:
        if run.info.untrained:
            raise BenchError(f"{run.info.system} has random weights", "its numbers say nothing about a model")
    written = []
    for run in runs:
        path = folder / f"{safe_name(run.info.system)}.md"
        if path in written:
            path = folder / f"{safe_name(run.info.system)}-{run.info.id}.md"
        with replacing(path) as handle:
            handle.write(card(run).encode())
        written.append(path)
    return written


def card(run: Run, name: str = "") -> str:
    """The text of a model card: front matter, and a table of all results with their intervals.

    Args:
        run: A run.
        name: Name of the model; the system's label where empty.

    Raises:
        BenchError: If no metric has a value.
    """
    results = [result for dataset in run.info.datasets if (result := _result(run, dataset))["metrics"]]
    if not results:
        raise BenchError(f"{run.info.system} has no value to show", fix="score it first")
    index = [{"name": name or run.info.system, "results": results}]
    table = tables.to_markdown(tables.build([run]), intervals=True)
    return f"---\n{_yaml({'model-index': index})}---\n\n## Evaluation\n\n{table}"


def _result(run: Run, dataset: DatasetInfo) -> dict[str, Any]:
    kind, words = TASKS[run.info.task]
    metrics = []
    for metric in run.info.metrics:
        facts = load_metric(metric).facts
        estimate = run.estimate(metric, dataset.name)
        if estimate is None or estimate.value is None:
            continue
        about = {"unit": facts.unit, "better": facts.better, "version": facts.version, "clips": estimate.n}
        about |= {"failed": estimate.failed, "unscored": estimate.unscored}
        about |= {"interval_95_low": estimate.low, "interval_95_high": estimate.high}
        metrics.append(
            {
                "type": facts.name,
                "value": estimate.value,
                "name": facts.title,
                "args": {key: value for key, value in about.items() if value not in (None, "")},
            }
        )
    about_list: dict[str, Any] = {"clips": sum(clip.dataset == dataset.name for clip in run.info.clips)}
    about_list |= {"partial": True} if run.info.limit or run.pending else {}
    return {
        "task": {"type": kind, "name": words},
        "dataset": {
            "type": dataset.name,
            "name": dataset.title or dataset.name,
            "revision": dataset.digest,
            "args": about_list,
        },
        "metrics": metrics,
        "source": {**SOURCE, "name": f"ldmbench, run {run.info.id}"},
    }


def _yaml(content: Any, depth: int = 0) -> str:
    """Nested lists and mappings as YAML in blocks; texts and numbers as JSON, which YAML contains."""
    pad = "  " * depth
    if isinstance(content, dict):
        lines = []
        for key, value in content.items():
            nested = isinstance(value, dict | list)
            lines.append(
                f"{pad}{key}:\n{_yaml(value, depth + isinstance(value, dict))}"
                if nested
                else f"{pad}{key}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}\n"
            )
        return "".join(lines)
    return "".join(f"{pad}- {_yaml(item, depth + 1).removeprefix('  ' * (depth + 1))}" for item in content)
