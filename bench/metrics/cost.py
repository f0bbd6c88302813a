"""What an output cost: token rate, compute time, memory and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Ratio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import BaseMetric, Metric, MetricFacts, Value, register
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output


@dataclass
class CostMetric(BaseMetric):
    """A fact about producing an output, read from the output's record."""

    facts: MetricFacts
    function: Callable[[Clip, Output], Value]

    def measure(self, clip: Clip, output: Output) -> Value:
        """The value, or the numerator and denominator ``[2]`` of a ratio.

        Raises:
            Unscored: If the system does not report it, or it was not measured.
        """
        return self.function(clip, output)


def tokens_per_second(clip: Clip, output: Output) -> Ratio:
    """Tokens of all layers over the duration in seconds.

    The count is that of ``output.tokens``, or ``details["token_count"]`` where only the count was kept.

    Raises:
        Unscored: If the system reports no tokens.
    """
    count = (output.tokens >= 0).sum() if output.tokens is not None else output.details.get("token_count")
    if count is None:
        raise Unscored("the system reports no tokens")
    return np.array([count, seconds(clip, output)], np.float64)


def packet_loss(clip: Clip, output: Output) -> Ratio:
    """Packets lost on the way, per cent of all that were sent.

    Raises:
        Unscored: If nothing was sent in packets that can be lost (``loss=`` of a codec).
    """
    if "packets" not in output.details:
        raise Unscored("no packets were sent through a channel that loses some")
    return np.array([100.0 * output.details["packets_lost"], output.details["packets"]], np.float64)


def rtf(clip: Clip, output: Output) -> Ratio:
    """Real-time factor: compute seconds over audio seconds, serially at batch 1; below 1 is faster than real time.

    Raises:
        Unscored: If the time of this clip alone was not measured.
    """
    if output.cost.seconds is None:
        raise Unscored("not measured serially at batch 1")
    return np.array([output.cost.seconds, seconds(clip, output)], np.float64)


def peak_memory(clip: Clip, output: Output) -> float:
    """Peak memory in MiB while this clip was processed alone: resident set (CPU) or allocator (CUDA).

    Raises:
        Unscored: If it was not measured.
    """
    if output.cost.peak_memory is None:
        raise Unscored("not measured serially at batch 1")
    return output.cost.peak_memory / 2**20


def parameters(clip: Clip, output: Output) -> float:
    """Learned parameters of the system, in millions.

    Raises:
        Unscored: If the system has none.
    """
    if output.cost.parameters is None:
        raise Unscored("the system has no learned parameters")
    return output.cost.parameters / 1e6


def seconds(clip: Clip, output: Output) -> float:
    """Duration in seconds of the reference, or of the output where the clip is only text.

    Raises:
        BenchError: If there is neither.
    """
    if clip.loaded is not None or clip.path is not None:
        return clip.audio.duration
    if output.audio is not None:
        return output.audio.duration
    raise BenchError(f"{clip.id} has neither reference nor output audio", fix="a rate needs a duration")


def _register(
    name: str,
    function: Callable[[Clip, Output], Value],
    facts: MetricFacts,
) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        return CostMetric(facts, function)

    register(name, build)


_register(
    "tokens_per_second",
    tokens_per_second,
    MetricFacts(
        "tokens_per_second",
        "Tokens/s",
        unit="1/s",
        better="neither",
        needs=("tokens",),
        kind="ratio",
        low=0.0,
        digits=1,
        source="sum of tokens in all layers over sum of reference seconds",
    ),
)
_register(
    "packet_loss",
    packet_loss,
    MetricFacts(
        "packet_loss",
        "Lost",
        unit="%",
        better="neither",
        needs=("bits",),
        kind="ratio",
        low=0.0,
        high=100.0,
        digits=1,
        source="sum of packets that a channel lost over sum of those that were sent",
    ),
)
_register(
    "rtf",
    rtf,
    MetricFacts(
        "rtf",
        "RTF",
        better="lower",
        needs=("cost",),
        kind="ratio",
        low=0.0,
        timed=True,
        source="sum of wall seconds over sum of audio seconds, serial, batch 1",
    ),
)
_register(
    "peak_memory",
    peak_memory,
    MetricFacts(
        "peak_memory",
        "Memory",
        unit="MiB",
        better="lower",
        needs=("cost",),
        kind="largest",
        interval="none: of a largest value nothing is known to cover",
        timed=True,
        digits=0,
        source="largest over clips of the process's resident set (CPU) or the CUDA allocator's peak, serial, batch 1",
    ),
)
_register(
    "parameters",
    parameters,
    MetricFacts(
        "parameters",
        "Parameters",
        unit="M",
        better="neither",
        needs=("cost",),
        digits=1,
        low=0.0,
        source="learned parameters as counted by the system's adapter",
    ),
)
