"""Tokens as a picture: frames across, codebooks down, a colour for each code."""

from __future__ import annotations

import io

import numpy as np

from ldmbench.audio.arrays import Tokens

#: Pixels of a codebook's row, and of the picture's width at least.
_ROW, _WIDTH = 14, 720

#: Most codebooks that are drawn.
_MOST = 32

#: A hue for each code: consecutive codes lie far apart on the circle, and in three steps of lightness.
_TURN = 0.618033988749895


def png(tokens: Tokens) -> bytes:
    """Tokens ``[layers, frames]`` as PNG; what a layer has not (-1) is grey, and equal codes of a layer look equal."""
    from PIL import Image

    shown = tokens[:_MOST]
    hue = (shown * _TURN) % 1.0
    value = 0.62 + 0.16 * (shown % 3)
    picture = _rgb(hue, value)
    picture[shown < 0] = 208
    repeat = max(1, round(_WIDTH / max(shown.shape[1], 1)))
    picture = picture.repeat(_ROW, axis=0).repeat(repeat, axis=1)
    picture[_ROW - 1 :: _ROW] = 255
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _rgb(hue: np.ndarray, value: np.ndarray, saturation: float = 0.55) -> np.ndarray:
    """Colours ``[..., 3]`` of hues and values in 0 to 1, as bytes."""
    sector = (np.asarray([5.0, 3.0, 1.0]) + hue[..., None] * 6) % 6
    share = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return np.asarray(np.round(255 * value[..., None] * (1 - saturation * share)), np.uint8)
