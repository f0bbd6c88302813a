"""What LAION-CLAP's two branches are fed: log-mel spectrograms of ten seconds, and tokens of captions."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from ldmbench.audio.arrays import Features, Filters, Signal
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import magnitudes, mel_filters
from ldmbench.extractors.captions import Tokenizer
from ldmbench.extractors.clap_weights import HIGH, HOP, LOW, MELS, RATE, WINDOW
from ldmbench.weights.find import find_folder, obtain, verify
from ldmbench.weights.record import Checkpoint, CheckpointError

#: Samples and frames that the audio branch hears at once, and tokens that the text branch reads.
LENGTH = 10 * RATE
FRAMES = LENGTH // HOP + 1
TOKENS = 77

_REVISION = "https://huggingface.co/FacebookAI/roberta-base/resolve/e2da8e2f811d1448a5b465c236feacd80ffbac7b/"

#: Files of RoBERTa base's tokeniser, which is not in the checkpoints.
VOCABULARY = Checkpoint(
    title="RoBERTa's tokeniser",
    name="roberta-base",
    folder="roberta-base",
    urls={name: _REVISION + name for name in ("vocab.json", "merges.txt")},
    files={
        "vocab.json": "9e7f63c2d15d666b52e21d250d2e513b87c9b713cfa6987a82ed89e5e6e50655",
        "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    },
    size=1_355_141,
)

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {VOCABULARY.name: (VOCABULARY,)}


def as_laion_clap(sound: Audio, peak: bool = False) -> Signal:
    """The mean over channels ``[time]`` at 48 kHz, rounded towards zero to 16 bits.

    Resampled by soxr's high quality, as librosa does; clipped to [-1, 1].

    Args:
        sound: The sound.
        peak: Bring its peak to -1 dB first, as stable-audio-metrics does. Silence, which becomes NaN there, stays.

    Source: laion_clap 1.1.7, ``hook.py``, ``get_audio_embedding_from_filelist``; librosa 0.11, ``load``;
    stable-audio-metrics fd55536, ``clap_score.py``.
    """
    signal = as_librosa(sound)
    if peak and (loudest := np.abs(signal).max()):
        signal = (signal * (10 ** (-1 / 20) / loudest)).astype(np.float32)
    steps = (np.clip(signal, -1.0, 1.0) * np.float32(32767)).astype(np.int16)
    rounded: Signal = (steps / 32767.0).astype(np.float32)
    return rounded


def as_librosa(sound: Audio) -> Signal:
    """The mean over channels ``[time]`` at 48 kHz, resampled by soxr's high quality.

    Source: librosa 0.11, ``load``.
    """
    signal: Signal = sound.samples[0] if sound.channels == 1 else sound.samples.mean(axis=0)
    if sound.rate != RATE:
        import soxr

        length = int(np.ceil(len(signal) * (RATE / sound.rate)))
        signal = soxr.resample(signal, sound.rate, RATE, quality="HQ")[:length]
        signal = np.pad(signal, (0, length - len(signal)))
    return signal


def windows(signal: Signal, every: bool) -> list[Signal]:
    """Stretches of ten seconds of ``signal`` ``[time]``; a shorter one is repeated as often as it fits, then zeros.

    laion_clap cuts its stretch out of a longer clip at random. Here it is the first one (``every`` False), or
    as few as cover the clip, at equal distances from its beginning to its end.

    Source: laion_clap 1.1.7, ``training/data.py``, ``get_audio_features``: rand_trunc, repeatpad.
    """
    excess = len(signal) - LENGTH
    if excess <= 0:
        repeated = np.tile(signal, LENGTH // len(signal))
        return [np.pad(repeated, (0, LENGTH - len(repeated)))]
    starts = np.linspace(0, excess, -(-len(signal) // LENGTH)).astype(np.int64) if every else [0]
    return [signal[start : start + LENGTH] for start in starts]


def log_mel(signal: Signal, filters: Filters, hop: int = HOP) -> Features:
    """Decibels ``[frames, mels]`` of the power in mel bands, not below -100.

    Args:
        signal: ``[time]`` at 48 kHz.
        filters: ``[mels, bins]``.
        hop: Samples between frames.

    Source: laion_clap 1.1.7, ``clap_module/htsat.py`` (torchlibrosa) and ``training/data.py``, ``get_mel``.
    """
    power = magnitudes(signal, WINDOW, hop) ** 2 @ filters.T
    decibels: Features = 10.0 * np.log10(np.maximum(power, 1e-10))
    return decibels.astype(np.float32)


def filters() -> Filters:
    """Mel filters ``[mels, bins]`` of the models without fusion: librosa's defaults (Slaney scale, unit areas)."""
    return mel_filters(RATE, WINDOW, MELS, LOW, HIGH)


