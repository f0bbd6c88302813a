"""Make ``tests/golden/audiosr/`` from the reference implementation's arrays: inputs, features, official keys.

Run: ``python tests/golden/make_audiosr.py FOLDER`` where the folder holds ``keys.json``, ``features.npz``,
``model.npz`` and ``input_*.wav``, made by haoheliu/versatile_audio_super_resolution 034db6c in float32 on a CPU
(low-pass fixed to Chebyshev I). Waveforms are thinned to every fourth stored sample, spectra to every second frame
and band.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import soundfile

INPUTS = ("noise4k", "speech", "music")


def main(source: Path, target: Path) -> None:
    """Write inputs as FLAC, arrays as one NPZ, and the keys without those of the exponential averages."""
    target.mkdir(parents=True, exist_ok=True)
    stored = {**np.load(source / "features.npz"), **np.load(source / "model.npz")}
    arrays = {}
    for name in INPUTS:
        samples, rate = soundfile.read(source / f"input_{name}.wav", dtype="int16", always_2d=True)
        soundfile.write(target / f"{name}.flac", samples, rate, subtype="PCM_16", compression_level=1.0)
        for key in ("cutoff_bin", "replace_mel_bin", "post_bin"):
            arrays[f"{name}_{key}"] = stored[f"{name}_{key}"]
        for key in ("waveform48k", "waveform_lowpass", "post_wav"):
            arrays[f"{name}_{key}"] = stored[f"{name}_{key}"][..., ::4]
        for key in ("log_mel", "stft", "lowpass_mel", "replaced_mel"):
            arrays[f"{name}_{key}"] = stored[f"{name}_{key}"][::2, ::2]
    np.savez_compressed(target / "signal.npz", **arrays)
    shapes = json.loads((source / "keys.json").read_text())["pytorch_model.bin[state_dict]"]
    kept = [key for key in shapes if not key.startswith("model_ema.")]
    (target / "keys.txt").write_text("\n".join(f"{key} {'x'.join(map(str, shapes[key]))}" for key in kept) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent / "audiosr")
