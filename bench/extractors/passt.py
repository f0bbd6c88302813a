"""PaSST-S at 32 kHz: AudioSet logits and embeddings of whole sounds, heard as hear21passt or stable-audio-metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Signal, Waveforms
from ldmbench.audio.sound import Audio
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.host.device import check_device
from ldmbench.weights.find import find_file, verify
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit, read_tensors, seeded

#: Raised whenever the front end's numbers change.
FRONT_END = 1

RATE, CLASSES, WIDTH = 32_000, 527, 768

#: Samples of the longest window: the 10 s the network was trained on.
WINDOW = 10 * RATE

#: Samples of the first column of patches, below which nothing is heard.
SHORTEST = 4801

#: Samples up to which stable-audio-metrics does not pad: 1.5 s.
_UNPADDED = 3 * RATE // 2

_DEPTH, _HEADS, _MELS, _PATCH, _STRIDE = 12, 12, 128, 16, 10
_FFT, _FRAME, _HOP, _HIGHEST_HZ = 1024, 800, 320, 15_000.0
_FILE = "passt-s-f128-p16-s10-ap.476-swa.pt"

#: The digest is not its publisher's: independent projects that use the file state it, with its size.
CHECKPOINT = Checkpoint(
    title="PaSST-S",
    name="passt",
    folder="passt",
    urls={_FILE: f"https://github.com/kkoutini/PaSST/releases/download/v0.0.1-audioset/{_FILE}"},
    files={_FILE: "302903fa8c4aee817b11dc982da0b29aaf8d11a3e722420476d0a12c9db70c2c"},
    size=344_665_734,
)

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {CHECKPOINT.name: (CHECKPOINT,)}

Loading = Literal["hear21passt", "stable_audio_metrics"]


class Passt(NetworkExtractor):
    """PaSST-S: layers ``embedding`` ``[768]`` and ``logits`` ``[527]``, the means over a sound's windows.

    ``embedding`` is the mean of the class and the distillation token, ``logits`` what the sigmoid of the tagger would
    be given. A sound below 0.15 s has none: ``[0, 768]`` and ``[0, 527]``.

    Args:
        read: Gives the state dictionary, when it is needed.
        identity: Digest of the weights.
        path: Where they come from, for messages.
        loading: Whose windows: ``hear21passt`` or ``stable_audio_metrics``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...

    Source: Koutini et al., Efficient training of audio transformers with patchout, arXiv:2110.05069; hear21passt
    0.0.26, ``base.py``, ``wrapper.py`` and ``models``. Beside hear21passt on the same random weights the largest
    difference is 7.2e-7 of the layer's largest value (0.16 to 10.5 s).
    """

    rate = RATE

    def __init__(
        self,
        read: Callable[[], Mapping[str, Any]],
        identity: str,
        path: Path,
        loading: Loading = "hear21passt",
        device: str = "cpu",
    ) -> None:
        self.device = check_device(device)
        self.loading = loading
        self.fingerprint = make_fingerprint(network="passt", weights=identity, loading=loading, front_end=FRONT_END)
        self._read, self._path = read, path
        #: Windows that go through the network together.
        self._together = 2 if self.device == "cpu" else 32
        self.largest = self._together * WINDOW

    def load(self) -> None:
        """Read the weights, build the network and its front end."""
        import torch

        network = build()
        fit(network, self._read(), self._path, CHECKPOINT.title)
        self._network = network.requires_grad_(False).eval().to(self.device)
        self._mel = mel_matrix().to(self.device)
        self._hann = torch.hann_window(_FRAME, periodic=False).to(self.device)

    def prepare(self, sound: Audio) -> NDArray[np.float32]:
        """Windows ``[windows, time]`` of the mono mix at 32 kHz; none of a sound that is too short."""
        return _LOADERS[self.loading](sound)

    def forward(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """``embedding`` ``[sounds, 768]`` and ``logits`` ``[sounds, 527]`` of ``[sounds, windows, time]``."""
        import torch

        sounds, windows, time = batch.shape
        if not windows:
            return {
                "embedding": np.zeros((sounds, 0, WIDTH), np.float32),
                "logits": np.zeros((sounds, 0, CLASSES), np.float32),
            }
        with exact():
            parts = torch.split(torch.from_numpy(batch).reshape(-1, time), self._together)
            embedding = torch.cat([self._embedding(part.to(self.device)) for part in parts])
            logits = self._network.head(embedding)
            means = [layer.reshape(sounds, windows, -1).mean(dim=1).cpu().numpy() for layer in (embedding, logits)]
        return dict(zip(("embedding", "logits"), means, strict=True))

    def _embedding(self, signals: Any) -> Any:
        """``[windows, 768]`` of ``[windows, time]``."""
        import torch

        network = self._network
        x = network.patch_embed.proj(self._log_mel(signals)[:, None])
        x = x + network.time_new_pos_embed[..., : x.shape[-1]] + network.freq_new_pos_embed
        tokens = torch.cat([network.cls_token, network.dist_token], dim=1) + network.new_pos_embed
        x = torch.cat([tokens.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
        for block in network.blocks:
            x = x + _attention(block.attn, block.norm1(x))
            x = x + block.mlp.fc2(torch.nn.functional.gelu(block.mlp.fc1(block.norm2(x))))
        # The head's mean of two tokens, as DeiT's at inference; head_dist is in the file and is not used.
        return network.norm(x)[:, :2].mean(dim=1)

    def _log_mel(self, signals: Any) -> Any:
        """Log-mel spectrogram ``[windows, 128, frames]`` of ``[windows, time]``, pre-emphasised and scaled."""
        import torch

        emphasised = signals[:, 1:] - 0.97 * signals[:, :-1]
        spectrum = torch.stft(
            emphasised, _FFT, _HOP, _FRAME, window=self._hann, center=True, pad_mode="reflect", return_complex=True
        )
        mel = self._mel @ (spectrum.real.square() + spectrum.imag.square())
        return ((mel + 1e-5).log() + 4.5) / 5.0


@lru_cache(maxsize=2)
def load_passt(
    loading: Loading = "hear21passt",
    device: str = "cpu",
    weights: Path | None = None,
    untrained: bool = False,
    official: bool = True,
) -> Passt:
    """The extractor; the last two are kept.

    Args:
        loading: Whose windows.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder or file of the checkpoint; None for the weights home.
        untrained: Seeded random weights instead.
        official: Insist on the official file's SHA-256. False takes any checkpoint in the official layout.

    Raises:
        CheckpointError: If the checkpoint is missing or not the official one. What is in it is read at first use.
    """
    if untrained:
        return Passt(random_state, "untrained 0", Path("untrained"), loading, device)
    path = find_file(CHECKPOINT, weights)
    return Passt(partial(read_tensors, path), verify(CHECKPOINT, path, official), path, loading, device)


def build() -> Any:
    """A ``torch.nn.Module`` that holds PaSST-S's parameters under the official keys."""
    import torch
    from torch import nn

    def holder(parameters: Mapping[str, tuple[int, ...]] | None = None, **children: Any) -> Any:
        module = nn.Module()
        for name, shape in (parameters or {}).items():
            module.register_parameter(name, nn.Parameter(torch.zeros(shape)))
        for name, child in children.items():
            module.add_module(name, child)
        return module

    def norm() -> Any:
        return nn.LayerNorm(WIDTH, eps=1e-6)

    def block() -> Any:
        return holder(
            norm1=norm(),
            attn=holder(qkv=nn.Linear(WIDTH, 3 * WIDTH), proj=nn.Linear(WIDTH, WIDTH)),
            norm2=norm(),
            mlp=holder(fc1=nn.Linear(WIDTH, 4 * WIDTH), fc2=nn.Linear(4 * WIDTH, WIDTH)),
        )

    positions = {
        "cls_token": (1, 1, WIDTH),
        "dist_token": (1, 1, WIDTH),
        "new_pos_embed": (1, 2, WIDTH),
        "freq_new_pos_embed": (1, WIDTH, _MELS // _STRIDE, 1),
        "time_new_pos_embed": (1, WIDTH, 1, 998 // _STRIDE),
    }
    return holder(
        positions,
        patch_embed=holder(proj=nn.Conv2d(1, WIDTH, _PATCH, _STRIDE)),
        blocks=nn.ModuleList(block() for _ in range(_DEPTH)),
        norm=norm(),
        # Only this normalisation has torch's own epsilon.
        head=nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)),
        head_dist=nn.Linear(WIDTH, CLASSES),
    )


