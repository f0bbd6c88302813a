"""What stands between a codec's encoder and its decoder: packets that are lost, and coding once more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldmbench.errors import BenchError
from ldmbench.names import Setting

#: What can be asked of every codec beside its own settings, with the values that change nothing.
SETTINGS: Mapping[str, Setting] = {"loss": 0.0, "burst": 0.0, "burst_loss": 100.0, "passes": 1}

#: Mixed with the seed, so that a system that draws from the same seed does not draw these losses.
_STREAM = 0x6C6F7373


@dataclass(frozen=True)
class Channel:
    """The way from encoder to decoder.

    Losses are those of a Gilbert-Elliott chain that loses nothing in its good state: a bad one lasts ``burst`` packets
    on average and loses ``burst_loss`` per cent of them, and there are as many as it takes to lose ``loss`` per cent of
    all. With ``burst = 0`` packets are lost independently of each other, and those lost at a rate are lost at every
    higher one too.

    Source: Gilbert, Capacity of a Burst-Noise Channel (1960); Elliott, Estimates of Error Rates for Codes on
    Burst-Noise Channels (1963); parameters as in Hasslinger and Hohlfeld, The Gilbert-Elliott Model for Packet Loss in
    Real Time Services on the Internet (2008), with k = 1.

    Attributes:
        loss: Packets lost, per cent.
        burst: Mean length of a bad state in packets, 0 for independent losses.
        burst_loss: Packets lost within a bad state, per cent.
        passes: How often a sound is coded and decoded; 1 is once.
        lossy: Whether packets go through the channel at all.
    """

    loss: float = 0.0
    burst: float = 0.0
    burst_loss: float = 100.0
    passes: int = 1
    lossy: bool = False

    @classmethod
    def of(cls, label: str, settings: Mapping[str, Setting]) -> Channel:
        """The channel that a codec's settings ask for.

        Raises:
            BenchError: If there is no such channel.
        """
        asked = SETTINGS.keys() & settings.keys()
        values = {**SETTINGS, **settings}
        loss, burst, burst_loss = (float(values[key]) for key in ("loss", "burst", "burst_loss"))
        channel = cls(loss, burst, burst_loss, int(values["passes"]), "loss" in asked)
        for wrong, what, fix in channel._faults(asked):
            if wrong:
                raise BenchError(f"{label} has no such channel", what, fix)
        return channel

    def _faults(self, asked: Collection[str]) -> Iterator[tuple[bool, str, str]]:
        """(whether it is wrong, what was asked for, what there is)."""
        loss, burst, within = self.loss, self.burst, self.burst_loss
        yield not 0 <= loss < 100, f"loss {loss:g}", "0 or more, and less than 100 per cent"
        yield not 0 < within <= 100, f"burst_loss {within:g}", "more than 0, up to 100 per cent"
        yield burst != 0 and burst < 1, f"burst {burst:g}", "0, or 1 packet and more"
        yield self.passes < 1, f"passes {self.passes}", "1 or more"
        yield not self.lossy and bool({"burst", "burst_loss"} & set(asked)), "no loss", "name a rate with loss="
        yield burst == 0 and "burst_loss" in asked, "burst_loss without bursts", "name their length with burst="
        yield burst != 0 and loss >= within, f"loss {loss:g}", f"less than burst_loss, {within:g} per cent"
        # More bad states than good packets between them.
        crowded = burst != 0 and burst * (1 - loss / within) < loss / within
        yield crowded, f"bursts of {burst:g} packets", "longer ones: at least one good packet lies between two bursts"

    def lost(self, packets: int, seed: int) -> NDArray[np.bool_]:
        """Which of so many packets are lost, drawn from ``seed``; of fewer packets the first of these."""
        generator = np.random.default_rng([seed, _STREAM])
        if not self.burst:
            return generator.random(packets) < self.loss / 100
        share = self.loss / self.burst_loss
        leave = 1 / self.burst
        enter = leave * share / (1 - share)
        bad = bool(generator.random() < share)
        # Packet after packet, so that the first ones meet the same losses however many there are.
        draws = generator.random((packets, 2))
        states = np.empty(packets, np.bool_)
        for index, move in enumerate(draws[:, 0]):
            states[index] = bad
            bad = bool(move >= leave if bad else move < enter)
        return states & (draws[:, 1] < self.burst_loss / 100)


def repeated(lost: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each packet the one that is decoded in its place: itself, or the last that arrived; -1 before the first."""
    arrived = np.where(lost, -1, np.arange(lost.size))
    return np.maximum.accumulate(arrived) if lost.size else arrived
