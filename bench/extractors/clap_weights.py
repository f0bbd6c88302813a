"""LAION-CLAP's weights: their official names, their names in transformers' ClapModel, and random ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ldmbench.audio.spectra import mel_filters
from ldmbench.extractors.panns import dft_kernels
from ldmbench.weights.record import CheckpointError
from ldmbench.weights.tensors import read_tensors, seeded

#: Front end of the audio branch: rate in Hz, window and hop in samples, mel filters and their edges in Hz.
RATE, WINDOW, HOP, MELS, LOW, HIGH = 48_000, 1024, 480, 64, 50.0, 14_000.0


@dataclass(frozen=True)
class Architecture:
    """Sizes of a model; the defaults are HTSAT-tiny with RoBERTa base.

    Attributes:
        fusion: Attentional fusion of a whole clip and three of its parts ("aff_2d").
        width: Channels of the first Swin stage.
        depths: Blocks of the stages.
        heads: Attention heads of the stages.
        text_width: Width of the text branch.
        text_layers: Its layers.
        text_heads: Its attention heads.
        vocabulary: Its tokens.
        joint: Width of the embeddings.
        converted: Trained and published in transformers' own layout, and heard as transformers hears.
    """

    fusion: bool = False
    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    vocabulary: int = 50_265
    joint: int = 512
    converted: bool = False


TINY = Architecture()
FUSION = Architecture(fusion=True)
CONVERTED = Architecture(fusion=True, converted=True)
BASE = Architecture(width=128, depths=(2, 2, 12, 2))

#: What the official name of a weight becomes, by the beginning of the name.
PREFIXES = {
    "text_branch.": "text_model.",
    "text_projection.0.": "text_projection.linear1.",
    "text_projection.2.": "text_projection.linear2.",
    "audio_projection.0.": "audio_projection.linear1.",
    "audio_projection.2.": "audio_projection.linear2.",
    "audio_branch.bn0.": "audio_model.audio_encoder.batch_norm.",
    "audio_branch.": "audio_model.audio_encoder.",
}

#: What parts of a name become below ``audio_branch.layers``, one after the other. The text branch is RoBERTa in both.
BLOCKS = {
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
    ".attn.proj.": ".attention.output.dense.",
    ".attn.": ".attention.self.",
    ".mlp.fc1.": ".intermediate.dense.",
    ".mlp.fc2.": ".output.dense.",
}

#: The official ``qkv`` holds these three of transformers below each other.
QKV = ("query", "key", "value")

#: Official weights of the front end. They are checked, and computed anew by FFT.
MEL = "audio_branch.logmel_extractor.melW"
DFT = {part: f"audio_branch.spectrogram_extractor.stft.conv_{part}.weight" for part in ("real", "imag")}

#: Official weights that no embedding depends on: classifiers, heads of the training's losses, and tables that
#: transformers computes itself.
UNUSED = re.compile(
    r"audio_branch\.(tscam_conv|head)\..*|audio_branch\.layers\.\d+\.blocks\.\d+\.attn_mask"
    r"|(text|audio)_transform\..*|text_branch\.embeddings\.(position_ids|token_type_ids)"
)
_COMPUTED = ("text_model.embeddings.position_ids", "text_model.embeddings.token_type_ids")


def renamed(key: str, prefixes: Mapping[str, str] = PREFIXES) -> str:
    """The name in transformers of an official weight; ``qkv`` stays, since it becomes three."""
    for official, name in prefixes.items():
        if key.startswith(official):
            key = name + key.removeprefix(official)
            break
    if key.startswith("audio_model.audio_encoder.layers."):
        for official, name in BLOCKS.items():
            key = key.replace(official, name)
    return key


def official_name(key: str, prefixes: Mapping[str, str] = PREFIXES) -> str:
    """The inverse of ``renamed``."""
    if key.startswith("audio_model.audio_encoder.layers."):
        for official, name in BLOCKS.items():
            key = key.replace(name, official)
    for official, name in prefixes.items():
        if key.startswith(name):
            return official + key.removeprefix(name)
    return key


class OfficialLayout:
    """A ``ClapModel`` that is read and filled under the official names, the front end's weights included.

    It has the two methods of a ``torch.nn.Module`` that ``ldmbench.weights.tensors.fit`` needs.

    Args:
        model: A ``torch.nn.Module`` whose ``audio_model`` is a ``ClapAudioModel``.
        prefixes: What the official name of a weight becomes, by the beginning of the name.
        front: The front end's weights by official name; None for LAION-CLAP's.
    """

    def __init__(
        self, model: Any, prefixes: Mapping[str, str] = PREFIXES, front: Mapping[str, Any] | None = None
    ) -> None:
        import torch

        self.model = model
        self.prefixes = prefixes
        self.expected = front_end() if front is None else front
        self.front = {key: torch.zeros_like(tensor) for key, tensor in self.expected.items()}

    def state_dict(self) -> dict[str, Any]:
        """Official name -> tensor."""
        import torch

        state = self.model.state_dict()
        official = dict(self.front)
        for key, tensor in state.items():
            if key in _COMPUTED:
                continue
            if not key.startswith("audio_model") or ".attention.self." not in key or not _is_qkv(key):
                official[official_name(key, self.prefixes)] = tensor
            elif ".query." in key:
                three = torch.cat([state[key.replace(".query.", f".{part}.")] for part in QKV])
                official[official_name(key, self.prefixes).replace(".query.", ".qkv.")] = three
        return official

    def load_state_dict(self, official: Mapping[str, Any]) -> None:
        """Fill the model from tensors under their official names."""
        state = {key: tensor for key, tensor in self.model.state_dict().items() if key in _COMPUTED}
        for key, tensor in official.items():
            if key in self.front:
                self.front[key] = tensor
            elif ".qkv." in key:
                for part, third in zip(QKV, tensor.chunk(3), strict=True):
                    state[renamed(key, self.prefixes).replace(".qkv.", f".{part}.")] = third
            else:
                state[renamed(key, self.prefixes)] = tensor
        self.model.load_state_dict(state)

    def verify_front_end(self, path: Path, title: str = "LAION-CLAP") -> None:
        """Check that the DFT and the mel matrix in the checkpoint are those which are computed here.

        Raises:
            CheckpointError: If they are not.
        """
        for key, expected in self.expected.items():
            stored = self.front[key]
            if not (stored - expected).abs().max() <= 1e-5 * expected.abs().max():
                raise CheckpointError(
                    f"{path} is not a checkpoint of {title}", f"{key} is another front end", "use the official one"
                )


def front_end() -> dict[str, Any]:
    """Weights of the front end by official name: the Hann-windowed DFT and librosa's mel matrix."""
    import torch

    kernel = dft_kernels(WINDOW)
    tensors = {key: torch.tensor(getattr(kernel, part), dtype=torch.float32)[:, None] for part, key in DFT.items()}
    return {**tensors, MEL: torch.tensor(mel_filters(RATE, WINDOW, MELS, LOW, HIGH).T.copy())}


