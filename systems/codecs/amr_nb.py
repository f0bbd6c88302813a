"""AMR narrow-band through OpenCORE, as the PyAV wheel carries it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.sound import Audio
from ldmbench.system.codec import Stream
from ldmbench.systems.codecs._packets import PacketCodec

#: A frame of type 15, NO_DATA: the decoder substitutes and mutes (3GPP TS 26.091).
_NO_DATA = bytes([15 << 3 | 1 << 2])


class AmrNb(PacketCodec):
    """Adaptive Multi-Rate, one fixed mode, without discontinuous transmission.

    Setting: ``kbps``, one of the eight modes. Packets are those of the storage format (RFC 4867, 5.3): whole bytes
    with one of header in each, so that mode 4.75 measures 5.2 kbps.
    """

    encoder = "libopencore_amrnb"
    decoder = "libopencore_amrnb"
    sample_format = "s16"
    #: The look-ahead of the linear prediction: 5 ms (3GPP TS 26.090, 5.2.1). FFmpeg states 50, which is not so.
    lead = 40
    constant = False
    modes = (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)

    def packets(self, stream: Stream) -> int:
        """One for each frame of 20 ms."""
        return len(stream.payload.data)

    def receive(self, stream: Stream, lost: NDArray[np.bool_]) -> Audio:
        """Decode with lost frames marked as such, which OpenCORE conceals."""
        sent = stream.payload.data
        data = tuple(_NO_DATA if gone else packet for packet, gone in zip(sent, lost, strict=True))
        return self.decode(replace(stream, payload=replace(stream.payload, data=data)))
