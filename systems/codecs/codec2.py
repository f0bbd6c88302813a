"""Codec 2: libcodec2 through the ffmpeg program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Codec, Stream
from ldmbench.systems.codecs import _ffmpeg
from ldmbench.systems.codecs._packets import Packets, aligned, fit_format, from_int16, refuse_empty

#: Bytes that FFmpeg's container of Codec 2 puts before the frames.
_HEADER = 7


@dataclass(frozen=True)
class _Mode:
    frame: int  # samples at 8 kHz
    size: int  # bytes, the last one padded
    delay: int  # samples


#: Analysis windows of 40 ms make 20 ms of delay; 700C interpolates from the previous frame, 10 ms more.
_MODES = {
    "3200": _Mode(160, 8, 160),
    "2400": _Mode(160, 6, 160),
    "1600": _Mode(320, 8, 160),
    "1400": _Mode(320, 7, 160),
    "1300": _Mode(320, 7, 160),
    "1200": _Mode(320, 6, 160),
    "700C": _Mode(320, 4, 240),
}


class Codec2(Codec):
    """Codec 2, a harmonic sinusoidal vocoder for speech at 8 kHz.

    Setting: ``mode``, one of 3200, 2400, 1600, 1400, 1300, 1200, 700C. A vocoder makes up its phases, so that its
    output does not follow the waveform: it is aligned by its envelope, to about 5 ms. Bits are those of frames in
    whole bytes, so that mode 700C (28 bits per 40 ms) measures 0.8 kbps and mode 1300 measures 1.4.
    """

    @staticmethod
    def available() -> str:
        """Why Codec 2 cannot be used on this machine, or empty."""
        return _ffmpeg.unavailable("libcodec2", "encoders", "decoders")

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        _ffmpeg.require(spec.label, self.available())
        self.mode = str(spec.settings["mode"])
        if self.mode not in _MODES:
            raise BenchError(f"codec2 has no mode {self.mode!r}", fix=f"choose one of {', '.join(_MODES)}")

    def encode(self, audio: Audio) -> Stream:
        """Code ``audio``; samples above 1.0 are clipped, because libcodec2 takes 16-bit integers."""
        mode = _MODES[self.mode]
        refuse_empty(audio, self.spec.label)
        samples, clipped = fit_format(audio.samples, "s16")
        frames = -(-(mode.delay + audio.length) // mode.frame)
        padded = np.pad(samples, ((0, 0), (0, frames * mode.frame - audio.length)))
        options = {"mode": self.mode, "f": "codec2"}
        file = _ffmpeg.encode(self.spec.label, padded, self.rate, "libcodec2", options)
        if len(file) != _HEADER + frames * mode.size:
            raise BenchError(
                f"{self.spec.label} did not code as expected",
                f"{len(file)} bytes for {frames} frames of {mode.size} bytes and {_HEADER} of header",
                "report this as a bug, with the version of ffmpeg",
                1,
            )
        data = tuple(file[start : start + mode.size] for start in range(_HEADER, len(file), mode.size))
        coded = Packets(data, file[:_HEADER], self.rate, audio.length, 1, mode.frame, self.rate)
        details = {"clipped_samples": clipped} if clipped else {}
        # Modes are called by their bits a second.
        return Stream(coded, coded.bits, nominal_kbps=int(self.mode.removesuffix("C")) / 1000, details=details)

    def decode(self, stream: Stream) -> Audio:
        """Decode with libcodec2."""
        coded: Packets = stream.payload
        arguments = ["-f", "codec2", "-i", "pipe:0", "-f", "s16le"]
        raw = _ffmpeg.run(self.spec.label, arguments, coded.extradata + b"".join(coded.data))
        decoded = from_int16(np.frombuffer(raw, "<i2"))[None]
        return aligned(decoded, coded, _MODES[self.mode].delay, self.spec.label)
