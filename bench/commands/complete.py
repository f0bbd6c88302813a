"""Names for the shell: what ``-s``, ``-m``, ``-d`` and the arguments can be completed to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _of(names: Callable[[], Iterable[str]], files: bool = False) -> Completer:
    """Completes to the names that begin so; with ``files`` to files as well, where no name does."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        items = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return items if items or not files else [CompletionItem(incomplete, type="file")]

    return complete


def _systems() -> list[str]:
    from ldmbench.system.registry import list_systems, load_system_card

    cards = {name: load_system_card(name) for name in list_systems()}
    return [label for name, card in cards.items() for label in (name, *(f"{name}@{key}" for key in card.variants))]


def _datasets() -> list[str]:
    from ldmbench.clips.card import list_datasets, load_dataset_card

    cards = {name: load_dataset_card(name) for name in list_datasets()}
    return [label for name, card in cards.items() for label in (name, *(f"{name}@{key}" for key in card.conditions))]


def _metrics() -> list[str]:
    from ldmbench.metrics._base import list_metrics

    return list_metrics()


def _suites() -> list[str]:
    from ldmbench.suite import list_suites

    return list_suites()


def _all() -> list[str]:
    return [*_suites(), *_systems(), *_datasets(), *_metrics()]


systems, metrics, datasets = _of(_systems, files=True), _of(_metrics), _of(_datasets)
suites, anything = _of(_suites, files=True), _of(_all)
