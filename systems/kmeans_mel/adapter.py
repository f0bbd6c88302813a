"""k-means over log-mel patches with residual stages: what semantic clustering does, without a network."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Features, Tokens
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.errors import BenchError
from ldmbench.host.files import OTHER_CACHE, replacing
from ldmbench.host.homes import cache_home, only_one, sha256
from ldmbench.system.card import SystemSpec
from ldmbench.system.channel import repeated
from ldmbench.system.codec import Codec, Stream
from ldmbench.systems.kmeans_mel.patches import (
    BANDS,
    DIM,
    FLOOR,
    PATCH,
    RATE,
    dct,
    from_patches,
    griffin_lim,
    log_mel_spectrogram,
    mel_to_linear,
    to_patches,
)

#: Stages trained together; a variant uses the first few, so that all variants of a vocabulary share one training.
STAGES = 4

#: Patches that k-means sees, drawn at any frame and at every fourth band.
TRAINING_PATCHES = 49_152
BAND_STEP = 4

#: Longest training material that is read, in seconds.
TRAINING_SECONDS = 3600.0

#: Four bands of patches of 2560 samples at 16 kHz.
PATCHES_PER_SECOND = 25

_SEED = 0


@dataclass(frozen=True, eq=False)
class Codebooks:
    """Centroids ``[stages, vocabulary, DIM]`` in the patch DCT domain, and mean and deviation of the features."""

    centroids: Features
    mean: float
    deviation: float


class KMeansMel(Codec):
    """Log-mel patches as tokens of residual k-means codebooks, decoded by Griffin-Lim.

    Patches play the part of AudioMAE's in SemantiCodec (Liu et al. 2024, section III): a shared vocabulary,
    time-major, lowest bands first. Settings: ``vocab`` centroids per stage (a power of two), ``stages`` (1 to
    4), ``iterations`` of Griffin-Lim, and ``train``, a dataset or a folder of audio.
    """

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        self.vocab = int(spec.settings["vocab"])
        self.stages = int(spec.settings["stages"])
        self.iterations = int(spec.settings["iterations"])
        self.train = str(spec.settings["train"])
        self._codebooks: Codebooks | None = None
        if self.vocab < 2 or self.vocab & (self.vocab - 1):
            raise BenchError(f"vocab of {spec.label} must be a power of two", f"{self.vocab}")
        if not 1 <= self.stages <= STAGES:
            raise BenchError(f"stages of {spec.label} must be 1 to {STAGES}", f"{self.stages}")
        if self.iterations < 1:
            raise BenchError(f"iterations of {spec.label} must be at least 1", f"{self.iterations}")

    @property
    def parameters(self) -> int:
        """Number of centroid values."""
        return self.stages * self.vocab * DIM

    @property
    def codebooks(self) -> Codebooks:
        """The codebooks, trained or read from the cache on first use."""
        if self._codebooks is None:
            self._codebooks = trained(self.train, self.vocab)
        return self._codebooks

    def setup(self, clips: Sequence[Clip]) -> None:
        """Train or load the codebooks now, so that no clip's time includes it."""
        _ = self.codebooks

    def encode(self, audio: Audio) -> Stream:
        """Tokens ``[stages, 4 * ceil(time / 2560)]``, each worth ``log2(vocab)`` bits."""
        tokens, _ = self._quantise(self._features(audio))
        width = self.vocab.bit_length() - 1
        nominal = self.stages * PATCHES_PER_SECOND * width / 1000
        sizes = (self.vocab,) * self.stages
        return Stream(tokens, tokens.size * width, tokens, codebooks=sizes, nominal_kbps=nominal)

    def decode(self, stream: Stream) -> Audio:
        """Sum of centroids, log-mel, magnitudes, Griffin-Lim; equal tokens give equal audio."""
        tokens = stream.payload
        features = np.zeros((tokens.shape[1], DIM), np.float32)
        for stage, row in enumerate(tokens):
            features += self.codebooks.centroids[stage][row]
        log_mel = from_patches(features * np.float32(self.codebooks.deviation), self.codebooks.mean)
        magnitudes = mel_to_linear(np.maximum(np.exp(log_mel) - FLOOR, 0.0))
        return Audio(griffin_lim(magnitudes, self.iterations)[None, :], RATE)

    def packets(self, stream: Stream) -> int:
        """One for each patch of time: the tokens of all bands and stages."""
        return int(stream.payload.shape[1]) // (BANDS // PATCH)

    def receive(self, stream: Stream, lost: NDArray[np.bool_]) -> Audio:
        """Decode with the last patches that arrived in place of lost ones; before the first, with silence's tokens."""
        shown = repeated(np.asarray(lost))
        tokens = stream.payload.reshape(self.stages, -1, BANDS // PATCH)
        # Token 0 of the first stage is silence, and of a later one adds nothing (``fit``).
        received = np.where((shown < 0)[None, :, None], 0, tokens[:, np.maximum(shown, 0)])
        return self.decode(replace(stream, payload=received.reshape(self.stages, -1)))

    def embed(self, clips: Sequence[Clip]) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """Time-averaged features ``[256]``: of all stages, of the first stage, and before quantisation."""
        for clip in clips:
            features = self._features(self.adapt(clip.audio)[0])
            tokens, residual = self._quantise(features)
            layers = {
                "all": features - residual,
                "first": self.codebooks.centroids[0][tokens[0]],
                "unquantised": features,
            }
            width = DIM * BANDS // PATCH
            yield {name: layer.reshape(-1, width).mean(axis=0) for name, layer in layers.items()}

    def _features(self, audio: Audio) -> Features:
        """Normalised patches of a sound ``[patches, DIM]``."""
        return to_patches(log_mel_spectrogram(audio.samples[0]), self.codebooks.mean) / np.float32(
            self.codebooks.deviation
        )

    def _quantise(self, features: Features) -> tuple[Tokens, Features]:
        """Tokens ``[stages, patches]`` and what the stages left over."""
        tokens = np.empty((self.stages, len(features)), np.int64)
        residual = features
        for stage in range(self.stages):
            centroids = self.codebooks.centroids[stage]
            tokens[stage] = nearest(residual, centroids)
            residual = residual - centroids[tokens[stage]]
        return tokens, residual


def trained(source: str, vocab: int) -> Codebooks:
    """Codebooks for a dataset or folder: from the cache, or trained now and put there.

    Raises:
        BenchError: If the source is unknown or too short for the vocabulary.
    """
    from ldmbench.clips.load import load_source

    material = load_source(source)
    key = hashlib.sha256(repr((material.digest, vocab, training_code())).encode()).hexdigest()[:32]
    path = cache_home() / "kmeans-mel" / f"{key}.npz"
    codebooks = _read_codebooks(path, vocab)
    if codebooks is None:
        with only_one(str(path)):
            # Another worker may have finished the training while this one waited.
            codebooks = _read_codebooks(path, vocab)
            if codebooks is None:
                codebooks = fit(material, vocab)
                _write_codebooks(path, codebooks)
    return codebooks


@lru_cache
def training_code() -> str:
    """SHA-256 (hex) of the code that codebooks come from, settings at the top of modules included.

    Sources count as they are: a changed comment costs a training, a change that does not count costs a wrong sound.
    """
    digests = [sha256(path) for path in training_sources()]
    return hashlib.sha256(repr((digests, importlib.metadata.version("scikit-learn"))).encode()).hexdigest()


def training_sources() -> list[Path]:
    """The modules of this folder, and those on the way from a file of audio to samples and mel bands."""
    audio = Path(inspect.getfile(Audio)).parent
    return [*sorted(Path(__file__).parent.glob("*.py")), *sorted(audio.rglob("*.py")), Path(inspect.getfile(Clip))]


def fit(material: Dataset, vocab: int) -> Codebooks:
    """Train all residual stages on ``material``; the same bits on any number of threads.

    Raises:
        BenchError: If there are fewer patches than centroids.
    """
    from sklearn.cluster import MiniBatchKMeans

    patches = _training_patches(material, vocab)
    mean, deviation = float(patches[:, 0].mean()) / PATCH, float(patches.std())
    patches[:, 0] -= mean * PATCH
    residual = patches / deviation
    silence = to_patches(np.full((PATCH, PATCH), np.log(FLOOR), np.float32), mean) / deviation
    centroids = np.empty((STAGES, vocab, DIM), np.float32)
    for stage in range(STAGES):
        chosen = np.random.default_rng((_SEED, stage)).choice(len(residual), vocab, replace=False)
        start = residual[chosen]
        # Whatever it is trained on, token 0 of the first stage means silence, and of a later stage "leave it":
        # no stage can make a patch worse.
        fixed = silence if stage == 0 else np.zeros_like(silence)
        start[0] = fixed
        # Without early stopping: its criterion is a sum whose last digits depend on the number of threads.
        model = MiniBatchKMeans(
            vocab, init=start, n_init=1, batch_size=4096, max_iter=1, tol=0.0, max_no_improvement=None,
            reassignment_ratio=0.0, random_state=_SEED,
        ).fit(residual)  # fmt: skip
        centroids[stage] = model.cluster_centers_
        centroids[stage, 0] = fixed
        residual = residual - centroids[stage][model.labels_]
    return Codebooks(centroids, mean, deviation)


def _training_patches(material: Dataset, vocab: int) -> Features:
    """DCT features ``[patches, DIM]`` of a seeded choice among all patches of the training clips."""
    rng = np.random.default_rng(_SEED)
    mels: list[Features] = []
    seconds = 0.0
    for index in rng.permutation(len(material.clips)):
        if seconds >= TRAINING_SECONDS:
            break
        audio = material.clips[index].audio.mono().at(RATE)
        seconds += audio.duration
        mel = log_mel_spectrogram(audio.samples[0])
        mels.append(np.pad(mel, ((0, max(0, PATCH - len(mel))), (0, 0)), constant_values=np.log(FLOOR)))
    bands = np.arange(0, BANDS - PATCH + 1, BAND_STEP)
    windows = [np.lib.stride_tricks.sliding_window_view(mel, (PATCH, PATCH))[:, bands] for mel in mels]
    ends = np.cumsum([0, *(view.shape[0] * len(bands) for view in windows)])
    available = int(ends[-1])
    if available < vocab:
        raise BenchError(
            f"{material.name} is too short to train {vocab} centroids",
            f"{seconds:.1f} s of audio, {available} patches",
            "train on more audio, or choose a variant with a smaller vocabulary",
        )
    chosen = np.sort(rng.choice(available, min(available, TRAINING_PATCHES), replace=False))
    taken = []
    for view, first, last in zip(windows, ends[:-1], ends[1:], strict=True):
        frame, band = np.divmod(chosen[(chosen >= first) & (chosen < last)] - first, len(bands))
        taken.append(view[frame, band])
    return dct(rng.permutation(np.concatenate(taken)))


def _read_codebooks(path: Path, vocab: int) -> Codebooks | None:
    """The cached codebooks, or None where they are missing or damaged (a zip member carries a checksum)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            codebooks = Codebooks(archive["centroids"], float(archive["mean"]), float(archive["deviation"]))
    except FileNotFoundError:
        return None
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError):
        return None
    fits = codebooks.centroids.shape == (STAGES, vocab, DIM) and codebooks.centroids.dtype == np.float32
    return codebooks if fits else None


def _write_codebooks(path: Path, codebooks: Codebooks) -> None:
    with replacing(path, OTHER_CACHE) as handle:
        np.savez(handle, centroids=codebooks.centroids, mean=codebooks.mean, deviation=codebooks.deviation)


def nearest(points: Features, centroids: Features) -> NDArray[np.int64]:
    """Index of the centroid nearest to each point (Euclidean), the lowest index among equals."""
    from threadpoolctl import threadpool_limits

    half = 0.5 * np.einsum("vd,vd->v", centroids, centroids)
    indices = np.empty(len(points), np.int64)
    # One BLAS thread: the split of a product over threads may change its last digit, and with it a token.
    with threadpool_limits(1, "blas"):
        for first in range(0, len(points), 512):
            block = points[first : first + 512]
            indices[first : first + 512] = np.argmin(half - block @ centroids.T, axis=1)
    return indices
