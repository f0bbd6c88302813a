"""Tokens and sound of the official packages, on weights drawn from the names of their tensors: neural_codecs.npz.

Run in an environment of its own; the packages cannot be installed beside the bench:

    uv venv --python 3.11 /tmp/codecs
    uv pip install --python /tmp/codecs/bin/python encodec==0.1.1 descript-audio-codec==1.0.0 torch==2.11.0 \
        torchaudio==2.11.0
    /tmp/codecs/bin/python tests/golden/make_neural_codecs.py ACADEMICODEC

ACADEMICODEC is a checkout of yangdongchao/AcademiCodec at b6ac134, whose code needs matplotlib and pyyaml.
"""

from __future__ import annotations

import math
import sys
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


def draw(state: dict[str, torch.Tensor], prefix: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a state dictionary, drawn from its name; codebooks as wide as an encoder's output.

    The ``prefix`` of a part, which the names begin with, is taken off.
    """
    drawn = {}
    for name, value in state.items():
        generator = torch.Generator("cpu").manual_seed(zlib.crc32(name.encode()))
        if not value.is_floating_point() or name.endswith((".inited", ".cluster_size")):
            drawn[name] = torch.ones_like(value)
            continue
        fresh = torch.randn(value.shape, generator=generator)
        if name.endswith("weight_g"):
            fresh = (1 + 0.1 * fresh).abs()
        elif name.endswith(("embed", "embed_avg", "embedding.weight")):
            fresh = 0.3 * fresh
        elif name.endswith(("alpha", "norm.weight")) or (value.ndim == 1 and name.endswith(".weight")):
            fresh = 1 + 0.1 * fresh
        elif value.ndim > 1:
            fresh = fresh / math.sqrt(math.prod(value.shape[1:]))
        else:
            fresh = 0.05 * fresh
        drawn[name] = fresh
    return {name.removeprefix(f"{prefix}."): value for name, value in drawn.items()}


def sound(rate: int, samples: int, channels: int = 1, seed: int = 0) -> torch.Tensor:
    """A seeded sound ``[1, channels, samples]``."""
    generator = torch.Generator("cpu").manual_seed(seed)
    time = torch.arange(samples) / rate
    tone = 0.2 * torch.sin(2 * math.pi * (200 + 500 * time) * time)
    return (tone + 0.05 * torch.randn((channels, samples), generator=generator))[None]


#: Model, samples and channels of each case; 48 kHz: one chunk, two, and a last chunk of a single sample.
ENCODEC = {"24khz": (24_000, 1, (1, 320, 5_000)), "48khz": (48_000, 2, (20_000, 60_001, 47_521))}
DAC = (1_000, 6_001)
HIFICODEC = 320 * 12


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


def hificodec_cases(checkout: Path) -> dict[str, np.ndarray]:
    """Tokens and sound of AcademiCodec's 16 kHz model; its third stride is odd, and the length is in whole frames."""
    import json

    sys.path.insert(0, str(checkout))
    from academicodec.models.hificodec.env import AttrDict
    from academicodec.models.hificodec.models import Encoder, Generator, Quantizer

    config = AttrDict(json.loads((checkout / "egs" / "HiFi-Codec-16k-320d" / "config_16k_320d.json").read_text()))
    parts = {"encoder": Encoder(config), "quantizer": Quantizer(config), "generator": Generator(config)}
    for name, part in parts.items():
        part.load_state_dict(draw({f"{name}.{key}": value for key, value in part.state_dict().items()}, name))
        part.eval()
    with torch.no_grad():
        codes = parts["quantizer"](parts["encoder"](sound(16_000, HIFICODEC)))[2]
        tokens = torch.stack([code.reshape(1, -1) for code in codes], -1)
        wave = parts["generator"](parts["quantizer"].embed(tokens))[0]
    return {"hificodec_tokens": tokens[0].T.numpy().astype(np.int16), "hificodec_sound": wave.numpy()[:, ::2]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    cases: Any = {**encodec_cases(), **dac_cases(), **hificodec_cases(Path(sys.argv[1]))}
    np.savez_compressed(Path(__file__).with_name("neural_codecs.npz"), **cases)
