"""Ogg Vorbis: libvorbis through the ffmpeg program, decoded by the PyAV wheel."""

from __future__ import annotations

from ldmbench.audio.sound import Audio
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Codec, Stream
from ldmbench.systems.codecs import _ffmpeg
from ldmbench.systems.codecs._packets import Packets, aligned, coding_rate, decode, demux, refuse_empty

_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


class Vorbis(Codec):
    """Vorbis I at an average bit-rate.

    Settings: ``kbps`` for all channels together; ``min_rate`` and ``max_rate`` in Hz, between which the clip is
    coded: libvorbis refuses bit-rates that its modes for a sampling rate do not reach. Bits are those of the
    audio packets; the three header packets (about 4 kB of codebooks) and the Ogg pages are not counted.
    """

    @staticmethod
    def available() -> str:
        """Why Vorbis cannot be used on this machine, or empty."""
        return _ffmpeg.unavailable("libvorbis", "encoders")

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        _ffmpeg.require(spec.label, self.available())
        self.kbps = float(spec.settings["kbps"])
        self.limits = int(spec.settings["min_rate"]), int(spec.settings["max_rate"])

    def encode(self, audio: Audio) -> Stream:
        """Code ``audio``.

        Raises:
            BenchError: If the clip is shorter than one coded sample, or libvorbis refuses the settings.
        """
        source = audio.at(coding_rate(audio.rate, _RATES, *self.limits))
        refuse_empty(source, self.spec.label)
        options = {"b:a": str(round(1000 * self.kbps)), "f": "ogg"}
        data, headers = demux(_ffmpeg.encode(self.spec.label, source.samples, source.rate, "libvorbis", options), "ogg")
        coded = Packets(data, headers, source.rate, source.length, source.channels, 0, audio.rate)
        details = {} if source.rate == audio.rate else {"coded_at": source.rate}
        return Stream(coded, coded.bits, nominal_kbps=self.kbps, details=details)

    def decode(self, stream: Stream) -> Audio:
        """Decode; the first packet only primes the overlap, so that nothing is late."""
        coded: Packets = stream.payload
        return aligned(decode("vorbis", coded, {}), coded, 0, self.spec.label).at(coded.source_rate)
