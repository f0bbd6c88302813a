"""SemantiCodec: semantic k-means tokens of AudioMAE and acoustic tokens, decoded by latent diffusion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audio import Audio
from bench.dataset import Clip
from bench.errors import BenchError
from bench.fetch import weights_folder
from bench.system import Codec, Output, Stream, SystemSpec
from systems._ldm_parts import parameters, quiet

Tokens = NDArray[np.int64]

#: Windows coded at once, and windows in one call of the diffusion model: bounds on memory.
_CODED, _DIFFUSED = 8, 8


class SemantiCodec(Codec):
    """The official weights in stock U-Net, autoencoder and vocoder modules; tokens equal the reference's.

    Sound is coded in windows of 10.24 s and decoded in windows that overlap by 0.64 s; the windows of all clips of
    a batch go through the models together. All noise of a window comes from ``clip.seed`` and its number. Bit-equal
    at equal batch size on one device; otherwise up to rounding, which may flip a token where two are equally near.

    Differences from the reference: several channels are mixed down (it takes the first), soxr resamples, and the
    output ends where the clip ends.

    Settings: ``steps`` of DDIM, a divisor of 1000; ``cfg`` guidance scale; ``eta``, the share of fresh noise in a
    step; ``aligned`` drops the 2 ms that every window after the first comes later in the reference; ``precision`` of
    the U-Net (float16 and bfloat16 change the sound, not the tokens); ``tokens_per_second`` and ``vocab`` belong to
    the variants.

    Source: Liu et al. 2024 (arXiv:2405.00233); haoheliu/SemantiCodec-inference, ``main.py``.
    """

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        from systems._semanticodec_tokens import Geometry
        from systems._v_diffusion import time_steps

        settings = spec.settings
        self.steps, self.cfg, self.eta = int(settings["steps"]), float(settings["cfg"]), float(settings["eta"])
        self.aligned, self.precision = bool(settings["aligned"]), str(settings["precision"])
        self.vocab, rate = int(settings["vocab"]), int(settings["tokens_per_second"])
        self._check(rate in (25, 50, 100), "tokens_per_second", "25, 50 or 100")
        self._check(self.vocab in (4096, 8192, 16384, 32768), "vocab", "4096, 8192, 16384 or 32768")
        self._check(self.cfg >= 0 and math.isfinite(self.cfg), "cfg", "0 or more")
        self._check(0 <= self.eta <= 1, "eta", "0 to 1")
        self._check(self.precision in ("float32", "float16", "bfloat16"), "precision", "float32, float16 or bfloat16")
        time_steps(self.steps)
        self.geometry = Geometry(100 // rate)
        self._load()

    @property
    def parameters(self) -> int:
        """Learned values of all parts that are used."""
        return parameters([self.coder, self.decoder.unet, self.decoder.vae, self.decoder.vocoder])

    def encode(self, audio: Audio) -> Stream:
        """Tokens ``[2, time]``, semantic above acoustic, worth ``log2(vocab)`` and 13 bits."""
        return self._coded([audio])[0][0]

    def decode(self, stream: Stream, seed: int = 0) -> Audio:
        """The sound of the tokens alone, with the noise of ``seed``; as long as their patches."""
        return self._decoded([stream], [seed], [self.samples(stream.payload.shape[1])])[0]

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the decoded clips with their bits and tokens; the windows of all clips are computed together."""
        adapted = [self.adapt(clip.audio) for clip in clips]
        streams = [stream for stream, _ in self._coded([audio for audio, _ in adapted])]
        decoded = self._decoded(streams, [clip.seed for clip in clips], [audio.length for audio, _ in adapted])
        for (_, details), stream, audio in zip(adapted, streams, decoded, strict=True):
            yield Output(audio, stream.bits, stream.tokens, {**details, **stream.details})

    def embed(self, clips: Sequence[Clip]) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """Means over all tokens: ``all`` codewords (acoustic, semantic), the ``first`` layer's, and ``audiomae``."""
        for clip in clips:
            (stream, features), *_ = self._coded([self.adapt(clip.audio)[0]])
            words = self._words(stream.payload)
            half = words.shape[1] // 2
            yield {"all": words.mean(axis=0), "first": words[:, half:].mean(axis=0), "audiomae": features.mean(axis=0)}

    def samples(self, tokens: int) -> int:
        """Samples that ``tokens`` a layer stand for."""
        return int(tokens / 8 * 16 * 0.01 * self.geometry.stack * self.rate)

    def _coded(self, sounds: Sequence[Audio]) -> list[tuple[Stream, NDArray[np.float32]]]:
        """Streams and unquantised features ``[time, width]`` of sounds."""
        import torch

        from systems._semanticodec_tokens import banks

        shape = self.geometry
        owners: list[int] = []
        counts: list[int] = []
        inputs: list[Any] = []
        for owner, sound in enumerate(sounds):
            left = shape.tokens(sound.length)
            for bank in banks(torch.from_numpy(sound.samples[0].copy())):
                # A last window of padding may hold no token of the sound.
                if left > 0:
                    owners.append(owner)
                    counts.append(min(left, shape.length))
                    inputs.append(bank)
                left -= shape.length
        found: list[list[Any]] = [[] for _ in sounds]
        features: list[list[Any]] = [[] for _ in sounds]
        with torch.inference_mode():
            for first in range(0, len(inputs), _CODED):
                part = slice(first, first + _CODED)
                tokens, seen = self.coder(torch.stack(inputs[part]).to(self.device), counts[part])
                for owner, window, feature in zip(owners[part], tokens, seen, strict=True):
                    found[owner].append(window.cpu().numpy())
                    features[owner].append(feature.cpu().numpy())
        streams = []
        for windows, feature in zip(found, features, strict=True):
            layers = np.concatenate(windows).T.astype(np.int64)
            bits = layers.shape[1] * (self.vocab.bit_length() - 1 + 13)
            streams.append((Stream(layers, bits, layers), np.concatenate(feature)))
        return streams

    def _decoded(self, streams: Sequence[Stream], seeds: Sequence[int], lengths: Sequence[int]) -> list[Audio]:
        """Sounds of ``lengths`` samples."""
        import torch

        from systems._semanticodec_decoder import overlap_add, window_samples
        from systems._v_diffusion import seeded_noise

        jobs: list[tuple[int, Any, Any, int]] = []
        for owner, (stream, seed, length) in enumerate(zip(streams, seeds, lengths, strict=True)):
            tokens = torch.from_numpy(np.ascontiguousarray(stream.payload.T)).to(self.device)
            spans = self.geometry.spans(len(tokens))
            needed = self.decoder.needed(length, len(spans), self.aligned)
            for index, ((start, end), samples) in enumerate(zip(spans, needed, strict=True)):
                jobs.append((owner, tokens[start:end], seeded_noise(seed, index), samples))
        waves: list[list[NDArray[np.float32]]] = [[] for _ in streams]
        with torch.inference_mode(), quiet():
            for first in range(0, len(jobs), _DIFFUSED):
                part = jobs[first : first + _DIFFUSED]
                context, without = self.coder.condition([tokens for _, tokens, _, _ in part])
                noises = [noise for _, _, noise, _ in part]
                latents = self.decoder.latents(context, without, noises, self.steps, self.cfg, self.eta)
                for latent, (owner, _, _, samples) in zip(latents.split(1), part, strict=True):
                    waves[owner].append(self.decoder.wave(self.decoder.mel(latent)[0], samples))
        whole = window_samples(self.aligned)
        return [
            Audio(overlap_add(own, length, whole)[None], self.rate) for own, length in zip(waves, lengths, strict=True)
        ]

    def _words(self, layers: Tokens) -> NDArray[np.float32]:
        """Codewords ``[time, 2 * width]`` of tokens ``[2, time]``."""
        import torch

        with torch.inference_mode():
            tokens = torch.from_numpy(np.ascontiguousarray(layers.T)).to(self.device)
            return np.asarray(self.coder.codewords(tokens).cpu().numpy())

    def _load(self) -> None:
        import torch

        from systems import _semanticodec_files as files

        self.device = self.spec.device
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise BenchError(
                f"device {self.device!r} is not available", "torch sees no CUDA device", "use --device cpu"
            )
        stack = self.geometry.stack
        with quiet():
            if self.spec.untrained:
                self.coder, self.decoder = files.untrained_coder(stack, self.vocab), files.untrained_decoder(stack)
            else:
                folder = weights_folder(self.spec)
                self.coder = files.read_coder(folder, stack, self.vocab)
                self.decoder = files.read_decoder(folder, stack, self.vocab)
            for model in (self.coder, self.decoder.unet, self.decoder.vae, self.decoder.vocoder):
                model.requires_grad_(False).eval().to(self.device)
            if self.precision != "float32":
                self.decoder.unet.to(getattr(torch, self.precision))

    def _check(self, fine: bool, key: str, wanted: str) -> None:
        if not fine:
            raise BenchError(f"{key} of {self.spec.label} must be {wanted}", f"{self.spec.settings[key]!r}")
