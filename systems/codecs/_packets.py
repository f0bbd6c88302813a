"""Codecs through PyAV's codec contexts: frames in, packets out and back, without a container or a file."""

from __future__ import annotations

import importlib
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Waveform
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Codec, Stream

_LAYOUTS = {1: "mono", 2: "stereo"}

#: Largest deviation of a constant bit-rate from the setting: whole bytes in a short packet need a few per cent.
_TOLERANCE = 0.05


@dataclass(frozen=True, eq=False)
class Packets:
    """A coded clip.

    Attributes:
        data: The packets, headers of containers and of streams excluded.
        extradata: What the decoder must know beforehand (OpusHead, AudioSpecificConfig, ...).
        rate: Rate in Hz at which the clip was coded.
        length: Samples of the clip at that rate.
        channels: Coded channels.
        frame_size: Samples in each packet, 0 where it varies.
        source_rate: Rate in Hz to return to.
    """

    data: tuple[bytes, ...]
    extradata: bytes
    rate: int
    length: int
    channels: int
    frame_size: int
    source_rate: int

    @property
    def bits(self) -> int:
        """Size of all packets in bits."""
        return 8 * sum(len(packet) for packet in self.data)


class PacketCodec(Codec):
    """Base of the codecs that come with the PyAV wheel.

    Bits are counted on the packets that are needed to decode the whole clip, with the packet that priming
    adds at the end; no container, no stream header. The encoder is fed zeros behind the clip until its
    delay has been pushed out, so that the end of the clip is decoded too.
    """

    encoder: ClassVar[str]
    decoder: ClassVar[str]
    #: Sample format given to the encoder.
    sample_format: ClassVar[str]
    #: Samples, at the coding rate, by which the decoded sound is late.
    lead: int
    #: Input is padded to a multiple of this many samples; 0 means whole frames.
    grain: ClassVar[int] = 0
    #: Rates in Hz that the encoder takes; empty means the card's rate only.
    rates: ClassVar[tuple[int, ...]] = ()
    #: Whether the decoder is given the encoder's headers.
    headers: ClassVar[bool] = True
    #: Whether every packet has the size that the setting ``kbps`` asks for.
    constant: bool = True
    #: Bit-rates in kbps of a codec that has a few fixed ones; empty means any.
    modes: ClassVar[Collection[float]] = ()

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        self.kbps = float(spec.settings["kbps"])
        if self.modes and self.kbps not in self.modes:
            choices = ", ".join(f"{mode:g}" for mode in sorted(self.modes))
            raise BenchError(f"{spec.card.name} has no {self.kbps:g} kbps", fix=f"choose one of {choices}")

    def setup(self, clips: Sequence[Clip]) -> None:
        """Load FFmpeg's libraries, so that the first clip's time does not include it."""
        importlib.import_module("av")

    def encoder_options(self) -> dict[str, str]:
        """Private options of the encoder."""
        return {}

    def decoder_options(self) -> dict[str, str]:
        """Private options of the decoder."""
        return {}

    def delay(self, coded: Packets) -> int:
        """Samples to drop at the start of the decoded sound."""
        return self.lead

    def encode(self, audio: Audio) -> Stream:
        """Code ``audio``.

        Raises:
            BenchError: If the clip is shorter than one coded sample, or the encoder refuses or alters the settings.
        """
        source, details = self.at_coding_rate(audio)
        samples, clipped = fit_format(source.samples, self.sample_format)
        if clipped:
            details["clipped_samples"] = clipped
        coded = self._encode(samples, source, audio.rate)
        return Stream(coded, coded.bits, nominal_kbps=self.kbps or None, details=details)

    def decode(self, stream: Stream) -> Audio:
        """Decode, trim the delay, and return to the clip's rate."""
        coded: Packets = stream.payload
        decoded = decode(self.decoder, coded, self.decoder_options())
        return aligned(decoded, coded, self.delay(coded), self.spec.label).at(coded.source_rate)

    def at_coding_rate(self, audio: Audio) -> tuple[Audio, dict[str, int]]:
        """``audio`` at the rate it is coded at, and the rate where it is another than the clip's."""
        rate = audio.rate
        if self.rates:
            settings = self.spec.settings
            rate = coding_rate(audio.rate, self.rates, int(settings["min_rate"]), int(settings["max_rate"]))
        source = audio.at(rate)
        refuse_empty(source, self.spec.label)
        return source, ({} if rate == audio.rate else {"coded_at": rate})

    def _encode(self, samples: NDArray[Any], source: Audio, source_rate: int) -> Packets:
        import av
        from av.codec import CodecContext

        context: Any = CodecContext.create(self.encoder, "w")
        context.sample_rate = source.rate
        context.layout = _LAYOUTS[source.channels]
        context.format = self.sample_format
        context.bit_rate = round(1000 * self.kbps)
        context.options = self.encoder_options()
        try:
            context.open()
            frame_size = int(context.frame_size)
            block = self.grain or frame_size
            length = -(-(self.lead + source.length) // block) * block
            packed = np.zeros((source.channels, length), samples.dtype)
            packed[:, : source.length] = samples
            if not self.sample_format.endswith("p"):
                packed = packed.T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(packed), format=self.sample_format, layout=_LAYOUTS[source.channels]
            )
            frame.sample_rate = source.rate
            frame.pts = 0
            packets = [bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]]
        except (av.FFmpegError, ValueError) as error:
            raise BenchError(
                f"{self.spec.label} refuses its settings",
                f"{self.encoder} at {source.rate} Hz, {source.channels} channels: {error}",
                "choose one of the card's variants",
            ) from None
        # Flushing may add packets that hold only zeros behind the clip.
        packets = packets[: -(-length // frame_size)]
        headers = bytes(context.extradata or b"") if self.headers else b""
        size = source.length, source.channels
        coded = Packets(tuple(packets), headers, source.rate, *size, frame_size, source_rate)
        if self.constant:
            self._refuse_other_rate(coded)
        return coded

    def _refuse_other_rate(self, coded: Packets) -> None:
        """FFmpeg's encoders replace a bit-rate they do not have by another without an error."""
        kbps = np.mean([len(packet) for packet in coded.data[:-1] or coded.data]) * 8e-3 * coded.rate / coded.frame_size
        if not self.grain and abs(kbps / self.kbps - 1) > _TOLERANCE:
            raise BenchError(
                f"{self.spec.label} has no {self.kbps:g} kbps at {coded.rate} Hz",
                f"{self.encoder} codes at {kbps:.2f} kbps",
                "choose one of the card's variants",
            )


def decode(codec: str, coded: Packets, options: Mapping[str, str]) -> Waveform:
    """All samples that the packets decode to, ``[channels, time]``.

    Raises:
        BenchError: If the decoder refuses a packet.
    """
    import av
    from av.codec import CodecContext

    context: Any = CodecContext.create(codec, "r")
    context.sample_rate = coded.rate
    context.layout = _LAYOUTS[coded.channels]
    context.options = dict(options)
    if coded.extradata:
        context.extradata = coded.extradata
    blocks: list[Waveform] = []
    try:
        frames = [frame for packet in coded.data for frame in context.decode(av.Packet(packet))]
        for frame in [*frames, *context.decode(None)]:
            array = frame.to_ndarray()
            if not frame.format.is_planar:
                array = array.reshape(-1, coded.channels).T
            blocks.append(from_int16(array) if array.dtype == np.int16 else array.astype(np.float32))
    except (av.FFmpegError, ValueError) as error:
        raise BenchError(f"{codec} cannot decode its own packets", str(error), "report this as a bug", 1) from None
    if not blocks:
        return np.zeros((coded.channels, 0), np.float32)
    return np.concatenate(blocks, axis=1)


def aligned(decoded: Waveform, coded: Packets, delay: int, label: str) -> Audio:
    """The clip's own samples out of the decoded ones.

    Raises:
        BenchError: If the decoder returned too few samples to hold the clip.
    """
    if decoded.shape[1] < delay + coded.length:
        raise BenchError(
            f"{label} lost the end of the clip",
            f"{decoded.shape[1]} samples decoded, {delay + coded.length} needed",
            "report this as a bug",
            1,
        )
    return Audio(np.ascontiguousarray(decoded[:, delay : delay + coded.length]), coded.rate)


def coding_rate(rate: int, allowed: Sequence[int], low: int, high: int) -> int:
    """The smallest of the ``allowed`` rates from ``low`` to ``high`` Hz that holds a clip of ``rate``, or the largest.

    As encoders do: a clip is not coded at a higher rate than its own unless the bit-rate asks for it, and a
    low bit-rate gets a lower rate because its bits would not carry the full band.

    Raises:
        BenchError: If no rate lies within the limits.
    """
    candidates = [candidate for candidate in sorted(allowed) if low <= candidate <= high]
    if not candidates:
        rates = ", ".join(str(candidate) for candidate in sorted(allowed))
        raise BenchError(f"no coding rate between {low} and {high} Hz", f"the encoder has {rates}", "change the limits")
    return next((candidate for candidate in candidates if candidate >= rate), candidates[-1])


def refuse_empty(audio: Audio, label: str) -> None:
    """A clip of a sample or two may have none left at a lower rate.

    Raises:
        BenchError: If ``audio`` has no samples.
    """
    if audio.length == 0:
        raise BenchError(f"the clip is too short for {label}", f"no sample left at {audio.rate} Hz", "leave it out")


def demux(file: bytes, container_format: str) -> tuple[tuple[bytes, ...], bytes]:
    """Audio packets and stream headers of a file in memory."""
    import av

    container: Any = av.open(io.BytesIO(file), format=container_format)
    with container:
        stream = container.streams.audio[0]
        packets = tuple(bytes(packet) for packet in container.demux(stream) if packet.size)
        return packets, bytes(stream.codec_context.extradata or b"")


def fit_format(samples: Waveform, sample_format: str) -> tuple[NDArray[np.float32 | np.int16], int]:
    """Samples in the encoder's format, and how many of them had to be clipped; floats never are."""
    if not sample_format.startswith("s16"):
        return samples, 0
    clipped = int(np.count_nonzero(np.abs(samples) > 1.0))
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16), clipped


def from_int16(samples: NDArray[np.int16]) -> Waveform:
    """16-bit integers as floats within [-1, 1)."""
    return (samples / np.float32(32768.0)).astype(np.float32)
