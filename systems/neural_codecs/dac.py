"""The Descript Audio Codec at 16, 24 and 44.1 kHz: the official weights in transformers' class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Stream
from ldmbench.systems.latent.keys import Renaming, renamed
from ldmbench.systems.latent.settings import check_setting
from ldmbench.systems.neural_codecs.network import NeuralCodec, drawn, excerpt, folded, padded
from ldmbench.weights.record import CheckpointError
from ldmbench.weights.tensors import as_tensors, fitted, read_checkpoint, seeded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import DacModel

#: What the constructor of the original takes where its file does not say.
DEFAULTS: Mapping[str, Any] = {
    "encoder_dim": 64, "encoder_rates": [2, 4, 8, 8], "latent_dim": None, "decoder_dim": 1536,
    "decoder_rates": [8, 8, 4, 2], "n_codebooks": 9, "codebook_size": 1024, "codebook_dim": 8, "sample_rate": 44_100,
}  # fmt: skip


@dataclass(frozen=True)
class Release:
    """A released model: its file, and how it was built."""

    file: str
    rate: int
    ratios: tuple[int, ...]
    books: int
    latent: int = 1024

    @property
    def constructor(self) -> dict[str, Any]:
        """Arguments of the original's constructor that are not its defaults."""
        return {
            "encoder_rates": list(self.ratios), "decoder_rates": list(self.ratios[::-1]), "n_codebooks": self.books,
            "sample_rate": self.rate, "latent_dim": self.latent,
        }  # fmt: skip


#: Releases 0.0.5, 0.0.4, 0.0.1 and 1.0.0. The files' names do not say what all books together take: 6, 24, 7.8, 15.5.
RELEASES = {
    "16khz": Release("weights_16khz.pth", 16_000, (2, 4, 5, 8), 12),
    "24khz": Release("weights_24khz.pth", 24_000, (2, 4, 5, 8), 32),
    "44khz": Release("weights.pth", 44_100, (2, 4, 8, 8), 9),
    "44khz-16kbps": Release("weights_44khz_16kbps.pth", 44_100, (2, 4, 8, 8), 18, 128),
}


class Dac(NeuralCodec):
    """The official weights in transformers' ``DacModel``; tokens and sound equal the original package's.

    It is the package's ``encode`` and ``decode`` over the whole clip, padded behind to whole frames (transformers does
    not pad, and drops the last frame), and cut. Its ``compress`` is another codec: it codes windows, changes the level,
    and sent 12.2 kbps where 6 were meant. Nothing is normalised.

    Settings: ``model``, one of the four releases; ``codebooks``, how many of its codebooks are used (it was trained
    with fewer at random); ``channels`` ``mix`` (mixed down) or ``each``: every channel is coded by itself, in as many
    bits.

    Source: Kumar et al. 2023 (arXiv:2306.06546); descriptinc/descript-audio-codec c7cfc5d, ``dac/model/dac.py``.
    """

    def __init__(self, spec: SystemSpec) -> None:
        kind, self.books = str(spec.settings["model"]), int(spec.settings["codebooks"])
        check_setting(spec, "model", kind in RELEASES, " or ".join(RELEASES))
        self.release = RELEASES[kind]
        check_setting(spec, "codebooks", 1 <= self.books <= self.release.books, f"1 to {self.release.books} for {kind}")
        each = str(spec.settings["channels"])
        check_setting(spec, "channels", each in ("mix", "each"), "mix or each")
        super().__init__(spec)
        self.each = each == "each"
        self.rate = self.release.rate
        self.hop = self.model.config.hop_length
        self.sizes = (self.model.config.codebook_size,) * self.books

    def network(self) -> DacModel:
        """The network, its weight normalisation worked out."""
        if self.spec.untrained:
            return untrained(self.release)
        return read_model(self.spec.weights_folder() / self.release.file, self.release, self.spec.label)

    def adapt(self, audio: Audio) -> tuple[Audio, dict[str, Any]]:
        """As for every codec; with ``channels=each`` no channel is mixed with another."""
        self.channels = tuple(range(1, audio.channels + 1)) if self.each else (1,)
        return super().adapt(audio)

    def encode(self, audio: Audio) -> Stream:
        """Tokens ``[layers, frames]``, of one channel after the other."""
        if audio.channels == 1:
            return super().encode(audio)
        import numpy as np

        parts = [super(Dac, self).encode(Audio(row[None], audio.rate)) for row in audio.samples]
        tokens = np.concatenate([cast(Any, part.tokens) for part in parts])
        bits, sizes = sum(part.bits for part in parts), self.sizes * len(parts)
        return Stream(parts, bits, tokens, sizes, nominal_kbps=self.nominal_kbps * len(parts))

    def decode(self, stream: Stream) -> Audio:
        """The sound of the tokens, as long as the one that was coded."""
        if not isinstance(stream.payload, list):
            return super().decode(stream)
        return Audio.of([super(Dac, self).decode(part).samples[0] for part in stream.payload], self.rate)

    def packets(self, stream: Stream) -> int:
        """One for each frame of tokens, of all channels together."""
        return super().packets(stream.payload[0] if isinstance(stream.payload, list) else stream)

    def receive(self, stream: Stream, lost: NDArray[np.bool_]) -> Audio:
        """As of every neural codec, channel by channel."""
        if not isinstance(stream.payload, list):
            return super().receive(stream, lost)
        return Audio.of([super(Dac, self).receive(part, lost).samples[0] for part in stream.payload], self.rate)

    def tokens(self, sound: Tensor) -> Tensor:
        """Tokens of the sound up to a whole frame, ``[layers, ceil(time / hop)]``."""
        codes: Tensor = self.model.encode(padded(sound, self.hop), n_quantizers=self.books).audio_codes[0]
        return codes

    def sound(self, tokens: Tensor) -> Tensor:
        """From tokens, not from the encoder's sum of codewords (rounding differs); 16 and 24 kHz lack 8 samples."""
        wave: Tensor = self.model.decode(audio_codes=tokens[None]).audio_values[0]
        return wave

    def words(self, tokens: Tensor) -> list[Tensor]:
        """Codewords ``[latent, frames]`` of each layer, projected as the decoder gets them."""
        books = self.model.quantizer.quantizers
        return [
            book.out_proj(book.codebook(row[None]).transpose(1, 2))[0] for book, row in zip(books, tokens, strict=False)
        ]


