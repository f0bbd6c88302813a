"""GE2E: the speaker embedding that Resemblyzer ships, as a representation with trained weights to probe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ldmbench.audio.arrays import Features
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.extractors import ge2e
from ldmbench.host.device import check_device
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Output


class Ge2e:
    """The embeddings of ``ldmbench.extractors.ge2e``."""

    def __init__(self, spec: SystemSpec) -> None:
        self.card = spec.card
        path = None if spec.untrained else spec.weights_folder() / "pretrained.pt"
        self._extractor = ge2e.Ge2e(check_device(spec.device), "those of the system", path)
        self._extractor.load()

    @property
    def parameters(self) -> int:
        """Learned values."""
        return sum(item.numel() for item in self._extractor.network.parameters())

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Refused: it makes no sound.

        Raises:
            BenchError: Always.
        """
        raise BenchError(f"{self.card.name} makes no sound", "it embeds", "probe it in a suite of task embed")

    def embed(self, clips: Sequence[Clip]) -> Iterator[Mapping[str, Features]]:
        """Yield ``all``: ``[256]``, not negative, of unit length."""
        for clip in clips:
            # Past the cache, since a system's work is what is timed.
            heard = self._extractor.prepare(clip.audio)
            yield {"all": self._extractor.forward(heard[None])["all"][0]}
