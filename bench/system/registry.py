"""From a name to a system: cards, variants, settings and adapters."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

from ldmbench.cards import load_card, refuse_other_kind
from ldmbench.errors import BenchError, describe
from ldmbench.host.interrupt import from_keyboard
from ldmbench.host.packages import package_folders, registered_folders
from ldmbench.names import Name, Setting, is_path, parse, show, typed, unknown
from ldmbench.system.beside import make_importable
from ldmbench.system.card import AFTER, WEIGHTS, SystemCard, SystemSpec
from ldmbench.system.channel import SETTINGS as CHANNEL
from ldmbench.system.checkpoints import label_of
from ldmbench.system.codec import channel_problem
from ldmbench.system.protocol import Adapter, System


def card_folders() -> list[Path]:
    """Folders that hold system cards: the package ``ldmbench.systems`` and the entry points ``ldmbench.systems``."""
    return [*package_folders("ldmbench.systems"), *registered_folders("ldmbench.systems")]


def list_systems() -> dict[str, Path]:
    """All systems by name, with the path of the card."""
    cards: dict[str, Path] = {}
    for folder in card_folders():
        for path in sorted(folder.rglob("*.toml")):
            cards.setdefault(path.stem.replace("_", "-"), path)
    return dict(sorted(cards.items()))


def load_system_card(name: str) -> SystemCard:
    """The card of a system, by name or by the path of a TOML file.

    Raises:
        BenchError: If there is no such system, its card is not valid, or the module beside it is hidden by another.
    """
    if is_path(name):
        refuse_other_kind(Path(name), "system")
        card = load_card(Path(name), SystemCard, folder=Path(name).absolute().parent, called=name)
        make_importable(Path(name), card.module)
        return card
    cards = list_systems()
    if name not in cards:
        raise unknown("system", name, cards)
    return _load(cards[name])


def all_system_cards() -> dict[str, SystemCard]:
    """The cards of all systems that ship with the bench or with a package, by name.

    Raises:
        BenchError: If one is not valid.
    """
    return {name: _load(path) for name, path in list_systems().items()}


def _load(path: Path) -> SystemCard:
    return load_card(path, SystemCard, folder=path.parent)


def resolve(name: str | Name, device: str = "cpu", untrained: bool = False, weights: Path | None = None) -> SystemSpec:
    """``NAME[@VARIANT][:setting=value,...]`` checked against the card; imports no adapter.

    The setting ``weights`` is the path of a checkpoint in place of ``weights``, the folder of all systems. Its label,
    the last part of the path, stands for it from here on. Codecs take the settings of ``ldmbench.system.channel`` too,
    and ``after``, the name of the system whose output they get.

    Raises:
        BenchError: If system, variant or setting is unknown, a value has the wrong type, or a checkpoint is not there.

    Example:
        >>> spec = resolve("opus@6kbps:application=audio")
        >>> spec.label, spec.settings["application"], spec.settings["frame_ms"]
        ('opus@6kbps:application=audio', 'audio', 60.0)
    """
    asked = name if isinstance(name, Name) else parse(name)
    card = load_system_card(asked.name)
    variant = asked.variant or card.default
    if variant and variant not in card.variants:
        raise unknown(f"variant of {card.name}", variant, card.variants)
    settings = {**card.settings, **card.variants.get(variant, {})}
    before: SystemSpec | None = None
    for key, value in asked.settings.items():
        if key == WEIGHTS and card.weights:
            settings[key] = show(value)
            continue
        if key in CHANNEL and key not in settings and "codec" in card.tasks:
            settings[key] = typed(card.name, key, value, CHANNEL[key])
            continue
        if key == AFTER and key not in settings and "codec" in card.tasks:
            before = _before(show(value), device, untrained, weights)
            settings[key] = before.label
            continue
        if key not in settings:
            fix = f'a system that takes a checkpoint has {WEIGHTS} = "" among its card\'s settings'
            raise unknown(f"setting of {card.name}", key, settings, fix if key == WEIGHTS else "")
        settings[key] = typed(card.name, key, value, settings[key])
    # A system without weights is never untrained, whatever is asked of the others beside it.
    untrained = untrained and bool(card.weights or (before and before.untrained))
    if checkpoint := settings.get(WEIGHTS):
        weights = _checkpoint(card.name, checkpoint, untrained)
        settings[WEIGHTS] = label_of(weights)
    overrides = {key: settings[key] for key in asked.settings}
    return SystemSpec(card, Name(card.name, variant, overrides), settings, device, untrained, weights, before)


def _before(name: str, device: str, untrained: bool, weights: Path | None) -> SystemSpec:
    """The first system of a tandem."""
    spec = resolve(name, device, untrained, weights)
    if not {"codec", "enhance"} & set(spec.card.tasks):
        raise BenchError(
            f"nothing can come after {spec.label}", "it turns no sound into another", f"name a codec with {AFTER}="
        )
    return spec


def _checkpoint(system: str, value: Setting, untrained: bool) -> Path:
    """The absolute path of a checkpoint that was named."""
    if untrained:
        raise BenchError(f"{system} cannot have a checkpoint and be untrained", f"{value}", "leave one of them out")
    path = Path(show(value)).expanduser()
    # A link such as ``last`` keeps its name.
    path = path.resolve() if ".." in path.parts else path.absolute()
    if not path.exists():
        raise BenchError(f"there is no checkpoint {value} for {system}", f"looked for {path}", "correct the path")
    return path


def load_system(spec: SystemSpec) -> System:
    """Import the adapter named by the card and build the system, and the one before it in a tandem.

    Raises:
        BenchError: If the adapter cannot be imported, with the extra that would make it importable, or is no system.
    """
    if spec.before is not None:
        from ldmbench.system.tandem import Tandem

        first = load_system(replace(spec.before, device=spec.device))
        settings = {key: value for key, value in spec.settings.items() if key != AFTER}
        return Tandem(first, load_system(replace(spec, settings=settings, before=None)), spec.before.label)
    system = load_adapter(spec.card)(spec)
    if not isinstance(system, System):
        made = f"{spec.card.module} makes {type(system).__name__}, which has no card or no process(clips)"
        raise BenchError(f"system {spec.label} is no system", made, "derive it from ldmbench.Codec, or give it both")
    if problem := channel_problem(type(system), spec.card, spec.settings):
        raise BenchError(f"{spec.label} {problem}", fix="leave the settings of a channel out")
    return system


def load_adapter(card: SystemCard) -> Adapter:
    """What the card names as its module: a class, or a function that builds the system.

    Raises:
        BenchError: If there is none, or it cannot be imported, with the extra that would make it importable.
    """
    if card.command:
        from ldmbench.system.external import ExternalSystem

        return ExternalSystem
    module, _, attribute = card.module.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise BenchError(
            f"the card of {card.name} names no adapter",
            f"module = {card.module!r}",
            "write module = 'package.module:Class'",
        )
    try:
        imported = importlib.import_module(module)
    except BaseException as error:
        if from_keyboard(error):
            raise
        extras = ",".join(card.extras)
        own = module.startswith("ldmbench.")
        fix = "reinstall ldmbench" if own else "put the module beside the card or install it"
        fix = f"pip install 'ldmbench[{extras}]'" if extras else fix
        reason = str(error) if isinstance(error, ImportError) else describe(error)
        raise BenchError(f"system {card.name} cannot be loaded", reason, fix) from error
    named: Any = getattr(imported, attribute, None)
    if named is None:
        raise BenchError(f"system {card.name} cannot be loaded", f"{module} has no {attribute!r}", "correct the card")
    adapter: Adapter = named
    if not inspect.isclass(named) and not inspect.isfunction(named):
        made = f"{card.module} is of type {type(named).__name__}"
        raise BenchError(f"system {card.name} cannot be loaded", made, "name a class, or a function that makes it")
    return adapter
