"""The card of a system, and a system as asked for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ldmbench.cards import Card
from ldmbench.errors import BenchError
from ldmbench.names import Name, Setting
from ldmbench.system.environment import Environment, environment_folder, python_of
from ldmbench.weights.find import find_folder
from ldmbench.weights.record import Checkpoint

Task = Literal["codec", "generate", "enhance", "embed"]

#: The setting that names a checkpoint by its path. Systems with official files have it without saying so; the card of
#: any other that takes one lists it among its settings, with a default that may be empty.
WEIGHTS = "weights"

#: The setting of a codec that names the system before it: ``opus@12kbps:after=amr-nb@12.2kbps``.
AFTER = "after"

#: What a row is for. Only a ``system`` is ranked. A ``reference`` gives back each clip's own reference, an ``anchor``
#: marks a point of the scale (noise, a low-pass, the unprocessed input), a ``bound`` the best that can be reached.
Role = Literal["system", "anchor", "reference", "bound"]


class SystemCard(Card):
    """``systems/NAME.toml``.

    Attributes:
        name: As typed on the command line.
        role: What its row is for; whatever shows a scale's ends instead of competing says so here.
        tasks: What it can be asked to do. A program (``command``) does one task.
        module: ``package.module:Class``; the class is called with a ``SystemSpec``.
        rate: Output rate in Hz, 0 where it follows the input or belongs to the variant.
        default: Variant meant by the bare name; empty where there are no variants.
        settings: Every setting with its default; nothing else can be overridden.
        variants: Name -> settings that differ from the defaults.
        extras: Optional dependency groups of ldmbench that must be installed.
        programs: Programs that must be on the PATH.
        parameters: Part -> how many learned values it has, in words, and what the paper prints.
        weights: Official checkpoint files, those of a variant under its name, those of several under another, with
            the list of these ``variants`` where it is not all. Variants and systems that share files name the same
            ``folder``, by default the system's name.
        command: For systems in another environment: the program to start (``ldmbench.system.external``).
        environment: What is installed for the program (``ldmbench.system.environment``).
        folder: Where the card lies.
        called: The path by which it was named, empty for a name.
    """

    name: str
    title: str
    role: Role = "system"
    tasks: tuple[Task, ...] = Field(min_length=1)
    module: str = ""
    rate: int = 0
    channels: tuple[int, ...] = (1,)
    licence: str
    paper: str = ""
    url: str = ""
    note: str = ""
    default: str = ""
    settings: dict[str, Setting] = {}
    variants: dict[str, dict[str, Setting]] = {}
    parameters: dict[str, str] = {}
    weights: dict[str, Checkpoint] = {}
    extras: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Environment | None = None
    folder: Path = Field(Path(), exclude=True)
    called: str = Field("", exclude=True)

    @model_validator(mode="after")
    def _weights_are_of_variants(self) -> SystemCard:
        if unknown := sorted({name for entry in self.weights.values() for name in entry.variants} - set(self.variants)):
            raise ValueError(f"weights: there is no variant {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _one_task_for_a_program(self) -> SystemCard:
        if self.command and len(self.tasks) > 1:
            raise ValueError("tasks: a system with a command does one task, which its job file names")
        return self

    @property
    def environment_folder(self) -> Path | None:
        """Where its environment lies, None for a card without one."""
        return environment_folder(self.environment, self.folder) if self.environment else None

    @property
    def command_line(self) -> tuple[str, ...]:
        """The command with all but ``{input}`` and ``{output}`` filled in."""
        place = self.environment_folder or Path()
        python = python_of(self.environment, place)
        words = list(self.command)
        for key, value in (("{here}", str(self.folder)), ("{environment}", str(place)), ("{python}", python)):
            words = [word.replace(key, value) for word in words]
        return tuple(words)

    def weights_of(self, variant: str) -> dict[str, Checkpoint]:
        """The weights a variant needs, all in one folder: under its own name, and what it shares with others."""
        chosen = {
            key: entry
            for key, entry in self.weights.items()
            if key == variant or (key not in self.variants and (not entry.variants or variant in entry.variants))
        }
        folder = next((entry.folder for entry in chosen.values() if entry.folder), self.name)
        suffix = f"@{variant}" if variant else ""
        title, name = f"{self.name}{suffix}", shlex.quote(f"{self.called or self.name}{suffix}")
        changes = {"folder": folder, "name": name, "title": title}
        return {key: entry.model_copy(update=changes) for key, entry in chosen.items()}


@dataclass(frozen=True)
class SystemSpec:
    """A system as asked for: card, variant, settings, and where to run it.

    Attributes:
        card: The card.
        name: The name as typed, variant made explicit.
        settings: Defaults, then the variant's, then the overrides; ``weights`` is the label of a checkpoint that was
            named, and not its path.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        untrained: Build with seeded random weights.
        weights: Folder or file of the checkpoint that was named, else the folder with the official files, or None for
            the weights home.
        before: The system whose output it gets in place of the clip (``after=``), None for the clip itself.
    """

    card: SystemCard
    name: Name
    settings: Mapping[str, Setting]
    device: str = "cpu"
    untrained: bool = False
    weights: Path | None = None
    before: SystemSpec | None = None

    @property
    def label(self) -> str:
        """The name to show and to file under: ``opus@6kbps:frame_ms=60``."""
        return str(self.name)

    @property
    def own_weights(self) -> bool:
        """Whether ``weights`` is a checkpoint named for this system alone."""
        return bool(self.settings.get(WEIGHTS))

    def weights_folder(self) -> Path:
        """The folder with the official files: the one they are fetched to, or the one asked for.

        Raises:
            BenchError: If files are missing, naming them and the command that fetches them.
        """
        checkpoints = list(self.card.weights_of(self.name.variant).values())
        if not checkpoints:
            raise BenchError(f"{self.label} has no weights", "its card lists none", "correct the card")
        return find_folder(checkpoints, self.weights)
