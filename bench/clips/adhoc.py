"""Conditions and texts that are asked for on the spot, in place of those of a dataset's card or list."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from pydantic import ValidationError

from ldmbench.cards import faults_of
from ldmbench.clips.card import load_dataset_card
from ldmbench.clips.clip import Clip, Dataset, clips_digest
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError
from ldmbench.names import Name, parse

#: What the dataset of texts is called.
PROMPTS = "prompts"

#: Characters of a text that are part of its clip's name.
_SHOWN = 40


def condition_of(text: str) -> tuple[str, Condition]:
    """A condition and its name in ``FOLDER@NAME``: of a card, ``vctk-test@4khz``, or ``KIND:setting=value,...``.

    Raises:
        BenchError: If there is no such condition, or its settings are not right.

    Example:
        >>> condition_of("lowpass:order=6,cutoff_hz=4000,filter=butter")[0]
        'lowpass,cutoff_hz=4000,filter=butter,order=6'
    """
    asked = parse(text)
    if asked.variant:
        return asked.variant, load_dataset_card(asked.name).condition(asked.variant)
    try:
        condition = Condition.model_validate({"kind": asked.name, **asked.settings})
    except ValidationError as error:
        fix = "write DATASET@CONDITION, or KIND:setting=value,... such as lowpass:cutoff_hz=4000,filter=cheby1"
        raise BenchError(f"{text!r} is not an input condition", faults_of(error, Condition), fix) from None
    return str(Name(asked.name, "", asked.settings)).replace(":", ",", 1), condition


def prompts(texts: Sequence[str]) -> Dataset:
    """A dataset of texts without sounds, for systems that generate.

    Raises:
        BenchError: If a text is empty, or there twice.
    """
    clips = []
    for text in texts:
        text = " ".join(text.split())
        if not text:
            raise BenchError("a prompt is empty", fix="say what is to be heard")
        word = re.sub(r"[^a-z0-9]+", "-", text.lower())[:_SHOWN].strip("-")
        mark = hashlib.sha256(text.encode()).hexdigest()[:8]
        clips.append(Clip(f"{PROMPTS}/{'-'.join(filter(None, [word, mark]))}", PROMPTS, text=text))
    if len({clip.id for clip in clips}) < len(clips):
        raise BenchError("a prompt is there twice", fix="name it once; other sounds of it come with another --seed")
    return Dataset(PROMPTS, "Prompts", "general", tuple(clips), clips_digest(clips))
