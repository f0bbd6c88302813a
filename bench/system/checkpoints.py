"""Checkpoints by their paths: ``NAME:weights=PATH``, patterns that stand for many of them, and their training steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.names import Name, parse, show
from ldmbench.system.card import WEIGHTS, SystemSpec

#: What a file of weights ends in; digits there (``.h5``) are no step.
_ENDING = re.compile(r"\.[A-Za-z]\w*$")

#: The number of steps where a name says that it is one, else the last number; ``k`` and ``M`` multiply.
_STEP = re.compile(r"(?:steps?|iter(?:ation)?s?)[-_=]?(\d+(?:\.\d+)?)([kKM]?)(?![A-Za-z])", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kKM]?)(?![A-Za-z0-9])")
_FACTORS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "m": 1e6}


def expand(names: Iterable[str]) -> list[Name]:
    """Parsed names; one whose ``weights`` is a pattern becomes a name for each checkpoint that it matches.

    They come by training step, then by path.

    Raises:
        BenchError: If a name is none, or a pattern matches nothing.
    """
    return [name for text in names for name in _each(parse(text))]


def _each(name: Name) -> Iterator[Name]:
    text = show(name.settings.get(WEIGHTS, ""))
    if not set("*?[") & set(text):
        yield name
        return
    pattern = Path(text).expanduser()
    below = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    paths = [str(path) for path in below if not path.name.startswith(".")]
    if not paths:
        folder = pattern.parent
        found = "that folder is not there" if not folder.exists() else f"{len(list(folder.iterdir()))} other entries"
        raise BenchError(f"no checkpoint matches {pattern}", f"in {folder}: {found}", "correct the pattern")
    for path in sorted(paths, key=_order):
        yield replace(name, settings={**name.settings, WEIGHTS: path})


def _order(path: str) -> tuple[float, str]:
    step = step_of(Path(path).name)
    return (float("inf") if step is None else step), path


def step_of(name: str) -> float | None:
    """The training step in the name of a checkpoint, None where it has no number.

    Example:
        >>> step_of("step_50000"), step_of("epoch=3-step=1200.ckpt"), step_of("ema_0.9999_050k.pt"), step_of("last")
        (50000.0, 1200.0, 50000.0, None)
    """
    match = _match(name)
    return None if match is None else float(match[1]) * _FACTORS[match[2]]


def series_of(name: str) -> str:
    """The name of a checkpoint without its step: what the checkpoints of one training share.

    Example:
        >>> series_of("step_50000"), series_of("small-step_2k.pt")
        ('step_*', 'small-step_*.pt')
    """
    match = _match(name)
    return name if match is None else f"{name[: match.start(1)]}*{name[match.end(2) :]}"


def _match(name: str) -> re.Match[str] | None:
    if (match := _STEP.search(name)) is not None:
        return match
    ending = _ENDING.search(name)
    *_, last = [None, *_NUMBER.finditer(name, 0, ending.start() if ending else len(name))]
    return last


def distinct(specs: Sequence[SystemSpec]) -> list[SystemSpec]:
    """Systems with their labels; checkpoints of one name are called by more of their paths until these differ."""
    named = list(specs)
    longest = max((len(spec.weights.parts) for spec in specs if spec.weights), default=0)
    for parts in range(2, longest + 1):
        paths: dict[str, set[Path | None]] = {}
        for spec in named:
            paths.setdefault(spec.label, set()).add(spec.weights)
        named = [_relabelled(spec, parts) if len(paths[spec.label]) > 1 else spec for spec in named]
    return named


def _relabelled(spec: SystemSpec, parts: int) -> SystemSpec:
    assert spec.weights is not None, "only named checkpoints share a label"
    label = label_of(spec.weights, parts)
    settings = {**spec.settings, WEIGHTS: label}
    return replace(spec, name=replace(spec.name, settings={**spec.name.settings, WEIGHTS: label}), settings=settings)


def label_of(path: Path, parts: int = 1) -> str:
    """What a checkpoint is called in tables: the last part of its path, or the last few; never a path of a machine.

    Example:
        >>> label_of(Path("/home/me/small/step_50000")), label_of(Path("/home/me/small/step_50000"), 2)
        ('step_50000', 'small-step_50000')
    """
    names = [part for part in path.parts if part != path.anchor][-parts:]
    # A label is read back by the grammar of names, where blanks and commas end a value.
    return re.sub(r"[\s,]+|[^ -~]", "-", "-".join(names)) or "root"
