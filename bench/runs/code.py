"""The code that makes a system's audio: which modules it is, and digests that comments and layout leave alone.

The rule: the adapter's module counts, and so does every module of its own package, of its card's folder and of ldmbench
that it imports, directly or through others, but for those that make no audio (``SILENT``). Two modules of the engine
always count, since every sound passes through them, whatever the system (``ALWAYS``), and with them what they import:
input conditions and filters too, also for a system that is never run under a condition. What is on neither list counts:
code that counts in vain costs a run that is made again, code that does not count costs a wrong number.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from ldmbench.errors import BenchError
from ldmbench.system.beside import lies_beside

#: Where a sound passes on its way from a file to a system and back: cut, degraded and seeded, read and written.
ALWAYS = ("ldmbench.clips.clip", "ldmbench.audio.sound")

#: Runs the systems that are programs.
RUNNER = "ldmbench.system.external"

#: Leads from one system of a tandem to the other.
TANDEM = "ldmbench.system.tandem"

#: Modules of the engine, and folders of modules, that make no audio, each with the reason.
SILENT: Mapping[str, str] = {
    "ldmbench.errors": "messages",
    "ldmbench.names": "settings are in the ID as they were read",
    "ldmbench.cards": "cards are in the ID by their content",
    "ldmbench.stats": "computes with scores",
    "ldmbench.suite": "chooses datasets and systems, which are in the ID",
    "ldmbench.host": "where files lie, how they come there, and how far the work is",
    "ldmbench.synthesis": "built-in clips are in the ID by their sound",
    "ldmbench.clips.adhoc": "conditions are in the ID by their fields, as those of a card are",
    "ldmbench.clips.captions": "clips are in the ID by their fields, and datasets by their digests",
    "ldmbench.clips.card": "as above",
    "ldmbench.clips.fetch": "as above",
    "ldmbench.clips.folder": "as above",
    "ldmbench.clips.labelled": "as above",
    "ldmbench.clips.load": "as above",
    "ldmbench.clips.pairs": "as above",
    "ldmbench.clips.rule": "as above",
    "ldmbench.clips.speech_commands": "as above",
    "ldmbench.clips.verify": "as above",
    "ldmbench.clips.youtube": "as above",
    "ldmbench.extractors": "hear what was made; the cache keeps embeddings as they are",
    "ldmbench.weights.fetch": "weights are in the ID by the digests of their files",
    "ldmbench.weights.find": "as above",
    "ldmbench.weights.record": "as above",
    "ldmbench.system.environment": "environments are in the ID by what is installed in them",
    "ldmbench.system.beside": "from a card to the adapter, which is in the ID",
    "ldmbench.system.card": "a record; its content is in the ID",
    "ldmbench.system.checkpoints": "weights are in the ID by the digests of their files",
    "ldmbench.system.protocol": "a record, and what a system may offer",
    "ldmbench.system.registry": "from a name to the card, and from there to the adapter",
    "ldmbench.metrics": "hear what was made",
    "ldmbench.runs": "say what is made, keep it and read it back",
    "ldmbench.notebook": "asks for runs and shows them",
}


def code_modules(*starts: str) -> dict[str, str]:
    """The modules that make the audio of a system, by name, each with the SHA-256 (hex) of its syntax tree.

    Nothing is imported and no package's face is run: modules are looked up and parsed.

    Args:
        *starts: The adapter's module, or ``RUNNER``.

    Raises:
        BenchError: If the source of a start is nowhere, or a source is not valid Python.
    """
    specs: dict[str, ModuleSpec | None] = {}
    for start in starts:
        if _spec(start, specs) is None:
            raise BenchError(
                f"the source of {start} cannot be read", "a run's ID is made of it", "put the adapter into a module"
            )
    packages = {"ldmbench": True, **{start.partition(".")[0]: True for start in starts}}
    digests: dict[str, str] = {}
    visited: set[str] = set()
    waiting = [*starts, *ALWAYS]
    while waiting:
        name = waiting.pop()
        package = name.partition(".")[0]
        if package not in packages:
            packages[package] = lies_beside(package)
        if name in visited or not packages[package] or _is_silent(name):
            continue
        visited.add(name)
        spec = _spec(name, specs)
        if spec is None or not spec.has_location or spec.origin is None:
            continue  # A name in a module, or a folder without a face.
        digest, imports = _read(name, spec)
        # The public face of ldmbench only hands on what it imports.
        if name != "ldmbench":
            digests[name] = digest
        for level, module, names in imports:
            parent = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
            base = parent.split(".")[: len(parent.split(".")) - level + 1] if level else []
            source = ".".join([*base, *filter(None, [module])])
            # Of a package the names may be modules too; of a module they are what it holds, and nothing is looked up.
            waiting += [source, *(f"{source}.{item}" for item in names)]
    return digests


def imported(files: Iterable[Path]) -> list[str]:
    """Modules of ldmbench that Python files name, as programs of ldmbench's own do, in order.

    Raises:
        BenchError: If one of them is not valid Python.
    """
    names: set[str] = set()
    for path in files:
        if path.suffix == ".py":
            try:
                _, imports = _parsed(path.read_text(encoding="utf-8"))
            except (SyntaxError, UnicodeDecodeError) as error:
                raise BenchError(f"{path} is not valid Python", str(error), "correct it") from None
            names |= {module for _, module, _ in imports if module.startswith("ldmbench.")}
    return sorted(names)


def _is_silent(name: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in SILENT)


def _spec(name: str, specs: dict[str, ModuleSpec | None]) -> ModuleSpec | None:
    """Where a module lies, None where there is no such module; packages on the way are not imported."""
    if name not in specs:
        parent, _, _ = name.rpartition(".")
        if parent:
            package = _spec(parent, specs)
            places = list(package.submodule_search_locations or ()) if package else []
            finders = [finder for place in places if (finder := pkgutil.get_importer(place)) is not None]
            candidates = [spec for finder in finders if (spec := finder.find_spec(name)) is not None]
            # A folder without a face is a package only where no module of that name is.
            specs[name] = next((spec for spec in candidates if spec.loader), next(iter(candidates), None))
        else:
            try:
                specs[name] = importlib.util.find_spec(name)
            except ValueError:  # "__main__", and modules made by hand
                specs[name] = None
    return specs[name]


def _read(name: str, spec: ModuleSpec) -> tuple[str, tuple[_Import, ...]]:
    """Digest of a module, and what it imports; a compiled one is known by its bytes, and imports nothing."""
    get_source = getattr(spec.loader, "get_source", None)
    source = get_source(name) if get_source else None
    if source is None:
        return hashlib.sha256(Path(str(spec.origin)).read_bytes()).hexdigest(), ()
    try:
        return _parsed(source)
    except SyntaxError as error:
        raise BenchError(f"{spec.origin} is not valid Python", str(error), "correct it") from None


#: Level, module and names of ``from ...module import names``; ``import module`` has level 0 and no names.
_Import = tuple[int, str, tuple[str, ...]]


@lru_cache(maxsize=1024)
def _parsed(source: str) -> tuple[str, tuple[_Import, ...]]:
    """SHA-256 (hex) of the syntax tree of ``source``, and its imports, wherever they stand."""
    tree = ast.parse(source)
    imports: list[_Import] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
    text: list[str] = []
    _outline(tree, text.append)
    return hashlib.sha256("".join(text).encode()).hexdigest(), tuple(imports)


def _outline(node: object, write: Callable[[str], None]) -> None:
    """Write what two syntax trees share only if they do the same.

    ``ast.dump`` would serve, if it wrote the same in every version of Python: empty fields, which come and go with
    the versions, are left out here. So are statements that do nothing: docstrings, and what only type checkers see.
    """
    if isinstance(node, ast.AST):
        write(f"{type(node).__name__}(")
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                value = [item for item in value if not _does_nothing(item, node)]
            if value is not None and value != [] and name not in ("ctx", "kind", "type_comment"):
                write(f"{name}=")
                _outline(value, write)
        write(")")
    elif isinstance(node, list):
        write("[")
        for item in node:
            _outline(item, write)
            write(",")
        write("]")
    else:
        write(repr(node))


def _does_nothing(node: object, parent: ast.AST) -> bool:
    """Whether a part of ``parent`` has no effect when it is run."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not node.orelse
    # Python 3.12.1 ends the text of a format with an empty piece.
    return isinstance(parent, ast.JoinedStr) and isinstance(node, ast.Constant) and node.value == ""