def random_state(seed: int = 0) -> dict[str, Any]:
    """Seeded random weights in the official layout: no bias is 0, no scale is 1, logits spread over about a unit."""
    import torch

    def fill() -> dict[str, Any]:
        module = build()
        for key, parameter in module.named_parameters():
            scale = key.endswith(("norm.weight", "norm1.weight", "norm2.weight", "head.0.weight"))
            torch.nn.init.normal_(parameter, mean=float(scale), std=0.04)
        state: dict[str, Any] = module.state_dict()
        return state

    return seeded(fill, seed)


@lru_cache(maxsize=1)
def mel_matrix() -> Any:
    """Kaldi's triangles ``[128, 513]`` from 0 to 15 kHz; the bin of half the rate is in none."""
    import torch
    from torchaudio.compliance.kaldi import get_mel_banks

    banks, _ = get_mel_banks(_MELS, _FFT, RATE, 0.0, _HIGHEST_HZ, 100.0, -500.0, 1.0)
    return torch.nn.functional.pad(banks, (0, 1))


def _attention(layer: Any, x: Any) -> Any:
    from torch.nn import functional

    heads = layer.qkv(x).unflatten(-1, (3, _HEADS, -1)).permute(2, 0, 3, 1, 4)
    return layer.proj(functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


def _as_hear21passt(sound: Audio) -> Waveforms:
    """The sound itself up to 10 s; of a longer one, mirrored by 5 s at both ends, 10 s every 2.5 s.

    The package leaves mixing and resampling to its user: here the mean over channels, and soxr.

    Source: hear21passt 0.0.26, ``wrapper.py``, ``get_scene_embeddings``.
    """
    signal: Signal = sound.mono().at(RATE).samples[0]
    if len(signal) < SHORTEST:
        return np.zeros((0, 0), np.float32)
    if len(signal) <= WINDOW:
        return signal[None]
    padded = np.pad(signal, WINDOW // 2, mode="reflect")
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[:: WINDOW // 4])


def _as_stable_audio_metrics(sound: Audio) -> Waveforms:
    """10 s every 5 s of the sound with its peak at -1 dB; the last is zero-padded, but not one of 1.5 s or less.

    Resampled as librosa does at its defaults (soxr, HQ). Silence, which has no peak and becomes NaN there, stays.

    Source: stable-audio-metrics fd55536, ``passt_kld.py``, ``return_probabilities``.
    """
    import soxr

    signal: Signal = sound.mono().samples[0]
    if sound.rate != RATE:
        length = -(-len(signal) * RATE // sound.rate)
        signal = soxr.resample(signal, sound.rate, RATE, quality="HQ")[:length]
        signal = np.pad(signal, (0, length - len(signal)))
    if len(signal) < SHORTEST:
        return np.zeros((0, 0), np.float32)
    if peak := np.abs(signal).max():
        signal = (signal * (10 ** (-1 / 20) / peak)).astype(np.float32)
    if len(signal) <= _UNPADDED:
        return signal[None]
    step = WINDOW // 2
    starts = range(0, max(step, len(signal) - step), step)
    padded = np.pad(signal, (0, max(0, starts[-1] + WINDOW - len(signal))))
    return np.stack([padded[start : start + WINDOW] for start in starts])


_LOADERS = {"hear21passt": _as_hear21passt, "stable_audio_metrics": _as_stable_audio_metrics}
