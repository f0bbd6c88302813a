"""Opus through libopus, as the PyAV wheel carries it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Stream
from ldmbench.systems.codecs import _libopus as libopus
from ldmbench.systems.codecs._packets import PacketCodec, Packets, aligned

#: Samples at 48 kHz that the encoder looks ahead (OpusHead's pre-skip) in the modes voip and audio.
_PRE_SKIP = 312

_FRAMES_MS = ("2.5", "5", "10", "20", "40", "60", "80", "100", "120")


class Opus(PacketCodec):
    """Opus at a constant bit-rate (RFC 6716), always at 48 kHz.

    Settings: ``kbps`` for all channels together; ``application`` ``audio`` or ``voip`` (which adds a high-pass and
    so is never aligned in phase); ``frame_ms``; ``vbr`` ``off``, ``on`` or ``constrained``.

    Beyond the pre-skip, the SILK modes are late or early by a fixed fraction of a sample at their internal rate,
    because of SILK's resamplers. The most frequent mode of the packets decides what is made up for.
    Source: measured on broadband speech at high bit-rates, by cross-correlation interpolated to 1/16 sample:
    +2.0 (narrow-band), -2.5 (medium band), -2.0 (wide-band and hybrid), 0.0 (CELT) samples at 48 kHz.
    """

    encoder = "libopus"
    decoder = "libopus"
    sample_format = "flt"
    lead = _PRE_SKIP + 2
    # Without OpusHead the decoder returns the pre-skip too, and what SILK puts too early can be found in it.
    headers = False

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        self.application = str(spec.settings["application"])
        self.frame_ms = f"{spec.settings['frame_ms']:g}"
        self.vbr = str(spec.settings["vbr"])
        self.constant = self.vbr == "off"
        for setting, value, choices in (
            ("application", self.application, ("audio", "voip")),
            ("frame_ms", self.frame_ms, _FRAMES_MS),
            ("vbr", self.vbr, ("off", "on", "constrained")),
        ):
            if value not in choices:
                raise BenchError(f"opus has no {setting} {value!r}", fix=f"choose one of {', '.join(choices)}")

    def encoder_options(self) -> dict[str, str]:
        """Application, frame duration and kind of bit-rate."""
        return {"application": self.application, "frame_duration": self.frame_ms, "vbr": self.vbr}

    def decoder_options(self) -> dict[str, str]:
        """Floats, so that the decoder does not clip."""
        return {"request_sample_fmt": "flt"}

    def packets(self, stream: Stream) -> int:
        """Packets of ``frame_ms``."""
        return len(stream.payload.data)

    def receive(self, stream: Stream, lost: NDArray[np.bool_]) -> Audio:
        """Decode with libopus itself, which conceals what is lost; FFmpeg hands no loss on to it."""
        coded: Packets = stream.payload
        decoded = libopus.decode(coded.data, lost, coded.rate, coded.channels, coded.frame_size)
        return aligned(decoded, coded, self.delay(coded), self.spec.label).at(coded.source_rate)

    def delay(self, coded: Packets) -> int:
        """Pre-skip and the shift of the most frequent mode."""
        shifts = Counter(_shift(packet[0] >> 3) for packet in coded.data)
        # Ties go to the smaller shift, so that equal streams always give equal results.
        return _PRE_SKIP + min(shifts, key=lambda shift: (-shifts[shift], abs(shift), shift))


def _shift(configuration: int) -> int:
    """Samples at 48 kHz by which a packet of this configuration number (RFC 6716, table 2) is late."""
    if configuration < 4:
        return 2
    return -2 if configuration < 16 else 0
