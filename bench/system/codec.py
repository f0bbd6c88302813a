"""The base of codec adapters: what goes in, what is transmitted, what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Tokens
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.names import Setting
from ldmbench.system.card import SystemCard, SystemSpec
from ldmbench.system.channel import SETTINGS, Channel
from ldmbench.system.protocol import Output

#: What makes a codec one of ``SendsPackets``.
_METHODS = "the methods 'packets' and 'receive' (bench/system/codec.py)"


@dataclass(frozen=True, eq=False)
class Stream:
    """A clip as a codec transmits it.

    Attributes:
        payload: Whatever ``decode`` needs: packets, codes, ...
        bits: Its size in bits as it is packed for transmission, side information included.
        tokens: Integer codes ``[layers, frames]``, for codecs that have them; -1 where a layer has none in a frame.
        codebooks: How many codes each layer has, where the tokens are what is transmitted.
        side_bits: How many of ``bits`` are not tokens: scales, for instance.
        nominal_kbps: The bitrate that the codec claims, None where it claims none.
        details: Recorded with the output.
    """

    payload: Any
    bits: int
    tokens: Tokens | None = None
    codebooks: tuple[int, ...] = ()
    side_bits: int = 0
    nominal_kbps: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def output(self, audio: Audio, details: Mapping[str, Any]) -> Output:
        """The output that ``audio`` is when it was decoded from this; ``details`` are recorded beside its own."""
        sizes, side, nominal = self.codebooks, self.side_bits, self.nominal_kbps
        return Output(audio, self.bits, self.tokens, sizes, side, nominal, {**details, **self.details})


@runtime_checkable
class SendsPackets(Protocol):
    """A codec whose stream is sent in packets, any of which may be lost: the setting ``loss`` asks for it."""

    def packets(self, stream: Stream) -> int:
        """How many packets the stream is sent in."""
        ...

    def receive(self, stream: Stream, lost: NDArray[np.bool_]) -> Audio:
        """Decode what arrived, aligned and as long as ``decode`` has it, and conceal the rest.

        Args:
            stream: What was sent.
            lost: Which of its packets did not arrive.
        """
        ...


class Codec:
    """Base of codec adapters: subclasses write ``encode`` and ``decode``.

    The clip is resampled to ``rate`` and, where its channel count is not among ``channels``, mixed down to
    mono (both recorded in ``details``); the decoded sound is trimmed or padded to the clip's duration.

    Every codec takes the settings of a ``Channel`` too. ``passes`` codes a sound several times. For ``loss`` a codec
    writes the methods of ``SendsPackets``.
    """

    #: Rate in Hz that ``encode`` receives; 0 leaves the clip's own.
    rate: int
    #: Channel counts that it receives.
    channels: tuple[int, ...]

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        self.card = spec.card
        self.rate = spec.card.rate
        self.channels = spec.card.channels
        self.channel = Channel.of(spec.label, spec.settings)

    def encode(self, audio: Audio) -> Stream:
        """Code ``audio`` (at ``rate``, with a channel count of the card)."""
        raise NotImplementedError

    def decode(self, stream: Stream) -> Audio:
        """Decode, aligned with the input to the sample."""
        raise NotImplementedError

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the decoded clips with their bits: those of the last pass."""
        for clip in clips:
            source, details = self.adapt(clip.input)
            fitted = source
            for number in range(self.channel.passes):
                stream = self.encode(self.adapt(fitted)[0])
                # Other packets are lost in each pass.
                decoded, losses = self._sent(stream, clip.seed + number)
                details |= losses
                fitted = decoded.fit(round(source.duration * decoded.rate))
            yield stream.output(fitted, details)

    def _sent(self, stream: Stream, seed: int) -> tuple[Audio, dict[str, Any]]:
        """What comes out at the other end of the channel, and a record of what it lost."""
        if not self.channel.lossy:
            return self.decode(stream), {}
        if not isinstance(self, SendsPackets):
            raise BenchError(f"{self.spec.label} has no packets that could be lost", f"it lacks {_METHODS}")
        lost = self.channel.lost(self.packets(stream), seed)
        return self.receive(stream, lost), {"packets": lost.size, "packets_lost": int(lost.sum())}

    def adapt(self, audio: Audio) -> tuple[Audio, dict[str, Any]]:
        """The clip as ``encode`` wants it, and a record of what was changed."""
        return adapted(audio, self.rate, self.channels)


def adapted(audio: Audio, rate: int, channels: Sequence[int]) -> tuple[Audio, dict[str, Any]]:
    """A sound as a codec wants it, and a record of what was changed.

    Args:
        audio: The sound.
        rate: The codec's rate in Hz, 0 for any.
        channels: Channel counts that it takes: others are mixed down to mono or, where it takes none, spread over the
            first of them.
    """
    details: dict[str, Any] = {}
    if audio.channels not in channels:
        if 1 not in channels:
            audio = audio.with_channels(channels[0])
        else:
            details["downmix"] = f"mean of {audio.channels} channels"
            audio = audio.mono()
    if rate and audio.rate != rate:
        details["resampled_from"] = audio.rate
        audio = audio.at(rate)
    return audio, details


def channel_problem(adapter: object, card: SystemCard, settings: Mapping[str, Setting]) -> str:
    """Why a system has no channel although its settings ask for one, or empty.

    Args:
        adapter: Its class; of anything else the channel is looked for in vain.
        card: Its card, whose own settings are none of a channel.
        settings: What was asked for.

    Raises:
        BenchError: If there is no such channel.
    """
    asked = sorted(SETTINGS.keys() & settings.keys() - card.settings.keys())
    if not asked:
        return ""
    kind = adapter if isinstance(adapter, type) and issubclass(adapter, Codec) else None
    if kind is None or kind.process is not Codec.process:
        return f"has no channel: {asked[0]} is a setting of codecs that code clip by clip"
    if "loss" in asked and not issubclass(kind, SendsPackets):
        return f"has no packets that could be lost: {kind.__name__} lacks {_METHODS}"
    Channel.of(card.name, settings)
    return ""
