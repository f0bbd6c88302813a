"""MP3 through LAME, as the PyAV wheel carries it."""

from __future__ import annotations

from ldmbench.systems.codecs._packets import PacketCodec


class Mp3(PacketCodec):
    """MPEG-1, 2 and 2.5 layer III at a constant bit-rate, decoded by FFmpeg's float decoder.

    Settings: ``kbps`` for all channels together; ``min_rate`` and ``max_rate``, the coding rates in Hz at which
    the standard has this bit-rate (8 to 12 kHz: up to 64 kbps; 16 to 24 kHz: up to 160; above: from 32 on) and at
    which LAME would choose to spend it. Source: ISO/IEC 11172-3, 2.4.2.3, and 13818-3, 2.4.2.3.
    """

    encoder = "libmp3lame"
    decoder = "mp3float"
    sample_format = "fltp"
    #: LAME's encoder delay of 576 and the 529 of every layer III decoder.
    lead = 576 + 529
    rates = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
