"""VGGish as torchvggish ports it, with the front end of the TensorFlow original: embeddings of 0.96 s frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Real, Signal
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import hann
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.extractors.loading import as_audioldm_eval, as_frechet_audio_distance
from ldmbench.host.device import check_device
from ldmbench.weights.find import find_all, verify
from ldmbench.weights.record import Checkpoint, CheckpointError
from ldmbench.weights.tensors import fit, read_tensors, seeded

#: Raised whenever the front end's numbers change.
FRONT_END = 1

RATE, WIDTH = 16_000, 128
_WINDOW, _HOP, _FFT, _MELS, _FRAMES = 400, 160, 512, 64, 96
_LOW, _HIGH, _FLOOR = 125.0, 7500.0, 0.01


def _official(title: str, name: str, file: str, sha256: str) -> Checkpoint:
    """Source: torchvggish release v0.1."""
    url = f"https://github.com/harritaylor/torchvggish/releases/download/v0.1/{file}"
    return Checkpoint(title=title, name=name, folder="vggish", urls={file: url}, files={file: sha256})


CHECKPOINT = _official(
    "VGGish", "vggish", "vggish-10086976.pth", "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b"
)
#: The whole digest is published nowhere, only its beginning in the file's name: it is obtained by hand.
PCA = _official("VGGish's PCA", "", "vggish_pca_params-970ea276.pth", "970ea276")

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {CHECKPOINT.name: (CHECKPOINT,)}

Loading = Literal["audioldm_eval", "frechet_audio_distance"]
_LOADERS = {"audioldm_eval": as_audioldm_eval, "frechet_audio_distance": as_frechet_audio_distance}


class Vggish(NetworkExtractor):
    """VGGish: layer ``embedding`` ``[frames, 128]``.

    Args:
        network: Gives the network, ``build()`` with its weights on ``device``, when it is needed.
        identity: Digest of the weights.
        loading: Whose way of reading a sound: ``audioldm_eval`` or ``frechet_audio_distance``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        activation: Apply the ReLU that torchvggish puts after the last layer, and the original has not.
        pca: Gives entries ``pca_eigen_vectors`` ``[128, 128]`` and ``pca_means`` ``[128]`` of the post-processor,
            which whitens, clips to [-2, 2] and rounds to 8 bits as AudioSet's released embeddings; None for raw.

    Source: Hershey et al., CNN architectures for large-scale audio classification, arXiv:1609.09430;
    torchvggish, ``vggish.py``, ``vggish_input.py`` and ``mel_features.py``.
    """

    rate = RATE

    def __init__(
        self,
        network: Callable[[], Any],
        identity: str,
        loading: Loading = "audioldm_eval",
        device: str = "cpu",
        *,
        activation: bool = False,
        pca: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self.device = check_device(device)
        self.loading = loading
        self.activation = activation
        self.fingerprint = make_fingerprint(
            network="vggish",
            weights=identity,
            loading=loading,
            activation=activation,
            pca=pca is not None,
            front_end=FRONT_END,
        )
        # Frames are independent; a few dozen already fill a processor.
        self.largest = (40 if self.device == "cpu" else 4000) * _FRAMES * _MELS
        self._make, self._read_pca = network, pca

    def load(self) -> None:
        """Get the network and, where it is wanted, the PCA."""
        import torch

        self._network = self._make()
        self._pca = None
        if self._read_pca is not None:
            content = self._read_pca()
            vectors, means = (torch.as_tensor(content[key]).float() for key in ("pca_eigen_vectors", "pca_means"))
            self._pca = (vectors.reshape(WIDTH, WIDTH).to(self.device), means.reshape(1, WIDTH).to(self.device))

    def prepare(self, sound: Audio) -> NDArray[np.float32]:
        """Log-mel frames ``[frames, 96, 64]``; none where the sound is shorter than 0.975 s."""
        return examples(_LOADERS[self.loading](sound, RATE))

    def forward(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """``embedding`` ``[sounds, frames, 128]`` of ``[sounds, frames, 96, 64]``."""
        import torch

        sounds, frames = batch.shape[:2]
        if not frames:
            return {"embedding": np.zeros((sounds, 0, WIDTH), np.float32)}
        with exact():
            x = torch.from_numpy(batch).to(self.device).reshape(-1, 1, _FRAMES, _MELS)
            x = self._network.features(x)
            # Channels last, as the original flattens them.
            x = self._network.embeddings(x.permute(0, 2, 3, 1).reshape(len(x), -1))
            if self.activation:
                x = x.relu()
            if self._pca is not None:
                vectors, means = self._pca
                x = torch.round(((x - means) @ vectors.T).clamp(-2.0, 2.0).add(2.0) * (255.0 / 4.0))
        return {"embedding": x.reshape(sounds, frames, WIDTH).cpu().numpy()}


@lru_cache(maxsize=2)
def load_vggish(
    loading: Loading = "audioldm_eval",
    device: str = "cpu",
    weights: Path | None = None,
    *,
    activation: bool = False,
    pca: bool = False,
    untrained: bool = False,
    official: bool = True,
) -> Vggish:
    """The extractor; the last two are kept.

    Args:
        loading: Whose way of reading a sound.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder of the checkpoints, or the network's file; None for the weights home.
        activation: Apply torchvggish's last ReLU.
        pca: Post-process as the TensorFlow original does for AudioSet's released embeddings.
        untrained: Seeded random weights instead.
        official: Insist on the official files' SHA-256.

    Raises:
        CheckpointError: If a checkpoint is missing or not the official one. What is in it is read at first use.
    """
    if untrained:
        path, identity = None, "untrained 0"
        read_pca: Callable[[], Mapping[str, Any]] = random_pca
    else:
        checkpoints = (CHECKPOINT, PCA) if pca else (CHECKPOINT,)
        paths = find_all(checkpoints, weights)
        identity = "".join(verify(*pair, official) for pair in zip(checkpoints, paths, strict=True))
        path = paths[0]
        read_pca = partial(_read_pca, paths[-1] / PCA.file)
    return Vggish(
        partial(_network, path, identity, device), identity, loading, device,
        activation=activation, pca=read_pca if pca else None,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _network(path: Path | None, identity: str, device: str) -> Any:
    """The network with its weights, shared by the ways of reading a sound; random ones where there is no path."""
    network = build()
    state = random_state() if path is None else read_tensors(path)
    fit(network, state, path or Path("untrained"), "VGGish")
    return network.requires_grad_(False).eval().to(device)


def _read_pca(path: Path) -> Mapping[str, Any]:
    content = read_tensors(path, arrays=True)
    if sorted(content) != ["pca_eigen_vectors", "pca_means"]:
        url = PCA.urls[PCA.file]
        raise CheckpointError(f"{path} is not the PCA of VGGish", f"entries {', '.join(content)}", f"get {url}")
    return {key: value.clone() for key, value in content.items()}


def build() -> Any:
    """A ``torch.nn.Module`` with torchvggish's layers and keys, without the last ReLU, which has none."""
    from torch import nn

    layers: list[Any] = []
    before = 1
    for width in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0):
        if width:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
            before = width
        else:
            layers.append(nn.MaxPool2d(2))
    module = nn.Module()
    module.features = nn.Sequential(*layers)
    module.embeddings = nn.Sequential(
        nn.Linear(512 * 4 * 6, 4096), nn.ReLU(inplace=True), nn.Linear(4096, 4096), nn.ReLU(inplace=True),
        nn.Linear(4096, WIDTH),
    )  # fmt: skip
    return module


