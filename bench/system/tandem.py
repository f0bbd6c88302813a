"""Two systems one after the other: what comes out of the first is what the second gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.card import AFTER
from ldmbench.system.protocol import Output, Prepares, System, parameters_of


class Tandem:
    """A codec on sounds that have been through another system. Bits and tokens are the codec's own.

    Args:
        first: What a clip goes through before.
        second: The codec.
        label: What the first one is called.
    """

    #: Learned parameters of both; there only where one has some.
    parameters: int

    def __init__(self, first: System, second: System, label: str) -> None:
        self.card = second.card
        self._first, self._second, self._label = first, second, label

    def setup(self, clips: Sequence[Clip]) -> None:
        """Set both up."""
        for system in (self._first, self._second):
            if isinstance(system, Prepares):
                system.setup(clips)
        counts = [count for count in map(parameters_of, (self._first, self._second)) if count is not None]
        if counts:
            self.parameters = sum(counts)

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the second one's outputs.

        Raises:
            BenchError: If the first one makes no sound of a clip.
        """
        # Seeds of their own: two channels that lose packets do not lose the same ones.
        before = self._first.process([clip.seeded(clip.seed) for clip in clips])
        between = [self._between(clip, output) for clip, output in zip(clips, before, strict=True)]
        for output in self._second.process(between):
            yield replace(output, details={**output.details, AFTER: self._label})

    def _between(self, clip: Clip, output: Output) -> Clip:
        """The clip with what came out of the first one, as long as what went in."""
        if output.audio is None:
            raise BenchError(f"{self._label} made no sound of {clip.id}", fix=f"name a codec with {AFTER}=")
        sound = output.audio.fit(round(clip.input.duration * output.audio.rate))
        return replace(clip, loaded=sound, condition=None)
