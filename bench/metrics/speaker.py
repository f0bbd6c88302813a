"""Speaker similarity: the cosine of two embeddings of voices, of reference and output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ldmbench.audio.arrays import Rows
from ldmbench.errors import Unscored
from ldmbench.extractors import NetworkExtractor, ecapa, wavlm
from ldmbench.extractors.loader import load_extractor
from ldmbench.metrics._base import MetricFacts, Value, register, settings_title
from ldmbench.metrics._embedding import Load, Source
from ldmbench.metrics._judge import NetworkJudge
from ldmbench.names import Name, Setting
from ldmbench.weights.record import Checkpoint


class SpeakerSimilarity(NetworkJudge):
    """Cosine of the embeddings of reference and output."""

    def compare(self, *rows: Rows) -> Value:
        """The cosine of one clip.

        Raises:
            Unscored: If one of the embeddings is zero.
        """
        reference, output = (side[0] for side in rows)
        length = float(np.linalg.norm(reference) * np.linalg.norm(output))
        if not length:
            raise Unscored("an embedding is zero")
        return min(1.0, float(reference @ output) / length)


def _ge2e() -> Checkpoint:
    from ldmbench.system.registry import load_system_card

    (checkpoint,) = load_system_card("ge2e").weights_of("").values()
    return checkpoint


@lru_cache(maxsize=2)
def _load_ge2e(*, device: str, weights: Path | None, untrained: bool, official: bool) -> NetworkExtractor:
    from ldmbench.extractors.ge2e import load_ge2e

    return load_ge2e(_ge2e(), device, weights, untrained, official)


@dataclass(frozen=True)
class _Network:
    """A network that embeds voices: its title, how it is loaded, its official file, what it can hear.

    Attributes:
        title: The column's.
        load: Gives the extractor.
        checkpoint: Gives the record of its file.
        source: Paper and software.
        low: Least cosine.
        shortest: Seconds that it needs.
        longest: Most seconds that it takes.
        packages: Import names of what it needs besides torch.
    """

    title: str
    load: Load
    checkpoint: Callable[[], Checkpoint]
    source: str
    low: float = -1.0
    shortest: float = 0.0
    longest: float = float("inf")
    packages: tuple[str, ...] = ()


_NETWORKS = {
    "ge2e": _Network(
        title="Speaker GE2E",
        load=_load_ge2e,
        checkpoint=_ge2e,
        source="Wan et al., arXiv:1710.10467; cosine of Resemblyzer 0.1.4's embeddings, without its preprocessing",
        # Its numbers are not below 0.
        low=0.0,
    ),
    "wavlm": _Network(
        title="Speaker WavLM base+",
        load=partial(load_extractor, wavlm.WavLmSpeaker),
        checkpoint=lambda: wavlm.CHECKPOINT,
        source="Chen et al., arXiv:2110.13900; cosine of the embeddings of microsoft/wavlm-base-plus-sv feb593a, "
        "transformers' WavLMForXVector (CC BY-SA 3.0)",
        shortest=wavlm.SHORTEST,
        longest=wavlm.LONGEST,
        packages=("transformers",),
    ),
    "ecapa": _Network(
        title="Speaker ECAPA",
        load=partial(load_extractor, ecapa.Ecapa),
        checkpoint=lambda: ecapa.CHECKPOINT,
        source="Desplanques et al., arXiv:2005.07143; cosine of the embeddings of "
        "speechbrain/spkrec-ecapa-voxceleb 0f99f2d (Apache-2.0)",
        shortest=ecapa.SHORTEST,
    ),
}


def _register(name: str, network: _Network) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> SpeakerSimilarity:
        facts = MetricFacts(
            name=str(asked),
            title=f"{network.title}{settings_title(asked)}",
            rate=16_000,
            content=("speech",),
            device=True,
            low=network.low,
            high=1.0,
            extras=("models",),
            source=network.source,
        )
        source = Source.by(settings, network.load, "all", (network.checkpoint(),))
        return SpeakerSimilarity(facts, source, network.shortest, network.longest, network.packages)

    register(f"speaker_similarity_{name}", build, defaults={"untrained": False, "official": True})


for _name, _network in _NETWORKS.items():
    _register(_name, _network)
