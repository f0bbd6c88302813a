"""EnCodec at 24 kHz and at 48 kHz in stereo: the official weights in transformers' class, chunks as the original's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmbench.audio.arrays import Tokens
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Stream
from ldmbench.systems.latent.keys import Renaming, renamed
from ldmbench.systems.latent.settings import check_setting
from ldmbench.systems.neural_codecs.network import (
    NeuralCodec,
    drawn,
    excerpt,
    fill_codebook,
    folded,
    frame_bits,
    refuse_empty,
    unnormalised,
    whole_bytes,
)
from ldmbench.weights.tensors import fit, read_tensors, seeded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import EncodecModel

#: Names in the original -> in transformers' class.
KEYS: tuple[Renaming, ...] = (
    (r"^(encoder|decoder)\.model\.", r"\1.layers."),
    (r"\.(conv|convtr)\.\1\.", ".conv."),
    (r"\.(conv|convtr)\.norm\.", ".norm."),
    (r"^quantizer\.vq\.layers\.(\d+)\._codebook\.", r"quantizer.layers.\1.codebook."),
)

#: The file, rate, channels and bitrates of each model.
FILES = {"24khz": "encodec_24khz-d7cc33bc.th", "48khz": "encodec_48khz-7e698e3e.th"}
RATES = {"24khz": 24_000, "48khz": 48_000}
KBPS = {"24khz": (1.5, 3.0, 6.0, 12.0, 24.0), "48khz": (3.0, 6.0, 12.0, 24.0)}

#: At 48 kHz: samples of a chunk, from one chunk to the next, and bits of a chunk's scale.
CHUNK, STRIDE, SCALE_BITS = 48_000, 47_520, 32


class Encodec(NeuralCodec):
    """The official weights in transformers' ``EncodecModel``; tokens and sound equal the original package's.

    At 24 kHz mono and causal, the whole clip at once. At 48 kHz stereo, in chunks of 1 s that overlap by 10 ms, each
    divided by its level, which is transmitted in 32 bits; a mono clip is coded as two equal channels, whose mean is the
    output. The loop over chunks is our own: both the original and transformers fail where the last chunk is 161 to 320
    samples long, transformers also below that, and its feature extractor pads the last chunk, which changes its level
    and so its tokens.

    Bits are those of the tokens, and of the levels. The header of an ``.ecdc`` file (67 or 68 bytes) is not counted;
    its language model, which codes the same tokens in fewer bits, is not used.

    Settings: ``model`` ``24khz`` or ``48khz``; ``kbps`` one of those the model was trained for.

    Source: Défossez et al. 2022 (arXiv:2210.13438); facebookresearch/encodec 0e2d0ae, ``model.py``.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.kind, self.kbps = str(spec.settings["model"]), float(spec.settings["kbps"])
        check_setting(spec, "model", self.kind in FILES, " or ".join(FILES))
        rates = ", ".join(f"{rate:g}" for rate in KBPS[self.kind])
        check_setting(spec, "kbps", self.kbps in KBPS[self.kind], f"one of {rates} for {self.kind}")
        if self.kind == "48khz" and "loss" in spec.settings:
            raise BenchError(
                f"{spec.label} has no packets that could be lost", "chunks of a second with a level each",
                "use a variant at 24 kHz",
            )  # fmt: skip
        self.hop = 320
        super().__init__(spec)
        self.rate = RATES[self.kind]
        self.channels = (1,) if self.kind == "24khz" else (1, 2)
        self.sizes = (1024,) * round(self.kbps * 1000 / 10 / (self.rate / self.hop))

    @property
    def nominal_kbps(self) -> float:
        """As its authors name it: without the levels and what chunks share."""
        return self.kbps

    def network(self) -> EncodecModel:
        """The network; of 24 kHz its weight normalisation is worked out."""
        if self.spec.untrained:
            return untrained(self.kind)
        path = self.spec.weights_folder() / FILES[self.kind]
        model = build(self.kind)
        state = {renamed(key, KEYS): value for key, value in folded(read_tensors(path)).items()}
        fit(model, state, path, f"EnCodec {self.kind}")
        return model

    def encode(self, audio: Audio) -> Stream:
        """Tokens ``[layers, frames]``, at 48 kHz of one chunk after the other, with a level for each.

        Raises:
            BenchError: If the clip has no sample left at the codec's rate.
        """
        if self.kind == "24khz":
            return super().encode(audio)
        coded = [self._chunk(chunk) for chunk in chunks(audio)]
        codes = np.concatenate([tokens for tokens, _ in coded], axis=1)
        side = SCALE_BITS * len(coded)
        # Each chunk can be decoded on its own: it ends with a whole byte.
        bits = side + sum(whole_bytes(tokens.shape[1] * frame_bits(self.sizes)) for tokens, _ in coded)
        payload = coded, audio.length, audio.channels
        return Stream(payload, bits, codes, self.sizes, side, self.nominal_kbps)

    def decode(self, stream: Stream) -> Audio:
        """The sound of the tokens, cut to the length that was coded."""
        if self.kind == "24khz":
            return super().decode(stream)
        import torch

        coded, length, channels = stream.payload
        with torch.inference_mode():
            sounds = [self._unchunk(tokens, scale) for tokens, scale in coded]
            wave = overlap_added(sounds)[:, :length].cpu().numpy()
        sound = Audio(np.ascontiguousarray(wave), self.rate).fit(length)
        return sound.mono() if channels == 1 else sound

    def tokens(self, sound: Tensor) -> Tensor:
        """Tokens of the whole sound, ``[layers, ceil(time / 320)]``."""
        codes: Tensor = self.model.quantizer.encode(self.model.encoder(sound), self.kbps)[:, 0]
        return codes

    def sound(self, tokens: Tensor) -> Tensor:
        """The sound of all frames, ``frames * 320`` samples."""
        wave: Tensor = self.model.decoder(self.model.quantizer.decode(tokens[:, None]))[0, 0]
        return wave

    def words(self, tokens: Tensor) -> list[Tensor]:
        """Codewords ``[128, frames]`` of each layer."""
        return [layer.decode(row[None])[0] for layer, row in zip(self.model.quantizer.layers, tokens, strict=False)]

    def _codes(self, audio: Audio) -> Tokens:
        if self.kind == "24khz":
            return super()._codes(audio)
        return np.concatenate([self._chunk(chunk)[0] for chunk in chunks(audio)], axis=1)

    def _chunk(self, chunk: Audio) -> tuple[Tokens, float]:
        """Tokens and level of a stereo chunk."""
        import torch

        refuse_empty(chunk, self.spec.label)
        with torch.inference_mode():
            sound = torch.tensor(chunk.samples[None], device=self.device)
            mono = sound.sum(1, keepdim=True) / sound.shape[1]
            scale = mono.pow(2).mean(dim=-1, keepdim=True).sqrt() + 1e-8
            codes = self.tokens(sound / scale).cpu().numpy()
        return codes.astype(np.int64), float(scale)

    def _unchunk(self, tokens: Tokens, scale: float) -> Tensor:
        import torch

        codes = torch.from_numpy(tokens).to(self.device)
        wave: Tensor = self.model.decoder(self.model.quantizer.decode(codes[:, None]))[0]
        return wave * torch.tensor(scale, device=wave.device)


