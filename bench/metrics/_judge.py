"""Judges of one sound: what a model says of the output alone, computed once for all columns that show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ldmbench.audio.arrays import Rows
from ldmbench.audio.memo import remember
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import BaseMetric, MetricFacts, Value, settings_title
from ldmbench.metrics._embedding import EmbeddingMetric, Source
from ldmbench.metrics._pair import mix
from ldmbench.names import Name
from ldmbench.system.protocol import Output


def mos_facts(asked: Name, title: str, rate: int, source: str, **facts: Any) -> MetricFacts:
    """Facts of a judge that says of speech, without a reference, what listeners would on a scale of opinion scores."""
    return MetricFacts(
        name=str(asked),
        title=title + settings_title(asked),
        unit="MOS",
        rate=rate,
        needs=("output",),
        content=("speech",),
        digits=2,
        source=source,
        **facts,
    )


@dataclass
class Judge(BaseMetric):
    """A column of what a model on the CPU says of an output.

    Attributes:
        facts: The metric's facts; it listens at ``facts.rate``.
        listen: The model: a function of a module, of a mono signal ``[time]``, that gives values by column.
        settings: Its keyword arguments.
        column: The key of this metric's value.
    """

    facts: MetricFacts
    listen: Callable[..., Mapping[str, float]]
    settings: Mapping[str, object]
    column: str

    def measure(self, clip: Clip, output: Output) -> float:
        """The value of the output's mono mix.

        Raises:
            Unscored: If the output is silent, or the model has no value for it.
            BenchError: If there is no output audio.
            CheckpointError: If the model's files are not installed.
        """
        sound = audible(clip, output, self.facts.rate)
        listen = partial(self.listen, sound.samples[0], **self.settings)
        key = (self.listen.__module__, self.listen.__name__, *sorted(self.settings.items()))
        return remember(sound, key, listen, small=True)[self.column]


def audible(clip: Clip, output: Output, rate: int) -> Audio:
    """The mono mix of an output at ``rate`` Hz, the same object on every call.

    Raises:
        Unscored: If it is silent: judges trained on speech give digital silence numbers that mean nothing.
        BenchError: If there is no output audio.
    """
    if output.audio is None:
        raise BenchError(f"{clip.id} has no output audio", fix="use a metric that does not need audio")
    sound = mix(output.audio, "the output").at(rate)
    if not sound.samples.any():
        raise Unscored("the output is silent")
    return sound


class NetworkJudge(EmbeddingMetric):
    """A column of what a network says of an output: the layer of ``source`` that holds one number for each sound.

    Args:
        facts: The metric's facts.
        source: Where the values come from.
        shortest: Seconds below which a sound has no value.
        longest: Seconds above which it has none.
        packages: Import names of what the network needs besides torch.
    """

    def __init__(
        self,
        facts: MetricFacts,
        source: Source,
        shortest: float = 0.0,
        longest: float = float("inf"),
        packages: tuple[str, ...] = (),
    ) -> None:
        super().__init__(facts, source)
        self._shortest, self._longest = shortest, longest
        self.packages = (*self.packages, *packages)

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[Value | Exception]:
        """Each clip's value, or why there is none: silence has none, nor what is too short or too long.

        Raises:
            CheckpointError: If the network cannot be loaded.
        """
        reasons = [self._unheard(clip, output) for clip, output in zip(clips, outputs, strict=True)]
        positions = [index for index, reason in enumerate(reasons) if not reason]
        values: dict[int, Value | Exception] = {}
        if positions:
            heard = super().measure_batch(
                [clips[index] for index in positions], [outputs[index] for index in positions]
            )
            values = dict(zip(positions, heard, strict=True))
        return [Unscored(reason) if reason else values[index] for index, reason in enumerate(reasons)]

    def _unheard(self, clip: Clip, output: Output) -> str:
        """Why an output has no value, or empty; its reference has to be as long."""
        if output.audio is None:
            return ""
        sides = {"reference": clip.audio} if "audio" in self.facts.needs else {}
        for side, sound in {**sides, "output": output.audio}.items():
            if not sound.samples.any():
                return f"the {side} is silent"
            if not self._shortest <= sound.duration <= self._longest:
                limit = f"{self._shortest:g} s" if sound.duration < self._shortest else f"at most {self._longest:.1f} s"
                return f"the {side} has {sound.duration:.2f} s, {self.facts.name} needs {limit}"
        return ""

    def compare(self, *rows: Rows) -> Value:
        """The number itself."""
        return float(rows[-1][0, 0])


class PackagedJudge(NetworkJudge):
    """One whose weights lie in a package, so that there is nothing to fetch.

    Args:
        facts: The metric's facts.
        source: Where the values come from; no checkpoints.
        packages: Import names of what it needs besides torch.
        weights: Gives the file of weights.
    """

    def __init__(
        self, facts: MetricFacts, source: Source, packages: tuple[str, ...], weights: Callable[[], Path]
    ) -> None:
        super().__init__(facts, source, packages=packages)
        self._file = weights

    def problem(self) -> str:
        """Why this metric cannot be computed here, or empty; reads no checkpoint."""
        if text := self.absent_packages():
            return text
        try:
            if not self.source.untrained:
                self._file()
        except BenchError as error:
            return str(error)
        return ""
