"""Runs as event files of TensorBoard: scores as scalars over training steps, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ldmbench.errors import BenchError
from ldmbench.host.files import safe_name
from ldmbench.metrics._base import MetricFacts
from ldmbench.reports.exports.series import Series, scores, series
from ldmbench.reports.notes import banners
from ldmbench.runs.results import Run

#: Marks event files as ours: those of an earlier export are replaced, others never.
SUFFIX = ".ldmbench"

#: Prefixes of the tags of an interval's ends.
LOW, HIGH = "interval low", "interval high"


def write(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write an event file for each series into ``folder / SUITE / NAME``, and a layout of charts with intervals.

    Tags are ``DATASET/METRIC``; a scalar is a 32-bit float, as TensorBoard keeps them. The time of an event is when its
    run was made.

    Returns:
        The folders written.

    Raises:
        BenchError: If the extra ``loggers`` is not installed or a file cannot be written.
    """
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise BenchError("TensorBoard is not installed", fix="pip install 'ldmbench[loggers]'") from None
    written = []
    try:
        for item in series(runs):
            own = folder / safe_name(item.suite) / safe_name(item.name)
            for old in own.glob(f"events.out.tfevents.*{SUFFIX}"):
                old.unlink()
            writer = EventFileWriter(str(own), filename_suffix=SUFFIX)
            for event in _events(item):
                writer.add_event(event)
            writer.close()
            written.append(own)
    except OSError as error:
        raise BenchError(f"cannot write {folder}", error.strerror or str(error), exit_code=1) from None
    return written


def _events(item: Series) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    charts: dict[str, dict[str, str]] = {}
    for step, run in item.steps:
        when = datetime.fromisoformat(run.info.created).timestamp()
        values = [_text("run", _about(run))]
        for dataset, facts, estimate in scores(run):
            tag = f"{dataset}/{facts.name}"
            assert estimate.value is not None
            values.append(_scalar(tag, estimate.value, facts))
            if estimate.low is not None and estimate.high is not None:
                values.append(_scalar(f"{LOW}/{tag}", estimate.low, facts))
                values.append(_scalar(f"{HIGH}/{tag}", estimate.high, facts))
                charts.setdefault(dataset, {})[tag] = facts.title
        yield Event(wall_time=when, step=step, summary=Summary(value=values))
    if charts:
        yield Event(wall_time=when, step=item.steps[-1][0], summary=Summary(value=[_layout(charts)]))


def _scalar(tag: str, value: float, facts: MetricFacts) -> Any:
    import numpy as np
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar import metadata
    from tensorboard.util import tensor_util

    unit = f" ({facts.unit})" if facts.unit else ""
    words = f"{facts.title}{unit}, version {facts.version}"
    if facts.better != "neither":
        words += f"; {facts.better} is better"
    return Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(display_name=tag, description=words),
        tensor=tensor_util.make_tensor_proto(np.float32(value)),
    )


def _text(tag: str, text: str) -> Any:
    import numpy as np
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text import metadata
    from tensorboard.util import tensor_util

    return Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(display_name=tag, description=""),
        tensor=tensor_util.make_tensor_proto(np.array([text.encode()], dtype=object)),
    )


def _about(run: Run) -> str:
    """What must be read before the numbers of a run, and what made them, as Markdown."""
    lines = [*(f"**{line}**" for line in banners([run])), f"- system: `{run.info.system}`", f"- run: `{run.info.id}`"]
    lines += [f"- seed: {run.info.seed}", f"- suite: {run.info.suite}"]
    lines += [f"- {key}: `{value}`" for key, value in sorted(run.info.settings.items())]
    return "\n".join(lines)


def _layout(charts: dict[str, dict[str, str]]) -> Any:
    """Charts in which the interval is a band around the line."""
    import numpy as np
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata
    from tensorboard.util import tensor_util

    def chart(tag: str, title: str) -> Any:
        ends = layout_pb2.MarginChartContent.Series(value=tag, lower=f"{LOW}/{tag}", upper=f"{HIGH}/{tag}")
        return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[ends]))

    categories = [
        layout_pb2.Category(title=dataset, chart=[chart(tag, title) for tag, title in own.items()])
        for dataset, own in charts.items()
    ]
    layout = layout_pb2.Layout(category=categories).SerializeToString()
    return Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        metadata=metadata.create_summary_metadata(),
        tensor=tensor_util.make_tensor_proto(np.array(layout, dtype=object)),
    )
