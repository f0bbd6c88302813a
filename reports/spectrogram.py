"""Spectrograms as small WebP pictures: log power over a mel frequency axis, one column for each instant."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.sound import Audio

#: Pixels.
WIDTH, HEIGHT = 720, 176

#: Decibels between the darkest and the brightest colour.
RANGE = 80.0

#: Of the lossy picture, out of 100.
QUALITY = 35

#: Anchor colours of the map, dark to bright, evenly spaced in lightness (after matplotlib's magma).
_COLOURS = (
    *((0, 0, 4), (20, 14, 54), (59, 15, 112), (100, 26, 128), (140, 41, 129), (183, 55, 121)),
    *((222, 73, 104), (247, 112, 92), (254, 159, 109), (254, 207, 146), (252, 253, 191)),
)


def mel(hz: float) -> float:
    """Hz to mel. Source: O'Shaughnessy, Speech Communication (1987), p. 150."""
    return 2595 * float(np.log10(1 + hz / 700))


def height_of(hz: float, top: float) -> float:
    """Where a frequency lies on the picture: 0 at the bottom, 1 at ``top`` Hz."""
    return mel(hz) / mel(top)


def ticks(top: float) -> list[tuple[str, float]]:
    """Labels of the frequency axis (kHz) with their heights, far enough apart to be read."""
    marks: list[tuple[str, float]] = []
    for hz in (250, 500, 1000, 2000, 4000, 8000, 12000, 16000, 20000):
        height = height_of(hz, top)
        if height <= 0.97 and (not marks or height - marks[-1][1] >= 0.09):
            marks.append((f"{hz / 1000:g}", height))
    return marks


def levels(audio: Audio, seconds: float, top: float, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.float32]:
    """Power in dB ``[height, width]``, lowest frequency first, over 0 to ``seconds`` and 0 to ``top`` Hz.

    The mono mix is analysed with Hann windows of about 43 ms, and each row averages the power around its frequency,
    so that a sine of full scale reads 0 to -4 dB. Frequencies above Nyquist and times after the end are -inf.
    """
    rate = audio.rate
    size = 1 << max(5, round(np.log2(0.043 * rate)))
    signal = np.pad(audio.mono().samples[0], (size // 2, size))
    centres = ((np.arange(width) + 0.5) / width * seconds * rate).astype(np.int64)
    inside = centres < audio.length
    frames = np.lib.stride_tricks.sliding_window_view(signal, size)[centres[inside]]
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window)) ** 2 * np.float32((2 / window.sum()) ** 2)
    bands = power @ _weights(rate, size, top, height).T
    result = np.full((width, height), -np.inf, np.float32)
    with np.errstate(divide="ignore"):
        result[inside] = 10 * np.log10(bands)
    return result.T


def webp(picture: NDArray[np.float32], ceiling: float) -> bytes:
    """Levels in dB ``[height, width]`` as a lossy WebP; ``ceiling`` dB and above is brightest.

    A spectrogram is mostly the grain of noise: kept exactly, it takes seven times the bytes and shows no more.
    """
    from PIL import Image

    index = (np.clip((picture - ceiling) / RANGE + 1, 0, 1) * 255).astype(np.uint8)
    stops = np.linspace(0, 255, len(_COLOURS))
    channels = [np.interp(np.arange(256), stops, [colour[k] for colour in _COLOURS]) for k in range(3)]
    colours = np.stack(channels, 1).round().astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(colours[index[::-1]]).save(stream, "WEBP", quality=QUALITY, method=6)
    return stream.getvalue()


def _weights(rate: int, size: int, top: float, height: int) -> NDArray[np.float32]:
    """Triangles ``[height, bins]`` that average the power around each row's frequency; rows above Nyquist are 0."""
    bins = np.fft.rfftfreq(size, 1 / rate)
    edges = 700 * (10 ** (np.linspace(0, mel(top), height + 1) / 2595) - 1)
    centres = (edges[1:] + edges[:-1]) / 2
    # A triangle reaches at least to the neighbouring bins, so that low rows interpolate instead of missing them all.
    reach = np.maximum(np.diff(edges), rate / size)
    weights = np.maximum(0, 1 - np.abs(bins - centres[:, None]) / reach[:, None])
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    weights[centres > rate / 2] = 0
    return weights.astype(np.float32)
