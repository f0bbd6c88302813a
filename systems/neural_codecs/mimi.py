"""Mimi, the codec of Moshi, in transformers' class, from the folder that its authors publish for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ldmbench.system.card import SystemSpec
from ldmbench.systems.latent.parts import load_part
from ldmbench.systems.latent.settings import check_setting
from ldmbench.systems.neural_codecs.network import NeuralCodec, drawn, excerpt, fill_codebook, padded
from ldmbench.weights.tensors import seeded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import MimiModel

RATE, HOP, BOOKS, CODES = 24_000, 1920, 32, 2048


class Mimi(NeuralCodec):
    """Transformers' ``MimiModel``; the first codebook is semantic, the others code what is beside it.

    The clip is padded behind to whole frames of 1920 samples, as the package moshi does (transformers pads layer by
    layer), and cut. Papers mean 8 of the 32 codebooks, 1.1 kbps.

    Setting: ``codebooks``, 1 to 32.

    Source: Défossez et al. 2024 (arXiv:2410.00037), section 3.3; transformers, ``models/mimi``.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.books = int(spec.settings["codebooks"])
        check_setting(spec, "codebooks", 1 <= self.books <= BOOKS, f"1 to {BOOKS}")
        super().__init__(spec)
        self.hop, self.sizes = HOP, (CODES,) * self.books

    def network(self) -> MimiModel:
        """The network, from a folder of ``config.json`` and ``model.safetensors``."""
        if self.spec.untrained:
            return untrained()
        from transformers import MimiModel

        folder = self.spec.weights_folder()
        return load_part(MimiModel, folder.parent, folder.name)

    def tokens(self, sound: Tensor) -> Tensor:
        """Tokens ``[layers, ceil(time / 1920)]``."""
        codes: Tensor = self.model.encode(padded(sound, HOP), num_quantizers=self.books).audio_codes[0]
        return codes

    def sound(self, tokens: Tensor) -> Tensor:
        """The sound of all frames."""
        wave: Tensor = self.model.decode(tokens[None]).audio_values[0, 0]
        return wave

    def words(self, tokens: Tensor) -> list[Tensor]:
        """Codewords ``[512, frames]`` of each layer, projected as the decoder gets them."""
        split: Any = self.model.quantizer
        groups = split.semantic_residual_vector_quantizer, split.acoustic_residual_vector_quantizer
        layers = [(group, layer) for group in groups for layer in group.layers]
        pairs = zip(layers, tokens, strict=False)
        return [group.output_proj(layer.decode(row[None]))[0] for (group, layer), row in pairs]


def untrained() -> MimiModel:
    """The network in full size with seeded weights, its codebooks filled from what its encoder makes of a sound."""
    import torch
    from transformers import MimiConfig, MimiModel

    model: Any = drawn(seeded(lambda: MimiModel(MimiConfig())))
    split: Any = model.quantizer
    with torch.inference_mode():
        latent = model.encoder(padded(excerpt(RATE, 2.0), HOP)).latents
        for group in (split.semantic_residual_vector_quantizer, split.acoustic_residual_vector_quantizer):
            residual = group.input_proj(latent)
            for index, layer in enumerate(group.layers):
                fill_codebook(layer.codebook.embed_sum, residual[0].T, index)
                residual = residual - layer.decode(layer.encode(residual))
                # What was looked up is kept, and would stay on this device.
                layer.codebook._embed = None
    network: MimiModel = model
    return network
