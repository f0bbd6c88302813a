"""G.722 sub-band ADPCM, as the PyAV wheel carries it."""

from __future__ import annotations

from dataclasses import replace

from ldmbench.audio.sound import Audio
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Stream
from ldmbench.systems.codecs._packets import PacketCodec, Packets


class G722(PacketCodec):
    """ITU-T G.722 in its three modes: 64, 56 and 48 kbit/s of audio.

    Setting: ``kbps``. The encoder is the same in all modes; 56 and 48 kbit/s give the lowest one or two bits of
    each byte to other data (ITU-T G.722, 1.4), so they are zeroed here, not counted, and not used by the decoder.
    """

    encoder = "g722"
    decoder = "g722"
    sample_format = "s16"
    #: The quadrature mirror filters of encoder and decoder.
    lead = 22
    #: One byte codes two samples.
    grain = 2
    constant = False
    modes = (48.0, 56.0, 64.0)

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        #: Bits of audio in each byte; there are 8000 bytes a second.
        self.codeword = round(self.kbps / 8)

    def encode(self, audio: Audio) -> Stream:
        """Code ``audio``; bits are those of the audio in each byte."""
        stream = super().encode(audio)
        coded: Packets = stream.payload
        mask = 0xFF & ~((1 << (8 - self.codeword)) - 1)
        data = tuple(bytes(byte & mask for byte in packet) for packet in coded.data)
        bits = self.codeword * sum(len(packet) for packet in data)
        return replace(stream, payload=replace(coded, data=data), bits=bits)

    def decoder_options(self) -> dict[str, str]:
        """How many bits of each byte are audio."""
        return {"bits_per_codeword": str(self.codeword)}
