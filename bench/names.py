"""The one grammar for naming things: ``NAME[@VARIANT][:setting=value,...]``."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ldmbench.errors import BenchError

Setting = bool | int | float | str

#: Without leading zeros, signs or underscores that would be lost: ``007`` is a text.
_NUMBER = re.compile(r"-?((0|[1-9]\d*)(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)

#: A file may be called anything: it ends where its ending does, and a Python file where what it defines is named.
_PATTERN = re.compile(
    r"(?P<name>[^:]*?\.toml|[^:]*?\.py:[^\W\d]\w*|[^@:\s]+)(@(?P<variant>[^@:\s]+))?(:(?P<settings>\S+))?"
)


@dataclass(frozen=True)
class Name:
    """A parsed name: ``semanticodec@1.40kbps:steps=10,cfg=3``."""

    name: str
    variant: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def __str__(self) -> str:
        text = self.name
        if self.variant:
            text += f"@{self.variant}"
        if self.settings:
            text += ":" + ",".join(f"{key}={show(value)}" for key, value in sorted(self.settings.items()))
        return text


def spreadsheet_safe(text: str) -> str:
    """A text as a cell of CSV that no spreadsheet takes for a formula: those get an apostrophe in front.

    Example:
        >>> spreadsheet_safe("=1+1"), spreadsheet_safe("opus@6kbps")
        ("'=1+1", 'opus@6kbps')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def parse(text: str) -> Name:
    """Parse ``NAME[@VARIANT][:setting=value,...]``.

    Values that read as finite numbers or as ``true``/``false`` become those; everything else stays text.

    Raises:
        BenchError: If the text does not follow the grammar or names a setting twice.

    Example:
        >>> parse("semanticodec@1.40kbps:steps=10,compile=true")
        Name(name='semanticodec', variant='1.40kbps', settings={'steps': 10, 'compile': True})
        >>> parse("./my cards/codec.toml@6kbps").variant, parse("./peak.py:error:order=2").name
        ('6kbps', './peak.py:error')
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise BenchError(f"{text!r} is not a name", fix="write NAME, NAME@VARIANT or NAME@VARIANT:setting=value")
    settings: dict[str, Setting] = {}
    for part in (match["settings"] or "").split(","):
        if not part:
            continue
        key, equals, value = part.partition("=")
        if not (key and equals and value):
            raise BenchError(f"{part!r} in {text!r} is not a setting", fix="write setting=value, separated by commas")
        if key in settings:
            raise BenchError(f"{text!r} sets {key!r} twice", fix="keep one of the two")
        settings[key] = _read(value)
    return Name(match["name"], match["variant"] or "", settings)


def is_path(name: str) -> bool:
    """Whether a name without variant and settings is the path of a card, or of a Python file and what it defines.

    Example:
        >>> is_path("./mycodec.toml"), is_path("./mymetric.py:peak"), is_path("opus")
        (True, True, False)
    """
    return name.endswith(".toml") or ".py:" in name


def unknown(kind: str, name: str, known: Iterable[str], fix: str = "") -> BenchError:
    """The error for a name that nothing answers to, with the nearest ones that exist."""
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    if not fix:
        fix = f"did you mean {' or '.join(near)}?" if near else _choices(choices)
    return BenchError(f"unknown {kind} {name!r}", fix=fix)


def _choices(choices: list[str]) -> str:
    if not choices:
        return "there are none to choose from"
    shown = ", ".join(choices[:12])
    return f"choose one of {shown}{', ...' if len(choices) > 12 else ''}"


def _read(value: str) -> Setting:
    if value in ("true", "false"):
        return value == "true"
    if not _NUMBER.fullmatch(value):
        return value
    number = int(value) if value.lstrip("-").isdigit() else float(value)
    return number if math.isfinite(number) else value


def show(value: Setting) -> str:
    """A value as it is typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def typed(owner: str, key: str, value: Setting, default: Setting) -> Setting:
    """``value``, set for ``key`` of a system or metric, in the type of ``default``.

    A whole number may stand for a number, and anything for a text; true and false stand for nothing else.

    Raises:
        BenchError: If the value is of another type.

    Example:
        >>> typed("lsd", "eps", 1, 1e-8), typed("codec2", "mode", 1200, "3200")
        (1.0, '1200')
    """
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, str):
        return show(value)
    if type(value) is not type(default):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
        raise BenchError(f"setting {key!r} of {owner} must be {kind}", f"{value!r}")
    return value


def some(names: Sequence[str]) -> str:
    """The first four names, and how many more there are."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
