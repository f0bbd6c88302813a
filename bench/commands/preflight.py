"""``ldmbench mushra check`` and ``plan``: before anybody listens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ldmbench.commands import options

if TYPE_CHECKING:
    from ldmbench.listening.plan import Plan

_file = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("pack", type=click.Path(path_type=Path, file_okay=False))
@click.option("--key", type=_file, help="The key.  [default: PACK.sealed/key.json]")
@options.as_json
def check(pack: Path, key: Path | None, as_json: bool) -> None:
    """Look at everything in PACK that has cost organisers sessions, before anybody listens.

    Files, sounds, delays, loudness, anchors, names, blocks, texts, and, line by line, configurations of webMUSHRA that
    were edited. Exits 2 if something would go wrong.
    """
    from ldmbench import console
    from ldmbench.listening.preflight.pack import check_pack

    findings = check_pack(pack, key)
    console.print_findings(findings, as_json)
    if any(finding.level == "error" for finding in findings):
        raise click.exceptions.Exit(2)


@click.command()
@click.option(
    "--systems", type=click.IntRange(2), required=True, help="Systems under test, without reference and anchors."
)
@click.option("--difference", type=float, default=10.0, show_default=True, help="Points of 100 that should be found.")
@click.option("--power", "chance", type=float, default=0.8, show_default=True, help="With which probability.")
@click.option("--level", type=float, default=0.05, show_default=True, help="Level of all comparisons together (Holm).")
@click.option("--against-one", is_flag=True, help="One system against each other one, not all pairs.")
@click.option("--per-listener", type=click.IntRange(1), help="Most items that one listener rates.  [default: all]")
@click.option(
    "--pilot", type=click.Path(path_type=Path, exists=True), multiple=True, help="Ratings of a pilot; repeatable."
)
@click.option("--listener-system", type=click.FloatRange(0), help="SD of what a listener adds for one system, points.")
@click.option("--item-system", type=click.FloatRange(0), help="SD of what an item adds for one system.")
@click.option("--residual", type=click.FloatRange(0), help="SD of all else.")
@options.as_json
def plan(
    systems: int,
    difference: float,
    chance: float,
    level: float,
    against_one: bool,
    per_listener: int | None,
    pilot: tuple[Path, ...],
    listener_system: float | None,
    item_system: float | None,
    residual: float | None,
    as_json: bool,
) -> None:
    """How many listeners and items a test needs to find a difference.

    It is reckoned for the analysis of `ldmbench mushra analyse`: listeners and items crossed, Holm over the pairs.
    Standard deviations are those of a real test, of a pilot, or as named.
    """
    import json
    from dataclasses import asdict, replace

    from ldmbench.listening import plan as planning

    components, source = planning.DEFAULTS, "a real test of seven neural codecs (Stahl et al. 2024)"
    if pilot:
        components, source = planning.pilot(pilot), "the pilot"
    named = {"listener_system": listener_system, "item_system": item_system, "residual": residual}
    given = {name: value for name, value in named.items() if value is not None}
    if given:
        components, source = replace(components, **given), f"{source}, {', '.join(given)} as named"
    made = planning.make_plan(systems, difference, chance, level, components, source, against_one, per_listener or 0)
    click.echo(json.dumps(asdict(made), indent=1) if as_json else _text(made))


def _text(made: Plan) -> str:
    from ldmbench.listening.plan import ITEMS, LISTENERS

    sd = made.components
    lines = [
        f"{made.pairs} comparisons share the level: {made.level:.4f} each (Holm's first step)",
        f"standard deviations of {made.source}: item x system {sd.item_system:.1f}, "
        f"listener x system {sd.listener_system:.1f}, residual {sd.residual:.1f} points",
        "",
        f"Chance to find {made.difference:g} points (half of the 95 % interval), by listeners and items:",
        "",
        "listeners  " + "".join(f"{f'{items} items':>14}" for items in ITEMS),
    ]
    cells = {(row.listeners, row.items): row for row in made.table}
    for listeners in LISTENERS:
        row = [cells[listeners, items] for items in ITEMS]
        lines.append(f"{listeners:>9}  " + "".join(f"{f'{c.power:.2f} ({c.half_width:.1f})':>14}" for c in row))
    usual = [cells[size] for size in ((12, 10), (20, 10), (20, 20), (30, 30))]
    shown = ", ".join(f"{d.smallest:.0f} ({d.listeners} listeners, {d.items} items)" for d in usual)
    lines += ["", f"Points that are found with a chance of {made.chance:g}: {shown}"]
    if made.least:
        needed = ", ".join(f"{design.listeners} with {design.items} items" for design in made.least)
        lines.append(f"Fewest listeners for a chance of {made.chance:g}: {needed}")
    else:
        lines.append(f"No test of up to {ITEMS[-1]} items and 400 listeners finds it with a chance of {made.chance:g}.")
    lines.append(
        f"An exact Wilcoxon test (for these items only) needs {made.wilcoxon} listeners to find anything at all."
    )
    return "\n".join(lines)
