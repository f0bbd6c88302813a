"""What ``ldmbench fetch`` brings: a dataset, or the official checkpoints behind any other name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from ldmbench.cards import kind_of
from ldmbench.clips.card import list_datasets, own_name
from ldmbench.clips.fetch import fetch_dataset
from ldmbench.clips.load import load_dataset
from ldmbench.errors import BenchError
from ldmbench.names import parse, unknown
from ldmbench.system.environment import make_environment
from ldmbench.system.registry import list_systems, resolve
from ldmbench.weights.fetch import fetch_checkpoints
from ldmbench.weights.record import Checkpoint


def fetch(asked: str) -> tuple[Path, Sequence[str]]:
    """Bring what a name stands for to the data home or the weights home; of a program also make its environment.

    Returns:
        Its folder, and what a user should know about it. (Clips of videos have to be there already.)

    Raises:
        BenchError: If nothing has that name, or it cannot be fetched.
    """
    name = parse(asked).name
    if name in list_datasets() or (name.endswith(".toml") and kind_of(Path(name)) == "dataset"):
        name = own_name(name)
        return fetch_dataset(name), load_dataset(name).notes
    if name in list_systems() or name.endswith(".toml"):
        card = resolve(asked).card
        if card.environment:
            folder = make_environment(card.name, card.environment, card.folder)
            return (fetch_checkpoints(official_checkpoints(asked)) if card.weights else folder), ()
    return fetch_checkpoints(official_checkpoints(asked)), ()


def official_checkpoints(asked: str) -> Sequence[Checkpoint]:
    """The official checkpoints behind the name of a system (and variant), an extractor or a recogniser.

    Raises:
        BenchError: If nothing has that name, or it has no weights.
    """
    networks = extractor_checkpoints()
    if asked in networks:
        return networks[asked]
    name = parse(asked).name
    if name not in list_systems() and not name.endswith(".toml"):
        raise unknown("name", asked, [*list_datasets(), *list_systems(), *networks])
    spec = resolve(asked)
    checkpoints = list(spec.card.weights_of(spec.name.variant).values())
    if not checkpoints:
        raise BenchError(f"{asked} has no weights to fetch", fix="run it as it is")
    return checkpoints


def extractor_checkpoints() -> dict[str, tuple[Checkpoint, ...]]:
    """Name -> official checkpoints, from ``FETCHABLE`` of every module of ``ldmbench.extractors`` that has one."""
    package = importlib.import_module("ldmbench.extractors")
    names = [f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(name) for name in names]
    return {name: files for module in modules for name, files in getattr(module, "FETCHABLE", {}).items()}
