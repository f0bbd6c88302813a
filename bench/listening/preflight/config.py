"""Configurations of webMUSHRA: whether they load as they are meant, and every trap on the way to the table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ldmbench.audio import sound as audio_io
from ldmbench.errors import BenchError
from ldmbench.listening.preflight.finding import error, warning
from ldmbench.listening.preflight.yaml_subset import NotSafe, parse
from ldmbench.listening.webmushra import MOST_SLIDERS
from ldmbench.runs.check import Finding

#: Seconds of the longest sound that webMUSHRA plays.
LONGEST_S = 12.0

#: Conditions that webMUSHRA takes on a page beside those it adds.
_MOST_LISTED = 12

_SAFE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def check_config(path: Path, web: Path) -> list[Finding]:
    """Everything that may go wrong with one configuration, edited by hand or not.

    Args:
        path: The file.
        web: The folder that its paths are relative to.
    """
    name = path.name
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as fault:
        return [error(name, f"cannot be read: {fault}", "export the pack again")]
    except NotSafe as fault:
        return [error(name, str(fault), "write texts in double quotes on one line, lists within lists on their own")]
    if not isinstance(content, dict) or not isinstance(content.get("pages"), list):
        return [error(name, "has no pages")]
    found = list(_head(name, content))
    pages = list(_pages(content["pages"]))
    if not pages or not isinstance(pages[-1], dict) or pages[-1].get("type") != "finish":
        found.append(error(name, "the last page is not of type finish: nothing would be sent"))
    names = [str(page.get("id")) for page in pages if isinstance(page, dict)]
    for repeated in sorted({one for one in names if names.count(one) > 1}):
        found.append(error(name, f"two pages are called {repeated}"))
    for page in pages:
        if not isinstance(page, dict):
            found.append(error(name, f"{page!r} is no page"))
        elif page.get("type") == "mushra":
            found += _mushra(f"{name} {page.get('id')}", page, web)
        elif page.get("type") == "finish":
            found += _finish(name, page)
    return found


def _pages(pages: list[Any]) -> Iterator[Any]:
    """All pages, those of blocks and shuffled blocks in place of these."""
    for page in pages:
        if isinstance(page, list):
            yield from _pages(page[1:] if page[:1] == ["random"] else page)
        else:
            yield page


def _head(name: str, content: Mapping[str, Any]) -> Iterator[Finding]:
    test = content.get("testId")
    if fault := _name_fault(test):
        yield error(name, f"testId {test!r} {fault}")
    elif str(test) != str(test).lower():
        yield warning(name, f"testId {test!r} has capitals: ids that differ in nothing else share one table")
    if content.get("stopOnErrors") is not True:
        yield warning(name, "stopOnErrors is not true: sounds that do not fit are played all the same")
    if not content.get("remoteService"):
        yield error(name, "there is no remoteService: ratings are not sent")


def _name_fault(text: object) -> str:
    """What is wrong with an id, empty where nothing is."""
    if not isinstance(text, str):
        return "is read as a number or truth value, and comes back changed: begin it with a letter"
    for character, reason in (
        ("&", "has an &, which cuts off what is sent: the whole session is lost"),
        ("+", "has a +, which arrives as a blank"),
        ("%", "has a %, which may be decoded on the way"),
        ("'", "has an apostrophe, at which it is cut"),
    ):
        if character in text:
            return reason
    if text.lower() in ("nan", "inf", "infinity", "true", "false", "none", "null") or re.match(r"[\d.]", text):
        return "looks like a number or truth value, which pymushra makes of it: begin it with a letter"
    return "" if _SAFE.fullmatch(text) else "has characters beyond letters, digits, - and _"


def _mushra(name: str, page: Mapping[str, Any], web: Path) -> Iterator[Finding]:
    stimuli = page.get("stimuli")
    if not isinstance(stimuli, dict) or not stimuli or not isinstance(page.get("reference"), str):
        yield error(name, "has no stimuli or no reference")
        return
    if fault := _name_fault(page.get("id")):
        yield error(name, f"id {page.get('id')!r} {fault}")
    for key in stimuli:
        if fault := _name_fault(key):
            yield error(name, f"stimulus {key!r} {fault}")
    if "reference" in stimuli:
        yield error(name, "lists the hidden reference, which webMUSHRA adds itself: there would be two")
    for made in ("createAnchor35", "createAnchor70"):
        if page.get(made):
            yield warning(
                name, f"{made}: anchors made in the browser lead by 2 ms, and stop the test at 96 kHz", "ship anchors"
            )
    if len(stimuli) > _MOST_LISTED:
        yield error(name, f"lists {len(stimuli)} stimuli, webMUSHRA takes {_MOST_LISTED}")
    anchors = sum(bool(page.get(made)) for made in ("createAnchor35", "createAnchor70"))
    if len(stimuli) + 1 + anchors > MOST_SLIDERS:
        yield error(name, f"has {len(stimuli) + 1 + anchors} sliders, ITU-R BS.1534-3 allows {MOST_SLIDERS}")
    if page.get("strict") is False:
        yield warning(name, "strict is false: longer sounds than 12 s are played")
    if page.get("randomize") is False:
        yield warning(name, "randomize is false: the hidden reference stands at a known place")
    if page.get("showConditionNames"):
        yield warning(name, "showConditionNames: listeners see the names of stimuli")
    if page.get("content") is None:
        yield warning(name, 'has no content: listeners read "undefined"', 'write content: ""')
    yield from _files(name, [page["reference"], *map(str, stimuli.values())], web)


def _files(name: str, files: list[str], web: Path) -> Iterator[Finding]:
    """Whether the sounds of a page are there and of one kind: webMUSHRA compares samples, and stops at the first."""
    kinds: dict[tuple[int, int, int], str] = {}
    for file in files:
        path = web / file
        if Path(file).is_absolute() or ".." in Path(file).parts:
            yield error(name, f"{file} lies outside the folder of the test")
            continue
        try:
            sound = audio_io.read(path)
        except BenchError as fault:
            yield error(name, str(fault))
            continue
        kinds.setdefault((sound.rate, sound.channels, sound.length), file)
        if sound.duration > LONGEST_S:
            yield error(name, f"{file} is {sound.duration:.2f} s long, webMUSHRA takes {LONGEST_S:g} s")
    for index, what in enumerate(("rates", "numbers of channels", "lengths in samples")):
        values = sorted({kind[index] for kind in kinds})
        if len(values) > 1:
            yield error(name, f"its sounds have several {what}: {', '.join(map(str, values))}")
    if any(kind[1] == 1 for kind in kinds):
        yield error(name, "has mono files, which webMUSHRA plays on the left only", "render them with two channels")
    if any(kind[0] not in (44_100, 48_000) for kind in kinds):
        rates = ", ".join(sorted({str(kind[0]) for kind in kinds}))
        yield warning(name, f"rate {rates} Hz: each listener's browser resamples it, in its own way", "use 48 kHz")


def _finish(name: str, page: Mapping[str, Any]) -> Iterator[Finding]:
    if page.get("showResults"):
        yield warning(name, "showResults: the last page shows the names of stimuli beside the scores")
    questions = page.get("questionnaire")
    for question in questions if isinstance(questions, list) else []:
        if not isinstance(question, dict):
            continue
        label, kind = question.get("name"), question.get("type")
        if _name_fault(label) or str(label) in ("header", "container", "slider", "feedback"):
            yield error(name, f"question {label!r} needs a name of small letters, digits and _")
        if kind in ("text", "long_text"):
            yield warning(
                name,
                f"question {label!r} takes free text: an & in an answer loses the session",
                "ask with likert or number",
            )
        if kind == "number" and "default" not in question:
            yield warning(name, f'question {label!r} is a number without default: listeners read "undefined"')
        if re.search(r"e-?mail", f"{label} {question.get('label')}", re.IGNORECASE):
            yield warning(name, "asks for an e-mail address: webMUSHRA keeps it where anybody can read it")
