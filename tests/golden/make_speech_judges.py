"""Regenerate speech_judges.json: what judges' own code says, on weights drawn by name, of a recording and harm to it.

    uv venv peers && uv pip install --python peers/bin/python scoreq==1.0.1 fairseq-fixed==0.12.3.1 torchaudio==2.11.0 \
        soundfile timm==1.0.31 torchvision==0.26.0 transformers==5.23.0 librosa==0.11.0
    git clone https://github.com/sarulab-speech/UTMOSv2 && git -C UTMOSv2 checkout cc2700d
    UTMOSV2=UTMOSv2 peers/bin/python tests/golden/make_speech_judges.py

Their networks get the weights, and their own ``predict`` reads the sounds from files (through soundfile, where
torchaudio 2.11 would want torchcodec). UTMOSv2 draws its crops and mixtures from the list of ``shares`` that is kept in
the file, in place of NumPy's generator; the official wav2vec 2.0 and EfficientNet below it are built, not downloaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
import urllib.error
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from make_speech_metrics import RATE, conditions, recording
from name_drawn import drawn_state

GOLDEN = Path(__file__).with_name("speech_judges.json")

#: What is judged, and its samples: no multiple of SCOREQ's 320.
HARM, SAMPLES = ("clean", "noise_10", "lowpass_1000", "mulaw_3", "loss_30"), 40_123

#: What UTMOSv2 draws in a pass; what it judges: harm, samples, passes.
SHARES = 19
UTMOSV2 = {"whole": ("clean", 176_000, 2), "short": ("noise_10", 9_999, 1), "lossy": ("loss_30", 40_123, 1)}


def sounds() -> dict[str, np.ndarray]:
    """The beginning of the recording, and of what was done to it, float32 ``[time]`` at 16 kHz."""
    return {name: np.asarray(conditions(recording())[name][:SAMPLES], np.float32) for name in HARM}


def write(folder: Path) -> dict[str, str]:
    """Files of the sounds, in float32."""
    paths = {}
    for name, signal in sounds().items():
        paths[name] = str(folder / f"{name}.wav")
        write_wave(paths[name], signal)
    return paths


def write_wave(path: str, signal: np.ndarray) -> None:
    """A file in float32."""
    import soundfile

    soundfile.write(path, np.asarray(signal, np.float32), RATE, subtype="FLOAT")


def load_wave(path: str) -> tuple[Any, int]:
    """What ``torchaudio.load`` gives: ``[channels, time]`` and the rate."""
    import soundfile
    import torch

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate


def load_drawn(network: Any) -> Any:
    """The network, every tensor of its state drawn by its name."""
    import torch

    state = drawn_state({key: tuple(value.shape) for key, value in network.state_dict().items()})
    network.load_state_dict({key: torch.from_numpy(np.asarray(values)) for key, values in state.items()})
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


def utmosv2() -> dict[str, Any]:
    """UTMOSv2's values, names and shapes of its tensors, and points of its spectrograms."""
    import timm
    import torch
    import transformers

    sys.path.insert(0, os.environ["UTMOSV2"])
    hub: Any = transformers
    random: Any = np.random
    make, config = timm.create_model, hub.Wav2Vec2Config()
    timm.create_model = lambda name, pretrained, **settings: make(name, pretrained=False, **settings)
    hub.AutoModel.from_pretrained = lambda name: hub.Wav2Vec2Model(config)
    # As facebook/wav2vec2-base says in its preprocessor_config.json.
    reader = hub.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)
    hub.AutoFeatureExtractor.from_pretrained = lambda name: reader
    import utmosv2
    from utmosv2.dataset.multi_spec import _make_melspec

    judge = utmosv2.create_model(pretrained=False, device="cpu")
    load_drawn(judge._model)
    shapes = {key: tuple(value.shape) for key, value in judge._model.state_dict().items()}
    content: dict[str, Any] = {
        "tensors": len(shapes),
        "bytes": sum(value.numel() * value.element_size() for value in judge._model.state_dict().values()),
        "names": names_digest(shapes),
        "shares": [round(float(share), 6) for share in np.random.default_rng(1).random(2 * SHARES)],
        "judged": UTMOSV2,
        "mos": {},
        "mel": {},
    }
    for spec in judge._cfg.dataset.specs:
        image = _make_melspec(judge._cfg, spec, sounds()["clean"][:22_400])
        content["mel"][str(spec.win_length)] = [float(value) for value in image[::73, ::100].ravel()]
    with tempfile.TemporaryDirectory() as folder:
        for name, (harm, samples, passes) in UTMOSV2.items():
            path = str(Path(folder) / f"{name}.wav")
            write_wave(path, conditions(recording())[harm][:samples])
            shares = iter(content["shares"])
            random.randint = lambda low, high, shares=shares: low + int(next(shares) * (high - low))
            random.beta = lambda a, b, shares=shares: next(shares)
            # Its setting remove_silent_section, on by default, is put back before sounds are read: it does nothing.
            settings = {"num_repetitions": passes, "verbose": False, "device": "cpu"}
            with torch.inference_mode():
                content["mos"][name] = judge.predict(input_path=path, **settings)
    return content


def names_digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """SHA-256 (hex) of the names and shapes of a state dictionary."""
    lines = [f"{key} {list(shape)}\n" for key, shape in sorted(shapes.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def main() -> None:
    """Write the values of whatever is there."""
    content = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    if importlib.util.find_spec("fairseq"):
        content["scoreq"] = scoreq()
    if "UTMOSV2" in os.environ:
        content["utmosv2"] = utmosv2()
    GOLDEN.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
