"""The card of a system, and a system as asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ldmbench.cards import Card
from ldmbench.names import Name, Setting

Task = Literal["codec", "generate", "enhance"]


class Weights(Card):
    """Official checkpoint files: a hub repository at a revision, or URLs; each file with its SHA-256.

    A SHA-256 that nobody could look up is empty. Systems that share weights name the same ``folder`` (below the
    weights home; by default the system's name).
    """

    folder: str = ""
    repo: str = ""
    revision: str = ""
    urls: dict[str, str] = {}
    files: dict[str, str] = {}


class SystemCard(Card):
    """``systems/NAME.toml``.

    Attributes:
        name: As typed on the command line.
        module: ``package.module:Class``; the class is called with a ``SystemSpec``.
        rate: Output rate in Hz, 0 where it follows the input.
        default: Variant meant by the bare name; empty where there are no variants.
        settings: Every setting with its default; nothing else can be overridden.
        variants: Name -> settings that differ from the defaults.
        extras: Optional dependency groups of ldmbench that must be installed.
        programs: Programs that must be on the PATH.
        command: For systems in another environment: the program to start (``ldmbench.system.external``).
    """

    name: str
    title: str
    task: Task
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
    weights: dict[str, Weights] = {}
    extras: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def weights_of(self, variant: str) -> dict[str, Weights]:
        """The weights a variant needs: those under its own name, and those under no variant's name."""
        return {key: entry for key, entry in self.weights.items() if key == variant or key not in self.variants}


@dataclass(frozen=True)
class SystemSpec:
    """A system as asked for: card, variant, settings, and where to run it.

    Attributes:
        card: The card.
        name: The name as typed, variant made explicit.
        settings: Defaults, then the variant's, then the overrides.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        untrained: Build with seeded random weights.
        weights: Folder with the official files, or None for the weights home.
    """

    card: SystemCard
    name: Name
    settings: Mapping[str, Setting]
    device: str = "cpu"
    untrained: bool = False
    weights: Path | None = None

    @property
    def label(self) -> str:
        """The name to show and to file under: ``opus@6kbps:frame_ms=60``."""
        return str(self.name)
