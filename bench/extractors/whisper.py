"""Whisper speech recognisers from official checkpoints: found, verified, loaded without running pickles."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ldmbench.audio.arrays import Signal
from ldmbench.audio.sound import Audio
from ldmbench.host.device import check_device
from ldmbench.weights.find import find_file, verify
from ldmbench.weights.record import Checkpoint, CheckpointError
from ldmbench.weights.tensors import as_tensors, fit, read_checkpoint, seeded, short

#: Rate in Hz and longest window in seconds of all Whisper models.
RATE = 16_000
WINDOW = 30


def _official(name: str, sha256: str) -> Checkpoint:
    """Source: openai-whisper 20250625, ``_MODELS``."""
    file = f"{name}.pt"
    url = f"https://openaipublic.azureedge.net/main/whisper/models/{sha256}/{file}"
    return Checkpoint(
        title=f"Whisper {name}", name=f"whisper-{name}", folder="whisper", urls={file: url}, files={file: sha256}
    )


#: Metric suffix -> official checkpoint.
CHECKPOINTS = {
    "tiny": _official("tiny", "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9"),
    "tiny_en": _official("tiny.en", "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"),
    "base": _official("base", "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e"),
    "base_en": _official("base.en", "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead"),
    "small": _official("small", "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794"),
    "small_en": _official("small.en", "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872"),
    "medium": _official("medium", "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1"),
    "medium_en": _official("medium.en", "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f"),
    "large_v1": _official("large-v1", "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a"),
    "large_v2": _official("large-v2", "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524"),
    "large_v3": _official("large-v3", "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb"),
    "large_v3_turbo": _official("large-v3-turbo", "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a"),
}

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {checkpoint.name: (checkpoint,) for checkpoint in CHECKPOINTS.values()}

#: Width, heads, audio layers and text layers. Source: Radford et al., arXiv:2212.04356, table 1; v3-turbo's card.
_SHAPES = {
    "tiny": (384, 6, 4, 4),
    "base": (512, 8, 6, 6),
    "small": (768, 12, 12, 12),
    "medium": (1024, 16, 24, 24),
    "large": (1280, 20, 32, 32),
    "large_v3_turbo": (1280, 20, 32, 4),
}


class Recogniser:
    """A Whisper model that turns sounds into English text, greedily and without fallback.

    Sounds of up to 30 s are decoded in one batch at temperature 0, without timestamps. Longer ones go through
    ``whisper.transcribe``, whose timestamps place the next window, also at temperature 0, with nothing carried
    over and nothing dropped. Half precision is used on CUDA only, as Whisper itself does.

    Args:
        model: A ``whisper.model.Whisper`` in evaluation mode.
        sample_len: Most tokens per window; None is Whisper's own limit of half the context.
    """

    def __init__(self, model: Any, sample_len: int | None = None) -> None:
        self.model = model
        self.options = {
            "language": "en",
            "temperature": 0.0,
            "fp16": model.device.type == "cuda",
            "sample_len": sample_len,
        }
        self._heard: dict[str, str] = {}

    def transcribe(self, sounds: Sequence[Audio]) -> list[str]:
        """The text of each sound; a sound that was heard before is not decoded again."""
        keys = [sound.digest() for sound in sounds]
        fresh = {key: sound for key, sound in zip(keys, sounds, strict=True) if key not in self._heard}
        arrays = {key: sound.mono().at(RATE).samples[0] for key, sound in fresh.items()}
        short = [key for key, array in arrays.items() if len(array) <= WINDOW * RATE]
        if short:
            self._heard.update(zip(short, self._decode([arrays[key] for key in short]), strict=True))
        for key in arrays.keys() - short:
            self._heard[key] = self._long(arrays[key])
        return [self._heard[key] for key in keys]

    def _decode(self, arrays: Sequence[Signal]) -> list[str]:
        import torch
        from whisper import DecodingOptions, decode, log_mel_spectrogram, pad_or_trim

        device = self.model.device
        mels = [
            log_mel_spectrogram(pad_or_trim(np.array(array)), self.model.dims.n_mels, device=device) for array in arrays
        ]
        options = DecodingOptions(without_timestamps=True, **self.options)
        return [result.text for result in decode(self.model, torch.stack(mels), options)]

    def _long(self, array: Signal) -> str:
        from whisper import transcribe

        result = transcribe(
            self.model,
            np.array(array),
            condition_on_previous_text=False,
            compression_ratio_threshold=None,
            logprob_threshold=None,
            no_speech_threshold=None,
            **self.options,
        )
        return str(result["text"])


@lru_cache(maxsize=1)
def load_whisper(
    size: str, device: str = "cpu", weights: Path | None = None, untrained: bool = False, official: bool = True
) -> Recogniser:
    """A recogniser; the last one is kept, so that WER and CER share it and what it heard.

    Args:
        size: A key of ``CHECKPOINTS``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder or file of the checkpoint; None for the weights home.
        untrained: Build it with seeded random weights instead.
        official: Insist on the official file's SHA-256. False takes any checkpoint in the official layout.

    Raises:
        BenchError: If the device is absent.
        CheckpointError: If the checkpoint is missing, not the official one, damaged, or holds more than tensors.
    """
    check_device(device)
    return Recogniser((seeded(lambda: _drawn(size)) if untrained else _read(size, weights, official)).eval().to(device))


def _drawn(size: str) -> Any:
    """A model of an official size with the random weights that torch's generator gives it."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    model = Whisper(ModelDimensions(**_dimensions(size)))
    # Whisper leaves this table as uninitialised memory, to be loaded.
    torch.nn.init.normal_(model.decoder.positional_embedding, std=0.01)
    return model


def _read(size: str, weights: Path | None, official: bool) -> Any:
    """The model that a checkpoint states the dimensions of, with its weights."""
    from whisper.model import ModelDimensions, Whisper

    checkpoint = CHECKPOINTS[size]
    path = find_file(checkpoint, weights)
    verify(checkpoint, path, official)
    content = read_checkpoint(path)
    try:
        model = Whisper(ModelDimensions(**content["dims"]))
        state = content["model_state_dict"]
    except KeyError as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of Whisper", f"no entry {error}", "use the official checkpoint"
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of Whisper", f"dims: {short(error)}", "use the official checkpoint"
        ) from error
    fit(model, as_tensors(state, path), path, checkpoint.title)
    return model


def _dimensions(size: str) -> dict[str, int]:
    """Dimensions of an official model, as its checkpoint states them."""
    family = size if size in _SHAPES else size.split("_")[0]
    state, head, audio_layer, text_layer = _SHAPES[family]
    third = size.startswith("large_v3")
    return {
        "n_mels": 128 if third else 80,
        "n_audio_ctx": 1500,
        "n_audio_state": state,
        "n_audio_head": head,
        "n_audio_layer": audio_layer,
        "n_vocab": 51866 if third else 51864 if size.endswith("_en") else 51865,
        "n_text_ctx": 448,
        "n_text_state": state,
        "n_text_head": head,
        "n_text_layer": text_layer,
    }