def chunks(audio: Audio) -> list[Audio]:
    """A sound at 48 kHz in stereo chunks of 1 s, every 0.99 s; the last is as long as it is."""
    stereo = audio.with_channels(2).samples
    starts = range(0, max(1, stereo.shape[1]), STRIDE)
    return [Audio(np.ascontiguousarray(stereo[:, start : start + CHUNK]), audio.rate) for start in starts]


def overlap_added(sounds: Sequence[Tensor]) -> Tensor:
    """Decoded chunks ``[channels, time]`` joined by triangular weights.

    The sum is as long as the furthest end of a chunk: the one before the last may reach further than the last.
    """
    import torch

    first = sounds[0]
    length = max(STRIDE * index + sound.shape[-1] for index, sound in enumerate(sounds))
    ramp = torch.linspace(0, 1, first.shape[-1] + 2, device=first.device)[1:-1]
    weight = 0.5 - (ramp - 0.5).abs()
    total, weights = first.new_zeros(first.shape[0], length), first.new_zeros(length)
    for index, sound in enumerate(sounds):
        span = slice(STRIDE * index, STRIDE * index + sound.shape[-1])
        total[:, span] += weight[: sound.shape[-1]] * sound
        weights[span] += weight[: sound.shape[-1]]
    return total / weights


def build(kind: str) -> EncodecModel:
    """The network of a model with transformers' own initialisation and zero codebooks."""
    from transformers import EncodecConfig, EncodecModel

    stereo: dict[str, Any] = {
        "target_bandwidths": list(KBPS["48khz"]), "sampling_rate": 48_000, "audio_channels": 2, "normalize": True,
        "norm_type": "time_group_norm", "use_causal_conv": False,
    }  # fmt: skip
    config = EncodecConfig(**(stereo if kind == "48khz" else {}))
    return unnormalised(seeded(lambda: EncodecModel(config)))


def untrained(kind: str) -> EncodecModel:
    """The network in full size with seeded weights, its codebooks filled from what its encoder makes of a sound."""
    import torch

    model = drawn(build(kind))
    sound = excerpt(RATES[kind])
    with torch.inference_mode():
        residual = model.encoder(sound.expand(1, model.config.audio_channels, -1))[0].T
        layers: Any = model.quantizer.layers
        for index, layer in enumerate(layers):
            fill_codebook(layer.codebook.embed, residual, index)
            residual = residual - layer.codebook.decode(layer.codebook.encode(residual))
    return model
