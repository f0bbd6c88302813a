"""X-Codec in transformers' class: semantic features of HuBERT and DAC's encoder, quantised together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ldmbench.system.card import SystemSpec
from ldmbench.systems.latent.parts import load_part
from ldmbench.systems.latent.settings import check_setting
from ldmbench.systems.neural_codecs.network import NeuralCodec, drawn, excerpt, fill_codebook, padded
from ldmbench.weights.tensors import seeded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import XcodecModel

RATE, HOP, BOOKS, CODES = 16_000, 320, 8, 1024


class XCodec(NeuralCodec):
    """Transformers' ``XcodecModel``. The clip is padded behind to whole frames of 320 samples, and cut.

    It runs HuBERT to encode, which its time and parameters count.

    Setting: ``codebooks``, 1, 2, 3, 4 or 8.

    Source: Ye et al. 2024 (arXiv:2408.17175); transformers, ``models/xcodec``.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.books = int(spec.settings["codebooks"])
        check_setting(spec, "codebooks", self.books in (1, 2, 3, 4, 8), "1, 2, 3, 4 or 8")
        super().__init__(spec)
        self.hop, self.sizes = HOP, (CODES,) * self.books

    def network(self) -> XcodecModel:
        """The network, from a folder of ``config.json`` and ``model.safetensors``."""
        if self.spec.untrained:
            return untrained()
        from transformers import XcodecModel

        folder = self.spec.weights_folder()
        return load_part(XcodecModel, folder.parent, folder.name)

    def tokens(self, sound: Tensor) -> Tensor:
        """Tokens ``[layers, ceil(time / 320)]``."""
        codes: Tensor = self.model.encode(padded(sound, HOP), bandwidth=self.books / 2).audio_codes[0]
        return codes

    def sound(self, tokens: Tensor) -> Tensor:
        """The sound of all frames."""
        wave: Tensor = self.model.decode(tokens[None]).audio_values[0, 0]
        return wave

    def words(self, tokens: Tensor) -> list[Tensor]:
        """Codewords ``[1024, frames]`` of each layer, as semantic and acoustic features were joined."""
        layers = self.model.quantizer.quantizers
        return [layer.decode(row[None])[0] for layer, row in zip(layers, tokens, strict=False)]


def untrained() -> XcodecModel:
    """The network in full size with seeded weights, its codebooks filled from what its encoders make of a sound."""
    import torch
    from transformers import XcodecConfig, XcodecModel

    model: Any = drawn(seeded(lambda: XcodecModel(XcodecConfig())))
    heard: list[Any] = []
    hook = model.fc.register_forward_hook(lambda _, __, out: heard.append(out[0]))
    with torch.inference_mode():
        model.encode(padded(excerpt(RATE), HOP), bandwidth=0.5)
        hook.remove()
        residual = heard[0]
        layers: Any = model.quantizer.quantizers
        for index, layer in enumerate(layers):
            fill_codebook(layer.codebook.embed, residual, index)
            residual = residual - layer.codebook.decode(layer.codebook.encode(residual))
        codes = model.encode(padded(excerpt(RATE, 0.2), HOP), bandwidth=4).audio_codes
        model.acoustic_decoder.conv2.weight.data *= 0.1 / model.decode(codes).audio_values.std()
    network: XcodecModel = model
    return network
