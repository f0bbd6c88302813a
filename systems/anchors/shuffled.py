"""Another clip's ground truth: what a metric says about real sound that has nothing to do with the prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Output


class Shuffled:
    """Gives every clip the reference of another clip of its dataset.

    The clips of a dataset stand in a circle, in the order of their seeds (hashes of the run's seed and the clip's
    id), and each gets the sound of the next one that is another recording: two captions of one file never meet.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.card = spec.card
        self._partners: dict[str, Clip] = {}

    def setup(self, clips: Sequence[Clip]) -> None:
        """Pair all clips of the run; only some of them may be pending.

        Raises:
            BenchError: If a dataset holds a single recording.
        """
        circles: dict[str, list[Clip]] = {}
        for clip in clips:
            circles.setdefault(clip.dataset, []).append(clip)
        for name, members in circles.items():
            if len({_recording(clip) for clip in members if not clip.missing}) < 2:
                raise BenchError(
                    f"{name} cannot be shuffled", "it holds a single recording", "use a dataset with two or more"
                )
            members.sort(key=lambda clip: (clip.seed, clip.id))
            for index, clip in enumerate(members):
                others = (members[(index + step) % len(members)] for step in range(1, len(members)))
                self._partners[clip.id] = next(
                    other for other in others if not other.missing and _recording(other) != _recording(clip)
                )

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the partner's reference, as long as it is."""
        for clip in clips:
            partner = self._partners[clip.id]
            yield Output(partner.audio, details={"clip": partner.id})


def _recording(clip: Clip) -> tuple[object, ...]:
    return (clip.path, clip.start, clip.end, clip.stream) if clip.path else (clip.id,)
