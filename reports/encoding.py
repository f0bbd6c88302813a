"""The formats in which a page holds sounds: FLAC, which is the sound to 16 bits, and Opus at a transparent rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ldmbench.audio.sound import Audio

#: Bits a second of a sound of one channel, and of each of two, which share; the most bits a sample: a sound of 8 kHz
#: needs no more than 24 kbit/s.
OPUS_RATE, OPUS_STEREO, OPUS_BITS = 64_000, 56_000, 3

#: Of two channels each gets ``2 * OPUS_BITS`` a second for each Hz of their band, but no fewer than this.
OPUS_LEAST = 32_000

#: Share of the power above the band of a sound.
_ABOVE = 1e-7

#: The rate at which Opus works.
_RATE = 48_000

#: What a page says of its sounds.
WORDS = {
    "flac": "Sounds: FLAC, exact to 16 bits.",
    "opus": (
        f"Sounds: Opus, {OPUS_RATE // 1000} kbit/s (variable), {2 * OPUS_STEREO // 1000} of two channels, less of a "
        "narrow band; for listening only: every score was measured on the exact sound. "
        "Needs Chrome, Firefox or Safari 18.4."
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
        stream.bit_rate = opus_rate(sound)
        frame: Any = av.AudioFrame.from_ndarray(samples, format="flt", layout=stream.layout.name)
        frame.sample_rate = _RATE
        for piece in (frame, None):
            container.mux(stream.encode(piece))
    return path


def opus_rate(sound: Audio) -> int:
    """Bits a second at which an Opus file is as close to its sound as at 64 kbit/s a channel.

    As close: by ViSQOL within 0.02 on built-in music and general sound of two channels (at 96 kbit/s in all it is not).
    One channel keeps its rate whatever its band: at less, Opus codes a voice by another model, and it is heard.

    Example:
        >>> opus_rate(Audio.of(np.zeros((1, 100)), 48_000)), opus_rate(Audio.of(np.zeros((2, 100)), 8_000))
        (64000, 48000)
    """
    most = OPUS_BITS * sound.rate
    if sound.channels == 1:
        return min(OPUS_RATE, most)
    return 2 * min(OPUS_STEREO, most, max(OPUS_LEAST, round(2 * OPUS_BITS * band(sound))))


def band(sound: Audio) -> float:
    """The frequency in Hz above which no more than a ten-millionth of a sound's power lies."""
    power = (np.abs(np.fft.rfft(sound.samples)) ** 2).sum(axis=0)
    above = power[::-1].cumsum()[::-1]
    return float((above > _ABOVE * above[0]).sum() * sound.rate / 2 / max(power.size - 1, 1))


WRITERS: Mapping[str, Callable[[Path, Audio, float], Path]] = {"flac": write_flac, "opus": write_opus}
