"""The formats in which a page holds sounds: FLAC, which is the sound to 16 bits, and Opus at a transparent rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ldmbench.audio.sound import Audio

#: Bits a second of each channel, and the most bits a sample: a sound of 8 kHz needs no more than 24 kbit/s.
OPUS_RATE, OPUS_BITS = 64_000, 3

#: The rate at which Opus works.
_RATE = 48_000

#: What a page says of its sounds.
WORDS = {
    "flac": "Sounds: FLAC, exact to 16 bits.",
    "opus": (
        f"Sounds: Opus, {OPUS_RATE // 1000} kbit/s a channel (variable), {OPUS_BITS} bits a sample at most; for "
        "listening only: every score was measured on the exact sound. Needs Chrome, Firefox or Safari 18.4."
    ),
}


def write_flac(path: Path, sound: Audio, gain: float) -> Path:
    """Write 16-bit FLAC at ``path`` with the suffix ``.flac``: half the size of 24 bits is easier to send around.

    Raises:
        ValueError: If FLAC holds no sound of this many channels or this rate.
    """
    import soundfile

    if sound.channels > 8 or sound.rate > 655_350:
        raise ValueError(f"browsers play no file of {sound.channels} channels at {sound.rate} Hz")
    path = path.with_name(f"{path.name}.flac")
    soundfile.write(path, sound.samples.T * np.float32(gain), sound.rate, subtype="PCM_16", format="FLAC")
    return path


def write_opus(path: Path, sound: Audio, gain: float) -> Path:
    """Write Opus in Ogg at ``path`` with the suffix ``.opus``; more than two channels stay FLAC.

    Equal sounds give equal bytes, and the file is as long as the sound, to the sample at 48 kHz.
    """
    import av

    if sound.channels > 2:
        return write_flac(path, sound, gain)
    path = path.with_name(f"{path.name}.opus")
    samples = np.ascontiguousarray(sound.at(_RATE).samples.T * np.float32(gain)).reshape(1, -1)
    # Bit-exact: the container's serial number is not drawn by chance.
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("libopus", rate=_RATE, layout=("mono", "stereo")[sound.channels - 1])
        stream.bit_rate = sound.channels * min(OPUS_RATE, OPUS_BITS * sound.rate)
        frame: Any = av.AudioFrame.from_ndarray(samples, format="flt", layout=stream.layout.name)
        frame.sample_rate = _RATE
        for piece in (frame, None):
            container.mux(stream.encode(piece))
    return path


WRITERS: Mapping[str, Callable[[Path, Audio, float], Path]] = {"flac": write_flac, "opus": write_opus}
