"""Speex wide-band: libspeex through the ffmpeg program."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Codec, Stream
from ldmbench.systems.codecs import _ffmpeg
from ldmbench.systems.codecs._packets import Packets, aligned, demux, fit_format, refuse_empty

_FRAME = 320

#: Look-ahead of encoder and decoder at 16 kHz: 143 + 80 samples.
_LEAD = 223


class Speex(Codec):
    """Speex at a constant bit-rate, wide-band mode, with libspeex on both sides.

    Setting: ``quality`` from 0 to 10; a variant is named by the bit-rate this gives in whole bytes per 20 ms.
    """

    @staticmethod
    def available() -> str:
        """Why Speex cannot be used on this machine, or empty."""
        return _ffmpeg.unavailable("libspeex", "encoders", "decoders")

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        _ffmpeg.require(spec.label, self.available())
        self.quality = int(spec.settings["quality"])
        if not 0 <= self.quality <= 10:
            raise BenchError(f"speex has no quality {self.quality}", fix="choose 0 to 10")

    def encode(self, audio: Audio) -> Stream:
        """Code ``audio``; samples above 1.0 are clipped, because libspeex takes 16-bit integers."""
        refuse_empty(audio, self.spec.label)
        samples, clipped = fit_format(audio.samples, "s16")
        frames = -(-(_LEAD + audio.length) // _FRAME)
        padded = np.pad(samples, ((0, 0), (0, frames * _FRAME - audio.length)))
        options = {"cbr_quality": str(self.quality), "f": "ogg"}
        ogg = _ffmpeg.encode(self.spec.label, padded, self.rate, "libspeex", options)
        data, _ = demux(ogg, "ogg")
        # Flushing the encoder's look-ahead adds a packet that holds only zeros behind the clip.
        coded = Packets(data[:frames], ogg, self.rate, audio.length, 1, _FRAME, self.rate)
        return Stream(coded, coded.bits, details={"clipped_samples": clipped} if clipped else {})

    def decode(self, stream: Stream) -> Audio:
        """Decode with libspeex."""
        coded: Packets = stream.payload
        arguments = ["-c:a", "libspeex", "-f", "ogg", "-i", "pipe:0", "-f", "f32le"]
        raw = _ffmpeg.run(self.spec.label, arguments, coded.extradata)
        decoded = np.frombuffer(raw, "<f4").astype(np.float32)[None]
        return aligned(decoded, coded, _LEAD, self.spec.label)
