"""CLAP as AudioLDM's authors run it: captions, the ranking of candidates, and its dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmbench.audio.arrays import Signal, Waveforms
from ldmbench.extractors.clap_input import LENGTH, filters, log_mel
from ldmbench.extractors.clap_weights import HOP, RATE

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module
    from transformers import RobertaTokenizer

#: The epsilon that RoBERTa normalises with. Folders of transformers 4 say 1e-12.
ROBERTA_EPS = 1e-5

#: Drawn ahead of the first decision about dropout: the noise of a latent that is not used.
_UNUSED = (1, 8, 256, 16)


def embed_texts(clap: Any, tokenizer: RobertaTokenizer, texts: Sequence[str]) -> Tensor:
    """Embeddings ``[texts, width]`` of unit length, each text padded to the longest that is read, and masked.

    Args:
        clap: ``ClapModel`` or ``ClapTextModelWithProjection``.
        tokenizer: Its tokenizer.
        texts: Captions.

    Source: haoheliu/AudioLDM2, ``encoders/modules.py``, ``CLAPAudioEmbeddingClassifierFreev2``.
    """
    from torch.nn import functional

    tokens = tokenizer(
        list(texts), padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    ).to(clap.device)
    seen = clap.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
    embedded: Tensor = functional.normalize(clap.text_projection(seen), dim=-1)
    return embedded


def embed_sounds(clap: Any, waves: Waveforms, rate: int) -> Tensor:
    """Embeddings ``[sounds, width]`` of unit length of the first ten seconds of ``waves`` ``[sounds, time]``.

    Shorter sounds are neither repeated nor padded: the branch stretches their spectrogram to its own size. Resampled
    by torchaudio's defaults; above 8 kHz another resampler moves decibels by up to 86, which is enough to choose
    another candidate.

    Source: haoheliu/AudioLDM2, ``cos_similarity`` and ``clap/training/data.py``, ``get_audio_features``.
    """
    return _embedded(clap, [wave[:LENGTH] for wave in _resampled(waves, rate)])


def embed_repeated(clap: Any, waves: Waveforms, rate: int, seed: int) -> Tensor:
    """Embeddings ``[sounds, width]`` as AudioLDM's released code ranks: shorter sounds are repeated to ten seconds.

    Of longer ones ten seconds are heard, drawn by NumPy's generator as the released code draws them behind its seed,
    after three numbers for stretches that are not used.

    Source: haoheliu/AudioLDM, ``clap/training/data.py``, ``get_audio_features``.
    """
    generator = np.random.RandomState(seed)
    heard = []
    for wave in _resampled(waves, rate):
        excess = len(wave) - LENGTH
        if excess <= 0:
            repeated = np.tile(wave, LENGTH // len(wave))
            heard.append(np.pad(repeated, (0, LENGTH - len(repeated))))
            continue
        beginnings = len(wave) // HOP - LENGTH // HOP + 1
        if beginnings > 1:
            for third in np.array_split(np.arange(beginnings), 3):
                generator.choice(third if len(third) else np.zeros(1, np.int64))
        start = generator.randint(0, excess + 1)
        heard.append(wave[start : start + LENGTH])
    return _embedded(clap, heard)


def _resampled(waves: Waveforms, rate: int) -> Waveforms:
    """Waveforms at CLAP's rate, by torchaudio's defaults."""
    import torch
    import torchaudio

    made: Waveforms = torchaudio.functional.resample(torch.tensor(waves, dtype=torch.float32), rate, RATE).numpy()
    return made


def _embedded(clap: Any, heard: Sequence[Signal]) -> Tensor:
    """Embeddings of what is heard of sounds."""
    import torch
    from torch.nn import functional

    bands = filters()
    mels = np.stack([log_mel(wave, bands) for wave in heard])
    rows = []
    # One after the other: what is heard of a sound does not depend on how many there are.
    for mel in torch.from_numpy(mels).to(clap.device, clap.dtype):
        alone = clap.audio_model(mel[None, None], is_longer=torch.zeros(1, 1, dtype=torch.bool, device=clap.device))
        rows.append(functional.normalize(clap.audio_projection(alone.pooler_output), dim=-1))
    return torch.cat(rows)


class Dropout:
    """What the released code does to CLAP's embeddings with a probability of 0.1, in inference as in training.

    An embedding becomes that of the empty text. It decides about the prompt first, then about every candidate, then
    about the prompt once for each, by a generator that starts at ``seed``, as the released code does on a GPU, where
    the sampler's noise comes from another generator.

    Source: haoheliu/AudioLDM2, ``encoders/modules.py``, ``make_decision``.
    """

    def __init__(self, probability: float, seed: int) -> None:
        import torch

        self.probability = probability
        self._generator = torch.Generator("cpu").manual_seed(seed)
        torch.randn(_UNUSED, generator=self._generator)

    def decide(self, count: int) -> list[bool]:
        """Whether each of the next ``count`` embeddings is replaced."""
        import torch

        if not self.probability:
            return [False] * count
        return [float(torch.rand(1, generator=self._generator)) < self.probability for _ in range(count)]

    def apply(self, embeddings: Tensor, empty: Tensor) -> Tensor:
        """``embeddings`` ``[n, width]``, some of them replaced by ``empty`` ``[1, width]``."""
        import torch

        hit = torch.tensor(self.decide(len(embeddings)), device=embeddings.device)
        return torch.where(hit[:, None], empty, embeddings)


def similarities(sounds: Tensor, texts: Tensor) -> list[float]:
    """Cosines of the rows ``[n, width]`` of both."""
    from torch.nn import functional

    cosines: torch.Tensor = functional.cosine_similarity(sounds.double().cpu(), texts.double().cpu(), dim=1)
    return [float(value) for value in cosines]


def set_epsilon(text_model: Module, epsilon: float) -> float:
    """Let every layer normalisation of ``text_model`` use ``epsilon``; returns what it used before."""
    import torch

    layers = [module for module in text_model.modules() if isinstance(module, torch.nn.LayerNorm)]
    before = layers[0].eps
    for layer in layers:
        layer.eps = epsilon
    return before
