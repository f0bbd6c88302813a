"""Writes clap.json: embeddings by laion_clap's own audio branch and fusion, in small, with our seeded random weights.

Run with a Python that has laion-clap 1.1.7, torch, torchaudio, torchvision 0.17 or later and transformers:
``PYTHONPATH=. PYTHON tests/golden/make_clap.py``. The audio branch is laion_clap's ``HTSAT_Swin_Transformer`` of a
few channels; files go through ``CLAP_Module.get_audio_embedding_from_filelist``. Where it draws at random, it is made
to draw what is taken here: the first stretch without fusion, the middle one of each third with it.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).with_name("clap.json")
SMALL: dict[str, Any] = {
    "width": 16, "depths": (2, 2, 2, 2), "heads": (1, 2, 4, 8), "text_width": 32, "text_layers": 2, "text_heads": 2,
    "vocabulary": 400, "joint": 24,
}  # fmt: skip

#: Name -> seconds, rate in Hz, channels, gain.
SOUNDS = {
    "short": (0.4, 48_000, 1, 0.2),
    "stereo": (3.0, 44_100, 2, 0.2),
    "ten seconds": (10.0, 48_000, 1, 0.05),
    "a frame more": (10.005, 48_000, 1, 0.2),
    "loud": (10.24, 16_000, 1, 1.6),
    "long": (25.0, 48_000, 2, 0.1),
    "silence": (5.0, 48_000, 1, 0.0),
}


def sound(name: str) -> np.ndarray:
    """Samples ``[channels, time]`` of one of ``SOUNDS``."""
    seconds, rate, channels, gain = SOUNDS[name]
    random = np.random.default_rng(len(name))
    t = np.arange(round(seconds * rate)) / rate
    parts = []
    for channel in range(channels):
        tone = sum(np.sin(2 * np.pi * (200 + 90 * len(name)) * k * t * (1 + 0.02 * t)) / k for k in range(1, 7))
        parts.append(gain * (tone * (0.6 + 0.4 * np.sin((5 + channel) * t)) + 0.1 * random.standard_normal(len(t))))
    return np.array(parts, np.float32)


def main() -> None:
    """Compute and write."""
    import laion_clap
    import soundfile
    import torch
    from clap_module.htsat import HTSAT_Swin_Transformer
    from clap_module.model import CLAP, CLAPAudioCfp

    from ldmbench.extractors.clap_weights import Architecture, random_state

    # Where a long sound is cut is drawn at random there.
    setattr(np.random, "randint", lambda low, high=None: 0)  # noqa: B010
    setattr(np.random, "choice", lambda values: values[(len(values) - 1) // 2])  # noqa: B010
    config = Path(laion_clap.__file__).parent / "clap_module" / "model_configs" / "HTSAT-tiny.json"
    settings = json.loads(config.read_text())
    golden: dict[str, Any] = {"source": "laion_clap 1.1.7, get_audio_embedding_from_filelist", "embeddings": {}}
    for fusion in (False, True):
        architecture = Architecture(fusion=fusion, **SMALL)
        model = CLAP.__new__(CLAP)
        torch.nn.Module.__init__(model)
        model.audio_branch = HTSAT_Swin_Transformer(
            embed_dim=architecture.width, depths=architecture.depths, num_heads=architecture.heads, num_classes=527,
            config=CLAPAudioCfp(**settings["audio_cfg"]), enable_fusion=fusion, fusion_type="aff_2d",
        )  # fmt: skip
        wide, joint = 8 * architecture.width, architecture.joint
        model.audio_projection = torch.nn.Sequential(
            torch.nn.Linear(wide, joint), torch.nn.ReLU(), torch.nn.Linear(joint, joint)
        )
        ours = {key: value for key, value in random_state(architecture, seed=3).items() if key.startswith("audio_")}
        assert set(ours) <= set(model.state_dict()), sorted(set(ours) - set(model.state_dict()))
        model.load_state_dict({**model.state_dict(), **ours})
        hook = laion_clap.CLAP_Module.__new__(laion_clap.CLAP_Module)
        torch.nn.Module.__init__(hook)
        hook.enable_fusion, hook.model, hook.model_cfg = fusion, model, settings
        with tempfile.TemporaryDirectory() as home:
            files = []
            for name, (_, rate, _, _) in SOUNDS.items():
                files.append(f"{home}/{name}.wav")
                soundfile.write(files[-1], sound(name).T, rate, subtype="FLOAT")
            embeddings = [hook.get_audio_embedding_from_filelist([file])[0] for file in files]
        golden["embeddings"]["fusion" if fusion else "plain"] = {
            name: [round(float(value), 7) for value in embedding]
            for name, embedding in zip(SOUNDS, embeddings, strict=True)
        }
    text = json.dumps(golden, indent=1)
    GOLDEN.write_text(re.sub(r"\s*\n\s*(?=[-\d\]])", " ", text) + "\n")


if __name__ == "__main__":
    main()
