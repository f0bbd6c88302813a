"""Names of a test joined with what they stand for: stimuli with systems, items with clips and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ldmbench.clips.table import read_table
from ldmbench.errors import BenchError
from ldmbench.listening.formats.own import role_of
from ldmbench.listening.pack import TRAINING, load_key, load_pack
from ldmbench.listening.votes import Role, Vote
from ldmbench.names import some, unknown

ROLES: tuple[Role, ...] = ("system", "reference", "low anchor", "mid anchor")


@dataclass(frozen=True)
class Names:
    """What names in ratings stand for.

    Attributes:
        stimuli: (item or page, stimulus) -> (item, system, repeat); the page is empty where a stimulus has one name
            on all of them.
        systems: Condition -> label of the system.
        roles: Label -> role.
        kinds: Label -> ``neural``, ``classical``, ...
        clips: Item -> clip of the runs.
        groups: Item -> group.
        left_out: Pages whose ratings are no results, such as the one for training.
    """

    stimuli: Mapping[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)
    systems: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    clips: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()


def names_of_pack(folder: Path, key: Path | None = None) -> Names:
    """What the stimuli of a pack were, as its sealed key says.

    webMUSHRA calls the hidden reference of every page ``reference``; a rating sheet names sounds without their page.

    Args:
        folder: The pack.
        key: The key, by default the one beside the pack.

    Raises:
        BenchError: If there is no key, or it is not the one that was sealed with the pack.
    """
    sealed = load_key(folder, load_pack(folder), key)
    stimuli: dict[tuple[str, str], tuple[str, str, int]] = {}
    roles: dict[str, Role] = {}
    clips, groups = {}, {}
    for page_id, page in sealed.pages.items():
        clips[page.item] = page.item
        if page.group:
            groups[page.item] = page.group
        for name, stimulus in page.stimuli.items():
            entry = (page.item, stimulus.system, page.repeat)
            stimuli[page_id, name] = stimuli["", name] = entry
            roles[stimulus.system] = role_of(stimulus.system, stimulus.role)
            if stimulus.role == "reference":
                stimuli[page_id, "reference"] = entry
    return Names(stimuli, roles=roles, clips=clips, groups=groups, left_out=frozenset({TRAINING}))


def read_names(key: Path | None = None, systems: Path | None = None, items: Path | None = None) -> Names:
    """Read the tables that say what names stand for.

    Args:
        key: CSV ``stimulus,system[,page][,item][,repeat]``.
        systems: CSV ``condition[,system][,role][,kind]``; a role is one of ``ROLES``.
        items: CSV ``item[,clip][,group]``.

    Raises:
        BenchError: If a table is not valid.
    """
    stimuli = {}
    for row in _rows(key, ("stimulus", "system"), ("page", "item", "repeat")):
        page = row.get("page", "")
        name = page, row["stimulus"]
        if name in stimuli:
            raise BenchError(f"{key} names {row['stimulus']!r} twice", page, "give it one system on a page")
        repeat = row.get("repeat", "") or "0"
        stimuli[name] = row.get("item", "") or page, row["system"], int(repeat) if repeat.isdigit() else 0
    labels: dict[str, str] = {}
    roles: dict[str, Role] = {}
    kinds = {}
    for row in _rows(systems, ("condition",), ("system", "role", "kind")):
        label = labels[row["condition"]] = row.get("system", "") or row["condition"]
        role = row.get("role", "")
        if role:
            match = next((name for name in ROLES if name == role), None)
            if match is None:
                raise unknown(f"role in {systems}", role, ROLES)
            roles[label] = match
        if row.get("kind"):
            kinds[label] = row["kind"]
    clips, groups = {}, {}
    for row in _rows(items, ("item",), ("clip", "group")):
        if row.get("clip"):
            clips[row["item"]] = row["clip"]
        if row.get("group"):
            groups[row["item"]] = row["group"]
    return Names(stimuli, labels, roles, kinds, clips, groups)


def both(first: Names, second: Names) -> Names:
    """The names of two tables; the second one counts where both say something."""
    return Names(
        {**first.stimuli, **second.stimuli},
        {**first.systems, **second.systems},
        {**first.roles, **second.roles},
        {**first.kinds, **second.kinds},
        {**first.clips, **second.clips},
        {**first.groups, **second.groups},
        first.left_out | second.left_out,
    )


def _rows(path: Path | None, required: Sequence[str], optional: Sequence[str]) -> list[dict[str, str]]:
    if path is None:
        return []
    header = ",".join((*required, *(f"[{name}]" for name in optional)))
    columns, rows = read_table(path, f"name a CSV with the columns {header}", f"the columns are {header}")
    absent = [name for name in required if name not in columns]
    if absent:
        raise BenchError(f"{path} lacks the column {', '.join(absent)}", ", ".join(columns), f"write {header}")
    for name in columns:
        if name not in (*required, *optional):
            raise unknown(f"column of {path}", name, (*required, *optional))
    for line, row in enumerate(rows, 2):
        empty = [name for name in required if not row[name].strip()]
        if empty:
            raise BenchError(f"{path} line {line}: {', '.join(empty)} is empty", fix="fill it or remove the line")
    return [{name: text.strip() for name, text in row.items()} for row in rows]


def join(votes: Sequence[Vote], names: Names) -> tuple[list[Vote], list[str]]:
    """Votes under the names of systems and items.

    Returns:
        The votes, and a note on stimuli that the key does not have; they keep their names.

    Raises:
        BenchError: If there is a key, and it has none of the stimuli.
    """
    rows, strangers = [], dict[str, None]()
    joined = 0
    for vote in votes:
        if vote.item in names.left_out:
            continue
        entry = names.stimuli.get((vote.item, vote.system)) or names.stimuli.get(("", vote.system))
        if entry is not None:
            joined += 1
            item, system, repeat = entry
            # The file of a sheet is its own item until the key says otherwise.
            vote = replace(vote, item=item or vote.item, system=system, repeat=repeat)
        elif names.stimuli and vote.system not in names.roles:
            strangers[vote.system] = None
        rows.append(replace(vote, system=names.systems.get(vote.system, vote.system)))
    if strangers and not joined:
        raise BenchError(
            "the key has none of the stimuli that were rated", some(list(strangers)), "use the key of this test"
        )
    return rows, [f"Not in the key, and named as they are: {some(list(strangers))}"] if strangers else []
