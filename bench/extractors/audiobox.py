"""Audiobox Aesthetics: four numbers of how speech, music and sound are liked, from Meta's file, without a reference."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Signal
from ldmbench.audio.sound import Audio
from ldmbench.extractors import exact, make_fingerprint, wav2vec2
from ldmbench.extractors.loader import CheckpointExtractor
from ldmbench.weights.record import Checkpoint, CheckpointError
from ldmbench.weights.tensors import as_tensors, fit, read_checkpoint, seeded

#: What the network says: content enjoyment, content usefulness, production complexity, production quality.
AXES = ("CE", "CU", "PC", "PQ")

RATE = 16_000

#: Samples of a window (10 s), which begins where the last one ends; samples between two frames of the network.
WINDOW, _HOP = 160_000, 320

#: Windows that go through the network together: each takes about 130 MB on the way.
_BATCH = 4

#: Linear layers of a head.
_LAYERS = 5

#: What the file says of its network; sizes tell themselves.
_CONFIG: Mapping[str, object] = {
    "proj_num_layer": _LAYERS,
    "proj_ln": True,
    "proj_act_fn": "gelu",
    "use_weighted_layer_sum": True,
    "normalize_embed": True,
}

#: Mean and deviation of listeners' answers, as the official file has them; random weights are scaled by them too.
_SCALES = {"CE": (5.06865, 1.93029), "CU": (5.73633, 1.75669), "PC": (3.18591, 1.86637), "PQ": (6.57505, 1.51466)}

#: Raised when the front end changes.
_VERSION = 1

_REVISION = "9b1dd8e5df9af7216e836a98974fe3b82c56ded6"

#: Nobody publishes the digest: what came the first time is pinned.
CHECKPOINT = Checkpoint(
    title="Audiobox Aesthetics",
    name="audiobox-aesthetics",
    folder="audiobox-aesthetics",
    urls={"checkpoint.pt": f"https://huggingface.co/facebook/audiobox-aesthetics/resolve/{_REVISION}/checkpoint.pt"},
    files={"checkpoint.pt": ""},
    pin_first=True,
)

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {CHECKPOINT.name: (CHECKPOINT,)}

#: Names in WavLM's own layout that fairseq's wav2vec 2.0 lacks -> those of transformers.
_RENAMED = {
    ".grep_a": ".gru_rel_pos_const",
    ".grep_linear": ".gru_rel_pos_linear",
    ".relative_attention_bias": ".rel_attn_embed",
}


def renamed(key: str) -> str:
    """The name in our network of a tensor of the file."""
    key = key.removeprefix("model.")
    inner = key.removeprefix("wavlm_model.")
    if inner == key:
        return key
    inner = wav2vec2.renamed(inner)
    for old, new in _RENAMED.items():
        inner = inner.replace(old, new)
    return f"wavlm_model.{inner}"


class Audiobox(CheckpointExtractor):
    """One number in each of ``AXES``: the mean over windows of 10 s, each counting by the sound in it.

    A last window is filled with zeros, which attention and means leave out. Computed in float32, as the package does
    for its own file.

    Args:
        device: Where it runs.
        weights: What tells its weights from others.
        path: Their file; None for random ones.

    Source: Tjandra et al., Meta Audiobox Aesthetics, arXiv:2502.05139; audiobox_aesthetics 0.0.4, ``infer.py`` and
    ``model/aes.py``.
    """

    checkpoint = CHECKPOINT
    rate = RATE

    def __init__(self, device: str, weights: str, path: Path | None) -> None:
        self.device = device
        self._path = path
        self.fingerprint = make_fingerprint(network="audiobox-aesthetics", version=_VERSION, weights=weights)
        self._scales = _SCALES
        self._network: Any = None

    def load(self) -> None:
        """Build the network and read the weights.

        Raises:
            CheckpointError: If the file is damaged, or of another network.
        """
        network = seeded(make_network)
        if self._path is not None:
            content = read_checkpoint(self._path)
            self._scales = _scales(content, self._path)
            state = as_tensors(content["state_dict"], self._path)
            fit(network, {renamed(key): value for key, value in state.items()}, self._path, CHECKPOINT.title)
        self._network = network.eval().to(self.device)

    def prepare(self, sound: Audio) -> Signal:
        """The mono mix at 16 kHz."""
        signal: Signal = sound.mono().at(RATE).samples[0]
        return signal

    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """A number ``[sounds]`` in each axis, of sounds of one length ``[sounds, time]``."""
        length = batch.shape[1]
        windows, seconds = [], []
        for start in range(0, length, WINDOW):
            part = batch[:, start : start + WINDOW]
            seconds.append(part.shape[1])
            windows.append(self._values(np.pad(part, ((0, 0), (0, WINDOW - part.shape[1]))), part.shape[1]))
        values = np.average(np.stack(windows), axis=0, weights=np.array(seconds) / length)
        return {axis: np.asarray(values[:, index], np.float32) for index, axis in enumerate(AXES)}

    def _values(self, windows: NDArray[np.float32], samples: int) -> NDArray[np.float64]:
        """The numbers ``[sounds, 4]`` of windows ``[sounds, WINDOW]`` of which the first ``samples`` are sound."""
        import torch

        means, deviations = np.array([self._scales[axis] for axis in AXES]).T
        frames = -(-samples // _HOP)
        raw = []
        with exact():
            for part in torch.split(torch.from_numpy(windows), _BATCH):
                raw.append(judged(self._network, part.to(self.device), frames).cpu().numpy())
        return np.asarray(np.concatenate(raw).astype(np.float64) * deviations + means)


def make_network(**sizes: Any) -> Any:
    """WavLM base+ and four heads, by the names of the file but for those of WavLM, which are transformers'.

    Args:
        **sizes: Other settings of transformers' ``WavLMConfig``.
    """
    import torch
    from torch import nn
    from transformers import WavLMConfig, WavLMModel

    config = WavLMConfig(**sizes)
    width, levels = config.hidden_size, config.num_hidden_layers + 1
    heads = {}
    for axis in AXES:
        layers: list[Any] = []
        for _ in range(_LAYERS - 1):
            layers += [nn.Linear(width, width), nn.LayerNorm(width), nn.GELU()]
        heads[axis] = nn.Sequential(*layers, nn.Linear(width, 1))
    weights = {axis: nn.Parameter(torch.ones(levels) / levels) for axis in AXES}
    return nn.ModuleDict(
        {
            "wavlm_model": WavLMModel(config),
            "proj_layer": nn.ModuleDict(heads),
            "layer_weights": nn.ParameterDict(weights),
        }
    )


def judged(network: Any, windows: Any, frames: int) -> Any:
    """The heads' numbers ``[windows, 4]`` of windows ``[windows, time]``, of which the first ``frames`` count."""
    import torch
    from torch.nn.functional import normalize

    levels = torch.stack(_levels(network["wavlm_model"], windows, frames))[:, :, :frames].mean(dim=2)
    values = []
    for axis in AXES:
        mean = torch.einsum("lbc,l->bc", levels, network["layer_weights"][axis].softmax(dim=0))
        values.append(network["proj_layer"][axis](normalize(mean, dim=1)))
    return torch.cat(values, dim=1)


