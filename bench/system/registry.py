"""From a name to a system: cards, variants, settings and adapters."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from ldmbench.cards import load_card
from ldmbench.errors import BenchError
from ldmbench.names import Name, Setting, parse, show, unknown
from ldmbench.system.beside import make_importable
from ldmbench.system.card import SystemCard, SystemSpec
from ldmbench.system.protocol import System


def card_folders() -> list[Path]:
    """Folders that hold system cards: the package ``ldmbench.systems`` and the entry points ``ldmbench.systems``."""
    from importlib.metadata import entry_points

    packages = ["ldmbench.systems", *sorted(point.value for point in entry_points(group="ldmbench.systems"))]
    folders = []
    for package in packages:
        found = importlib.util.find_spec(package)
        folders += [Path(place) for place in (found.submodule_search_locations or [])] if found else []
    return folders


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
    if name.endswith(".toml"):
        card = load_card(Path(name), SystemCard)
        make_importable(Path(name), card.module)
        return card
    cards = list_systems()
    if name not in cards:
        raise unknown("system", name, cards)
    return load_card(cards[name], SystemCard)


def resolve(name: str, device: str = "cpu", untrained: bool = False, weights: Path | None = None) -> SystemSpec:
    """``NAME[@VARIANT][:setting=value,...]`` checked against the card; imports no adapter.

    Raises:
        BenchError: If system, variant or setting is unknown, or a value has the wrong type.

    Example:
        >>> spec = resolve("opus@6kbps:application=audio")
        >>> spec.label, spec.settings["application"], spec.settings["frame_ms"]
        ('opus@6kbps:application=audio', 'audio', 60.0)
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
        from ldmbench.system.external import ExternalSystem

        return ExternalSystem(spec)
    module, _, attribute = spec.card.module.partition(":")
    try:
        adapter = importlib.import_module(module)
    except ImportError as error:
        extras = ",".join(spec.card.extras)
        own = module.startswith("ldmbench.")
        fix = "reinstall ldmbench" if own else "put the module beside the card or install it"
        fix = f"pip install 'ldmbench[{extras}]'" if extras else fix
        raise BenchError(f"system {spec.label} cannot be loaded", str(error), fix) from error
    factory = getattr(adapter, attribute, None)
    if factory is None:
        raise BenchError(f"system {spec.label} cannot be loaded", f"{module} has no {attribute!r}", "correct the card")
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
