"""The preflight of a dataset alone: every file of it, looked at before anything stands on it."""

from __future__ import annotations

from pathlib import Path

from ldmbench.cards import kind_of
from ldmbench.clips.card import list_datasets, obtain, own_name
from ldmbench.clips.card import load_dataset_card as load_card
from ldmbench.clips.load import load_dataset
from ldmbench.clips.verify import verify
from ldmbench.errors import BenchError
from ldmbench.names import parse
from ldmbench.probes.examples import why_not
from ldmbench.runs.check import Finding


def is_dataset(name: str) -> bool:
    """Whether a dataset has this name, whatever its condition."""
    card = parse(name).name
    return card in list_datasets() or (card.endswith(".toml") and kind_of(Path(card)) == "dataset")


def is_here(name: str) -> bool:
    """Whether all files of a dataset are here, or can be made: whether they are whole is for ``check_dataset``."""
    if load_card(parse(name).name).source.kind == "builtin":
        return True
    try:
        clips = load_dataset(name).clips
    except BenchError:
        return False
    return all(clip.path is not None and clip.path.is_file() for clip in clips)


def check_dataset(asked: str) -> list[Finding]:
    """Every fault of a dataset's local copy; where there is none that counts, how many clips it has.

    Raises:
        BenchError: If there is no such dataset.
    """
    asked = own_name(asked)
    name = parse(asked).name
    try:
        faults = [Finding(fault.level, name, fault.text, fault.fix) for fault in verify(name)]
        if any(fault.level == "error" for fault in faults):
            return faults
        dataset = load_dataset(asked)
    except BenchError as error:
        found = f": {error.found}" if error.found else ""
        return [Finding("error", name, error.what + found, error.fix or obtain(load_card(name)))]
    labels = [clip.label for clip in dataset.clips]
    if any(labels) and (reason := why_not(labels, [clip.split for clip in dataset.clips])):
        faults.append(Finding("error", name, f"cannot be probed: {reason}"))
    missing = sum(bool(clip.missing) for clip in dataset.clips)
    lacking = f", {missing} without a file" if missing else ""
    return [*faults, Finding("ok", name, f"{len(dataset.clips)} clips, list {dataset.digest[:12]}{lacking}")]
