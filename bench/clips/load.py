"""A dataset's name becomes its clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ldmbench.clips.card import filled, list_datasets, load_dataset_card, obtain, read_list, source_folder
from ldmbench.clips.clip import Clip, Dataset, clips_digest
from ldmbench.clips.labelled import select_labelled
from ldmbench.clips.rule import select
from ldmbench.errors import BenchError
from ldmbench.names import parse, unknown


def load_dataset(name: str) -> Dataset:
    """``NAME`` or ``NAME@CONDITION`` as clips; built-in ones are synthesised if they are not there yet.

    Raises:
        BenchError: If the name, its condition or its pinned list is not right.
    """
    asked = parse(name)
    card = load_dataset_card(asked.name)
    if asked.settings:
        raise BenchError(f"dataset {name!r} has settings", "a dataset has none", "write NAME or NAME@CONDITION")
    condition = card.condition(asked.variant) if asked.variant else None
    notes: tuple[str, ...] = ()
    primary = ""
    missing: Mapping[str, str] = {}
    identity: Sequence[str] = ()
    if rule := card.splits[card.default].rule:
        chosen = select(rule, card.name, source_folder(card), card.splits[card.default].sha256, obtain(card))
        rows, identity, notes = [filled(row) for row in chosen.rows], chosen.identity, chosen.notes
    elif labelled := card.splits[card.default].labelled:
        chosen = select_labelled(labelled, card.name, source_folder(card), obtain(card))
        rows, identity, notes = [filled(row) for row in chosen.rows], chosen.identity, chosen.notes
        primary = chosen.primary_score
    else:
        rows = read_list(card, card.default)
    paths: Mapping[str, Path]
    if card.source.kind == "youtube":
        from ldmbench.clips.youtube import locate

        located = locate(card, rows)
        rows, paths, missing, identity, notes = (
            list(located.rows),
            located.paths,
            located.missing,
            located.identity,
            located.notes,
        )
    digests = {row["id"]: row["sha256"] for row in rows}
    if card.source.kind == "builtin":
        from ldmbench.synthesis import materialise

        # A built-in clip that came out differently is announced in the notes, and is known by its own digest.
        paths, digests, notes = materialise(card.source.generator, rows)
    elif card.source.kind != "youtube":
        folder = source_folder(card)
        paths = {row["id"]: folder / row["path"] for row in rows}
    # With the condition in their ids: a suite may hold one dataset under several.
    shared = Clip("", name, card.content, condition=condition)
    clips = tuple(
        replace(
            _clip(shared, row),
            path=paths.get(row["id"]),
            sha256=digests[row["id"]],
            missing=missing.get(row["id"], ""),
        )
        for row in rows
    )
    identity = identity or [digests[row["id"]] or row["path"] for row in rows]
    return Dataset(name, card.title, card.content, clips, clips_digest(clips, identity), notes, primary)


def _clip(shared: Clip, row: Mapping[str, str]) -> Clip:
    """The clip of a row of a list; ``shared`` has what all clips of the dataset have in common."""
    return replace(
        shared,
        id=f"{shared.dataset}/{row['id']}",
        start=float(row["start"] or 0.0),
        end=float(row["end"]) if row["end"] else None,
        text=(shared.condition.text if shared.condition else "") or row["text"] or None,
        group=row["group"] or None,
        language=row["language"],
        label=row["label"],
        split=row["split"],
        seconds=float(row["seconds"] or 0.0),
        stream=int(row["stream"]) if row["stream"] else None,
    )


def load_source(name: str) -> Dataset:
    """A dataset by name, or a folder of audio by its path.

    Raises:
        BenchError: If it is neither.
    """
    # Not parsed: the path of a folder may hold anything.
    if name.partition("@")[0] in list_datasets():
        return load_dataset(name)
    if Path(name).is_dir():
        from ldmbench.clips.folder import load_folder

        return load_folder(name)
    raise unknown("dataset or folder", name, list_datasets())
