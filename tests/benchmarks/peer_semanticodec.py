"""SemantiCodec's reference implementation for bench_semanticodec.py: makes official files, or codes and decodes a clip.

Run by the peers' Python: ``python peer_semanticodec.py CHECKOUT WEIGHTS RATE VOCAB (--make | --clip FOLDER)``. Nothing
of the checkout is changed but how it reads WAV files and where its noise comes from.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _side_by_side import Stages, drawn, fill, measured, read_with_soundfile

#: As in the parity fixtures: without these a handful of different tokens would come out.
GAINS = {"attn.qkv.weight": 2.0, "patch_embed.proj.weight": 10.0, "encoder.weight_ih_l": 4.0}


def make(rate: int, vocab: int) -> None:
    """Write encoder, decoder and codebook in the official layout below the working folder."""
    import torch
    from semanticodec.config import get_config  # type: ignore[import-not-found]
    from semanticodec.modules.decoder.latent_diffusion.util import (  # type: ignore[import-not-found]
        instantiate_from_config,
    )
    from semanticodec.modules.encoder.encoder import (  # type: ignore[import-not-found]
        AudioMAEConditionQuantResEncoder,
    )

    config, folder, width, layers, codebook = get_config(rate, vocab)
    for place in (Path(folder), Path(codebook).parent):
        place.mkdir(parents=True, exist_ok=True)
    np.save(codebook, np.random.default_rng(0).standard_normal((vocab, width), dtype=np.float32))
    encoder = AudioMAEConditionQuantResEncoder(feature_dimension=width, lstm_layer=layers, centroid_npy_path=codebook)
    fill(encoder, GAINS)
    words = encoder.quantizer._codebook
    words.embed.copy_(torch.from_numpy(np.random.default_rng(1).standard_normal(words.embed.shape) * 0.15))
    words.initted.fill_(True)
    torch.save(encoder.state_dict(), Path(folder) / "encoder.ckpt")
    del encoder
    decoder = instantiate_from_config(config["model"])
    fill(decoder, GAINS)
    decoder.scale_factor.fill_(0.5)
    torch.save(decoder.state_dict(), Path(folder) / "decoder.ckpt")


def load(rate: int, vocab: int, steps: int) -> Any:
    """The codec as its own constructor builds it from the files below the working folder."""
    from semanticodec import SemantiCodec  # type: ignore[import-not-found]

    return SemantiCodec(token_rate=rate, semantic_vocab_size=vocab, ddim_sample_step=steps, cfg_scale=2.0)


def run(codec: Any, stages: Stages, folder: Path) -> Mapping[str, Any]:
    """Tokens and sound of the clip."""
    stages.watch(codec.decoder, "sample_log", "U-Net steps")
    stages.watch(codec.decoder, "decode_first_stage", "VAE")
    stages.watch(codec.decoder, "mel_spectrogram_to_waveform", "vocoder")
    with stages.stage("encode"):
        tokens = codec.encode(str(folder / "clip.wav"))
    with drawn(folder / "noise.npy"), stages.stage("whole decode"):
        sound = codec.decode(tokens)
    return {"tokens": tokens[0].numpy().T, "sound": sound}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("rate", type=int)
    parser.add_argument("vocab", type=int)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    sys.path.insert(0, str(options.checkout.resolve()))
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    clip = options.clip and options.clip.resolve()
    # The constructor looks for the official files below the working folder.
    options.weights.mkdir(parents=True, exist_ok=True)
    os.chdir(options.weights)
    read_with_soundfile()
    if options.make:
        make(options.rate, options.vocab)
    if clip:
        measured(
            lambda: load(options.rate, options.vocab, options.steps),
            lambda codec, stages: run(codec, stages, clip),
            clip,
            "peer",
        )


if __name__ == "__main__":
    main()
