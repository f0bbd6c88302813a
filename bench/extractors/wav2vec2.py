"""Judges on wav2vec 2.0: UTMOS22's strong learner and SCOREQ, from their official files in fairseq's layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Signal
from ldmbench.audio.sound import Audio
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.host.device import check_device
from ldmbench.weights.find import choose
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit, read_tensors, seeded

Judge = Literal["utmos", "scoreq", "scoreq_synthetic", "scoreq_ref", "scoreq_ref_synthetic"]

RATE = 16_000

#: Samples of the first frame, below which there is none.
SHORTEST = 400

#: SCOREQ pads with zeros to a multiple of this.
_MULTIPLE = 320

#: Raised when the front end changes.
_VERSION = 1


def _official(title: str, name: str, url: str) -> Checkpoint:
    file = url.rpartition("/")[2]
    return Checkpoint(title=title, name=name, folder=name, urls={file: url}, files={file: ""}, pin_first=True)


_ZENODO = "https://zenodo.org/records/13860326/files"

#: Nobody publishes their digests: what came the first time is pinned.
CHECKPOINTS: dict[str, Checkpoint] = {
    "utmos": _official(
        "UTMOS22 strong",
        "utmos22-strong",
        "https://github.com/tarepan/SpeechMOS/releases/download/v1.0.0/utmos22_strong_step7459_v1.pt",
    ),
    "scoreq": _official("SCOREQ", "scoreq", f"{_ZENODO}/adapt_nr_telephone.pt"),
    "scoreq_synthetic": _official("SCOREQ synthetic", "scoreq-synthetic", f"{_ZENODO}/adapt_nr_synthetic.pt"),
    "scoreq_ref": _official("SCOREQ with reference", "scoreq-ref", f"{_ZENODO}/fixed_nmr_telephone.pt"),
    "scoreq_ref_synthetic": _official(
        "SCOREQ synthetic with reference", "scoreq-ref-synthetic", f"{_ZENODO}/fixed_nmr_synthetic.pt"
    ),
}

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {checkpoint.name: (checkpoint,) for checkpoint in CHECKPOINTS.values()}

#: Keys of fairseq's wav2vec 2.0 -> those of transformers', in this order.
_RENAMED = (
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"feature_extractor\.conv_layers\.0\.2\.", "feature_extractor.conv_layers.0.layer_norm."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"encoder\.pos_conv\.0\.bias", "encoder.pos_conv_embed.conv.bias"),
    (r"encoder\.pos_conv\.0\.weight_g", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"encoder\.pos_conv\.0\.weight_v", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"\.self_attn\.", ".attention."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
    (r"^mask_emb$", "masked_spec_embed"),
)


def renamed(key: str) -> str:
    """The name at transformers of a tensor of fairseq's wav2vec 2.0."""
    for pattern, name in _RENAMED:
        key = re.sub(pattern, name, key)
    return key


