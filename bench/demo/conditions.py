"""Input conditions that can be chosen: those of every dataset's card, and any that is written by its fields."""

from __future__ import annotations

import typing
from dataclasses import dataclass

from ldmbench.clips.card import list_datasets, load_dataset_card
from ldmbench.clips.condition import Condition
from ldmbench.names import Name, Setting


@dataclass(frozen=True)
class Named:
    """A condition of a card.

    Attributes:
        name: As `ldmbench run -c` takes it: ``vctk-test@4khz``.
        title: What it does, in words.
    """

    name: str
    title: str


def named_conditions() -> list[Named]:
    """Every condition of every card; of equal ones the first, whose dataset comes with the bench where one does."""
    cards = [load_dataset_card(name) for name in list_datasets()]
    cards.sort(key=lambda card: card.source.kind != "builtin")
    first: dict[str, Named] = {}
    for card in cards:
        for name, condition in card.conditions.items():
            named = Named(f"{card.name}@{name}", f"{name}: {described(condition)}  ·  {card.name}")
            first.setdefault(condition.digest(), named)
    return sorted(first.values(), key=lambda named: named.title.partition(": ")[2])


def described(condition: Condition) -> str:
    """The kind of a condition, and those of its fields that are not as they are anyway."""
    fields = type(condition).model_fields
    own = {name: value for name, value in condition if name != "kind" and value != fields[name].default}
    text = ", ".join(f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in own.items())  # fmt: skip
    return f"{condition.kind}, {text}" if text else condition.kind


def written(kind: str, **fields: Setting) -> str:
    """A condition as `ldmbench run -c` takes it, written by its fields."""
    return str(Name(kind, "", fields))


def filters() -> list[str]:
    """Families of low-pass filters that a condition can name."""
    return list(typing.get_args(Condition.model_fields["filter"].annotation))
