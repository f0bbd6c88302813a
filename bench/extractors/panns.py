"""PANNs Cnn14 at 16 and 32 kHz, fed as audioldm_eval feeds it: embeddings and AudioSet logits of whole clips."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import hann, mel_filters
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.extractors.loading import as_audioldm_eval
from ldmbench.host.device import check_device
from ldmbench.weights.find import find_file, verify
from ldmbench.weights.record import Checkpoint, CheckpointError
from ldmbench.weights.tensors import fit, read_tensors, seeded

#: Raised whenever the front end's numbers change.
FRONT_END = 1

CLASSES, WIDTH, MELS = 527, 2048, 64
_CHANNELS = (1, 64, 128, 256, 512, 1024, 2048)


def _official(rate: int, file: str, sha256: str, size: int) -> Checkpoint:
    """Source: Zenodo record 3987831 (CC BY 4.0)."""
    url = f"https://zenodo.org/records/3987831/files/{file.replace('=', '%3D')}?download=1"
    return Checkpoint(
        title=f"PANNs Cnn14 {rate // 1000} kHz",
        name=f"panns-{rate // 1000}khz",
        folder="panns",
        urls={file: url},
        files={file: sha256},
        size=size,
    )


@dataclass(frozen=True)
class FrontEnd:
    """Log-mel settings of a checkpoint: rate in Hz, window and hop in samples, mel edges in Hz."""

    rate: int
    window: int
    hop: int
    low: float
    high: float


FRONT_ENDS = {
    16_000: FrontEnd(16_000, 512, 160, 50.0, 8_000.0),
    32_000: FrontEnd(32_000, 1024, 320, 50.0, 14_000.0),
}

#: Rate -> official checkpoint.
CHECKPOINTS = {
    16_000: _official(
        16_000,
        "Cnn14_16k_mAP=0.438.pth",
        "e2ee543a27919542c2ea03eabaa70b24dcd4e6c8e05621de6b67a94e4c5058e6",
        358_668_570,
    ),
    32_000: _official(
        32_000,
        "Cnn14_mAP=0.431.pth",
        "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
        327_428_481,
    ),
}

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {checkpoint.name: (checkpoint,) for checkpoint in CHECKPOINTS.values()}


class Panns(NetworkExtractor):
    """Cnn14: layers ``embedding`` ``[2048]`` and ``logits`` ``[527]``.

    ``embedding`` is the ReLU of ``fc1`` (audioldm_eval's "2048"), ``logits`` is what the sigmoid of the tagger
    would be given. The log-mel spectrogram uses the mel matrix in the checkpoint; its DFT kernels are checked
    against the Hann-windowed DFT and replaced by an FFT. Batch normalisation is folded into the convolutions.

    Args:
        rate: 16000 or 32000.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        identity: Digest of the weights.
        read: Gives the state dictionary, when it is needed.
        path: Where it comes from, for messages.

    Source: Kong et al., PANNs, arXiv:1912.10211, table 1 (CNN14); audioldm_eval 8dc07ee,
    ``feature_extractors/panns/models.py``.
    """

    def __init__(
        self, rate: int, device: str, identity: str, read: Callable[[], Mapping[str, Any]], path: Path
    ) -> None:
        self.rate = rate
        self.front_end = FRONT_ENDS[rate]
        self.device = check_device(device)
        self.fingerprint = make_fingerprint(network="panns", rate=rate, weights=identity, front_end=FRONT_END)
        # Activations of many clips do not fit a processor's caches.
        self.batch = 2 if self.device == "cpu" else 32
        self._read, self._path = read, path

    def load(self) -> None:
        """Read the weights, check them, fold the normalisations."""
        import torch

        module = build(self.rate)
        fit(module, self._read(), self._path, CHECKPOINTS[self.rate].title)
        _verify_kernels(module, self.front_end, self._path)
        tensors = {key: tensor.to(self.device) for key, tensor in module.state_dict().items()}
        self._mel = tensors["logmel_extractor.melW"]
        self._window = torch.tensor(hann(self.front_end.window), dtype=torch.float32, device=self.device)
        self._scale, self._shift = _affine(tensors, "bn0")
        self._convolutions = [
            [_folded(tensors, f"conv_block{block}", layer) for layer in (1, 2)] for block in range(1, len(_CHANNELS))
        ]
        self._heads = [(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in ("fc1", "fc_audioset")]

    def prepare(self, sound: Audio) -> NDArray[np.float32]:
        """``[time]`` as audioldm_eval's loader gives it."""
        return as_audioldm_eval(sound, self.rate)

    def forward(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """``embedding`` ``[sounds, 2048]`` and ``logits`` ``[sounds, 527]`` of ``[sounds, time]``."""
        import torch
        from torch.nn import functional

        with exact():
            x = self._log_mel(torch.from_numpy(batch).to(self.device))[:, None]
            for block, pair in enumerate(self._convolutions, start=1):
                for weight, bias in pair:
                    x = functional.conv2d(x, weight, bias, padding=1).relu_()
                if block < len(self._convolutions):
                    x = functional.avg_pool2d(x, 2)
            x = x.mean(dim=3)
            x = x.amax(dim=2) + x.mean(dim=2)
            embedding = functional.linear(x, *self._heads[0]).relu_()
            logits = functional.linear(embedding, *self._heads[1])
        return {"embedding": embedding.cpu().numpy(), "logits": logits.cpu().numpy()}

    def _log_mel(self, signals: Any) -> Any:
        """Normalised log-mel spectrogram ``[sounds, frames, mels]`` of ``[sounds, time]``."""
        import torch

        front = self.front_end
        spectrum = torch.stft(
            signals,
            front.window,
            front.hop,
            window=self._window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        mel = power.transpose(1, 2) @ self._mel
        return 10.0 * torch.log10(mel.clamp(min=1e-10)) * self._scale + self._shift


@lru_cache(maxsize=2)
def load_panns(
    rate: int = 16_000,
    device: str = "cpu",
    weights: Path | None = None,
    untrained: bool = False,
    official: bool = True,
) -> Panns:
    """The extractor at ``rate``; the last two are kept, so that all PANNs metrics share one network.

    Args:
        rate: 16000 or 32000.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder or file of the checkpoint; None for the weights home.
        untrained: Seeded random weights instead.
        official: Insist on the official file's SHA-256. False takes any checkpoint in the official layout.

    Raises:
        CheckpointError: If the checkpoint is missing or not the official one. What is in it is read at first use.
    """
    if untrained:
        return Panns(rate, device, "untrained 0", partial(random_state, rate), Path("untrained"))
    checkpoint = CHECKPOINTS[rate]
    path = find_file(checkpoint, weights)
    # What the official 16 kHz file holds besides the model are NumPy arrays.
    read = partial(read_tensors, path, "model", arrays=True)
    return Panns(rate, device, verify(checkpoint, path, official), read, path)


def build(rate: int) -> Any:
    """A ``torch.nn.Module`` that holds Cnn14's parameters and buffers under the official keys."""
    import torch
    from torch import nn

    front = FRONT_ENDS[rate]

    def holder(**children: Any) -> Any:
        module = nn.Module()
        for name, child in children.items():
            module.add_module(name, child)
        return module

    def kernels() -> Any:
        return nn.Conv1d(1, front.window // 2 + 1, front.window, bias=False)

    bands = nn.Module()
    bands.register_parameter("melW", nn.Parameter(torch.zeros(front.window // 2 + 1, MELS)))
    blocks = {
        f"conv_block{index}": holder(
            conv1=nn.Conv2d(before, after, 3, padding=1, bias=False),
            conv2=nn.Conv2d(after, after, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(after),
            bn2=nn.BatchNorm2d(after),
        )
        for index, (before, after) in enumerate(pairwise(_CHANNELS), start=1)
    }
    return holder(
        spectrogram_extractor=holder(stft=holder(conv_real=kernels(), conv_imag=kernels())),
        logmel_extractor=bands,
        bn0=nn.BatchNorm2d(MELS),
        **blocks,
        fc1=nn.Linear(WIDTH, WIDTH),
        fc_audioset=nn.Linear(WIDTH, CLASSES),
    )


def random_state(rate: int, seed: int = 0) -> dict[str, Any]:
    """Seeded random weights in the official layout, with the true front end.

    The first normalisation brings decibels to about unit variance and the convolutions keep it, so that
    different sounds get different embeddings, and logits that spread over a few units.
    """
    import torch

    front = FRONT_ENDS[rate]

    def fill() -> dict[str, Any]:
        module = build(rate)
        for key, parameter in module.named_parameters():
            if key.endswith("weight") and parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=math.sqrt(2 / parameter[0].numel()))
        torch.nn.init.normal_(module.fc_audioset.weight, std=0.5 / math.sqrt(WIDTH))
        torch.nn.init.normal_(module.fc_audioset.bias)
        module.bn0.running_mean.fill_(-30.0)
        module.bn0.running_var.fill_(400.0)
        state: dict[str, Any] = module.state_dict()
        return state

    state = seeded(fill, seed)
    kernel = dft_kernels(front.window)
    state["spectrogram_extractor.stft.conv_real.weight"] = torch.tensor(kernel.real, dtype=torch.float32)[:, None]
    state["spectrogram_extractor.stft.conv_imag.weight"] = torch.tensor(kernel.imag, dtype=torch.float32)[:, None]
    filters = mel_filters(rate, front.window, MELS, front.low, front.high)
    state["logmel_extractor.melW"] = torch.tensor(filters.T.copy())
    return state


def dft_kernels(length: int) -> NDArray[np.complex128]:
    """The Hann-windowed DFT ``[length // 2 + 1, length]``, as the checkpoints hold its two parts."""
    turns = np.outer(np.arange(length // 2 + 1), np.arange(length)) % length / length
    kernels: NDArray[np.complex128] = np.exp(-2j * np.pi * turns) * hann(length)
    return kernels


def _verify_kernels(module: Any, front: FrontEnd, path: Path) -> None:
    kernel = dft_kernels(front.window)
    stft = module.spectrogram_extractor.stft
    for name, expected in (("conv_real", kernel.real), ("conv_imag", kernel.imag)):
        kernels = getattr(stft, name).weight.detach().numpy()[:, 0]
        if not np.allclose(kernels, expected, rtol=0, atol=1e-5):
            raise CheckpointError(
                f"{path} is not a checkpoint of PANNs Cnn14",
                f"spectrogram_extractor.stft.{name}.weight is not the Hann-windowed DFT",
                "use the official checkpoint",
            )


def _affine(tensors: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    """Batch normalisation in evaluation mode as scale and shift (eps is torch's default, 1e-5)."""
    scale = tensors[f"{name}.weight"] * (tensors[f"{name}.running_var"].double() + 1e-5).rsqrt()
    shift = tensors[f"{name}.bias"] - tensors[f"{name}.running_mean"] * scale
    return scale.float(), shift.float()


def _folded(tensors: Mapping[str, Any], block: str, layer: int) -> tuple[Any, Any]:
    scale, shift = _affine(tensors, f"{block}.bn{layer}")
    return tensors[f"{block}.conv{layer}.weight"] * scale[:, None, None, None], shift