def names(stages: int) -> tuple[Renaming, ...]:
    """Names in the original -> in transformers' class, for a network of so many strides."""
    inside = {"0": "snake1", "1": "conv1", "2": "snake2", "3": "conv2"}

    def residual(coder: str, first: int) -> Renaming:
        """A residual unit; those of the encoder come first in their block, of the decoder third."""
        pattern = rf"^{coder}\.block\.(\d+)\.block\.([{first}-{first + 2}])\.block\.([0-3])\."

        def name(match: re.Match[str]) -> str:
            unit = int(match[2]) - first + 1
            return f"{coder}.block.{int(match[1]) - 1}.res_unit{unit}.{inside[match[3]]}."

        return pattern, name

    def block(coder: str, parts: Mapping[int, str]) -> list[Renaming]:
        """What stands beside the residual units of a block."""

        def name(part: str, match: re.Match[str]) -> str:
            return f"{coder}.block.{int(match[1]) - 1}.{part}."

        pattern = rf"^{coder}\.block\.(\d+)\.block\.{{}}\."
        return [(pattern.replace("{}", str(number)), partial(name, part)) for number, part in parts.items()]

    return (
        (r"^decoder\.model\.", "decoder.block."),
        *((rf"^{coder}\.block\.0\.(?!block)", f"{coder}.conv1.") for coder in ("encoder", "decoder")),
        *((rf"^{coder}\.block\.{stages + 1}\.", f"{coder}.snake1.") for coder in ("encoder", "decoder")),
        *((rf"^{coder}\.block\.{stages + 2}\.", f"{coder}.conv2.") for coder in ("encoder", "decoder")),
        residual("encoder", 0),
        residual("decoder", 2),
        *block("encoder", {3: "snake1", 4: "conv1"}),
        *block("decoder", {0: "snake1", 1: "conv_t1"}),
    )


def read_model(path: Path, release: Release, label: str) -> DacModel:
    """The network that a ``.pth`` of the original describes and holds.

    Raises:
        BenchError: If it is no such file, describes a network of another rate or fewer books, or does not fit.
    """
    content = read_checkpoint(path)
    try:
        arguments = {**DEFAULTS, **content["metadata"]["kwargs"]}
    except (KeyError, TypeError):
        raise CheckpointError(
            f"{path} is no file of DAC", "no metadata.kwargs in it", "use the official file"
        ) from None
    own = arguments["sample_rate"], arguments["n_codebooks"]
    if own != (release.rate, release.books):
        says = f"it has {own[0]} Hz and {own[1]} codebooks, not {release.rate} and {release.books}"
        raise CheckpointError(f"{path} is not the file of {label}", says, "use the official file")
    table = names(len(arguments["encoder_rates"]))
    state = folded(as_tensors(content.get("state_dict"), path))
    stock = {renamed(key, table): value for key, value in state.items()}
    return fitted(lambda: build(arguments), stock, path, "DAC")


def build(arguments: Mapping[str, Any]) -> DacModel:
    """Transformers' network for arguments of the original's constructor.

    Raises:
        BenchError: If transformers has no such network.
    """
    from transformers import DacConfig, DacModel

    down, up = list(arguments["encoder_rates"]), list(arguments["decoder_rates"])
    if up != down[::-1]:
        raise BenchError("DacModel has no such network", f"rates {down} down and {up} up", "use the official file")
    config = DacConfig(
        encoder_hidden_size=arguments["encoder_dim"],
        downsampling_ratios=down,
        decoder_hidden_size=arguments["decoder_dim"],
        n_codebooks=arguments["n_codebooks"],
        codebook_size=arguments["codebook_size"],
        codebook_dim=arguments["codebook_dim"],
        sampling_rate=arguments["sample_rate"],
    )
    if arguments["latent_dim"]:
        # The configuration computes it from the encoder's width, whatever it is given.
        config.hidden_size = arguments["latent_dim"]
    return DacModel(config)


def untrained(release: Release) -> DacModel:
    """The network of a release in full size with seeded weights, under which it neither saturates nor is silent."""
    import torch

    model: Any = drawn(seeded(lambda: build({**DEFAULTS, **release.constructor})))
    limit, model.decoder.tanh = model.decoder.tanh, torch.nn.Identity()
    with torch.inference_mode():
        codes = model.encode(padded(excerpt(release.rate, 0.1), model.config.hop_length)).audio_codes
        loudness = model.decode(audio_codes=codes).audio_values.std()
    model.decoder.tanh = limit
    model.decoder.conv2.weight.data *= 0.2 / loudness
    network: DacModel = model
    return network
