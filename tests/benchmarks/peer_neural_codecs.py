"""The packages encodec and descript-audio-codec on seeded weights: run by bench_neural_codecs.py in their environment.

    python peer_neural_codecs.py FOLDER SECONDS THREADS LABEL

Writes the model's official file, drawn from the names of its tensors, and ``LABEL.npz`` with the sound, the tokens,
what they decode to, and seconds.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "golden"))
from make_neural_codecs import draw, sound

#: Constructor arguments of the releases, as their files say them.
DAC: dict[str, dict[str, Any]] = {
    "16khz": {"sample_rate": 16_000, "n_codebooks": 12, "encoder_rates": [2, 4, 5, 8], "decoder_rates": [8, 5, 4, 2]},
    "24khz": {"sample_rate": 24_000, "n_codebooks": 32, "encoder_rates": [2, 4, 5, 8], "decoder_rates": [8, 5, 4, 2]},
    "44khz": {"sample_rate": 44_100, "n_codebooks": 9},
    "44khz-16kbps": {"sample_rate": 44_100, "n_codebooks": 18, "latent_dim": 128},
}
DAC_FILES = {
    "16khz": "weights_16khz.pth", "24khz": "weights_24khz.pth", "44khz": "weights.pth",
    "44khz-16kbps": "weights_44khz_16kbps.pth",
}  # fmt: skip
ENCODEC_FILES = {"24khz": "encodec_24khz-d7cc33bc.th", "48khz": "encodec_48khz-7e698e3e.th"}


def encodec(folder: Path, kind: str, kbps: float, seconds: float) -> dict[str, Any]:
    """EnCodec by its package."""
    from encodec import EncodecModel

    model = getattr(EncodecModel, f"encodec_model_{kind}")(pretrained=False)
    state = draw(model.state_dict())
    torch.save(state, folder / ENCODEC_FILES[kind])
    model.load_state_dict(state)
    model.eval().set_target_bandwidth(kbps)
    clip = sound(model.sample_rate, round(seconds * model.sample_rate), model.channels)
    start = time.perf_counter()
    frames = model.encode(clip)
    middle = time.perf_counter()
    wave = model.decode(frames)[0, :, : clip.shape[-1]]
    spent = middle - start, time.perf_counter() - middle
    return {"sound": clip[0], "tokens": torch.cat([codes[0] for codes, _ in frames], 1), "wave": wave, "spent": spent}


def dac(folder: Path, kind: str, books: int, seconds: float) -> dict[str, Any]:
    """DAC by its package: encode and decode of the whole clip."""
    import dac

    model = dac.DAC(**DAC[kind])
    state = draw(model.state_dict())
    torch.save({"state_dict": state, "metadata": {"kwargs": DAC[kind]}}, folder / DAC_FILES[kind])
    model.load_state_dict(state)
    model.eval()
    clip = sound(model.sample_rate, round(seconds * model.sample_rate))
    start = time.perf_counter()
    codes = model.encode(model.preprocess(clip, model.sample_rate), n_quantizers=books)[1]
    middle = time.perf_counter()
    wave = model.decode(model.quantizer.from_codes(codes)[0])[0, :, : clip.shape[-1]]
    spent = middle - start, time.perf_counter() - middle
    return {"sound": clip[0], "tokens": codes[0], "wave": wave, "spent": spent}


if __name__ == "__main__":
    place, duration, threads, label = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(threads)
    system, model_kind, number = label.split("/")
    with torch.inference_mode():
        run = encodec(place, model_kind, float(number), duration) if system == "encodec" else None
        made = run or dac(place, model_kind, int(number), duration)
    arrays: Any = {key: np.asarray(value) for key, value in made.items()}
    np.savez(place / f"{label.replace('/', '_')}.npz", **arrays)
