"""Environments of programs: what a card pins is installed by ``ldmbench fetch``, and its versions are part of the ID.

A card with a ``command`` may name one::

    [environment]
    python = "3.11"
    packages = ["descript-audio-codec==1.0.0", "torch==2.11.0"]
    npm = "npm"

``packages`` are installed by uv into a virtual environment of that Python, whatever conflicts with the bench's own;
``npm`` is a folder beside the card with ``package.json`` and ``package-lock.json``, whose checksums npm insists on. In
the command ``{python}`` is that Python (the bench's own where there are no packages), ``{environment}`` the folder,
and ``{here}`` the card's.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pydantic import field_validator, model_validator

from ldmbench.cards import Card
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.host.homes import cache_home, only_one

#: Written when all is installed.
_READY = "ready.json"

#: What the folder ``npm`` holds.
NPM_FILES = ("package.json", "package-lock.json")


class Environment(Card):
    """``[environment]`` of a system's card.

    Attributes:
        python: Version of Python, such as ``3.11``; that of the bench where it is empty.
        packages: Requirements with their versions, as pip and uv write them.
        npm: Folder beside the card with ``package.json`` and ``package-lock.json``.
    """

    python: str = ""
    packages: tuple[str, ...] = ()
    npm: str = ""

    @field_validator("packages")
    @classmethod
    def _versions_are_pinned(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        for requirement in packages:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]+\])?==[A-Za-z0-9.+!-]+", requirement):
                raise ValueError(f"{requirement!r} pins no version: write NAME==VERSION")
        return packages

    @model_validator(mode="after")
    def _holds_something(self) -> Environment:
        if not self.packages and not self.npm:
            raise ValueError("needs packages or npm")
        return self


def environment_folder(environment: Environment, here: Path) -> Path:
    """Where an environment lies: the same place for all systems that ask for the same, another for other versions.

    Args:
        environment: What it holds.
        here: Folder of the card.

    Raises:
        BenchError: If the folder ``npm`` lacks one of its files.
    """
    parts = [environment.model_dump_json().encode()]
    if environment.npm:
        parts += [_read(here / environment.npm / file) for file in NPM_FILES]
    digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    return cache_home() / "environments" / digest[:16]


def installed(folder: Path) -> str:
    """SHA-256 (hex) of what is installed in an environment; empty where it is not there or not whole."""
    try:
        return str(json.loads((folder / _READY).read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def python_of(environment: Environment | None, folder: Path) -> str:
    """The Python that the program of a card runs with."""
    return str(folder / "bin" / "python") if environment and environment.packages else sys.executable


def make_environment(name: str, environment: Environment, here: Path) -> Path:
    """Install an environment that is not there, and say what is in it (``ready.json``).

    Returns:
        Its folder.

    Raises:
        BenchError: If uv or npm is not there or fails; with its last line.
    """
    folder = environment_folder(environment, here)
    with only_one(str(folder)):
        if installed(folder):
            return folder
        # What an installation that was cut short left.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        lines = _install_python(name, environment, folder) if environment.packages else []
        if environment.npm:
            lines += _install_npm(name, here / environment.npm, folder)
        content = {"digest": hashlib.sha256("\n".join(lines).encode()).hexdigest(), "installed": lines}
        with replacing(folder / _READY) as handle:
            handle.write(json.dumps(content, indent=1).encode())
    return folder


def _install_python(name: str, environment: Environment, folder: Path) -> list[str]:
    """Install the packages; returns all that are there then, with their versions."""
    uv = _uv()
    version = environment.python or f"{sys.version_info.major}.{sys.version_info.minor}"
    _run(name, [uv, "venv", "--quiet", "--allow-existing", "--python", version, str(folder)])
    python = ["--python", str(folder / "bin" / "python")]
    _run(name, [uv, "pip", "install", "--quiet", *python, *environment.packages])
    own = _run(name, [str(folder / "bin" / "python"), "-c", "import sys; print('python', sys.version.split()[0])"])
    return [*own.splitlines(), *_run(name, [uv, "pip", "freeze", "--quiet", *python]).splitlines()]


def _install_npm(name: str, source: Path, folder: Path) -> list[str]:
    """Install what the lock names, and nothing but it; returns the lock."""
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError(f"cannot make the environment of {name}", "npm not found", "install Node.js with npm")
    for file in NPM_FILES:
        (folder / file).write_bytes(_read(source / file))
    # No script of a package is run.
    _run(name, [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--prefix", str(folder)])
    return _read(source / "package-lock.json").decode("utf-8").splitlines()


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    program = str(beside) if beside.is_file() else shutil.which("uv")
    if program is None:
        raise BenchError("cannot make an environment", "uv not found", "pip install uv")
    return program


def _run(name: str, command: list[str]) -> str:
    """Run an installer; returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reason = " ".join(lines[-3:])[:300] or f"exit code {done.returncode}"
        what = f"{Path(command[0]).name} cannot make the environment of {name}"
        raise BenchError(what, reason, "correct the card, or try again", 1)
    return done.stdout


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error), "put it beside the card") from None
