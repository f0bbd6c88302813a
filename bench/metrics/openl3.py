"""Frechet distance on OpenL3, of both channels of a sound, as stable-audio-metrics computes it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

from ldmbench.extractors.openl3 import CHECKPOINTS, HEARD, Content, load_openl3
from ldmbench.metrics._base import Metric, MetricFacts, register, settings_title
from ldmbench.metrics._distances import frechet_metric
from ldmbench.metrics._embedding import SetMetric, Source
from ldmbench.metrics._estimates import OF_A_DISTANCE
from ldmbench.names import Name, Setting

#: Measured on twelve excerpts of recordings.
_NOTE = (
    "A silent clip is heard as silence. stable-audio-metrics divides by its peak of 0, and what it makes of that is a "
    "point far from all others: on random weights two silent references among twelve moved its distance from 243 to "
    "787. Look for silent clips before the numbers are set side by side."
)


class OpenL3Distance(SetMetric):
    """A distance between references and outputs, on embeddings of half seconds."""

    packages = ("torch", "h5py")


def _build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
    content = cast(Content, settings.get("content", "env"))
    facts = MetricFacts(
        name=str(asked),
        title="FD OpenL3" + (f" {content}" if asked.variant else "") + settings_title(asked),
        rate=HEARD,
        better="lower",
        kind="set",
        digits=2,
        low=0.0,
        interval=OF_A_DISTANCE,
        device=True,
        extras=("models",),
        source="stable-audio-metrics fd55536, openl3_fd.py, batched, two channels (mono twice), 44.1 kHz; "
        f"openl3 0.4.2, mel256, 512 dimensions a channel, {content}, every 0.5 s (weights CC BY 4.0)",
        note=_NOTE,
    )
    source = Source.by(settings, partial(load_openl3, content), "embedding", (CHECKPOINTS[content],))
    return frechet_metric(facts, source, settings, OpenL3Distance)


register(
    "fd_openl3",
    _build,
    variants={content: {"content": content} for content in CHECKPOINTS},
    defaults={"untrained": False, "official": True, "reference": ""},
)
