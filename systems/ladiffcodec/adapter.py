"""LaDiffCodec: an EnCodec-type codec whose codes condition latent diffusion in a continuous autoencoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Signal
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.host.device import check_device
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Codec, Stream
from ldmbench.system.protocol import Output
from ldmbench.systems.latent.parts import for_inference, parameters
from ldmbench.systems.latent.settings import PRECISIONS, check_setting

if TYPE_CHECKING:
    from torch import Tensor

    from ldmbench.systems.ladiffcodec.sampling import Draws

#: Strides by what the setting ``strides`` calls them: those of the paper's Table 1.
STRIDES = {"1": (1,), "8": (8,), "4-8": (4, 8), "4-5-8": (4, 5, 8), "2-4-5-8": (2, 4, 5, 8)}
#: Codebooks by the bitrate in kbps.
BOOKS = {1.0: 2, 1.5: 3, 3.0: 6}

_SMALL = 1e-8


class LaDiffCodec(Codec):
    """Codes of a discrete codec, decoded by midway-infilling in the latent of a continuous autoencoder.

    A clip is padded with silence to whole frames of the codec (20 ms), all of which are transmitted; the decoder
    repeats the last frame up to whole frames of the U-Net, and the output ends where the clip ends. All noise of a clip
    comes from ``clip.seed``. Clips of equal padded length go through the U-Net together, ``batch`` at a time: bit-equal
    at equal batch size on one device, otherwise up to rounding.

    As in the code, noise of a step has the posterior's variance and the last step adds none (the paper's formula has
    that of the forward step, and adds it to the end), and what is predicted clean is kept in [-1, 1].

    Settings (the paper's first, then what the released code does):
        kbps, strides: Of the discrete codec, and of the continuous encoder.
        width: Of the U-Net's first level: 128, or 256.
        causal: Whether the autoencoders look back only: false, or true.
        schedule: ``linear``, or ``cosine``.
        tau: Steps of the 1000 that are taken: 100.
        gamma: Share of the infilling branch: 0.3, or 1 (0: of plain diffusion, with ``tau`` 1000).
        algorithm: ``midway``, or ``infilling`` as a function of the code that its script leaves out does it; ``codec``
            takes the discrete codec's own decoder, and no diffusion: the paper's EnCodec at 16 kHz.
        sampler, steps, eta: ``ddpm``, or ``ddim`` with so many steps (0: all) and that share of fresh noise.
        condition: Brought to [-1, 1] by ``frame``, or as a whole (``map``).
        latent_scale: What sampled latents are multiplied by before decoding: 18, or 1.
        level: Of the output: that of the discrete ``codec``'s output, or a ``peak`` of 1; ``decoder`` leaves it.

    Source: Yang et al. 2024 (arXiv:2311.08330); for what the released code does: haiciyang/LaDiffCodec, 1e2d6a0.
    """

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        self._check(spec)
        from ldmbench.systems.ladiffcodec.files import Shape
        from ldmbench.systems.ladiffcodec.sampling import Steps

        settings = spec.settings
        self.shape = Shape(
            BOOKS[float(settings["kbps"])],
            STRIDES[str(settings["strides"])],
            int(settings["width"]),
            bool(settings["causal"]),
        )
        self.schedule, self.algorithm = str(settings["schedule"]), str(settings["algorithm"])
        sampler, tau, count = str(settings["sampler"]), int(settings["tau"]), int(settings["steps"])
        self.steps = Steps.of(self.schedule, sampler, tau, count, float(settings["eta"]))
        self.gamma, self.level = float(settings["gamma"]), str(settings["level"])
        self.whole_map, self.latent_scale = settings["condition"] == "map", float(settings["latent_scale"])
        self.batch = int(settings["batch"])
        self._load()

    def encode(self, audio: Audio) -> Stream:
        """Codes ``[books, frames]``, each worth 10 bits."""
        import torch

        from ldmbench.systems.ladiffcodec.seanet import ENTRIES

        frames = -(-audio.length // self.hop)
        with torch.inference_mode():
            wave = torch.tensor(audio.fit(frames * self.hop).samples, device=self.device)
            codes = self.models.codec.quantise(self.models.codec.encode(wave))
        tokens = codes[0].cpu().numpy().astype(np.int64)
        bits, sizes = tokens.size * (ENTRIES.bit_length() - 1), (ENTRIES,) * len(tokens)
        return Stream(tokens, bits, tokens, codebooks=sizes, nominal_kbps=float(self.spec.settings["kbps"]))

    def decode(self, stream: Stream, seed: int = 0) -> Audio:
        """The sound of the codes alone, with the noise of ``seed``; as long as their frames."""
        return self._decoded([stream], [seed], [stream.payload.shape[1] * self.hop])[0]

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the decoded clips with their bits and tokens; clips of equal padded length are sampled together."""
        adapted = [self.adapt(clip.input) for clip in clips]
        streams = [self.encode(audio) for audio, _ in adapted]
        decoded = self._decoded(streams, [clip.seed for clip in clips], [audio.length for audio, _ in adapted])
        for (_, details), stream, audio in zip(adapted, streams, decoded, strict=True):
            yield stream.output(audio, details)

    def embed(self, clips: Sequence[Clip]) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """Means over time: sums of ``all`` codewords, those of the ``first`` book, and the ``continuous`` latent."""
        import torch

        for clip in clips:
            audio, _ = self.adapt(clip.audio)
            with torch.inference_mode():
                codes = torch.from_numpy(self.encode(audio).payload)[None].to(self.device)
                wave = torch.tensor(audio.samples, device=self.device)
                layers = {
                    "all": self.models.codec.sums(codes),
                    "first": self.models.codec.sums(codes[:, :1]),
                    "continuous": self.models.continuous.encode(wave),
                }
                yield {name: np.asarray(layer[0].mean(dim=-1).cpu().numpy()) for name, layer in layers.items()}

    @property
    def hop(self) -> int:
        """Samples of a transmitted frame."""
        from ldmbench.systems.ladiffcodec.seanet import HOP

        return HOP

    def condition(self, words: Tensor) -> Tensor:
        """Sums of codewords ``[n, 128, codec frames]`` at the frame rate of the latent, in [-1, 1]."""
        raised = self.models.unet.upsampled(words.to(self._dtype)).float()
        axes = (1, 2) if self.whole_map else (1,)
        return raised / (raised.abs().amax(dim=axes, keepdim=True) + _SMALL)

    def latents(self, condition: Tensor, draws: Sequence[Draws]) -> Tensor:
        """Sampled latents of scaled conditions ``[n, 128, frames]``, with the ``Draws`` of each."""
        import torch

        from ldmbench.systems.ladiffcodec.sampling import midway_infilling, released_infilling

        def predict(x: Tensor, time: int, seen: Tensor) -> Tensor:
            times = torch.full((len(x),), time, device=x.device)
            noise: Tensor = self.models.unet(x.to(self._dtype), times, seen.to(self._dtype))
            return noise

        sample = midway_infilling if self.algorithm == "midway" else released_infilling
        return sample(predict, self.steps, condition, draws, self.gamma)

    def _decoded(self, streams: Sequence[Stream], seeds: Sequence[int], lengths: Sequence[int]) -> list[Audio]:
        """Sounds of ``lengths`` samples."""
        import torch

        from ldmbench.systems.ladiffcodec.sampling import Draws

        padded = [-(-stream.payload.shape[1] * self.hop // self.shape.block) * self.shape.block for stream in streams]
        groups: dict[int, list[int]] = {}
        for index, length in enumerate(padded):
            groups.setdefault(length, []).append(index)
        sounds: dict[int, Audio] = {}
        with torch.inference_mode():
            for length, members in groups.items():
                for first in range(0, len(members), self.batch):
                    part = members[first : first + self.batch]
                    codes = [torch.from_numpy(streams[index].payload).to(self.device) for index in part]
                    words = torch.stack([self._words(one, length) for one in codes])
                    coarse = self.models.codec.decode(words) if "codec" in (self.level, self.algorithm) else None
                    if self.algorithm == "codec":
                        waves = coarse
                    else:
                        draws = [Draws.seeded(seeds[index], self.algorithm == "infilling") for index in part]
                        latents = self.latents(self.condition(words), draws)
                        waves = self.models.continuous.decode(latents * self.latent_scale)
                    for place, index in enumerate(part):
                        heard = [wave[place, : lengths[index]] for wave in (waves, coarse) if wave is not None]
                        sounds[index] = Audio(self._levelled(*heard)[None], self.rate)
        return [sounds[index] for index in range(len(streams))]

    def _words(self, codes: Tensor, length: int) -> Tensor:
        """Sums of codewords ``[128, frames]`` of ``codes`` ``[books, frames]``, the last one repeated."""
        import torch

        words = self.models.codec.sums(codes[None])[0]
        more = length // self.hop - words.shape[-1]
        return torch.cat([words, words[:, -1:].expand(-1, more)], dim=1) if more else words

    def _levelled(self, wave: Tensor, coarse: Tensor | None = None) -> Signal:
        """A waveform at the level that is asked for; ``coarse`` is the discrete codec's output."""
        if self.level == "codec" and coarse is not None:
            wave = wave * (coarse.square().mean() / (wave.square().mean() + _SMALL**2)).sqrt()
        elif self.level == "peak":
            # A single sample has no deviation.
            wave = wave / (wave.std(correction=int(len(wave) > 1)) + _SMALL)
            wave = wave / (wave.abs().max() + _SMALL)
        return np.asarray(wave.cpu().numpy())

    def _check(self, spec: SystemSpec) -> None:
        from ldmbench.systems.ladiffcodec import sampling as sampling

        settings = spec.settings
        choices = {
            "kbps": tuple(BOOKS), "strides": tuple(STRIDES), "schedule": sampling.SCHEDULES,
            "sampler": sampling.SAMPLERS, "algorithm": sampling.ALGORITHMS, "condition": ("frame", "map"),
            "level": ("codec", "peak", "decoder"), "precision": PRECISIONS,
        }  # fmt: skip
        for key, allowed in choices.items():
            wanted = ", ".join(f"{choice:g}" if isinstance(choice, float) else str(choice) for choice in allowed)
            check_setting(spec, key, settings[key] in allowed, f"one of {wanted}")
        tau, steps, eta = int(settings["tau"]), int(settings["steps"]), float(settings["eta"])
        check_setting(spec, "width", int(settings["width"]) >= 8 and int(settings["width"]) % 8 == 0, "a multiple of 8")
        check_setting(spec, "tau", 1 <= tau <= sampling.TRAINED, f"1 to {sampling.TRAINED}")
        check_setting(spec, "gamma", 0 <= float(settings["gamma"]) <= 1, "0 to 1")
        check_setting(spec, "latent_scale", float(settings["latent_scale"]) > 0, "above 0")
        check_setting(spec, "batch", int(settings["batch"]) >= 1, "1 or more")
        ddim = settings["sampler"] == "ddim"
        check_setting(spec, "steps", 0 <= steps <= tau if ddim else steps == 0, "0 (every step), or with ddim 1 to tau")
        check_setting(spec, "eta", 0 <= eta <= 1 if ddim else eta == 0, "0, or with ddim 0 to 1")

    def _load(self) -> None:
        import torch

        from ldmbench.systems.ladiffcodec import files as files

        self.device = self.spec.device
        check_device(self.device)
        if self.spec.untrained:
            self.models = files.untrained_models(self.shape)
        else:
            self.models = files.read_models(self.spec.weights_folder(), self.shape, self.schedule)
        #: Learned values of all parts.
        self.parameters = parameters([self.models.codec, self.models.continuous, self.models.unet])
        precision = str(self.spec.settings["precision"])
        self._dtype = getattr(torch, precision)
        for_inference(self.models.codec, self.device)
        for_inference(self.models.continuous, self.device)
        for_inference(self.models.unet, self.device, precision)