class SpeechJudge(NetworkExtractor):
    """What a judge says of each sound, which is heard alone and whole, as its authors' code hears it.

    ``mos`` is one number; SCOREQ with a reference gives ``unit`` instead, an embedding of unit length.

    Args:
        judge: Which.
        device: Where it runs.
        weights: What tells its weights from others.
        path: Their file; None for random ones.

    Source: Saeki et al., UTMOS, arXiv:2204.02152, tarepan/SpeechMOS ed25eac; Ragano et al., SCOREQ, arXiv:2410.06675,
    alessandroragano/scoreq 0cb0b16, ``scoreq.py``, modes ``nr`` and ``ref``.
    """

    rate = RATE

    def __init__(self, judge: Judge, device: str, weights: str, path: Path | None) -> None:
        self.judge = judge
        self.device = device
        self._path = path
        self.fingerprint = make_fingerprint(network=judge, version=_VERSION, weights=weights)
        self._network: Any = None

    def load(self) -> None:
        """Build the network and read the weights."""
        kind = _KINDS[self.judge]
        network = seeded(kind.make)
        if self._path is not None:
            state = {}
            for key, value in read_tensors(self._path).items():
                own = key.removeprefix(kind.inner)
                state[f"wav2vec2.{renamed(own)}" if key.startswith(kind.inner) else key] = value
            fit(network, state, self._path, CHECKPOINTS[self.judge].title, kind.unused)
        self._network = network.eval().to(self.device)

    def prepare(self, sound: Audio) -> Signal:
        """The mono mix at 16 kHz; for SCOREQ with zeros up to a multiple of 320."""
        signal: Signal = sound.mono().at(RATE).samples[0]
        if self.judge != "utmos":
            signal = np.pad(signal, (0, -len(signal) % _MULTIPLE))
        return signal

    def forward(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """``mos`` ``[sounds]``, or ``unit`` ``[sounds, 768]``."""
        import torch

        kind = _KINDS[self.judge]
        heard = []
        with exact():
            for signal in batch:
                frames = self._network["wav2vec2"](torch.from_numpy(np.array(signal))[None].to(self.device))[0]
                heard.append(kind.head(self._network, frames).cpu().numpy())
        return {kind.layer: np.array(heard, np.float32)}


def _utmos(network: Any, frames: Any) -> Any:
    """Mean over frames ``[1, frames, 768]``, scaled from [-1, 1]."""
    import torch

    extra = torch.cat([network.domain_emb, network.judge_emb], dim=1)
    heard, _ = network["blstm"](torch.cat([frames, extra[:, None].expand(1, frames.shape[1], -1)], dim=2))
    return network["projection"](heard).mean() * 2 + 3


def _unit(frames: Any) -> Any:
    """The mean frame ``[1, 768]``, scaled to unit length."""
    import torch

    return torch.nn.functional.normalize(frames.mean(dim=1), dim=1)


def _scoreq(network: Any, frames: Any) -> Any:
    """A linear function of the mean frame of unit length."""
    return network["mos_layer"](_unit(frames))[0, 0]


def _scoreq_ref(network: Any, frames: Any) -> Any:
    """The mean frame of unit length; the network has no layer of its own for it."""
    return _unit(frames)[0]


def make_wav2vec2() -> Any:
    """Wav2vec 2.0 base, whose layers and numbers are the defaults of transformers."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    settings: dict[str, Any] = {"attn_implementation": "eager"}
    return Wav2Vec2Model(Wav2Vec2Config(**settings))


def make_scoreq() -> Any:
    """SCOREQ's network."""
    from torch import nn

    return nn.ModuleDict({"wav2vec2": make_wav2vec2(), "mos_layer": nn.Linear(768, 1)})


def make_scoreq_ref() -> Any:
    """SCOREQ's network for distances, which has no layer of its own."""
    from torch import nn

    return nn.ModuleDict({"wav2vec2": make_wav2vec2()})


def make_utmos() -> Any:
    """UTMOS22's strong learner without its phoneme encoder."""
    import torch
    from torch import nn

    network = nn.ModuleDict(
        {
            "wav2vec2": make_wav2vec2(),
            "blstm": nn.LSTM(1024, 512, batch_first=True, bidirectional=True),
            "projection": nn.Sequential(nn.Linear(1024, 2048), nn.ReLU(), nn.Linear(2048, 1)),
        }
    )
    for name in ("domain_emb", "judge_emb"):
        network.register_parameter(name, nn.Parameter(torch.randn(1, 128), requires_grad=False))
    return network


@dataclass(frozen=True)
class _Kind:
    """How a judge is made.

    Attributes:
        make: Builds its network.
        head: What the network says, of its frames ``[1, frames, 768]``.
        layer: What that is called.
        inner: What stands before wav2vec 2.0's keys in its file.
        unused: What its file holds of its training.
    """

    make: Callable[[], Any]
    head: Callable[[Any, Any], Any]
    layer: str
    inner: str
    unused: tuple[str, ...] = ()


_SCOREQ = _Kind(
    make_scoreq,
    _scoreq,
    "mos",
    "pt_model.ssl_model.",
    ("pt_model.embedding_layer.1.weight", "pt_model.embedding_layer.1.bias"),
)
_SCOREQ_REF = _Kind(
    make_scoreq_ref, _scoreq_ref, "unit", "ssl_model.", ("embedding_layer.1.weight", "embedding_layer.1.bias")
)
_KINDS: dict[Judge, _Kind] = {
    "utmos": _Kind(make_utmos, _utmos, "mos", "wav2vec2."),
    "scoreq": _SCOREQ,
    "scoreq_synthetic": _SCOREQ,
    "scoreq_ref": _SCOREQ_REF,
    "scoreq_ref_synthetic": _SCOREQ_REF,
}


@lru_cache(maxsize=3)
def load_speech_judge(
    judge: Judge, device: str = "cpu", weights: Path | None = None, untrained: bool = False, official: bool = True
) -> SpeechJudge:
    """The extractor; its weights are read when they are first needed, and the last three are kept.

    Args:
        judge: Which.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder or file of the checkpoint; None for the weights home.
        untrained: Seeded random weights instead.
        official: Insist on the official file.

    Raises:
        BenchError: If the device is absent.
        CheckpointError: If the checkpoint is missing or not the official one.
    """
    check_device(device)
    return SpeechJudge(judge, device, *choose(CHECKPOINTS[judge], weights, untrained, official))