def fusion_filters() -> Filters:
    """Mel filters ``[mels, bins]`` of the fusion model: torchaudio's defaults (HTK scale, unit peaks)."""
    return mel_filters(RATE, WINDOW, MELS, LOW, HIGH, "htk", False)


def views(signal: Signal, filters: Filters, antialias: bool = True) -> Features:
    """Decibels ``[views, frames, mels]`` that the fusion model hears of ``signal`` ``[time]`` through ``filters``.

    Up to ten seconds that is one view. Of a longer clip there are four: the whole, squeezed to ten seconds by
    antialiased bilinear interpolation (torchvision 0.17 and later), and one stretch of ten seconds from the
    front, middle and back third of the possible ones. laion_clap draws each at random, here it is the middle
    one of its third. Without ``antialias`` the whole is squeezed as transformers does it.

    Source: laion_clap 1.1.7, ``training/data.py``, ``get_audio_features``: fusion.
    """
    if len(signal) <= LENGTH:
        return log_mel(windows(signal, every=False)[0], filters)[None]
    whole = log_mel(signal, filters)
    if len(whole) == FRAMES:
        return whole[None]
    import torch

    squeezed = torch.nn.functional.interpolate(
        torch.from_numpy(whole)[None, None], (FRAMES, MELS), mode="bilinear", align_corners=False, antialias=antialias
    )
    thirds = np.array_split(np.arange(len(whole) - FRAMES + 1), 3)
    starts = [int(third[(len(third) - 1) // 2]) if len(third) else 0 for third in thirds]
    return np.stack([squeezed[0, 0].numpy(), *(whole[start : start + FRAMES] for start in starts)])


def views_of_transformers(signal: Signal, filters: Filters) -> Features:
    """Decibels ``[4, frames, mels]`` as ``views``, of a clip up to ten seconds four times the same.

    transformers marks one clip of a batch without a longer one as longer, at random; alone, that is the clip. So
    every clip takes the way of longer ones.

    Source: transformers 5.23, ``feature_extraction_clap.py``, truncation "fusion", whose dice are as in ``views``.
    """
    heard = views(signal, filters, antialias=False)
    return heard if len(heard) > 1 else np.repeat(heard, 4, axis=0)


def stand_in(caption: str) -> list[int]:
    """Tokens of an untrained model: the caption's bytes between RoBERTa's marks of beginning and end."""
    return [0, *(4 + byte for byte in caption.encode()[: TOKENS - 2]), 2]


@lru_cache(maxsize=2)
def load_tokenizer(weights: Path | None = None, official: bool = True) -> tuple[Tokenizer, str]:
    """RoBERTa base's tokeniser, and a digest of its files.

    Args:
        weights: Folder of its files, or one that has them in ``roberta-base``; None for the weights home.
        official: Insist on the official files' SHA-256.

    Raises:
        CheckpointError: If files are missing or not the official ones, or hold too few tokens.
    """
    folder = find_folder([VOCABULARY], weights)
    identity = verify(VOCABULARY, folder, official)
    return _read_tokenizer(*(folder / name for name in VOCABULARY.names)), identity


def _read_tokenizer(vocabulary: Path, merges: Path) -> Tokenizer:
    import json

    from transformers import RobertaTokenizer

    try:
        pairs = merges.read_text(encoding="utf-8").split("\n")
        tokenizer: Any = RobertaTokenizer(
            json.loads(vocabulary.read_text(encoding="utf-8")),
            cast(Any, [tuple(pair.split(" ")) for pair in pairs if pair and not pair.startswith("#version")]),
        )
    except Exception as error:  # tokenizers raises nothing narrower for a merge that makes no sense
        raise CheckpointError(
            f"{vocabulary.parent} holds no tokeniser", str(error), "get RoBERTa base's again"
        ) from error
    # RobertaTokenizer makes do with nothing at all: without files it knows five tokens.
    if len(tokenizer) < 50_000:
        raise CheckpointError(f"{vocabulary} is not RoBERTa base's", f"{len(tokenizer)} tokens", obtain(VOCABULARY))

    def tokenize(caption: str) -> list[int]:
        tokens: list[int] = tokenizer(caption, truncation=True, max_length=TOKENS)["input_ids"]
        return tokens

    return tokenize
