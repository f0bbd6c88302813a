"""G.726 ADPCM, as the PyAV wheel carries it."""

from __future__ import annotations

from ldmbench.systems.codecs._packets import PacketCodec


class G726(PacketCodec):
    """ITU-T G.726 with 2 to 5 bits per sample at 8 kHz.

    Setting: ``kbps``, one of 16, 24, 32, 40.
    """

    encoder = "g726"
    decoder = "g726"
    sample_format = "s16"
    lead = 0
    #: Eight samples are whole bytes at any number of bits per sample.
    grain = 8
    constant = False
    modes = (16.0, 24.0, 32.0, 40.0)

    def encoder_options(self) -> dict[str, str]:
        """Bits per sample."""
        return {"code_size": f"{self.kbps / 8:.0f}"}

    def decoder_options(self) -> dict[str, str]:
        """Bits per sample, which the packets do not tell."""
        return {"bits_per_coded_sample": f"{self.kbps / 8:.0f}"}
