"""Tokens and sound of the official packages, on weights drawn from the names of their tensors: neural_codecs.npz.

Run in an environment of its own; the packages cannot be installed beside the bench:

    uv venv --python 3.11 /tmp/codecs
    uv pip install --python /tmp/codecs/bin/python encodec==0.1.1 descript-audio-codec==1.0.0 torch==2.11.0 \
        torchaudio==2.11.0
    /tmp/codecs/bin/python tests/golden/make_neural_codecs.py
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

#: A small DAC; rate and number of codebooks are those of the 16 kHz release.
SMALL_DAC: dict[str, Any] = {
    "encoder_dim": 8, "encoder_rates": [2, 4, 5, 8], "decoder_dim": 64, "decoder_rates": [8, 5, 4, 2],
    "n_codebooks": 12, "sample_rate": 16_000, "latent_dim": None,
}  # fmt: skip


def draw(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every tensor of a state dictionary, drawn from its name; codebooks as wide as an encoder's output."""
    drawn = {}
    for name, value in state.items():
        generator = torch.Generator("cpu").manual_seed(zlib.crc32(name.encode()))
        if not value.is_floating_point() or name.endswith((".inited", ".cluster_size")):
            drawn[name] = torch.ones_like(value)
            continue
        fresh = torch.randn(value.shape, generator=generator)
        if name.endswith("weight_g"):
            fresh = (1 + 0.1 * fresh).abs()
        elif name.endswith(("embed", "embed_avg")):
            fresh = 0.3 * fresh
        elif name.endswith(("alpha", "norm.weight")):
            fresh = 1 + 0.1 * fresh
        elif value.ndim > 1:
            fresh = fresh / math.sqrt(math.prod(value.shape[1:]))
        else:
            fresh = 0.05 * fresh
        drawn[name] = fresh
    return drawn


def sound(rate: int, samples: int, channels: int = 1, seed: int = 0) -> torch.Tensor:
    """A seeded sound ``[1, channels, samples]``."""
    generator = torch.Generator("cpu").manual_seed(seed)
    time = torch.arange(samples) / rate
    tone = 0.2 * torch.sin(2 * math.pi * (200 + 500 * time) * time)
    return (tone + 0.05 * torch.randn((channels, samples), generator=generator))[None]


#: Model, samples and channels of each case; 48 kHz: one chunk, two, and a last chunk of a single sample.
ENCODEC = {"24khz": (24_000, 1, (1, 320, 5_000)), "48khz": (48_000, 2, (20_000, 60_001, 47_521))}
DAC = (1_000, 6_001)


def encodec_cases() -> dict[str, np.ndarray]:
    """Tokens, levels and sounds of the package encodec."""
    from encodec import EncodecModel

    found = {}
    for kind, (rate, channels, lengths) in ENCODEC.items():
        model = getattr(EncodecModel, f"encodec_model_{kind}")(pretrained=False)
        model.load_state_dict(draw(model.state_dict()))
        model.eval()
        model.set_target_bandwidth(6.0)
        for length in lengths:
            with torch.no_grad():
                frames = model.encode(sound(rate, length, channels))
                wave = model.decode(frames)[0, :, :length]
            key = f"encodec_{kind}_{length}"
            found[f"{key}_tokens"] = torch.cat([codes[0] for codes, _ in frames], dim=1).numpy().astype(np.int16)
            found[f"{key}_sound"] = wave.numpy()[:, :: max(1, length // 2000)]
    return found


def dac_cases() -> dict[str, np.ndarray]:
    """Tokens and sounds of the package descript-audio-codec."""
    import dac

    model = dac.DAC(**SMALL_DAC)
    model.load_state_dict(draw(model.state_dict()))
    model.eval()
    found = {}
    for length in DAC:
        with torch.no_grad():
            padded = model.preprocess(sound(16_000, length), 16_000)
            codes = model.encode(padded, n_quantizers=6)[1]
            wave = model.decode(model.quantizer.from_codes(codes)[0])[0, 0]
        found[f"dac_{length}_tokens"] = codes[0].numpy().astype(np.int16)
        found[f"dac_{length}_sound"] = wave.numpy()[:length][:: max(1, length // 2000)]
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    cases: Any = {**encodec_cases(), **dac_cases()}
    np.savez_compressed(Path(__file__).with_name("neural_codecs.npz"), **cases)
