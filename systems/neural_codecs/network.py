"""What neural codecs share: tokens of one sound, their bits, embeddings, and random weights under which they vary."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Tokens
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host.device import check_device
from ldmbench.system.card import SystemSpec
from ldmbench.system.channel import repeated
from ldmbench.system.codec import Codec, Stream
from ldmbench.systems.latent.parts import for_inference, parameters
from ldmbench.systems.latent.settings import quiet

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

M = TypeVar("M", bound="Module")


class NeuralCodec(Codec):
    """Base of codecs whose network turns a mono sound into tokens of a few codebooks, and back.

    A sound with more channels is mixed down. Tokens are packed into whole bytes; nothing else is transmitted. The
    sound is padded and cut to the sample.

    Subclasses set ``rate``, ``hop`` and ``sizes`` and write ``network``, ``tokens``, ``sound`` and ``words``.
    """

    #: Samples between two frames of tokens.
    hop: int
    #: How many codes each layer has.
    sizes: tuple[int, ...]

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec)
        self.device = check_device(spec.device)
        with quiet():
            self.model = self.network()
            #: Learned values, codebooks included.
            self.parameters = parameters([self.model]) + codebook_values(self.model)
            for_inference(self.model, self.device)

    def network(self) -> Any:
        """The network with the official weights, or with random ones where the system is untrained."""
        raise NotImplementedError

    def tokens(self, sound: Tensor) -> Tensor:
        """Tokens ``[layers, frames]`` of a sound ``[1, 1, time]`` at ``rate``."""
        raise NotImplementedError

    def sound(self, tokens: Tensor) -> Tensor:
        """The sound ``[time]`` of tokens ``[layers, frames]``; about ``frames * hop`` samples."""
        raise NotImplementedError

    def words(self, tokens: Tensor) -> list[Tensor]:
        """What each layer's tokens add to what the decoder gets, ``[dim, frames]`` each."""
        raise NotImplementedError

    @property
    def nominal_kbps(self) -> float:
        """Frames a second times the bits of a frame: what is claimed."""
        return self.rate / self.hop * frame_bits(self.sizes) / 1000

    def encode(self, audio: Audio) -> Stream:
        """Tokens ``[layers, frames]``, packed into whole bytes.

        Raises:
            BenchError: If the clip has no sample left at the codec's rate.
        """
        codes = self._codes(audio)
        bits = whole_bytes(codes.shape[1] * frame_bits(self.sizes))
        return Stream((codes, audio.length), bits, codes, self.sizes, nominal_kbps=self.nominal_kbps)

    def decode(self, stream: Stream) -> Audio:
        """The sound of the tokens, as long as the one that was coded."""
        import torch

        codes, length = stream.payload
        with torch.inference_mode():
            wave = self.sound(torch.from_numpy(codes).to(self.device)).float().cpu().numpy()
        return Audio(np.ascontiguousarray(wave[None]), self.rate).fit(length)

    def packets(self, stream: Stream) -> int:
        """One for each frame of tokens."""
        codes, _ = stream.payload
        return int(codes.shape[1])

    def receive(self, stream: Stream, lost: NDArray[np.bool_]) -> Audio:
        """Decode with the last frame that arrived in place of lost ones; before the first, with the first that does.

        No codec here was trained to conceal: this is the least that a receiver can do without another network.
        """
        codes, length = stream.payload
        shown = repeated(np.asarray(lost))
        if np.all(lost):
            return Audio(np.zeros((1, length), np.float32), self.rate)
        shown = np.where(shown < 0, int(np.argmin(lost)), shown)
        return self.decode(replace(stream, payload=(codes[:, shown], length)))

    def embed(self, clips: Sequence[Clip]) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """Means over time of what the decoder gets: of ``all`` layers, and of the ``first`` alone."""
        import torch

        for clip in clips:
            codes = torch.from_numpy(self._codes(self.adapt(clip.audio)[0])).to(self.device)
            with torch.inference_mode():
                means = [words.double().mean(dim=1) for words in self.words(codes)]
                layers = {"all": torch.stack(means).sum(dim=0), "first": means[0]}
            yield {name: layer.float().cpu().numpy() for name, layer in layers.items()}

    def _codes(self, audio: Audio) -> Tokens:
        import torch

        refuse_empty(audio, self.spec.label)
        with torch.inference_mode():
            codes = self.tokens(torch.tensor(audio.samples[None], device=self.device))
        return codes.cpu().numpy().astype(np.int64)


