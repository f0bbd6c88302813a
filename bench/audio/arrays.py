"""Arrays by what they are: one name for each meaning, shape and type. Audio with its rate is ``audio.sound.Audio``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: One channel of sound: float32 ``[time]``, nominally within [-1, 1].
Signal = NDArray[np.float32]

#: The same in double precision, where it is synthesised: float64 ``[time]`` or ``[channels, time]``.
Signal64 = NDArray[np.float64]

#: A sound with its channels: float32 ``[channels, time]``.
Waveform = NDArray[np.float32]

#: Mono sounds of one length, as models and batches have them: float32 ``[sounds, time]``.
Waveforms = NDArray[np.float32]

#: What each frame of a sound was turned into, a spectrogram for instance: float32 ``[frames, features]``.
Features = NDArray[np.float32]

#: Weights that make bands of frequency bins: float32 ``[bands, bins]``.
Filters = NDArray[np.float32]

#: Discrete codes of a sound: int64 ``[layers, time]``.
Tokens = NDArray[np.int64]

#: Embeddings, frames or clips as points that are compared: float64 ``[points, dimensions]``.
Rows = NDArray[np.float64]

#: Numerator and denominator of a ratio over clips: float64 ``[2]``.
Ratio = NDArray[np.float64]

#: Numbers in double precision of any shape, which is said where they are used: float64.
Real = NDArray[np.float64]
