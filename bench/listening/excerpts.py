"""Which excerpts are heard, and why: a seeded rule that favours no system, or a list by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.audio.sound import Audio
from ldmbench.audio.spectra import magnitudes, triangles
from ldmbench.clips.table import read_table
from ldmbench.errors import BenchError
from ldmbench.listening.items import Item
from ldmbench.names import some, unknown

#: Frames of the analysis: samples of a window at ``_RATE``, and between windows.
_RATE, _WINDOW, _HOP = 16_000, 512, 160

#: Share of an excerpt's frames that have to be within ``_GATE_DB`` of its loudest.
_SOUNDING, _GATE_DB = 0.4, 40.0

#: An excerpt whose loudest frame is below this is silent, dB of full scale.
_SILENT_DB = -60.0

#: Items on which systems differ least are not asked for: the lowest quarter of each stratum.
_LEAST = 0.25

#: Of more clips, so many are drawn: each has to be read with all its outputs.
_MOST = 200

#: Shorter sounds cannot be judged.
_SHORTEST_S = 0.5


@dataclass(frozen=True)
class Excerpt:
    """A part of a clip, and why it was chosen; a row of ``excerpts.csv``.

    Attributes:
        item: The clip with its outputs.
        start: First second.
        end: Last second.
        spread: How far the systems' spectral distances to the reference lie apart, dB; None where nobody measured it.
        closest: The system with the smallest distance.
        why: The reason in words.
    """

    item: Item
    start: float
    end: float
    spread: float | None = None
    closest: str = ""
    why: str = ""


def choose(items: Sequence[Item], count: int, longest: float, seed: int) -> tuple[list[Excerpt], list[str]]:
    """At most ``count`` excerpts by rule, in a drawn order, and notes on what was left out.

    Of more than 200 clips, 200 are drawn. Of each the window of at most ``longest`` seconds is taken that sounds most,
    of equal ones that which begins and ends most quietly; clips without enough sound are left out. Groups of clips
    (datasets, where there are more groups than excerpts) have as equal shares as can be. In each of them, clips are
    ordered by how far the systems lie apart (the standard deviation over systems of the mean distance between log
    spectra of output and reference); the lowest quarter is left out, and of the rest those at equal steps between
    least and most are taken, from a drawn start. The rule never looks at which system is better.

    Args:
        items: All candidates.
        count: Excerpts wanted.
        longest: Longest excerpt, s.
        seed: Seed of what is drawn.

    Raises:
        BenchError: If no clip has enough sound.
    """
    generator = np.random.default_rng(seed)
    drawn, notes = _drawn(items, max(_MOST, 2 * count), generator)
    candidates: list[Excerpt] = []
    quiet = []
    for item in drawn:
        excerpt = _window(item, longest)
        if excerpt is None:
            quiet.append(item.clip.id)
        else:
            candidates.append(excerpt)
    if quiet:
        notes.append(f"left out, mostly silent or under {_SHORTEST_S} s: {some(quiet)}")
    if not candidates:
        raise BenchError("no clip has enough sound for a listening test", some(quiet), "name excerpts with --excerpts")
    groups = [excerpt.item.group for excerpt in candidates]
    if len(set(groups)) > count:
        groups = [excerpt.item.clip.dataset for excerpt in candidates]
    chosen = []
    for group, share in _shares(groups, count, generator).items():
        stratum = [excerpt for excerpt, name in zip(candidates, groups, strict=True) if name == group]
        chosen += _stratum(group, stratum, share, generator)
    order = generator.permutation(len(chosen))
    return [chosen[index] for index in order], notes


def read_excerpts(path: Path, items: Sequence[Item], longest: float) -> list[Excerpt]:
    """Excerpts by hand: a CSV with ``clip`` and optionally ``start`` and ``end`` in seconds.

    Raises:
        BenchError: If a clip is not among the candidates, or an excerpt is not part of it or too long.
    """
    columns, rows = read_table(path, "name a CSV with clip,start,end", "use clip,start,end", short_rows=True)
    if "clip" not in columns or set(columns) - {"clip", "start", "end"}:
        raise BenchError(f"{path} has the wrong columns", ", ".join(columns) or "none", "use clip,start,end")
    by_name = {item.clip.id: item for item in items}
    chosen = []
    for number, row in enumerate(rows, 2):
        if row["clip"] not in by_name:
            raise unknown("clip with an output of every system", row["clip"], by_name)
        item = by_name[row["clip"]]
        whole = _sound(item).duration
        try:
            start, end = float(row.get("start") or 0), float(row.get("end") or min(whole, longest))
        except ValueError:
            raise BenchError(f"{path} line {number}: start and end are not seconds", str(row)) from None
        if not 0 <= start < end <= whole + 1e-6 or end - start > longest + 1e-6:
            raise BenchError(
                f"{path} line {number}: no excerpt of at most {longest:g} s within the clip",
                f"{start:g} to {end:g} s of {whole:.2f} s",
            )
        chosen.append(Excerpt(item, start, min(end, whole), why="by hand"))
    if not chosen:
        raise BenchError(f"{path} names no excerpt", "a header and no row")
    return chosen


def _drawn(items: Sequence[Item], most: int, generator: np.random.Generator) -> tuple[list[Item], list[str]]:
    """At most so many items, in equal shares of their groups, and a note where there were more."""
    if len(items) <= most:
        return list(items), []
    kept: list[int] = []
    groups = [item.group for item in items]
    for group, share in _shares(groups, most, generator).items():
        members = [index for index, name in enumerate(groups) if name == group]
        kept += [members[index] for index in generator.permutation(len(members))[:share]]
    return [items[index] for index in sorted(kept)], [
        f"excerpts come from {most} of {len(items)} clips, which were drawn"
    ]


def _sound(item: Item) -> Audio:
    """What the excerpt is cut by: the reference, or the first output where there is none."""
    return (item.clip.audio if item.has_reference else next(iter(item.outputs.values())).read()).mono()


def _window(item: Item, longest: float) -> Excerpt | None:
    """The best window of a clip, None where it has too little sound."""
    audio = _sound(item)
    levels = _levels(audio)
    span = round(longest * _RATE / _HOP)
    loud = (levels > levels.max() - _GATE_DB) if levels.size else np.zeros(0, bool)
    if audio.duration < _SHORTEST_S or levels.max(initial=-np.inf) < _SILENT_DB:
        return None
    start, end = 0.0, audio.duration
    if audio.duration > longest:
        sums = np.concatenate([[0], np.cumsum(loud)])
        firsts = np.arange(0, levels.size - span)
        sounding = (sums[firsts + span] - sums[firsts]) / span
        edges = np.maximum(levels[firsts], levels[firsts + span])
        best = firsts[np.lexsort((edges, -np.round(sounding, 1)))[0]]
        start = best * _HOP / _RATE
        end = start + longest
        loud = loud[best : best + span]
    if loud.mean() < _SOUNDING:
        return None
    spread, closest = _spread(item, start, end)
    return Excerpt(item, start, end, spread, closest)


def _levels(audio: Audio) -> Real:
    """Level of each frame, dB of full scale."""
    frames = _bands(audio)
    return np.asarray(10 * np.log10(np.maximum((frames**2).sum(axis=1), 1e-20)) - 20 * np.log10(_WINDOW / 4))


def _bands(audio: Audio) -> Real:
    """Magnitudes ``[frames, bands]`` in 32 bands of equal ratio from 60 Hz to 7.8 kHz."""
    signal = audio.at(_RATE).samples[0]
    if signal.size <= _WINDOW // 2:
        return np.zeros((0, 32))
    spectrum = magnitudes(signal, _WINDOW, _HOP).astype(np.float64)
    return np.asarray(spectrum @ triangles(np.geomspace(60, 7800, 34), _RATE, _WINDOW).T)


def _spread(item: Item, start: float, end: float) -> tuple[float | None, str]:
    """How far the systems lie apart in an excerpt, and which is closest to the reference."""
    if not item.has_reference or len(item.outputs) < 2:
        return None, ""
    first, last = round(start * _RATE / _HOP), round(end * _RATE / _HOP)

    def log_spectrum(audio: Audio) -> Real:
        bands = _bands(audio.mono())[first:last]
        return np.asarray(20 * np.log10(np.maximum(bands, 1e-3)))

    target = log_spectrum(item.clip.audio)
    distances = {}
    for system, source in item.outputs.items():
        output = log_spectrum(source.read())
        frames = min(len(output), len(target))
        distances[system] = float(np.sqrt(np.mean((output[:frames] - target[:frames]) ** 2, axis=1)).mean())
    return float(np.std(list(distances.values()))), min(distances, key=lambda name: distances[name])


def _shares(groups: Sequence[str], count: int, generator: np.random.Generator) -> dict[str, int]:
    """How many excerpts each group gets: one after the other in a drawn order, as long as it has clips."""
    sizes = {group: groups.count(group) for group in sorted(set(groups))}
    drawn = [str(group) for group in generator.permutation(sorted(sizes))]
    shares = dict.fromkeys(sizes, 0)
    while sum(shares.values()) < min(count, len(groups)):
        for group in drawn:
            if shares[group] < sizes[group] and sum(shares.values()) < count:
                shares[group] += 1
    return {group: share for group, share in shares.items() if share}


def _stratum(group: str, stratum: list[Excerpt], share: int, generator: np.random.Generator) -> list[Excerpt]:
    """``share`` excerpts of a group, at equal steps of how far the systems lie apart."""
    stratum = [stratum[index] for index in generator.permutation(len(stratum))]
    stratum.sort(key=lambda excerpt: excerpt.spread or 0.0)
    lowest = min(int(_LEAST * len(stratum)), len(stratum) - share)
    rest = stratum[lowest:]
    step = len(rest) / share
    offset = float(generator.uniform(0, step))
    picked = sorted({min(int(offset + index * step), len(rest) - 1) for index in range(share)})
    reasons = []
    for index in picked:
        excerpt = rest[index]
        place = f"rank {lowest + index + 1} of {len(stratum)} of {group}"
        how = "drawn" if excerpt.spread is None else f"by how far the systems lie apart ({excerpt.spread:.2f} dB)"
        reasons.append(
            Excerpt(excerpt.item, excerpt.start, excerpt.end, excerpt.spread, excerpt.closest, f"{place} {how}")
        )
    return reasons
