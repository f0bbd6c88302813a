"""AudioSR's reference implementation for bench_audiosr.py: makes the official file, or restores a clip with it.

Run by the peers' Python: ``python peer_audiosr.py CHECKOUT WEIGHTS (--make | --clip FOLDER --steps N)``. Nothing of the
checkout is changed but how it reads WAV files, where its noise comes from, and what would reach a hub: a tokenizer it
loads when imported, and the ranking model CLAP, which one generated candidate never uses (its memory is not counted).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _side_by_side import Stages, drawn, fill, measured, read_with_soundfile

FILE = "pytorch_model.bin"


def without_hub(weights: Path) -> Any:
    """``audiosr.pipeline`` that finds its checkpoint in ``weights`` and loads neither tokenizer nor ranking model."""
    import torch
    from transformers import RobertaTokenizer

    class Nothing(torch.nn.Module):
        def __init__(self, **_: Any) -> None:
            super().__init__()

    setattr(RobertaTokenizer, "from_pretrained", lambda *_, **__: None)  # noqa: B010 - another type
    read_with_soundfile()
    from audiosr import pipeline  # type: ignore[import-not-found]
    from audiosr.latent_diffusion.models import ddpm  # type: ignore[import-not-found]

    ddpm.CLAPAudioEmbeddingClassifierFreev2 = Nothing
    pipeline.download_checkpoint = lambda _: str(weights / FILE)
    return pipeline


def make(weights: Path) -> None:
    """Write the official file, with the moving averages and the second autoencoder that it holds too."""
    import torch

    pipeline = without_hub(weights)
    parameters = pipeline.default_audioldm_config()["model"]["params"]
    parameters["device"] = torch.device("cpu")
    model = pipeline.LatentDiffusion(**parameters)
    fill(model, {})
    model.cond_stage_models[0].vae.load_state_dict(model.first_stage_model.state_dict())
    model.scale_factor.fill_(0.4)
    weights.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 0, "global_step": 0, "state_dict": model.state_dict()}, weights / FILE)


def load(pipeline: Any) -> Any:
    """The model as its own function builds it; librosa's first use, which compiles, is not counted as restoring."""
    import librosa
    import numpy as np

    librosa.istft(librosa.stft(np.zeros(48_000, np.float32)), length=48_000)
    return pipeline.build_model()


def run(pipeline: Any, model: Any, stages: Stages, folder: Path, steps: int) -> Mapping[str, Any]:
    """The restored clip. Seed 42 draws ``ellip`` as the low-pass."""
    stages.watch(pipeline, "make_batch_for_super_resolution", "preparation")
    stages.watch(model, "get_input", "VAE encode")
    stages.watch(model, "sample_log", "U-Net steps")
    stages.watch(model, "decode_first_stage", "VAE decode")
    stages.watch(model, "mel_replace_ops", "post-processing")
    stages.watch(model, "mel_spectrogram_to_waveform", "vocoder")
    stages.watch(model, "postprocessing", "post-processing")
    with drawn(folder / "noise.npy"), stages.stage("whole"):
        sound = pipeline.super_resolution(
            model, str(folder / "clip.wav"), seed=42, ddim_steps=steps, guidance_scale=3.5
        )
    return {"sound": sound}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    sys.path.insert(0, str(options.checkout.resolve()))
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if options.make:
        make(options.weights)
    if options.clip:
        pipeline = without_hub(options.weights)
        measured(
            lambda: load(pipeline),
            lambda model, stages: run(pipeline, model, stages, options.clip, options.steps),
            options.clip,
            "peer",
        )


if __name__ == "__main__":
    main()
