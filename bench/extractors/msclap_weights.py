"""Microsoft CLAP's weights: their official names, their names in transformers' HTSAT and GPT-2, and random ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldmbench.audio.arrays import Filters
from ldmbench.audio.spectra import mel_filters
from ldmbench.extractors.clap_weights import OfficialLayout, draw
from ldmbench.extractors.panns import dft_kernels
from ldmbench.weights.tensors import read_tensors

#: Rate in Hz at which it hears, and that for which its mel filters were made: HTSAT's own settings stay in force.
RATE, FILTER_RATE = 44_100, 32_000

#: The rest of its front end: window and hop in samples, mel filters and their edges in Hz (at 32 kHz).
WINDOW, HOP, MELS, LOW, HIGH = 1024, 320, 64, 50.0, 14_000.0


@dataclass(frozen=True)
class Architecture:
    """Sizes of a model; the defaults are those of 2023, HTSAT-tiny with GPT-2.

    Attributes:
        width: Channels of the first Swin stage.
        depths: Blocks of the stages.
        heads: Attention heads of the stages.
        text_width: Width of the text branch.
        text_layers: Its layers.
        text_heads: Its attention heads.
        vocabulary: Its tokens.
        joint: Width of the embeddings.
    """

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    vocabulary: int = 50_257
    joint: int = 1024


#: What the official name of a weight becomes, by the beginning of the name.
PREFIXES = {
    "caption_encoder.base.": "text_model.",
    "caption_encoder.projection.": "text_projection.",
    "audio_encoder.projection.": "audio_projection.",
    "audio_encoder.base.htsat.bn0.": "audio_model.audio_encoder.batch_norm.",
    "audio_encoder.base.htsat.": "audio_model.audio_encoder.",
}

_FRONT = "audio_encoder.base.htsat."

#: Official weights that no embedding depends on: a classifier, and the temperature of the training's loss.
UNUSED = re.compile(r"audio_encoder\.base\.htsat\.(tscam_conv|head)\..*|logit_scale")


def front_end() -> dict[str, Any]:
    """Weights of the front end by official name: the Hann-windowed DFT and librosa's mel matrix."""
    import torch

    kernel = dft_kernels(WINDOW)
    stft = {
        f"{_FRONT}spectrogram_extractor.stft.conv_{part}.weight": torch.tensor(
            getattr(kernel, part), dtype=torch.float32
        )[:, None]
        for part in ("real", "imag")
    }
    return {**stft, f"{_FRONT}logmel_extractor.melW": torch.tensor(filters().T.copy())}


def filters() -> Filters:
    """Mel filters ``[64, 513]``: librosa's of a sound at 32 kHz, though the sound is at 44.1 kHz."""
    return mel_filters(FILTER_RATE, WINDOW, MELS, LOW, HIGH)


def layout(architecture: Architecture) -> OfficialLayout:
    """A model with uninitialised weights, which is read and filled under the official names."""
    return OfficialLayout(build(architecture), PREFIXES, front_end())


def build(architecture: Architecture) -> Any:
    """A ``torch.nn.Module`` of two branches of transformers and their projections, with uninitialised weights."""
    from torch import nn
    from transformers import ClapAudioConfig, ClapAudioModel, GPT2Config, GPT2Model
    from transformers.initialization import no_init_weights

    def projection(wide: int) -> Any:
        module = nn.Module()
        module.linear1 = nn.Linear(wide, architecture.joint, bias=False)
        module.linear2 = nn.Linear(architecture.joint, architecture.joint, bias=False)
        module.layer_norm = nn.LayerNorm(architecture.joint)
        return module

    wide = architecture.width * 2 ** (len(architecture.depths) - 1)
    audio = ClapAudioConfig(
        patch_embeds_hidden_size=architecture.width,
        depths=list(architecture.depths),
        num_attention_heads=list(architecture.heads),
        hidden_size=wide,
    )
    text = GPT2Config(
        n_embd=architecture.text_width,
        n_layer=architecture.text_layers,
        n_head=architecture.text_heads,
        vocab_size=architecture.vocabulary,
    )
    model = nn.Module()
    with no_init_weights():
        model.audio_model, model.text_model = ClapAudioModel(audio), GPT2Model(text)
    model.audio_projection, model.text_projection = projection(wide), projection(architecture.text_width)
    return model.requires_grad_(False).eval()


def random_state(architecture: Architecture, seed: int = 0) -> dict[str, Any]:
    """Seeded random weights under the official names, with the true front end; unused weights are left out."""
    return draw(lambda: layout(architecture), seed)


def read_official(path: Path) -> Mapping[str, Any]:
    """Official name -> tensor of a checkpoint.

    Raises:
        CheckpointError: If the file cannot be read, or has no such entry.
    """
    return read_tensors(path, "model")