def frame_bits(sizes: Sequence[int]) -> int:
    """Bits of one token of every layer, each in as many as its codebook needs."""
    return sum((size - 1).bit_length() for size in sizes)


def whole_bytes(bits: int) -> int:
    """``bits`` up to the next byte."""
    return -(-bits // 8) * 8


def refuse_empty(audio: Audio, label: str) -> None:
    """A clip of a sample or two may have none left at a lower rate.

    Raises:
        BenchError: If ``audio`` has no samples.
    """
    if audio.length == 0:
        raise BenchError(f"the clip is too short for {label}", f"no sample left at {audio.rate} Hz", "leave it out")


def padded(sound: Tensor, multiple: int) -> Tensor:
    """``sound`` with zeros behind it, up to a multiple of so many samples."""
    from torch.nn.functional import pad

    return pad(sound, (0, -sound.shape[-1] % multiple))


def codebook_values(model: Module) -> int:
    """Values of codebooks that are buffers: learned, though by counting."""
    return sum(value.numel() for name, value in model.named_buffers() if name.endswith((".embed", ".embed_sum")))


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dictionary with weight normalisation worked out: ``weight_g`` and ``weight_v`` become ``weight``.

    With torch's own function over all axes but the first, as at every forward pass of the original: bit-equal.
    """
    import torch

    plain = {key: value for key, value in state.items() if not key.endswith(("weight_g", "weight_v"))}
    for key, value in state.items():
        if key.endswith("weight_v") and (gain := state.get(f"{key[:-1]}g")) is not None:
            plain[key.removesuffix("_v")] = torch._weight_norm(value, gain, 0)
        elif key.endswith("weight_v") or (key.endswith("weight_g") and f"{key[:-1]}v" not in state):
            plain[key] = value  # Half of a pair: loading names it.
    return plain


def unnormalised(model: M) -> M:
    """``model`` with its weight normalisation taken away, so that it has the keys of ``folded``."""
    from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

    for module in model.modules():
        if is_parametrized(module, "weight"):
            remove_parametrizations(module, "weight")
    return model


def drawn(model: M, gain: float = 1.0) -> M:
    """``model`` with a seeded value for every weight, drawn from its name: of unit gain, so that its output is heard.

    Biases are small, scales about one. Buffers stay as they are.
    """
    import torch

    with torch.no_grad():
        for name, value in model.named_parameters():
            generator = torch.Generator("cpu").manual_seed(zlib.crc32(name.encode()))
            if value.ndim > 1 and max(value.shape) < value.numel():
                value.normal_(0.0, gain / math.sqrt(math.prod(value.shape[1:])), generator=generator)
            elif name.endswith(("weight", "alpha")):
                value.normal_(1.0, 0.1, generator=generator)
            else:
                value.normal_(0.0, 0.05, generator=generator)
    return model.eval()


def excerpt(rate: int, seconds: float = 1.0) -> Tensor:
    """A seeded sound ``[1, 1, time]`` to fill codebooks from: noise in bursts, and tones."""
    import torch

    generator = torch.Generator("cpu").manual_seed(0)
    time = torch.arange(round(rate * seconds)) / rate
    noise = torch.randn(len(time), generator=generator)
    tones = torch.sin(2 * math.pi * 220 * time) + torch.sin(2 * math.pi * (300 + 900 * time) * time)
    return (0.1 * noise * (torch.sin(2 * math.pi * 3 * time) > 0) + 0.2 * tones)[None, None]


def fill_codebook(book: Tensor, frames: Tensor, seed: int) -> None:
    """Fill a codebook ``[size, dim]`` with points about as the ``frames`` ``[n, dim]`` that it shall tell apart."""
    import torch

    generator = torch.Generator("cpu").manual_seed(seed)
    centre, spread = frames.mean(dim=0), frames.std(dim=0)
    book.copy_(centre + spread * torch.randn(book.shape, generator=generator))
