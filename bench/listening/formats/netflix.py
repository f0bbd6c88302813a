"""The XML of Netflix's listening-test application, in which ODAQ's ratings are kept: one file a listener."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.listening.formats.table import Read, number, text_of
from ldmbench.listening.votes import Vote


def is_netflix(text: str) -> bool:
    """Whether this is a session of that application."""
    return "<testFile" in text and "<trial" in text


def read_netflix(path: Path) -> Read:
    """Read a session; stray text around its elements is passed over.

    Raises:
        BenchError: If it is no XML, declares entities, or the test was not finished.
    """
    text = text_of(path)
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise BenchError(f"{path} declares entities", "a session has none", "name a file as the application wrote it")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise BenchError(f"{path} is not XML", str(error), "name a file as the application wrote it") from None
    info = root.find(".//info")
    status = "" if info is None else info.get("testStatus", "")
    if status != "complete":
        raise BenchError(f"{path} is a test that was not finished", f"testStatus {status!r}", "leave it out")
    listener = ("" if info is None else info.get("subjectName", "")) or path.stem
    read = Read()
    for page, trial in enumerate(root.iter("trial"), 1):
        item = trial.get("trialName", "")
        seconds = number(trial.get("trialSeconds", ""))
        for position, sound in enumerate(trial.iter("testFile"), 1):
            name, score = sound.get("fileName", ""), number(sound.get("score", ""))
            stem = re.split(r"[\\/]", name)[-1].rpartition(".")[0] or name
            if not item or not stem or score != score:
                read.broken.append(f"trial {page}, {name}")
                continue
            plays = number(sound.get("plays", ""))
            read.rows.append(
                Vote(
                    listener, path.stem, item, "reference" if "reference" in stem.lower() else stem, score, page=page,
                    position=position, seconds=seconds if seconds >= 0 else None,
                    played=plays > 0 if plays == plays else None, sound=name, source=path.name,
                )
            )  # fmt: skip
    return read.finish(path)
