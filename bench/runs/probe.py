"""The second stage of a run of embeddings: probes learn from whole datasets, and each clip they tell has a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored, describe, one_line
from ldmbench.host import interrupt
from ldmbench.host.progress import progress
from ldmbench.metrics._base import Value, load_metric
from ldmbench.metrics.probe import ProbeMetric
from ldmbench.probes.embedder import CACHED, LAYER, cached_layer
from ldmbench.probes.examples import Examples, Predictions
from ldmbench.runs.records import OutputRow, ScoreRow
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run
from ldmbench.runs.writer import RunWriter

#: By ``ProbeMetric.learns``: labelled embeddings, and what was predicted from them. Several metrics read the same.
Learned = dict[tuple[object, ...], tuple[Examples, Predictions]]


def measure_probes(
    runs: Sequence[Run], clips: Sequence[Clip], names: Sequence[str], options: Options, writers: Sequence[RunWriter]
) -> None:
    """Compute the probes of datasets of which a score is missing, and append all scores of these datasets.

    Args:
        runs: The runs.
        clips: The clips, as planned.
        names: Names of metrics that are ``ProbeMetric``.
        options: Where they learn, and whether those that failed are tried again.
        writers: Open writers of the same runs.
    """
    datasets: dict[str, list[Clip]] = {}
    for clip in clips:
        datasets.setdefault(clip.dataset, []).append(clip)
    jobs = [
        (position, dataset, name)
        for position, run in enumerate(runs)
        for dataset in datasets
        for name in names
        if _wanted(run, datasets[dataset], name, options.retry_failed)
    ]
    learned: Learned = {}
    with progress("probe", len(jobs), options.quiet) as advance:
        for number, (position, dataset, name) in enumerate(jobs):
            interrupt.check()
            if number and jobs[number - 1][:2] != (position, dataset):
                learned.clear()
            writers[position].add_scores(_rows(runs[position], datasets[dataset], name, options.local_device, learned))
            advance(1, f"{runs[position].info.system} on {dataset}")


def _wanted(run: Run, clips: Sequence[Clip], name: str, retry_failed: bool) -> bool:
    """Whether a clip that has an embedding, and is of a test split, lacks its score."""
    facts = load_metric(name).facts
    if not facts.applies_to(clips[0].content):
        return False
    for clip in clips:
        row, score = run.outputs.get(clip.id), run.scores.get((clip.id, name))
        if row is None or row.status != "ok" or clip.split in ("train", "valid"):
            continue
        if score is None or score.version != facts.version or (retry_failed and score.status == "failed"):
            return True
    return False


def _rows(run: Run, clips: Sequence[Clip], name: str, device: str, learned: Learned) -> list[ScoreRow]:
    """A row for each clip of the test splits that has an embedding."""
    metric = load_metric(name)
    assert isinstance(metric, ProbeMetric)
    chosen = [(clip, row) for clip in clips if (row := run.outputs.get(clip.id)) is not None and row.status == "ok"]
    try:
        if metric.learns not in learned:
            examples = _examples(run, chosen)
            learned[metric.learns] = examples, metric.predict(examples, device)
        values = metric.values(*learned[metric.learns])
    except BaseException as error:
        if interrupt.from_keyboard(error):
            raise
        return [_failed(clip, row, metric, error) for clip, row in chosen if clip.split not in ("train", "valid")]
    predictions = learned[metric.learns][1]
    chosen_for = [_shown(settings) for settings in predictions.settings]
    return [
        ScoreRow(clip.id, name, metric.facts.version, "ok", _plain(values[clip.id]), chosen_for[fold], row.digest)
        for (clip, row), fold in zip(chosen, predictions.fold, strict=True)
        if clip.id in values
    ]


def _shown(settings: Mapping[str, object]) -> str:
    """What was chosen for a fold, as the settings of a name are written."""
    return ",".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in settings.items()
    )


def _examples(run: Run, chosen: Sequence[tuple[Clip, OutputRow]]) -> Examples:
    layer = str(run.info.settings[LAYER]) if LAYER in run.info.settings else ""
    vectors = []
    for clip, row in chosen:
        place = row.details.get(CACHED)
        if not place:
            raise BenchError(f"{run.info.system} has no embeddings", "it was run on a suite of another task")
        vector = cached_layer(place, layer)
        if vector is None:
            raise BenchError(f"the embedding of {clip.id} is gone", "the cache was emptied", "run the suite again")
        vectors.append(vector)
    widths = sorted({len(vector) for vector in vectors})
    if len(widths) > 1:
        raise BenchError(f"the layer {layer} of {run.info.system} differs in size between clips", f"{widths}")
    names, labels, splits = zip(*((clip.id, clip.label, clip.split) for clip, _ in chosen), strict=True)
    primary = {item.name: item.primary_score for item in run.info.datasets}[chosen[0][0].dataset]
    return Examples(names, np.stack(vectors), labels, splits, primary or "top1_acc")


def _plain(value: Value) -> float | list[float]:
    array = np.asarray(value, np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"the probe returned {value}")
    return float(array) if array.ndim == 0 else [float(number) for number in array]


def _failed(clip: Clip, row: OutputRow, metric: ProbeMetric, error: BaseException) -> ScoreRow:
    if isinstance(error, Unscored):
        return ScoreRow(
            clip.id, metric.facts.name, metric.facts.version, "unscored", message=one_line(error), output=row.digest
        )
    message = str(error) if isinstance(error, BenchError) else describe(error)
    return ScoreRow(clip.id, metric.facts.name, metric.facts.version, "failed", message=message, output=row.digest)
