"""AAC through FFmpeg's own encoder, as the PyAV wheel carries it."""

from __future__ import annotations

from ldmbench.systems.codecs._packets import PacketCodec


class Aac(PacketCodec):
    """AAC-LC at an average bit-rate; packets are raw data blocks, without ADTS or MP4 around them.

    Settings: ``kbps`` for all channels together; ``min_rate`` and ``max_rate`` in Hz, between which the clip is
    coded: from below, a block holds at most 6144 bits per channel; from above, few bits do not carry the full band.
    Source: ISO/IEC 14496-3, 4.5.3.
    """

    encoder = "aac"
    decoder = "aac"
    sample_format = "fltp"
    lead = 1024
    rates = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
    constant = False
