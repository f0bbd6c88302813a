"""The part of YAML that PyYAML and webMUSHRA's own reader take for the same; the rest is refused with its line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_PAIR = re.compile(r"""(?P<key>"[^"]*"|'[^']*'|[^\s"'#\-\[{][^:#]*?)\s*:(?:\s+(?P<value>\S.*))?$""")


class NotSafe(Exception):  # noqa: N818 - a finding, not a fault
    """A line that webMUSHRA reads otherwise than it is meant, or that nobody is sure about."""

    def __init__(self, number: int, reason: str) -> None:
        self.number = number
        super().__init__(f"line {number}: {reason}")


@dataclass(frozen=True)
class _Line:
    number: int
    indent: int
    text: str


def parse(text: str) -> Any:
    """Lists, maps and scalars, nested by indentation.

    Source: what webMUSHRA at 07130f2 made of each form, read by ``lib/external/yaml.js``.

    Raises:
        NotSafe: For anything that its reader does not take like the standard's: a list on the line of another list's
            dash, a text that goes on in the next line, a backslash in double quotes, tabs; and for anchors, block
            texts and JSON, which cannot be checked here.
    """
    lines = []
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.rstrip()
        if not line or line.lstrip().startswith("#"):
            continue
        if "\t" in line[: len(line) - len(line.lstrip())]:
            raise NotSafe(number, "a tab indents it")
        lines.append(_Line(number, len(line) - len(line.lstrip(" ")), line.strip()))
    if not lines:
        raise NotSafe(1, "there is nothing")
    value, rest = _block(lines, lines[0].indent)
    if rest:
        raise NotSafe(rest[0].number, "it belongs to nothing above it; a text stands on one line")
    return value


def _block(lines: Sequence[_Line], indent: int) -> tuple[Any, Sequence[_Line]]:
    """The list or map that begins here, and the lines behind it."""
    if lines[0].text == "-" or lines[0].text.startswith("- "):
        return _list(lines, indent)
    return _map(lines, indent)


def _list(lines: Sequence[_Line], indent: int) -> tuple[list[Any], Sequence[_Line]]:
    items: list[Any] = []
    while lines and lines[0].indent == indent and (lines[0].text == "-" or lines[0].text.startswith("- ")):
        line = lines[0]
        inside = line.text[1:].strip()
        if not inside:
            lines = lines[1:]
            if not lines or lines[0].indent <= indent:
                items.append(None)
                continue
            value, lines = _block(lines, lines[0].indent)
        elif inside == "-" or inside.startswith("- "):
            raise NotSafe(
                line.number, "webMUSHRA reads a list behind the dash of another as a text: put it on its own line"
            )
        elif _PAIR.match(inside):
            first = _Line(line.number, indent + len(line.text) - len(inside), inside)
            value, lines = _map([first, *lines[1:]], first.indent)
        else:
            value, lines = _scalar(inside, line.number), lines[1:]
        items.append(value)
    return items, lines


def _map(lines: Sequence[_Line], indent: int) -> tuple[dict[str, Any], Sequence[_Line]]:
    pairs: dict[str, Any] = {}
    while lines and lines[0].indent == indent:
        line = lines[0]
        match = _PAIR.match(line.text)
        if match is None:
            raise NotSafe(line.number, "it is neither key: value nor part of a list; a text stands on one line")
        key = str(_scalar(match["key"], line.number))
        if key in pairs:
            raise NotSafe(line.number, f"{key} is there already")
        lines = lines[1:]
        if match["value"] is not None:
            pairs[key] = _scalar(match["value"].strip(), line.number)
        elif lines and (lines[0].indent > indent or (lines[0].indent == indent and lines[0].text.startswith("-"))):
            pairs[key], lines = _block(lines, lines[0].indent)
        else:
            pairs[key] = None
    if lines and lines[0].indent > indent:
        raise NotSafe(lines[0].number, "webMUSHRA joins the lines of a text otherwise: a text stands on one line")
    return pairs, lines


def _scalar(text: str, number: int) -> Any:
    if text[:1] in "\"'":
        if len(text) < 2 or text[-1] != text[0] or text[0] in text[1:-1].replace("''", ""):
            raise NotSafe(number, "its quote is not closed on the line, or another one stands in it")
        if text[0] == '"' and "\\" in text:
            raise NotSafe(number, "webMUSHRA does not know escapes in double quotes: write the letters themselves")
        return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
    if text[:1] in "&*|>[{!%@`":
        raise NotSafe(number, f"{text[0]} begins something that cannot be checked: write it out")
    if ": " in text or text.endswith(":"):
        raise NotSafe(number, "a colon in a text without quotes")
    text = re.sub(r"\s+#.*$", "", text)
    if text in ("true", "false"):
        return text == "true"
    if text in ("null", "~"):
        return None
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text)
    if re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?", text):
        return float(text)
    return text
