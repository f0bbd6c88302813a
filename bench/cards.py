"""TOML files as checked records: an unknown key, a wrong type or a missing field is named with its place."""

from __future__ import annotations

import hashlib
import json
import shlex
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ldmbench.errors import BenchError


class Card(BaseModel):
    """Base of every record read from TOML: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def digest(self) -> str:
        """SHA-256 (hex) of the content, independent of the order and layout of the file."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


C = TypeVar("C", bound=Card)

#: What tells the kinds of cards apart: keys that one of them needs and no other has.
_KINDS = {
    "system": ("tasks",),
    "suite": ("task", "metrics"),
    "dataset": ("splits",),
    "table": ("runs",),
}

#: What is done with a card of each kind.
_USES = {
    "system": "ldmbench run SUITE -s {path}",
    "suite": "ldmbench run {path}",
    "dataset": "name it among a suite's datasets",
    "table": "ldmbench report --spec {path}",
}


def kind_of(path: Path) -> str:
    """``system``, ``suite``, ``dataset`` or ``table`` by the keys of a card, or empty where it cannot be told."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return next((kind for kind, keys in _KINDS.items() if all(key in content for key in keys)), "")


def refuse_other_kind(path: Path, wanted: str) -> None:
    """Raise ``BenchError`` where a card is clearly of another kind than the one that is wanted."""
    kind = kind_of(path)
    if kind and kind != wanted:
        fix = _USES[kind].format(path=shlex.quote(str(path)))
        raise BenchError(f"{path} is no {wanted}", f"it is the card of a {kind}", fix)


def load_card(path: Path, model: type[C], **extra: Any) -> C:
    """Read ``path`` as TOML into ``model``.

    Args:
        path: The TOML file.
        model: The record to fill.
        **extra: Fields that are not in the file, such as its folder.

    Raises:
        BenchError: If the file is missing, is not TOML, or does not fit the model; one line, all faults.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist") from None
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} is not valid TOML", str(error)) from None
    try:
        return model.model_validate({**content, **extra})
    except ValidationError as error:
        raise BenchError(f"{path} is not a valid card", faults_of(error, model), "correct the card") from None


def faults_of(error: ValidationError, model: type[BaseModel]) -> str:
    """Everything that keeps content from being a record, on one line: each key, and what is wrong with it."""
    faults = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            allowed = ", ".join(model.model_fields) if len(fault["loc"]) == 1 else ""
            faults.append(f"unknown key {key!r}" + (f", known are {allowed}" if allowed else ""))
        else:
            text = fault["msg"].removeprefix("Value error, ")
            faults.append(f"{key}: {text}" if key else text)
    return "; ".join(faults)
