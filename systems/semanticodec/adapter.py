"""SemantiCodec: semantic k-means tokens of AudioMAE and acoustic tokens, decoded by latent diffusion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Tokens
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.host.device import check_device
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Codec, Stream
from ldmbench.system.protocol import Output
from ldmbench.systems.latent.compiled import compiled
from ldmbench.systems.latent.parts import for_inference, parameters
from ldmbench.systems.latent.settings import check_sampling, check_setting, quiet

if TYPE_CHECKING:
    from torch import Tensor

    from ldmbench.systems.latent.v_diffusion import Noise


@dataclass(frozen=True, eq=False)
class _Job:
    """A window to decode: whose it is and which, its tokens, its noise, and how many samples of it are heard."""

    owner: int
    index: int
    last: bool
    span: slice
    noise: Noise
    samples: int


class SemantiCodec(Codec):
    """The official weights in stock U-Net, autoencoder and vocoder modules; tokens equal the reference's.

    Sound is coded in windows of 10.24 s and decoded in windows that overlap by 0.64 s; the windows of all clips of
    a batch go through the models together, ``batch`` at a time. All noise of a window comes from ``clip.seed`` and its
    number. Bit-equal at equal batch size on one device; otherwise up to rounding, which may flip a token where two are
    equally near.

    Differences from the reference: several channels are mixed down (it takes the first), soxr resamples, and the
    output ends where the clip ends.

    Settings: ``steps`` of DDIM, a divisor of 1000; ``cfg`` guidance scale; ``eta``, the share of fresh noise in a
    step; ``aligned`` drops the 2 ms that every window after the first comes later in the reference; ``precision`` of
    the U-Net (float16 and bfloat16 change the sound, not the tokens); ``batch``, windows at once; ``compile`` the
    U-Net, which changes rounding and costs minutes at the first window; ``tokens_per_second`` and ``vocab`` belong to
    the variants.

    Source: Liu et al. 2024 (arXiv:2405.00233); haoheliu/SemantiCodec-inference, ``main.py``.
    """

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        from ldmbench.systems.latent.v_diffusion import check_steps
        from ldmbench.systems.semanticodec.tokens import Geometry

        settings = spec.settings
        self.steps, self.cfg, self.eta = int(settings["steps"]), float(settings["cfg"]), float(settings["eta"])
        self.aligned, self.batch = bool(settings["aligned"]), int(settings["batch"])
        self.vocab, rate = int(settings["vocab"]), int(settings["tokens_per_second"])
        check_setting(spec, "tokens_per_second", rate in (25, 50, 100), "25, 50 or 100")
        check_setting(spec, "vocab", self.vocab in (4096, 8192, 16384, 32768), "4096, 8192, 16384 or 32768")
        check_setting(spec, "batch", self.batch >= 1, "1 or more")
        check_sampling(spec)
        check_steps(self.steps)
        self.geometry = Geometry(100 // rate)
        self._load()

    def encode(self, audio: Audio) -> Stream:
        """Tokens ``[2, time]``, semantic above acoustic, worth ``log2(vocab)`` and 13 bits."""
        return self._coded([audio])[0]

    def decode(self, stream: Stream, seed: int = 0) -> Audio:
        """The sound of the tokens alone, with the noise of ``seed``; as long as their patches."""
        return self._decoded([stream], [seed], [self.samples(stream.payload.shape[1])])[0]

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the decoded clips with their bits and tokens; the windows of all clips are computed together."""
        adapted = [self.adapt(clip.input) for clip in clips]
        streams = self._coded([audio for audio, _ in adapted])
        decoded = self._decoded(streams, [clip.seed for clip in clips], [audio.length for audio, _ in adapted])
        for (_, details), stream, audio in zip(adapted, streams, decoded, strict=True):
            yield stream.output(audio, details)

    def embed(self, clips: Sequence[Clip]) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """Means over all tokens: ``all`` codewords (acoustic, semantic), the ``first`` layer's, and ``audiomae``."""
        for clip in clips:
            sums: dict[str, NDArray[np.float32]] = {}
            count = 0
            # Window by window: features and codewords take thirty times the memory of the sound.
            for _, tokens, features in self._windows([self.adapt(clip.audio)[0]]):
                words = self._words(tokens.T)
                count += len(words)
                for name, rows in (("all", words), ("first", words[:, words.shape[1] // 2 :]), ("audiomae", features)):
                    before = [sums[name][None]] if name in sums else []
                    sums[name] = np.concatenate([*before, rows]).sum(axis=0)
            yield {name: total / np.float32(count) for name, total in sums.items()}

    def samples(self, tokens: int) -> int:
        """Samples that ``tokens`` a layer stand for."""
        return int(tokens / 8 * 16 * 0.01 * self.geometry.stack * self.rate)

    def _coded(self, sounds: Sequence[Audio]) -> list[Stream]:
        """Streams of sounds."""
        from ldmbench.systems.semanticodec.tokens import ACOUSTIC

        codes: list[list[Tokens]] = [[] for _ in sounds]
        for owner, tokens, _ in self._windows(sounds):
            codes[owner].append(tokens)
        layers = [np.concatenate(windows).T for windows in codes]
        bits = self.vocab.bit_length() - 1 + ACOUSTIC.bit_length() - 1
        # As its authors count: tokens of 0.16 s patches, without what padding adds.
        nominal = 50 / self.geometry.stack * bits / 1000
        sizes = self.vocab, ACOUSTIC
        return [
            Stream(tokens, tokens.shape[1] * bits, tokens, codebooks=sizes, nominal_kbps=nominal) for tokens in layers
        ]

    def _windows(self, sounds: Sequence[Audio]) -> Iterator[tuple[int, Tokens, NDArray[np.float32]]]:
        """Of each window in turn: the number of its sound, tokens ``[time, 2]``, features ``[time, width]``."""
        import torch

        jobs = self._banks(sounds)
        while part := list(islice(jobs, self.batch)):
            owners, counts, banks = zip(*part, strict=True)
            with torch.inference_mode():
                tokens, features = self.coder(torch.stack(banks).to(self.device), list(counts))
            for owner, window, feature in zip(owners, tokens, features, strict=True):
                yield owner, window.cpu().numpy().astype(np.int64), feature.cpu().numpy()

    def _banks(self, sounds: Sequence[Audio]) -> Iterator[tuple[int, int, Tensor]]:
        """Of each window in turn: the number of its sound, how many tokens it holds, and its filterbank."""
        from ldmbench.systems.semanticodec.tokens import each_bank

        length = self.geometry.length
        for owner, sound in enumerate(sounds):
            left = self.geometry.tokens(sound.length)
            for bank in each_bank(sound.samples[0]):
                # A last window of padding may hold no token of the sound.
                if left > 0:
                    yield owner, min(left, length), bank
                left -= length

    def _decoded(self, streams: Sequence[Stream], seeds: Sequence[int], lengths: Sequence[int]) -> list[Audio]:
        """Sounds of ``lengths`` samples."""
        import torch

        from ldmbench.systems.latent.v_diffusion import seeded_noise
        from ldmbench.systems.semanticodec.decoder import add_window, window_samples

        jobs: list[_Job] = []
        for owner, (stream, seed, length) in enumerate(zip(streams, seeds, lengths, strict=True)):
            spans = self.geometry.spans(stream.payload.shape[1])
            needed = self.decoder.needed(length, len(spans), self.aligned)
            for index, (span, samples) in enumerate(zip(spans, needed, strict=True)):
                jobs.append(
                    _Job(owner, index, index == len(spans) - 1, slice(*span), seeded_noise(seed, index), samples)
                )
        joined = [np.zeros(length, np.float32) for length in lengths]
        whole = window_samples(self.aligned)
        with torch.inference_mode(), quiet():
            for first in range(0, len(jobs), self.batch):
                part = jobs[first : first + self.batch]
                words = [np.ascontiguousarray(streams[job.owner].payload.T[job.span]) for job in part]
                context, without = self.coder.condition([torch.from_numpy(word).to(self.device) for word in words])
                noises = [job.noise for job in part]
                latents = self.decoder.latents(context, without, noises, self.steps, self.cfg, self.eta)
                waves = self.decoder.sounds(latents, [job.samples for job in part])
                for job, wave in zip(part, waves, strict=True):
                    add_window(joined[job.owner], wave, job.index, job.last, whole)
        return [Audio(wave[None], self.rate) for wave in joined]

    def _words(self, layers: Tokens) -> NDArray[np.float32]:
        """Codewords ``[time, 2 * width]`` of tokens ``[2, time]``."""
        import torch

        with torch.inference_mode():
            tokens = torch.from_numpy(np.ascontiguousarray(layers.T)).to(self.device)
            return np.asarray(self.coder.codewords(tokens).cpu().numpy())

    def _load(self) -> None:
        from ldmbench.systems.semanticodec import files as files

        self.device = self.spec.device
        check_device(self.device)
        stack = self.geometry.stack
        with quiet():
            if self.spec.untrained:
                self.coder, self.decoder = files.untrained_coder(stack, self.vocab), files.untrained_decoder(stack)
            else:
                folder = self.spec.weights_folder()
                self.coder = files.read_coder(folder, stack, self.vocab)
                self.decoder = files.read_decoder(folder, stack, self.vocab)
            decoder = self.decoder
            #: Learned values of all parts that are used.
            self.parameters = parameters([self.coder, decoder.unet, decoder.vae, decoder.vocoder])
            for_inference(self.coder, self.device)
            self.decoder.to(self.device, str(self.spec.settings["precision"]))
            if self.spec.settings["compile"]:
                compiled(self.decoder.unet, self.device)