def random_state(seed: int = 0) -> dict[str, Any]:
    """Seeded random weights in torchvggish's layout, whose embeddings spread over about a unit."""
    import torch

    def fill() -> dict[str, Any]:
        module = build()
        for key, parameter in module.named_parameters():
            if key.endswith("weight"):
                torch.nn.init.kaiming_normal_(parameter)
            else:
                torch.nn.init.normal_(parameter, std=0.05)
        state: dict[str, Any] = module.state_dict()
        return state

    return seeded(fill, seed)


def random_pca(seed: int = 0) -> dict[str, Any]:
    """A seeded random rotation and mean in the layout of torchvggish's PCA file."""
    import torch

    def fill() -> dict[str, Any]:
        vectors, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH))
        return {"pca_eigen_vectors": vectors, "pca_means": 0.1 * torch.randn(WIDTH)}

    return seeded(fill, seed)


def examples(signal: Signal) -> NDArray[np.float32]:
    """Log-mel frames ``[frames, 96, 64]`` of 0.96 s, without overlap, of ``signal`` ``[time]`` at 16 kHz.

    Windows of 25 ms every 10 ms, not centred; what does not fill a frame at the end is dropped. Computed in
    float64, as in NumPy's original.

    Source: torchvggish, ``vggish_input.py``, ``waveform_to_examples``.
    """
    import scipy.fft

    frames = max(0, 1 + (len(signal) - _WINDOW) // _HOP) // _FRAMES
    if not frames:
        return np.zeros((0, _FRAMES, _MELS), np.float32)
    view = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP][: frames * _FRAMES]
    spectrum = np.abs(scipy.fft.rfft(view * hann(_WINDOW), _FFT, axis=1, workers=1))
    log_mel: Real = np.log(spectrum @ mel_matrix() + _FLOOR)
    return log_mel.astype(np.float32).reshape(frames, _FRAMES, _MELS)


@lru_cache(maxsize=1)
def mel_matrix() -> Real:
    """Triangles ``[bins, mels]`` that are linear on the HTK mel scale, not in Hz; the lowest bin is left out.

    Source: torchvggish, ``mel_features.py``, ``spectrogram_to_mel_matrix``.
    """
    bins = _mel(np.linspace(0.0, RATE / 2, _FFT // 2 + 1))[:, None]
    edges = np.linspace(_mel(np.array(_LOW)), _mel(np.array(_HIGH)), _MELS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    matrix = np.maximum(0.0, np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre)))
    matrix[0] = 0.0
    matrix.setflags(write=False)
    return matrix


def _mel(hertz: Real) -> Real:
    return 1127.0 * np.log(1.0 + hertz / 700.0)
