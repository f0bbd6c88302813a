"""What a run's ID is made of: everything that changes its audio, and nothing that does not."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ldmbench.clips.clip import Dataset
from ldmbench.clips.load import load_source
from ldmbench.system.card import SystemSpec

#: Modules of the engine that touch samples; what an adapter imports of them is part of its code.
_SIGNAL_MODULES = ("ldmbench.audio.sound", "ldmbench.audio.filters", "ldmbench.audio.spectra")


def identity(spec: SystemSpec, datasets: Sequence[Dataset], clips: Iterable[str], seed: int) -> dict[str, str]:
    """The parts of a run's ID, by name.

    Args:
        spec: The system.
        datasets: The datasets; their digests cover every clip.
        clips: Ids of the clips that are planned (a limited run is another run).
        seed: Seed of the run.
    """
    parts = {
        "system": spec.card.name,
        "card": spec.card.digest(),
        "settings": _digest(json.dumps(dict(spec.settings), sort_keys=True)),
        "code": code_digest(spec),
        "weights": "untrained" if spec.untrained else weights_digest(spec),
        "datasets": _digest(*(dataset.digest for dataset in datasets)),
        "clips": _digest(*clips),
        "seed": str(seed),
    }
    # A setting called ``train`` names what a system without weights learns from.
    if train := spec.settings.get("train"):
        parts["train"] = load_source(str(train)).digest
    return parts


def run_id(parts: Mapping[str, str]) -> str:
    """An ``r`` and twelve hexadecimal digits; the letter keeps spreadsheets from reading a number."""
    return "r" + _digest(json.dumps(parts, sort_keys=True))[:12]


def code_digest(spec: SystemSpec) -> str:
    """SHA-256 over the sources of the adapter, of the modules of its package and of the engine's signal modules.

    Nothing is imported: the sources are found and parsed, so that asking for an ID stays instant.
    """
    if spec.card.command:
        files = [Path(part) for part in spec.card.command if Path(part).is_file()]
        return _digest(*spec.card.command, *(path.read_text(encoding="utf-8", errors="replace") for path in files))
    if not spec.card.module:
        return ""  # A folder of outputs: its files are its identity.
    start = spec.card.module.partition(":")[0]
    package = start.partition(".")[0]
    seen: dict[str, str] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        found = importlib.util.find_spec(module)
        if module in seen or found is None or not found.origin:
            continue
        seen[module] = Path(found.origin).read_text(encoding="utf-8")
        parent = module if found.submodule_search_locations else module.rpartition(".")[0]
        waiting += [
            name for name in _imports(seen[module], parent) if name.startswith(f"{package}.") or name in _SIGNAL_MODULES
        ]
    return _digest(*(seen[name] for name in sorted(seen)))


def weights_digest(spec: SystemSpec) -> str:
    """SHA-256 over the weight files that are there, or empty for systems without weights."""
    if not spec.card.weights:
        return ""
    from ldmbench.host.homes import file_digest

    folder = spec.weights_folder()
    entries = spec.card.weights_of(spec.name.variant).values()
    names = {name for weights in entries for name in weights.files}
    if any(not weights.files for weights in entries):
        # Nobody could list the files: whatever the folder holds decides, but for the hub's bookkeeping.
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        names |= {path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)}
    return _digest(*(f"{name} {file_digest(folder / name)}" for name in sorted(names)))


def _imports(source: str, parent: str) -> Iterable[str]:
    """Modules that a module of the package ``parent`` imports, relative ones made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parent.split(".")[: len(parent.split(".")) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield name
            # Of a package these may be modules; of a module they are attributes, and are not found.
            if name.partition(".")[0] == parent.partition(".")[0] and _is_package(name):
                yield from (f"{name}.{alias.name}" for alias in node.names)


def _is_package(name: str) -> bool:
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return False
    return found is not None and bool(found.submodule_search_locations)


def _digest(*texts: str) -> str:
    total = hashlib.sha256()
    for text in texts:
        data = text.encode()
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()
