"""Speaker similarity: the cosine of two embeddings of voices, of reference and output."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ldmbench.audio.arrays import Rows
from ldmbench.errors import Unscored
from ldmbench.extractors import NetworkExtractor
from ldmbench.metrics._base import MetricFacts, Value, register, settings_title
from ldmbench.metrics._embedding import Source
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


def _load_ge2e(*, device: str, weights: Path | None, untrained: bool, official: bool) -> NetworkExtractor:
    from ldmbench.extractors.ge2e import load_ge2e

    return load_ge2e(_ge2e(), device, weights, untrained, official)


def _build(asked: Name, settings: Mapping[str, Setting]) -> SpeakerSimilarity:
    facts = MetricFacts(
        name=str(asked),
        title=f"Speaker GE2E{settings_title(asked)}",
        rate=16_000,
        content=("speech",),
        device=True,
        # Its numbers are not below 0.
        low=0.0,
        high=1.0,
        extras=("models",),
        source="Wan et al., arXiv:1710.10467; cosine of Resemblyzer 0.1.4's embeddings, without its preprocessing",
    )
    source = Source(_load_ge2e, (_ge2e(),), "all", bool(settings["untrained"]), bool(settings["official"]))
    return SpeakerSimilarity(facts, source)


register("speaker_similarity_ge2e", _build, defaults={"untrained": False, "official": True})
