"""Metrics of a user's own file, ``./FILE.py:FUNCTION``: the file is imported, and known by its digest."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from ldmbench.errors import BenchError, describe
from ldmbench.host.apart import Apart
from ldmbench.host.child import is_expendable
from ldmbench.host.executor import WorkerDiedError
from ldmbench.host.interrupt import from_keyboard

#: Seconds that an import may take.
_IMPORT_S = 120.0

#: (file, digest) -> the module it became.
_modules: dict[tuple[Path, str], ModuleType] = {}


@dataclass(frozen=True)
class Loaded:
    """A file, imported, and what of it is meant.

    Attributes:
        path: The file, absolute.
        digest: SHA-256 (hex) of its content.
        attribute: The name of what defines the metric.
        module: The module.
    """

    path: Path
    digest: str
    attribute: str
    module: ModuleType

    @property
    def version(self) -> int:
        """The version of its metrics: the beginning of the digest, so that scores of another content are others."""
        return int(self.digest[:7], 16)

    @property
    def home(self) -> str:
        """What another process imports it by."""
        return f"{self.path}:{self.attribute}#{self.digest}"

    @cached_property
    def defined(self) -> Any:
        """What the file has under that name.

        Raises:
            BenchError: If it has nothing there.
        """
        defined = getattr(self.module, self.attribute, None)
        if defined is None:
            names = [name for name in vars(self.module) if not name.startswith("_")]
            raise BenchError(f"{self.path} has no {self.attribute!r}", f"it has {', '.join(names)}", "correct the name")
        return defined


def load_file(name: str, digest: str = "") -> Loaded:
    """Import ``FILE.py:ATTRIBUTE``; a content that was imported before is not imported again.

    Raises:
        BenchError: If the file cannot be read or imported, or has another digest than ``digest``.
    """
    file, _, attribute = name.rpartition(":")
    path = Path(file).absolute()
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"the metric {attribute} cannot be read", f"{file}: {reason}", "correct the path") from None
    found = hashlib.sha256(content).hexdigest()
    if digest and found != digest:
        raise BenchError(f"{path} changed while its metrics were computed", f"{found[:12]}, it was {digest[:12]}")
    if (path, found) not in _modules:
        _try_apart(path, content)
        _modules[path, found] = _import(path, content)
    return Loaded(path, found, attribute, _modules[path, found])


def forget(loaded: Loaded) -> None:
    """Import the file anew when it is next asked for."""
    _modules.pop((loaded.path, loaded.digest), None)


def _try_apart(path: Path, content: bytes) -> None:
    """First where it does no harm: a file that leaves, crashes or stalls would take the command along."""
    if is_expendable():
        return
    try:
        with Apart() as apart:
            apart.call(_look, path, content, limit=_IMPORT_S)
    except WorkerDiedError as error:
        raise BenchError(f"{path} cannot be loaded", f"its import: {error}", "mend the file") from None


def _look(path: Path, content: bytes) -> None:
    _import(path, content)


def _import(path: Path, content: bytes) -> ModuleType:
    # Not of the file's own name, which something installed may have.
    name = f"ldmbench_file_{hashlib.sha256(str(path).encode() + content).hexdigest()[:16]}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        # What was read is what is run, whatever becomes of the file.
        exec(compile(content, str(path), "exec"), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if from_keyboard(error):
            raise
        fix = "a metric is one file: install what it imports" if isinstance(error, ImportError) else "mend the file"
        reason = str(error) if isinstance(error, ImportError | BenchError) else describe(error)
        raise BenchError(f"{path} cannot be loaded", reason, fix) from error
    return module
