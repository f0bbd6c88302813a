"""Statistics of a dataset's references, as a metric of distributions takes them in their place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from ldmbench.audio.arrays import Rows
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.progress import progress
from ldmbench.metrics import _statistics as statistics
from ldmbench.metrics._base import load_metric
from ldmbench.metrics._embedding import SetMetric, unpack
from ldmbench.names import Name, parse, some
from ldmbench.system.protocol import Output

#: Clips that are heard together.
_BATCH = 32


def against(metric: str, reference: str) -> str:
    """The metric's name with these statistics in place of its references.

    Raises:
        BenchError: If it is a metric that takes none.

    Example:
        >>> against("fd_panns@32khz", "audiocaps-test-1f2e3d4c5b6a")
        'fd_panns@32khz:reference=audiocaps-test-1f2e3d4c5b6a'
    """
    asked = parse(metric)
    name = str(Name(asked.name, asked.variant, {**asked.settings, "reference": reference}))
    try:
        load_metric(name)
    except BenchError as error:
        if "unknown setting" not in error.what:
            raise
        takers = "fd_panns, fd_passt, fd_openl3, fad_vggish_*, fad_infinity_* and fad_clap"
        raise BenchError(f"{metric} takes no statistics of references", fix=f"{takers} do") from error
    return name


def make_statistics(
    clips: Sequence[Clip], metric: str, whose: str, device: str, weights: Path | None, quiet: bool = False
) -> statistics.Statistics:
    """Statistics of what a metric hears of clips' own sounds.

    Args:
        clips: The clips; all need a sound.
        metric: A metric that takes statistics.
        whose: What the notes of a table call them.
        device: Where the extractor runs.
        weights: Folder of checkpoints, None for the weights home.
        quiet: Show no progress.

    Raises:
        BenchError: If the metric takes none or cannot be computed here, or a clip has no sound or no embedding.
    """
    against(metric, "any-000000000000")
    loaded = cast(SetMetric, load_metric(metric))
    if loaded.against:
        raise BenchError(f"{metric} has statistics already", fix="leave out its setting reference")
    loaded.configure(device, weights)
    if text := loaded.problem():
        raise BenchError(f"{metric} cannot be computed here", text)
    if silent := [clip.id for clip in clips if clip.loaded is None and (clip.path is None or not clip.path.is_file())]:
        raise BenchError(f"{len(silent)} of {len(clips)} clips have no sound here", some(silent),
                         "fetch them: statistics of a part are not those of the whole")  # fmt: skip
    rows: list[Rows] = []
    with progress("embed", len(clips), quiet) as advance:
        for start in range(0, len(clips), _BATCH):
            batch = [clip.load() for clip in clips[start : start + _BATCH]]
            # As outputs equal to their references: the metric hears a sound once.
            values = loaded.measure_batch(batch, [Output(clip.audio) for clip in batch])
            for clip, value in zip(batch, values, strict=True):
                if isinstance(value, Exception):
                    raise BenchError(f"{clip.id} has no embedding", str(value), "leave the clip out")
                rows.append(unpack(np.asarray(value))[0])
            advance(len(batch), batch[-1].id)
    return statistics.of_rows(np.concatenate(rows), len(clips), whose, metric, loaded.embedding_id())
