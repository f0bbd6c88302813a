"""OpenL3 (mel256, 512 dimensions) of each channel, twice a second, as stable-audio-metrics hears it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Waveform
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import hann, mel_filters
from ldmbench.errors import BenchError
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.extractors.loading import KAISER_BEST_02, resample_kaiser_best
from ldmbench.extractors.openl3_weights import HALVED, WIDTHS, State, build, random_state, read_official, to_torch
from ldmbench.host.device import check_device
from ldmbench.weights.find import find_file, verify
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit

#: Raised whenever the front end's numbers change.
FRONT_END = 1

#: Rate of the network, the rate to which sounds are brought before, and dimensions for each of two channels.
RATE, HEARD, WIDTH = 48_000, 44_100, 512

#: Samples of a window (1 s), and between two of them.
WINDOW, HOP = RATE, RATE // 2

_FFT, _STEP, _MELS = 2048, 242, 256

#: Which sounds the network was trained on.
Content = Literal["env", "music"]


def _checkpoint(content: Content) -> Checkpoint:
    file = f"openl3_audio_mel256_{content}-v0_4_0.h5.gz"
    return Checkpoint(
        title=f"OpenL3 {content}",
        name=f"openl3-{content}",
        folder="openl3",
        urls={file: f"https://github.com/marl/openl3/raw/models/{file}"},
        files={file: ""},
        pin_first=True,
    )


#: Nobody publishes their digests: what came the first time is pinned.
CHECKPOINTS: dict[Content, Checkpoint] = {"env": _checkpoint("env"), "music": _checkpoint("music")}

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {checkpoint.name: (checkpoint,) for checkpoint in CHECKPOINTS.values()}


class OpenL3(NetworkExtractor):
    """OpenL3: layer ``embedding`` ``[windows, 1024]``, the left channel's 512 and the right one's, every half second.

    Args:
        read: Gives the weights in Keras' layout, when they are needed.
        identity: Digest of the weights.
        path: Where they come from, for messages.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...

    Source: Cramer et al., Look, listen and learn more, ICASSP 2019; openl3 0.4.2, ``models.py`` and ``core.py``, with
    kapre 0.3.7; stable-audio-metrics fd55536, ``openl3_fd.py``, ``extract_embeddings`` (two channels). Beside these on
    the same random weights the largest difference is 2.7e-3 of the largest value (four recordings), all of it from
    the rounding of two FFTs in bands near the floor; of one spectrogram the network makes the same to 1.4e-6.
    """

    rate = RATE

    def __init__(self, read: Callable[[], State], identity: str, path: Path, device: str = "cpu") -> None:
        self.device = check_device(device)
        self.fingerprint = make_fingerprint(network="openl3 mel256 512", weights=identity, front_end=FRONT_END)
        self._read, self._path = read, path
        #: Windows that go through the network together: each takes about 40 MB on the way. On a CPU one alone, with
        #: channels last, takes about half the time that each of eight does.
        self._together = 1 if self.device == "cpu" else 128
        self.largest = self._together * WINDOW

    def load(self) -> None:
        """Read the weights, build the network and its front end."""
        import torch

        network = build()
        fit(network, to_torch(self._read()), self._path, "OpenL3")
        layout = torch.channels_last if self.device == "cpu" else torch.contiguous_format
        self._network = network.to(self.device, memory_format=layout)
        self._hann = torch.tensor(hann(_FFT), dtype=torch.float32, device=self.device)
        self._mel = torch.tensor(mel_filters(RATE, _FFT, _MELS), device=self.device)

    def prepare(self, sound: Audio) -> NDArray[np.float32]:
        """``[channels, time]`` at 48 kHz, as many samples as its windows cover; one channel or two."""
        heard = as_stable_audio_metrics(sound)
        # The first window is centred on the first sample.
        padded = np.pad(heard, ((0, 0), (WINDOW // 2, 0)))
        lacking = max(WINDOW - padded.shape[1], -(padded.shape[1] - WINDOW) % HOP)
        return np.pad(padded, ((0, 0), (0, lacking)))

    def forward(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """``embedding`` ``[sounds, windows, 1024]`` of ``[sounds, channels, time]``; one channel counts twice."""
        import torch

        sounds, channels, _ = batch.shape
        with exact():
            windows = torch.from_numpy(batch).unfold(-1, WINDOW, HOP)
            parts = torch.split(windows.reshape(-1, WINDOW), self._together)
            rows = torch.cat([self._embed(part.to(self.device)).cpu() for part in parts])
            sides = rows.reshape(sounds, channels, -1, WIDTH).expand(-1, 2, -1, -1)
        return {"embedding": sides.transpose(1, 2).flatten(2).numpy()}

    def _embed(self, windows: Any) -> Any:
        """``[windows, 512]`` of ``[windows, time]``."""
        import torch
        from torch.nn import functional

        network = self._network
        x = network.norm0(self._decibels(windows)[:, None])
        for index in range(len(WIDTHS)):
            x = getattr(network, f"conv{index}")(x)
            if index + 1 < len(WIDTHS):
                x = torch.relu(getattr(network, f"norm{index + 1}")(x))
            if index in HALVED:
                x = functional.max_pool2d(x, 2)
        return x.amax(dim=(2, 3))

    def _decibels(self, windows: Any) -> Any:
        """Decibels ``[windows, 256, 199]`` below the loudest of a window, not below -80, of magnitudes in mel bands.

        Magnitudes are taken for power (10 log10), as OpenL3 was trained with kapre 0.1.4. Bands near the floor,
        as those above 22 kHz of every sound, are rounding in single precision. They are left so: the references that
        stable-audio-metrics publishes have that floor too, and in double precision its numbers are missed by twice
        as much.
        """
        import torch

        frames = -(-WINDOW // _STEP)
        padded = torch.nn.functional.pad(windows, (0, (frames - 1) * _STEP + _FFT - WINDOW))
        spectrum = torch.fft.rfft(padded.unfold(-1, _FFT, _STEP) * self._hann)
        mel = torch.matmul(self._mel, spectrum.abs().transpose(1, 2))
        decibels = 10.0 * torch.log10(mel.clamp(min=1e-10))
        return (decibels - decibels.amax(dim=(1, 2), keepdim=True)).clamp(min=-80.0)


@lru_cache(maxsize=2)
def load_openl3(
    content: Content = "env",
    device: str = "cpu",
    weights: Path | None = None,
    *,
    untrained: bool = False,
    official: bool = True,
) -> OpenL3:
    """The extractor; the last two are kept.

    Args:
        content: Which sounds it was trained on: ``env`` (sounds of the environment) or ``music``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder or file of the checkpoint; None for the weights home.
        untrained: Seeded random weights instead.
        official: Insist on the official file. False takes any checkpoint in the official layout.

    Raises:
        CheckpointError: If the checkpoint is missing or not the official one. What is in it is read at first use.
    """
    if untrained:
        return OpenL3(random_state, f"untrained 0 {content}", Path("untrained"), device)
    checkpoint = CHECKPOINTS[content]
    path = find_file(checkpoint, weights)
    return OpenL3(partial(read_official, path), verify(checkpoint, path, official), path, device)


def as_stable_audio_metrics(sound: Audio) -> Waveform:
    """The first two channels with their common peak at -1 dB, to 44.1 kHz by soxr, to 48 kHz by resampy 0.2.

    Silence, which has no peak and becomes NaN there, stays.

    Returns:
        ``[channels, time]``, one channel or two.

    Raises:
        BenchError: If nothing is left of the sound.

    Source: stable-audio-metrics fd55536, ``openl3_fd.py``, and its requirements (resampy 0.2.2); openl3 0.4.2,
    ``core.py``, ``preprocess_audio``.
    """
    import soxr

    samples: Waveform = sound.samples
    if peak := np.abs(samples).max():
        samples = (samples * (10 ** (-1 / 20) / peak)).astype(np.float32)
    if sound.rate != HEARD:
        samples = np.ascontiguousarray(soxr.resample(samples.T, sound.rate, HEARD).T)
    if not samples.shape[1]:
        raise BenchError(f"{sound.length} samples at {sound.rate} Hz are too few for OpenL3", fix="use longer clips")
    return np.stack([resample_kaiser_best(channel, HEARD, RATE, KAISER_BEST_02) for channel in samples[:2]])
