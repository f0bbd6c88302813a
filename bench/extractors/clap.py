"""LAION-CLAP from its official checkpoints: embeddings of sounds and of captions in one space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.extractors import NetworkExtractor, exact, make_fingerprint
from ldmbench.extractors.captions import Tokenizer, embed_captions
from ldmbench.extractors.clap_input import (
    FRAMES,
    VOCABULARY,
    as_laion_clap,
    as_librosa,
    filters,
    fusion_filters,
    load_tokenizer,
    log_mel,
    stand_in,
    views,
    views_of_transformers,
    windows,
)
from ldmbench.extractors.clap_weights import (
    BASE,
    CONVERTED,
    FUSION,
    MELS,
    RATE,
    TINY,
    UNUSED,
    Architecture,
    OfficialLayout,
    build,
    random_state,
    read_official,
)
from ldmbench.host.device import check_device
from ldmbench.weights.find import find_file, verify
from ldmbench.weights.record import Checkpoint
from ldmbench.weights.tensors import fit, read_safetensors

#: Raised whenever the front ends' numbers change.
FRONT_END = 1

#: How a clip of more than ten seconds is heard without fusion.
Hearing = Literal["first", "all"]

_HUB = "https://huggingface.co/lukewys/laion_clap/resolve/main/"

#: Human-CLAP, tuned on listeners' ratings: the model that its authors' paper recommends.
HUMAN = "human-clap-wsce-mae"

ARCHITECTURES: dict[str, Architecture] = {
    "630k-audioset-best": TINY,
    "630k-audioset-fusion-best": FUSION,
    "music_speech_audioset_epoch_15_esc_89.98": BASE,
    "music_audioset_epoch_15_esc_90.14": BASE,
    "music_speech_epoch_15_esc_89.25": BASE,
    "630k-best": TINY,
    "630k-fusion-best": FUSION,
    HUMAN: CONVERTED,
}


def _laion(name: str, sha256: str = "", size: int = 0) -> Checkpoint:
    file = f"{name}.pt"
    return Checkpoint(
        title=f"LAION-CLAP {name}", name=f"clap-{name}", folder="clap", urls={file: f"{_HUB}{file}"},
        files={file: sha256}, size=size, pin_first=not sha256,
    )  # fmt: skip


#: Source: Hugging Face repository lukewys/laion_clap (CC0); digests and sizes as it or several public projects state
#: them. Where nobody states one, what came the first time is pinned.
CHECKPOINTS = {
    "630k-audioset-best": _laion(
        "630k-audioset-best", "8053c9775516af2f4902e1e8281e356cc1bf7a85e8b761908170767b77c3f037", 1_863_587_645
    ),
    "630k-audioset-fusion-best": _laion(
        "630k-audioset-fusion-best", "fb171dd9b608aebdac3d89286cd7615c5100af4cc7dc37797c7fb8d3cc15e3a5", 1_863_889_051
    ),
    "music_speech_audioset_epoch_15_esc_89.98": _laion(
        "music_speech_audioset_epoch_15_esc_89.98",
        "51c68f12f9d7ea25fdaaccf741ec7f81e93ee594455410f3bca4f47f88d8e006",
        2_352_471_003,
    ),
    "music_audioset_epoch_15_esc_90.14": _laion(
        "music_audioset_epoch_15_esc_90.14",
        "fae3e9c087f2909c28a09dc31c8dfcdacbc42ba44c70e972b58c1bd1caf6dedd",
        2_352_471_003,
    ),
    "music_speech_epoch_15_esc_89.25": _laion(
        "music_speech_epoch_15_esc_89.25",
        "a27dfbd00d96781020d83044136f084343edab799d2657ef3cfe5c4f2222bb28",
        2_352_471_003,
    ),
    "630k-best": _laion("630k-best"),
    "630k-fusion-best": _laion("630k-fusion-best"),
    # The digest is not its publisher's: a project that uses the file states it with its revision.
    HUMAN: Checkpoint(
        title="Human-CLAP (wSCE and MAE)",
        name=HUMAN,
        folder="clap",
        urls={
            f"{HUMAN}.safetensors": f"https://huggingface.co/sarulab-speech/{HUMAN}/resolve/"
            "06788887d254df15db5c0ca9d54da39d46188063/model.safetensors"
        },
        files={f"{HUMAN}.safetensors": "09357f504d52900cb1bc3bf2fe1f3173dd1702781ef0bdedb122a6e47d4c5c61"},
    ),
}

#: Name for ``ldmbench fetch`` -> what it fetches.
FETCHABLE = {checkpoint.name: (checkpoint, VOCABULARY) for checkpoint in CHECKPOINTS.values()}


class Clap(NetworkExtractor):
    """LAION-CLAP: layer ``embedding`` ``[512]`` of a sound, and embeddings of captions, all of unit length.

    The two branches and their projections are transformers' ``ClapModel``, whose numbers are laion_clap's own
    to float32 rounding. Its feature extractor is not used: it crops at random, does not round to 16 bits, and
    squeezes long clips without antialiasing (only a ``converted`` architecture is heard so, but without chance).
    Nor is its tokeniser's padding: captions of equal length share a batch instead.

    Args:
        read: Gives the weights by official name, when they are needed.
        architecture: Sizes.
        hearing: What is heard of a clip of more than ten seconds: its ``first`` ten, or ``all`` of it, as the
            mean of the embeddings of stretches. A model with fusion has its own way, and takes only ``first``.
        peak: Hear each sound with its peak at -1 dB.
        tokenizer: Gives the function from captions to tokens and its identity, when they are needed.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        identity: Digest of the weights.
        path: Where they come from, for messages.

    Raises:
        BenchError: If the device is absent, or ``all`` is asked of a model with fusion.

    Source: Wu et al., Large-scale contrastive language-audio pretraining, arXiv:2211.06687; laion_clap 1.1.7.
    """

    rate = RATE

    def __init__(
        self,
        read: Callable[[], Mapping[str, Any]],
        architecture: Architecture = TINY,
        hearing: Hearing = "first",
        *,
        peak: bool = False,
        tokenizer: Callable[[], tuple[Tokenizer, str]] = lambda: (stand_in, "bytes"),
        device: str = "cpu",
        identity: str = "",
        path: Path = Path("LAION-CLAP"),
    ) -> None:
        if hearing not in ("first", "all"):
            raise BenchError(f"no such way to hear long clips: {hearing!r}", fix="use first or all")
        if architecture.fusion and hearing != "first":
            raise BenchError("LAION-CLAP with fusion hears long clips whole already", fix="leave windows=all out")
        self.device = check_device(device)
        self.architecture = architecture
        self.hearing = hearing
        self.peak = peak
        self.fingerprint = make_fingerprint(
            network="clap", weights=identity, fusion=architecture.fusion, hearing=hearing, front_end=FRONT_END,
            **({"converted": True} if architecture.converted else {}), **({"peak": True} if peak else {}),
        )  # fmt: skip
        self.batch = 4 if self.device == "cpu" else 64
        self._read, self._identity, self._path = read, identity, path
        self._load_tokenizer = tokenizer
        self._tokenizer: tuple[Tokenizer, str] | None = None
        self._filters = fusion_filters() if architecture.fusion else filters()

    def load(self) -> None:
        """Read the weights into transformers' model, and check that the front end is theirs."""
        state = self._read()
        if self.architecture.converted:
            model = build(self.architecture)
            fit(model, state, self._path, CHECKPOINTS[HUMAN].title)
            self.model = model.to(self.device)
            return
        layout = OfficialLayout(build(self.architecture))
        fit(layout, state, self._path, "LAION-CLAP", ignore=[key for key in state if UNUSED.fullmatch(key)])
        layout.verify_front_end(self._path)
        self.model = layout.model.to(self.device)

    def prepare(self, sound: Audio) -> NDArray[np.float32]:
        """Decibels ``[views, 1001, 64]``: of stretches without fusion, of ``clap_input.views`` with it."""
        if self.architecture.converted:
            return views_of_transformers(as_librosa(sound), self._filters)
        signal = as_laion_clap(sound, self.peak)
        if self.architecture.fusion:
            return views(signal, self._filters)
        parts = windows(signal, every=self.hearing == "all")
        return np.stack([log_mel(part, self._filters) for part in parts])

    def forward(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """``embedding`` ``[sounds, 512]`` of ``[sounds, views, 1001, 64]``."""
        import torch
        from torch.nn import functional

        sounds, parts = batch.shape[:2]
        with exact():
            x = torch.from_numpy(batch).to(self.device)
            if self.architecture.fusion:
                fused = torch.full((sounds, 1), parts > 1, device=self.device)
                x = self.model.audio_model(x, is_longer=fused).pooler_output
                x = functional.normalize(self.model.audio_projection(x), dim=-1)
            else:
                x = self.model.audio_model(x.reshape(-1, 1, FRAMES, MELS)).pooler_output
                x = functional.normalize(self.model.audio_projection(x), dim=-1).reshape(sounds, parts, -1)
                x = x[:, 0] if parts == 1 else functional.normalize(x.mean(dim=1), dim=-1)
        return {"embedding": x.cpu().numpy()}

    def embed_text(self, captions: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings ``[captions, 512]``; a caption that was read before is not computed again.

        What follows a caption's 77th token is not read, as in laion_clap.

        Raises:
            CheckpointError: If the weights or the tokeniser cannot be loaded.
        """
        if self._tokenizer is None:
            self._tokenizer = self._load_tokenizer()
        tokenize, identity = self._tokenizer
        mark = make_fingerprint(network="clap text", weights=self._identity, tokens=identity)
        return embed_captions(captions, mark, tokenize, self._embed_tokens)

    def _embed_tokens(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Embeddings ``[captions, 512]`` of captions of equally many tokens."""
        import torch
        from torch.nn import functional

        self.ready()
        with exact():
            numbers = torch.tensor(tokens, device=self.device)
            x = self.model.text_model(input_ids=numbers, attention_mask=torch.ones_like(numbers)).pooler_output
            rows: NDArray[np.float32] = functional.normalize(self.model.text_projection(x), dim=-1).cpu().numpy()
        return rows


@lru_cache(maxsize=2)
def load_clap(
    name: str = "630k-audioset-best",
    hearing: Hearing = "first",
    device: str = "cpu",
    weights: Path | None = None,
    *,
    untrained: bool = False,
    official: bool = True,
    peak: bool = False,
) -> Clap:
    """The extractor; the last two are kept.

    Args:
        name: A key of ``CHECKPOINTS``.
        hearing: What is heard of a clip of more than ten seconds.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        weights: Folder of the checkpoint and of ``roberta-base``, or the checkpoint itself; None for the
            weights home.
        untrained: Seeded random weights instead, and bytes of captions as tokens.
        official: Insist on the official files' SHA-256.
        peak: Hear each sound with its peak at -1 dB.

    Raises:
        CheckpointError: If the checkpoint is missing or not the official one. What is in it, and the tokeniser,
            are read at first use.
    """
    architecture = ARCHITECTURES[name]
    if untrained:
        read = partial(random_state, architecture)
        return Clap(read, architecture, hearing, peak=peak, device=device, identity=f"untrained 0 {architecture}")
    path = find_file(CHECKPOINTS[name], weights)
    return Clap(
        partial(read_safetensors if architecture.converted else read_official, path),
        architecture,
        hearing,
        peak=peak,
        tokenizer=partial(load_tokenizer, weights, official),
        device=device,
        identity=verify(CHECKPOINTS[name], path, official),
        path=path,
    )
