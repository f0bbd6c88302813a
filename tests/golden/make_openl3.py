"""Writes openl3.json: embeddings by stable-audio-metrics and openl3 themselves, with our seeded random weights.

In two steps, since the peers need TensorFlow and we torch: ``python tests/golden/make_openl3.py FILE.h5`` writes the
weights in the official layout; then, with a Python that has tensorflow 2.15, kapre 0.3.7, librosa, pyloudnorm, soxr and
tqdm, and with openl3 0.4.2, resampy 0.2.2 and stable-audio-metrics' ``src`` (fd55536) on its path,
``PEERS_PYTHON tests/golden/make_openl3.py FILE.h5 peers``.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("openl3.json")
SEED = 3

#: Every so manieth of the 1024 dimensions is kept.
EVERY = 8

#: Name -> seconds, rate in Hz, channels, gain.
SOUNDS = {
    "short": (0.3, 48_000, 1, 0.2),
    "stereo": (1.2, 44_100, 2, 1.6),
    "8 kHz": (0.7, 8_000, 1, 0.05),
}


def sound(name: str) -> np.ndarray:
    """Samples ``[channels, time]`` of one of ``SOUNDS``."""
    seconds, rate, channels, gain = SOUNDS[name]
    random = np.random.default_rng(len(name))
    t = np.arange(round(seconds * rate)) / rate
    parts = []
    for channel in range(channels):
        tone = sum(np.sin(2 * np.pi * (200 + 90 * channel) * k * t * (1 + 0.1 * t)) / k for k in range(1, 7))
        parts.append(gain * (0.3 * tone + 0.3 * random.standard_normal(len(t))))
    return np.array(parts, np.float32)


def write_like_keras(state: Mapping[str, np.ndarray], path: Path) -> None:
    """Write weights in the layout of the official files."""
    import h5py

    layers = list(dict.fromkeys(key.partition(".")[0] for key in state))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer)
            names = {key: f"{layer}/{key.partition('.')[2]}:0" for key in state if key.startswith(f"{layer}.")}
            group.attrs["weight_names"] = [name.encode() for name in names.values()]
            for key, name in names.items():
                group.create_dataset(name, data=state[key])


def write_weights(path: Path) -> None:
    """Our random weights in the official layout."""
    from ldmbench.extractors.openl3_weights import random_state

    write_like_keras(random_state(SEED), path)


def main(weights: Path) -> None:
    """Compute and write."""
    import openl3
    import openl3_fd
    import soundfile

    model = openl3.models.load_audio_embedding_model_from_path(str(weights), "mel256", 512)
    openl3.models.load_audio_embedding_model = lambda **_: model
    rows = {}
    with tempfile.TemporaryDirectory() as home:
        for name, (_, rate, _, _) in SOUNDS.items():
            file = f"{home}/{name.replace(' ', '-')}.wav"
            soundfile.write(file, sound(name).T, rate, subtype="FLOAT")
            rows[name] = openl3_fd.extract_embeddings(file, 2, 44_100, "env", 0.5, batch_size=4)
    golden = {
        "source": "stable-audio-metrics fd55536, extract_embeddings; openl3 0.4.2, resampy 0.2.2, kapre 0.3.7",
        "sounds": {name: [[round(float(value), 4) for value in row[::EVERY]] for row in rows[name]] for name in SOUNDS},
    }
    text = json.dumps(golden, indent=1)
    GOLDEN.write_text(re.sub(r"\s*\n\s*(?=[-\d\]])", " ", text) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1])) if sys.argv[2:] else write_weights(Path(sys.argv[1]))
