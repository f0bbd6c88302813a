"""What a run's ID is made of: everything that changes its audio, and nothing that does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ldmbench.clips.clip import Dataset
from ldmbench.clips.load import load_source
from ldmbench.host.homes import file_digest, sha256
from ldmbench.probes import embedder
from ldmbench.probes.embedder import is_probed, without_layer
from ldmbench.runs.code import RUNNER, TANDEM, code_modules, imported
from ldmbench.system.card import WEIGHTS, SystemSpec
from ldmbench.system.environment import installed

#: Raised when IDs are made of other things; a run without a version is of version 1.
VERSION = 2

#: What a card tells people and the preflight: no adapter and no program hears of it. Settings and weights count as
#: they are resolved, and an environment by what is installed in it.
_NOT_HEARD = {"title", "role", "licence", "paper", "url", "note", "extras", "programs", "environment"}
_RESOLVED = {"default", "settings", "variants", "weights"}

#: Parts that say what a system was asked to do, not what it is.
_OF_CLIPS = {"datasets", "clips", "seed"}


def identity(spec: SystemSpec, datasets: Sequence[Dataset], clips: Iterable[str], seed: int) -> dict[str, str]:
    """The parts of a run's ID, by name.

    Args:
        spec: The system.
        datasets: The datasets; their digests cover every clip.
        clips: Ids of the clips that are planned (a limited run is another run).
        seed: Seed of the run.
    """
    parts = {
        "version": str(VERSION),
        "system": spec.card.name,
        "card": card_digest(spec),
        # A checkpoint counts by its files, whatever it is called.
        "settings": _digest(
            json.dumps({key: value for key, value in spec.settings.items() if key != WEIGHTS}, sort_keys=True)
        ),
        "code": code_digest(spec),
        "weights": "untrained" if spec.untrained else weights_digest(spec),
        "datasets": _digest(*(dataset.digest for dataset in datasets)),
        "clips": _digest(*clips),
        "seed": str(seed),
    }
    if spec.card.environment_folder:
        parts["environment"] = installed(spec.card.environment_folder)
    if spec.before is not None:
        code = code_modules(TANDEM)
        first = system_id(identity(spec.before, (), (), 0))
        parts["after"] = _digest(first, *(f"{name} {code[name]}" for name in sorted(code)))
    # A setting called ``train`` names what a system without weights learns from.
    if train := spec.settings.get("train"):
        parts["train"] = load_source(str(train)).digest
    return parts


def embedding_id(spec: SystemSpec) -> str:
    """SHA-256 (hex) over everything that changes the embeddings that a system makes of a sound, whatever the layer."""
    bare = without_layer(spec)
    parts = identity(bare, (), (), 0) | {"code": code_digest(spec)}
    return _digest(json.dumps(parts, sort_keys=True))


def system_id(parts: Mapping[str, str]) -> str:
    """SHA-256 (hex) over those parts of a run's ID that say what the system is, whatever the clips and the seed."""
    return _digest(json.dumps({name: part for name, part in parts.items() if name not in _OF_CLIPS}, sort_keys=True))


def run_id(parts: Mapping[str, str]) -> str:
    """An ``r`` and twelve hexadecimal digits; the letter keeps spreadsheets from reading a number."""
    return "r" + _digest(json.dumps(parts, sort_keys=True))[:12]


def card_digest(spec: SystemSpec) -> str:
    """SHA-256 (hex) over what a system is told of its card; of its tasks only a program is told, in its job file."""
    tasks = set() if spec.card.command else {"tasks"}
    return _digest(spec.card.model_dump_json(exclude=_NOT_HEARD | _RESOLVED | tasks))


def code_digest(spec: SystemSpec) -> str:
    """SHA-256 (hex) over the code that makes a system's audio (``ldmbench.runs.code``); empty for a folder of outputs.

    A program is known by its command, by the files that the command names, by what these import of ldmbench, and by
    the code that runs it.

    Raises:
        BenchError: If the adapter has no source.
    """
    command, module = spec.card.command, spec.card.module.partition(":")[0]
    if not command and not module:
        return ""  # A folder of outputs: its files are its identity.
    # What is installed is in the ID by its versions: the path of a Python says nothing.
    words = [
        word
        for word, written in zip(spec.card.command_line, command, strict=True)
        if "{python}" not in written and "{environment}" not in written
    ]
    files = [path for path in map(Path, words) if path.is_file()]
    probed = (embedder.__name__,) if is_probed(spec) else ()
    modules = code_modules(*((RUNNER, *imported(files)) if command else (module,)), *probed)
    return _digest(*command, *map(sha256, files), *(f"{name} {modules[name]}" for name in sorted(modules)))


def weights_digest(spec: SystemSpec) -> str:
    """SHA-256 over the weight files that are there, or empty for systems without weights."""
    if not spec.card.weights:
        return _checkpoint_digest(spec.weights) if spec.own_weights and spec.weights else ""
    folder = spec.weights_folder()
    entries = spec.card.weights_of(spec.name.variant).values()
    names = {name for weights in entries for name in weights.names}
    if any(not weights.names for weights in entries):
        # Nobody could list the files: whatever the folder holds decides, but for the hub's bookkeeping.
        names |= _files_below(folder)
    return _digest(*(f"{name} {file_digest(folder / name)}" for name in sorted(names)))


def _checkpoint_digest(path: Path) -> str:
    """SHA-256 over a checkpoint that is a file, whatever its name, or over all files of one that is a folder."""
    if not path.is_dir():
        return _digest(file_digest(path))
    return _digest(*(f"{name} {file_digest(path / name)}" for name in sorted(_files_below(path))))


def _files_below(folder: Path) -> set[str]:
    """Files of a folder by their paths in it, hidden ones left out."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)}


def _digest(*texts: str) -> str:
    total = hashlib.sha256()
    for text in texts:
        data = text.encode()
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()
