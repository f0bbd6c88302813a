"""Microsoft CLAP of 2023 from its official checkpoint: embeddings of sounds and of captions in one space."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Signal
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.extractors.captions import Tokenizer, embed_captions
from ldmbench.extractors.clap_input import log_mel
from ldmbench.extractors.msclap_weights import (
    HOP,
    MELS,
    RATE,
    UNUSED,
    Architecture,
    filters,
    layout,
    random_state,
    read_official,
)
from ldmbench.host.device import check_device
from ldmbench.weights.find import find_file, verify
from ldmbench.weights.packaged import packaged
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit

#: Raised whenever the front ends' numbers change.
FRONT_END = 1

#: Sizes of the model of 2023.
ARCHITECTURE = Architecture()

#: Samples that the audio branch hears at once (7 s), and tokens that the text branch can read.
LENGTH, TOKENS = 7 * RATE, 1024

#: GPT-2's mark of the end.
_END = "<|endoftext|>"
_END_TOKEN = 50_256

#: Which of a clip of more than seven seconds is heard.
Hearing = Literal["first", "all"]

_FILE = "CLAP_weights_2023.pth"
_REVISION = "5e1d53af259bb39d380680e69ca580960b2c66b1"

#: Nobody publishes the digest: what came the first time is pinned.
CHECKPOINT = Checkpoint(
    title="Microsoft CLAP 2023",
    name="msclap-2023",
    folder="msclap",
    urls={_FILE: f"https://huggingface.co/microsoft/msclap/resolve/{_REVISION}/{_FILE}"},
    files={_FILE: ""},
    pin_first=True,
)

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {CHECKPOINT.name: (CHECKPOINT,)}

#: GPT-2's byte pairs in the package of Whisper, whose first models read with them: path in the package, SHA-256.
_PAIRS = ("assets/gpt2.tiktoken", "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930")
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class MsClap(NetworkExtractor):
    """Microsoft CLAP: layer ``embedding`` ``[1024]`` of a sound, and embeddings of captions, as msclap gives them.

    Their length is not 1. The audio branch is transformers' ``ClapAudioModel``, the text branch its ``GPT2Model``.
    Beside msclap on the same random weights the largest difference is 6e-5 of the largest value of a sound's embedding
    (four recordings) and 8e-7 of a caption's.

    Args:
        read: Gives the weights by official name, when they are needed.
        architecture: Sizes.
        hearing: What is heard of a clip of more than seven seconds: its ``first`` seven, or ``all`` of it, as the
            mean of the embeddings of stretches.
        tokenizer: Gives the function from captions to tokens and its identity, when they are needed.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        identity: Digest of the weights.
        path: Where they come from, for messages.

    Raises:
        BenchError: If the device is absent, or there is no such way to hear.

    Source: Elizalde et al., Natural language supervision for general-purpose audio representations,
    arXiv:2309.05767; msclap 1.3.4, ``CLAPWrapper.py`` and ``models``.
    """

    rate = RATE

    def __init__(
        self,
        read: Callable[[], Mapping[str, Any]],
        architecture: Architecture,
        hearing: Hearing = "first",
        *,
        tokenizer: Callable[[], tuple[Tokenizer, str]] = lambda: (stand_in, "bytes"),
        device: str = "cpu",
        identity: str = "",
        path: Path = Path("Microsoft CLAP"),
    ) -> None:
        if hearing not in ("first", "all"):
            raise BenchError(f"no such way to hear long clips: {hearing!r}", fix="use first or all")
        self.device = check_device(device)
        self.architecture = architecture
        self.hearing = hearing
        self.fingerprint = make_fingerprint(network="msclap", weights=identity, hearing=hearing, front_end=FRONT_END)
        self.batch = 4 if self.device == "cpu" else 64
        self._read, self._identity, self._path = read, identity, path
        self._load_tokenizer = tokenizer
        self._tokenizer: tuple[Tokenizer, str] | None = None

    def load(self) -> None:
        """Read the weights into transformers' models, and check that the front end is theirs."""
        official = layout(self.architecture)
        state = self._read()
        fit(official, state, self._path, CHECKPOINT.title, ignore=[key for key in state if UNUSED.fullmatch(key)])
        official.verify_front_end(self._path, CHECKPOINT.title)
        self.model = official.model.to(self.device)

    def prepare(self, sound: Audio) -> NDArray[np.float32]:
        """Decibels ``[stretches, 965, 64]``."""
        return np.stack([log_mel(part, filters(), HOP) for part in windows(as_msclap(sound), self.hearing == "all")])

    def forward(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """``embedding`` ``[sounds, 1024]`` of ``[sounds, stretches, 965, 64]``."""
        import torch

        sounds, parts, frames = batch.shape[:3]
        with exact():
            stretches = torch.split(torch.from_numpy(batch).reshape(-1, 1, frames, MELS), self.batch)
            rows = torch.cat([self._embed_mel(stretch.to(self.device)).cpu() for stretch in stretches])
        return {"embedding": rows.reshape(sounds, parts, -1).mean(dim=1).numpy()}

    def _embed_mel(self, decibels: Any) -> Any:
        return _project(self.model.audio_projection, self.model.audio_model(decibels).pooler_output)

    def embed_text(self, captions: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings ``[captions, 1024]``; a caption that was read before is not computed again.

        Raises:
            CheckpointError: If the weights or the tokeniser cannot be loaded.
        """
        if self._tokenizer is None:
            self._tokenizer = self._load_tokenizer()
        tokenize, identity = self._tokenizer
        mark = make_fingerprint(network="msclap text", weights=self._identity, tokens=identity)
        return embed_captions(captions, mark, tokenize, self._embed_tokens)

    def _embed_tokens(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Embeddings ``[captions, 1024]`` of captions of equally many tokens.

        msclap looks for the end by counting the tokens that are not 0. That is its padding, but also the exclamation
        mark: for each in a caption it reads the state of one token earlier, and so does this.
        """
        import torch

        self.ready()
        with exact():
            numbers = torch.tensor(tokens, device=self.device)
            states = self.model.text_model(input_ids=numbers, use_cache=False).last_hidden_state
            last = (numbers != 0).sum(dim=1) - 1
            ends = states[torch.arange(len(numbers), device=self.device), last]
            rows: NDArray[np.float32] = _project(self.model.text_projection, ends).cpu().numpy()
        return rows


@lru_cache(maxsize=2)
def load_msclap(
    hearing: Hearing = "first",
    device: str = "cpu",
    weights: Path | None = None,
    *,
    untrained: bool = False,
    official: bool = True,
) -> MsClap:
    """The extractor; the last two are kept.

    Args:
        hearing: What is heard of a clip of more than seven seconds.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder or file of the checkpoint; None for the weights home.
        untrained: Seeded random weights instead, and bytes of captions as tokens.
        official: Insist on the official file.

    Raises:
        CheckpointError: If the checkpoint is missing or not the official one. What is in it, and the tokeniser, are
            read at first use.
    """
    if untrained:
        read = partial(random_state, ARCHITECTURE)
        return MsClap(read, ARCHITECTURE, hearing, device=device, identity=f"untrained 0 {ARCHITECTURE}")
    path = find_file(CHECKPOINT, weights)
    return MsClap(
        partial(read_official, path),
        ARCHITECTURE,
        hearing,
        tokenizer=load_tokenizer,
        device=device,
        identity=verify(CHECKPOINT, path, official),
        path=path,
    )


def as_msclap(sound: Audio) -> Signal:
    """The mean over channels ``[time]`` at 44.1 kHz, by torchaudio's default resampler.

    msclap puts the channels of a sound one behind the other instead, and hears seven seconds of that.

    Source: msclap 1.3.4, ``CLAPWrapper.py``, ``read_audio``.
    """
    signal: Signal = sound.mono().samples[0]
    if sound.rate == RATE:
        return signal
    import torch
    from torchaudio.functional import resample

    resampled: Signal = resample(torch.tensor(signal), sound.rate, RATE).numpy()
    return resampled


def windows(signal: Signal, every: bool) -> list[Signal]:
    """Stretches of seven seconds of ``signal`` ``[time]``; a shorter one is repeated until they are full.

    msclap cuts its stretch out of a longer clip at random. Here it is the first one (``every`` False), or as few as
    cover the clip, at equal distances from its beginning to its end.

    Source: msclap 1.3.4, ``CLAPWrapper.py``, ``load_audio_into_tensor``.
    """
    excess = len(signal) - LENGTH
    if excess <= 0:
        return [np.resize(signal, LENGTH)]
    starts = np.linspace(0, excess, -(-len(signal) // LENGTH)).astype(np.int64) if every else [0]
    return [signal[start : start + LENGTH] for start in starts]


def stand_in(caption: str) -> list[int]:
    """Tokens of an untrained model: the caption's bytes and GPT-2's mark of the end, 0 kept for padding."""
    return [*(1 + byte for byte in caption.encode()[: TOKENS - 1]), 257]


@lru_cache(maxsize=1)
def load_tokenizer() -> tuple[Tokenizer, str]:
    """GPT-2's tokeniser with msclap's marks, and a digest of its byte pairs.

    Raises:
        CheckpointError: If the package that has them is not installed, or has others.
    """
    import tiktoken

    file, digest = _PAIRS
    lines = packaged("whisper", file, digest, "models").read_bytes().splitlines()
    ranks = {base64.b64decode(pair): int(rank) for pair, rank in (line.split() for line in lines)}
    pairs = tiktoken.Encoding("gpt2", pat_str=_WORDS, mergeable_ranks=ranks, special_tokens={})

    def tokenize(caption: str) -> list[int]:
        tokens: list[int] = []
        # msclap pads with the exclamation mark, which thereby becomes a mark of its own, wherever it stands.
        for part in re.split(f"({re.escape(_END)}|!)", f"{caption} {_END}"):
            tokens += {_END: [_END_TOKEN], "!": [0]}.get(part) or pairs.encode_ordinary(part)
        return tokens if len(tokens) <= TOKENS else [*tokens[: TOKENS - 1], _END_TOKEN]

    return tokenize, digest


def _project(layer: Any, x: Any) -> Any:
    """A projection with a residual: ``layer_norm(a + linear2(gelu(a)))`` of ``a = linear1(x)``."""
    from torch.nn import functional

    first = layer.linear1(x)
    return layer.layer_norm(first + layer.linear2(functional.gelu(first)))
