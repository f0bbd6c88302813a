"""Regenerate speech_judges.json: what judges' own code says, on weights drawn by name, of a recording and harm to it.

    uv venv peers && uv pip install --python peers/bin/python scoreq==1.0.1 fairseq-fixed==0.12.3.1 torchaudio soundfile
    peers/bin/python tests/golden/make_speech_judges.py

Nothing of the packages is changed: their networks get the weights, and their own ``predict`` reads the sounds from
files (through soundfile, where torchaudio 2.11 would want torchcodec).
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import urllib.error
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from make_speech_metrics import RATE, conditions, recording
from name_drawn import drawn

GOLDEN = Path(__file__).with_name("speech_judges.json")

#: What is judged, and its samples: no multiple of SCOREQ's 320.
HARM, SAMPLES = ("clean", "noise_10", "lowpass_1000", "mulaw_3", "loss_30"), 40_123


def sounds() -> dict[str, np.ndarray]:
    """The beginning of the recording, and of what was done to it, float32 ``[time]`` at 16 kHz."""
    return {name: np.asarray(conditions(recording())[name][:SAMPLES], np.float32) for name in HARM}


def write(folder: Path) -> dict[str, str]:
    """Files of the sounds, in float32."""
    import soundfile

    paths = {}
    for name, signal in sounds().items():
        paths[name] = str(folder / f"{name}.wav")
        soundfile.write(paths[name], signal, RATE, subtype="FLOAT")
    return paths


def load_wave(path: str) -> tuple[Any, int]:
    """What ``torchaudio.load`` gives: ``[channels, time]`` and the rate."""
    import soundfile
    import torch

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate


def load_drawn(network: Any) -> Any:
    """The network, every tensor of its state drawn by its name."""
    import torch

    state = {}
    for key, value in network.state_dict().items():
        values = torch.from_numpy(np.asarray(drawn(key, tuple(value.shape))))
        state[key] = value if key.endswith("num_batches_tracked") else values
        if key.endswith("running_var"):
            state[key] = values.abs() + 0.5
    network.load_state_dict(state)
    return network.eval()


def scoreq() -> dict[str, dict[str, float]]:
    """SCOREQ, modes ``nr`` and ``ref``, by its PyTorch path on fairseq's wav2vec 2.0."""
    import torch
    import torchaudio
    from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model

    # The package makes a judge of official weights when it is imported, which it downloads.
    with contextlib.suppress(urllib.error.URLError):
        import scoreq  # noqa: F401
    from scoreq.scoreq import MosPredictor, Scoreq, TripletModel

    torchaudio.load = load_wave
    values: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder))
        for mode in ("nr", "ref"):
            judge = Scoreq.__new__(Scoreq)
            judge.mode, judge.use_onnx, judge.device = mode, False, "cpu"
            wav2vec2 = Wav2Vec2Model(Wav2Vec2Config(quantize_targets=True, final_dim=256))
            wav2vec2.remove_pretraining_modules()
            network: Any = TripletModel(wav2vec2, ssl_out_dim=768, emb_dim=256)
            judge.model = load_drawn(MosPredictor(network, emb_dim=768) if mode == "nr" else network)
            reference = paths["clean"] if mode == "ref" else None
            with torch.inference_mode():
                values[mode] = {name: judge.predict(path, reference) for name, path in paths.items()}
    return values


def main() -> None:
    """Write the values."""
    content = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    content["scoreq"] = scoreq()
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
