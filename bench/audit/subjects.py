"""What an audit works on: clips, what two systems made of them, and the metrics that hear any of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ldmbench.audio.sound import Audio
from ldmbench.clips.card import Content, list_datasets
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.clips.folder import load_folder
from ldmbench.clips.load import load_source
from ldmbench.errors import BenchError, describe
from ldmbench.host.extras import install, missing_extras
from ldmbench.metrics._base import DeviceMetric, MetricFacts, load_metric
from ldmbench.system.protocol import Output, Prepares
from ldmbench.system.registry import load_system, resolve

#: Clips of each dataset; metrics of sets take all.
CLIPS = 4

#: Whose outputs are changed, and whose are a step better.
SYSTEMS = ("opus@12kbps", "opus@24kbps")

#: Used by metrics that are defined for what they hold.
DATASETS = ("builtin-speech", "builtin-music", "builtin-general")


@dataclass(frozen=True)
class Subject:
    """A clip with its sound and outputs.

    Attributes:
        clip: The clip, loaded.
        output: What the first system made of it.
        better: What the second one made of it.
        other: What the first system made of the clip after it.
    """

    clip: Clip
    output: Output
    better: Output
    other: Audio


def why_not(name: str, device: str = "cpu", weights: Path | None = None) -> str:
    """Why a metric cannot be audited here, or empty.

    Raises:
        BenchError: If there is no such metric.
    """
    metric = load_metric(name)
    if missing := missing_extras(metric.facts.extras):
        return f"needs {', '.join(missing)} (fix: {install(metric.facts.extras)})"
    if not {"audio", "output"} & set(metric.facts.needs):
        return f"hears no output: it needs {' and '.join(metric.facts.needs)}"
    if isinstance(metric, DeviceMetric):
        try:
            metric.configure(device, weights)
            return metric.problem()
        except BenchError as error:
            return str(error)
        except Exception as error:
            return describe(error)
    return ""


def too_few(datasets: Sequence[Dataset], facts: MetricFacts) -> str:
    """Why a metric has too little to hear, or empty: it needs two clips of its kind."""
    count = sum(len(item.clips) for item in datasets if facts.applies_to(item.content))
    return "" if count >= 2 else f"{count} clips with {' or '.join(facts.content) or 'sound'}"


def load_datasets(names: Sequence[str], content: Content) -> list[Dataset]:
    """Datasets by name, folders by path; those folders hold ``content``.

    Raises:
        BenchError: If one is not there.
    """
    datasets = []
    for name in names:
        shipped = name.partition("@")[0] in list_datasets()
        datasets.append(load_source(name) if shipped or not Path(name).is_dir() else load_folder(name, content))
    return datasets


class Workshop:
    """Makes outputs once for all metrics.

    Args:
        systems: Whose outputs are changed, and whose are a step better.
    """

    def __init__(self, systems: tuple[str, str]) -> None:
        self._systems = [load_system(resolve(name)) for name in systems]
        self._made: dict[str, list[Output]] = {}
        self._ready = False

    def subjects(self, datasets: Sequence[Dataset], facts: MetricFacts, limit: int) -> list[Subject]:
        """The clips that a metric is defined for, ``limit`` of each dataset (0: all), with outputs.

        Raises:
            BenchError: If there are none, or a system fails on one of them.
        """
        chosen = [item for item in datasets if facts.applies_to(item.content)]
        clips = [clip for item in chosen for clip in (item.clips[:limit] if limit else item.clips)]
        if text := too_few(datasets, facts) or ("" if len(clips) >= 2 else f"--limit {limit}"):
            raise BenchError(
                f"{facts.name} has nothing to hear", text,
                "name datasets of its kind with -d, or say what a folder holds with --content; two clips or more",
            )  # fmt: skip
        loaded = [clip.seeded(0).load() for clip in clips]
        outputs = [self._outputs(clip, loaded) for clip in loaded]
        others = [*outputs[1:], outputs[0]]
        return [
            Subject(clip, first, better, _sound(other[0]))
            for clip, (first, better), other in zip(loaded, outputs, others, strict=True)
        ]

    def _outputs(self, clip: Clip, clips: Sequence[Clip]) -> list[Output]:
        if not self._ready:
            for system in self._systems:
                if isinstance(system, Prepares):
                    system.setup(clips)
            self._ready = True
        if clip.id not in self._made:
            outputs = [next(iter(system.process([clip]))) for system in self._systems]
            self._made[clip.id] = [Output(_sound(output)) for output in outputs]
        return self._made[clip.id]


def _sound(output: Output) -> Audio:
    if output.audio is None:
        raise BenchError("a system made no sound", fix="name systems that make sound with -s")
    return output.audio
