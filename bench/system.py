"""Systems: the protocol, the cards with their variants and settings, and how a name becomes a system."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.audio import Audio
from bench.cards import Card, load_card
from bench.dataset import Clip
from bench.errors import BenchError
from bench.names import Name, Setting, parse, show, unknown

Task = Literal["codec", "generate", "enhance"]


@dataclass(frozen=True)
class Cost:
    """What producing one output took, measured by the engine; None where it was not measured serially.

    Attributes:
        seconds: Wall time of the system on this clip alone.
        peak_memory: Bytes: the process's largest resident set (CPU) or the allocator's peak (CUDA).
        parameters: Learned parameters of the system, None for systems without any.
    """

    seconds: float | None = None
    peak_memory: int | None = None
    parameters: int | None = None


@dataclass(frozen=True, eq=False)
class Output:
    """What a system made of one clip.

    Attributes:
        audio: The sound, at whatever rate the system produces; None for systems that only embed.
        bits: Size of the coded representation in bits, measured on the packets or codes.
        tokens: Integer codes ``[layers, frames]``.
        details: Anything worth recording about this clip (down-mix, detected cut-off, ...), JSON-able.
        path: Set by systems whose output already is a file; the run then refers to it.
        cost: Filled in by the engine.
    """

    audio: Audio | None = None
    bits: int | None = None
    tokens: NDArray[np.int64] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    cost: Cost = field(default_factory=Cost)


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
        command: For systems in another environment: the program to start (``bench.external``).
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


@runtime_checkable
class System(Protocol):
    """Anything that turns clips into outputs.

    ``process`` yields one ``Output`` per clip, in order. If it raises, the clips it had not yielded are
    tried again one by one, and those that raise alone become ``failed`` rows. Random choices are drawn
    from ``clip.seed`` only, so that batch, order and resuming change nothing.

    Optional members: ``setup(clips)`` is called once with every planned clip before the first ``process``, and
    is neither timed nor counted (loading, training, warming up); ``embed(clips)`` yields time-averaged
    embeddings ``{layer: [dim]}`` of each clip; ``parameters`` is the number of learned parameters.
    """

    card: SystemCard

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield one output per clip, in order."""
        ...


@dataclass(frozen=True, eq=False)
class Stream:
    """A clip as a codec transmits it.

    Attributes:
        payload: Whatever ``decode`` needs: packets, codes, ...
        bits: Its size in bits.
        tokens: Integer codes ``[layers, frames]``, for codecs that have them.
        details: Recorded with the output.
    """

    payload: Any
    bits: int
    tokens: NDArray[np.int64] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Codec:
    """Base of codec adapters: subclasses write ``encode`` and ``decode``.

    The clip is resampled to ``rate`` and, where its channel count is not among the card's, mixed down to
    mono (both recorded in ``details``); the decoded sound is trimmed or padded to the clip's duration.
    """

    #: Rate in Hz that ``encode`` receives; 0 leaves the clip's own.
    rate: int

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        self.card = spec.card
        self.rate = spec.card.rate

    def encode(self, audio: Audio) -> Stream:
        """Code ``audio`` (at ``rate``, with a channel count of the card)."""
        raise NotImplementedError

    def decode(self, stream: Stream) -> Audio:
        """Decode, aligned with the input to the sample."""
        raise NotImplementedError

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield the decoded clips with their bits."""
        for clip in clips:
            source, details = self.adapt(clip.audio)
            stream = self.encode(source)
            decoded = self.decode(stream)
            fitted = decoded.fit(round(source.duration * decoded.rate))
            yield Output(fitted, stream.bits, stream.tokens, {**details, **stream.details})

    def adapt(self, audio: Audio) -> tuple[Audio, dict[str, Any]]:
        """The clip as ``encode`` wants it, and a record of what was changed."""
        details: dict[str, Any] = {}
        if audio.channels not in self.card.channels:
            if 1 not in self.card.channels:
                audio = audio.with_channels(self.card.channels[0])
            else:
                details["downmix"] = f"mean of {audio.channels} channels"
                audio = audio.mono()
        if self.rate and audio.rate != self.rate:
            details["resampled_from"] = audio.rate
            audio = audio.at(self.rate)
        return audio, details


def card_folders() -> list[Path]:
    """Folders that hold system cards: the package ``systems`` and the entry points ``ldmbench.systems``."""
    from importlib.metadata import entry_points

    packages = ["systems", *sorted(point.value for point in entry_points(group="ldmbench.systems"))]
    folders = []
    for package in packages:
        found = importlib.util.find_spec(package)
        folders += [Path(place) for place in (found.submodule_search_locations or [])] if found else []
    return folders


def list_systems() -> dict[str, Path]:
    """All systems by name, with the path of the card."""
    cards: dict[str, Path] = {}
    for folder in card_folders():
        for path in sorted(folder.glob("*.toml")):
            cards.setdefault(path.stem.replace("_", "-"), path)
    return dict(sorted(cards.items()))


def load_system_card(name: str) -> SystemCard:
    """The card of a system, by name or by the path of a TOML file.

    Raises:
        BenchError: If there is no such system or its card is not valid.
    """
    if name.endswith(".toml"):
        return load_card(Path(name), SystemCard)
    cards = list_systems()
    if name not in cards:
        raise unknown("system", name, cards)
    return load_card(cards[name], SystemCard)


def resolve(name: str, device: str = "cpu", untrained: bool = False, weights: Path | None = None) -> SystemSpec:
    """``NAME[@VARIANT][:setting=value,...]`` checked against the card; imports no adapter.

    Raises:
        BenchError: If system, variant or setting is unknown, or a value has the wrong type.
    """
    asked = parse(name)
    card = load_system_card(asked.name)
    variant = asked.variant or card.default
    if variant and variant not in card.variants:
        raise unknown(f"variant of {card.name}", variant, card.variants)
    settings = {**card.settings, **card.variants.get(variant, {})}
    for key, value in asked.settings.items():
        if key not in settings:
            raise unknown(f"setting of {card.name}", key, settings)
        settings[key] = _typed(card.name, key, value, settings[key])
    overrides = {key: settings[key] for key in asked.settings}
    # A system without weights is never untrained, whatever is asked of the others beside it.
    untrained = untrained and bool(card.weights)
    return SystemSpec(card, Name(card.name, variant, overrides), settings, device, untrained, weights)


def load_system(spec: SystemSpec) -> System:
    """Import the adapter named by the card and build the system.

    Raises:
        BenchError: If the adapter cannot be imported, with the extra that would make it importable.
    """
    if spec.card.command:
        from bench.external import ExternalSystem

        return ExternalSystem(spec)
    module, _, attribute = spec.card.module.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        extras = ",".join(spec.card.extras)
        fix = f"pip install 'ldmbench[{extras}]'" if extras else "reinstall ldmbench"
        raise BenchError(f"system {spec.label} cannot be loaded", str(error), fix) from error
    system: System = factory(spec)
    return system


def _typed(system: str, key: str, value: Setting, default: Setting) -> Setting:
    """``value`` in the type of ``default``; an int may stand for a float."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, str):
        return show(value)
    if type(value) is not type(default):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
        raise BenchError(f"setting {key!r} of {system} must be {kind}", f"{value!r}")
    return value