def build(architecture: Architecture) -> Any:
    """A ``ClapModel`` of transformers with uninitialised weights.

    RoBERTa base normalises with an epsilon of 1e-5, but checkpoints in transformers' layout were trained with its
    default for CLAP's text branch.
    """
    from transformers import ClapConfig, ClapModel
    from transformers.initialization import no_init_weights

    audio = {
        "patch_embeds_hidden_size": architecture.width,
        "depths": list(architecture.depths),
        "num_attention_heads": list(architecture.heads),
        "hidden_size": architecture.width * 2 ** (len(architecture.depths) - 1),
        "projection_dim": architecture.joint,
        "enable_fusion": architecture.fusion,
        "fusion_type": "aff_2d" if architecture.fusion else None,
    }
    text = {
        "hidden_size": architecture.text_width,
        "num_hidden_layers": architecture.text_layers,
        "num_attention_heads": architecture.text_heads,
        "intermediate_size": 4 * architecture.text_width,
        "vocab_size": architecture.vocabulary,
        "projection_dim": architecture.joint,
        "layer_norm_eps": 1e-12 if architecture.converted else 1e-5,
    }
    config = ClapConfig(audio_config=audio, text_config=text, projection_dim=architecture.joint)
    with no_init_weights():
        return ClapModel(config).requires_grad_(False).eval()


def random_state(architecture: Architecture, seed: int = 0) -> dict[str, Any]:
    """Seeded random weights under the official names, with the true front end; unused weights are left out."""
    state = draw(lambda: OfficialLayout(build(architecture)), seed)
    if not architecture.converted:
        return state
    layout = OfficialLayout(build(architecture))
    layout.load_state_dict(state)
    names: dict[str, Any] = layout.model.state_dict()
    return names


def draw(make: Callable[[], OfficialLayout], seed: int) -> dict[str, Any]:
    """Seeded random weights of the layout that ``make`` makes, with its true front end.

    Matrices keep the variance of what they are given, the first normalisation brings decibels to about unit
    variance, and biases are random, so that different sounds and captions get different embeddings.
    """
    import torch

    def fill() -> tuple[dict[str, Any], Mapping[str, Any]]:
        layout = make()
        state = layout.state_dict()
        for key, tensor in state.items():
            if not tensor.is_floating_point():
                continue
            if tensor.dim() > 1:
                torch.nn.init.normal_(tensor, std=1 / math.sqrt(tensor[0].numel()))
            elif key.endswith("weight"):
                tensor.fill_(1.0)
            elif not key.startswith("logit_scale"):
                torch.nn.init.normal_(tensor, std=0.1)
        return state, layout.expected

    state, front = seeded(fill, seed)
    for key in state:
        if key.endswith("running_mean"):
            state[key].fill_(-30.0 if ".bn0." in key else 0.0)
        elif key.endswith("running_var"):
            state[key].fill_(400.0 if ".bn0." in key else 1.0)
        elif key.endswith("num_batches_tracked"):
            state[key].fill_(0)
        elif key.startswith("logit_scale"):
            state[key].fill_(math.log(1 / 0.07))
    return {**state, **front}


def read_official(path: Path) -> dict[str, Any]:
    """Official name -> tensor of a checkpoint: its ``state_dict``, without the trainer's ``module.``.

    Raises:
        CheckpointError: If the file cannot be read, or has no such entry.
    """
    # The official files hold NumPy scalars as learning rates.
    state = read_tensors(path, "state_dict", arrays=True)
    return {key.removeprefix("module."): tensor for key, tensor in state.items()}


def _is_qkv(key: str) -> bool:
    return any(f".{part}." in key for part in QKV)