def _levels(wavlm: Any, windows: Any, frames: int) -> list[Any]:
    """What goes into each layer ``[windows, frames, width]``, and what comes out of the last.

    The first ``frames`` are heard. Layer by layer, since transformers would count them otherwise: by whole windows of
    its convolutions.
    """
    import torch

    heard, _ = wavlm.feature_projection(wavlm.feature_extractor(windows).transpose(1, 2))
    mask = None
    if frames < heard.shape[1]:
        mask = (torch.arange(heard.shape[1], device=heard.device) < frames).expand(heard.shape[:2])
        heard = heard * mask[:, :, None]
    encoder = wavlm.encoder
    heard = encoder.layer_norm(heard + encoder.pos_conv_embed(heard))
    levels, bias = [heard], None
    with warnings.catch_warnings():
        # Transformers hands torch a mask of bits beside one of numbers, which torch wants to give up.
        warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask", UserWarning)
        for layer in encoder.layers:
            heard, bias = layer(heard, attention_mask=mask, position_bias=bias)[:2]
            levels.append(heard)
    return levels


def _scales(content: Mapping[str, Any], path: Path) -> dict[str, tuple[float, float]]:
    """Mean and deviation of each axis, from the file.

    Raises:
        CheckpointError: If the file lacks them, or holds another network.
    """
    try:
        differing = {
            key: content["model_cfg"][key] for key, value in _CONFIG.items() if content["model_cfg"][key] != value
        }
        scales = {axis: content["target_transform"][axis] for axis in AXES}
        result = {axis: (float(scale["mean"]), float(scale["std"])) for axis, scale in scales.items()}
        content["state_dict"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of {CHECKPOINT.title}", f"it lacks {error}", "use the official checkpoint"
        ) from error
    if differing:
        text = ", ".join(f"{key} is {value}" for key, value in differing.items())
        raise CheckpointError(f"{path} holds another network", text, "use the official checkpoint")
    return result
