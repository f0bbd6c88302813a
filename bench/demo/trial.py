"""One trial: an ordinary run of each system that was chosen, in a process that can be ended."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ldmbench.errors import BenchError, describe
from ldmbench.host.steps import STEPS, said
from ldmbench.names import parse
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.plan import Plan
from ldmbench.runs.prepare import prepare
from ldmbench.runs.request import Options, Request
from ldmbench.runs.store import is_run, rows_in
from ldmbench.system.registry import load_system_card, resolve

#: Seconds between two looks at how far a run is.
_LOOK_S = 0.2


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: ``at`` (so far it is), ``changed`` (there is something new in a run folder), ``failed`` (there is no run).
        text: How far it is, or why it failed.
        system: The system as it was asked for, of what failed.
        path: The run folder.
    """

    kind: Literal["at", "changed", "failed"]
    text: str = ""
    system: str = ""
    path: Path | None = None


def command(request: Request, options: Options) -> str:
    """The command line that makes the same runs, as it is typed in the current folder."""
    words = ["ldmbench", "run", request.suite]
    if request.audio is not None:
        words += ["--audio", _typed(request.audio), "--content", request.content]
    repeated = (("-c", request.conditions), ("--prompt", request.prompts), ("-d", request.datasets))
    for option, values in (*repeated, ("-s", request.systems), ("-m", request.metrics)):
        words += [word for value in values for word in (option, value)]
    if request.seed is not None:
        words += ["--seed", str(request.seed)]
    if request.untrained:
        words += ["--untrained"]
    if options.device != "cpu":
        words += ["--device", options.device]
    if options.weights is not None:
        words += ["--weights", _typed(options.weights)]
    if request.out != Path("runs").absolute():
        words += ["--out", _typed(request.out)]
    return shlex.join(words)


def _typed(path: Path) -> str:
    """A path as it is typed here: relative where it lies below the current folder."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def carry(request: Request, options: Options, steps: str) -> Iterator[Event]:
    """In a process of its own: run the systems of a request, and say what happens.

    Those without weights run together, which shares their processes, and every other one alone, so that its scores
    come as soon as it is done. A run belongs to one system: these are the runs of the whole request.

    Args:
        request: What to run.
        options: How.
        steps: File in which loops inside a clip say how far they are.
    """
    os.environ[STEPS] = steps
    with ThreadPoolExecutor(1) as pool:
        for names in _together(request.systems):
            Path(steps).unlink(missing_ok=True)
            plans: list[Plan] = []
            future = pool.submit(_run, replace(request, systems=names), options, plans)
            before: dict[Path, tuple[int, int]] = {}
            made = 0
            working = True
            while working:
                working = bool(wait([future], timeout=_LOOK_S).not_done)
                for path in plans[0].paths if plans else ():
                    # At the end every run is read once more, with its problem where it has one.
                    now = rows_in(path)
                    if is_run(path) and (before.get(path) != now or not working):
                        made += path in before and before[path][0] != now[0]
                        before[path] = now
                        yield Event("changed", path=path)
                yield Event("at", _stage(names, plans, Path(steps), made))
            yield from future.result()


def _together(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    light = [name for name in names if not load_system_card(parse(name).name).weights]
    if light:
        yield tuple(light)
    yield from ((name,) for name in names if name not in light)


def _run(request: Request, options: Options, plans: list[Plan]) -> list[Event]:
    """Run some systems; ``plans`` gets their plan as soon as there is one. What could not be run, with the reason."""
    try:
        prepared = prepare(request, options)
        asked = {resolve(name).label: name for name in request.systems}
        events = []
        for finding in prepared.errors:
            error = BenchError(finding.text, fix=finding.fix)
            if finding.subject not in asked:
                raise BenchError(f"{finding.subject}: {error}")
            events.append(Event("failed", str(error), asked[finding.subject]))
        # The plan is of the others.
        if prepared.plan is not None:
            plans.append(prepared.plan)
            carry_out(prepared.plan, options)
    except BenchError as error:
        return [Event("failed", str(error), name) for name in request.systems]
    except Exception as error:
        return [Event("failed", describe(error), name) for name in request.systems]
    return events


def _stage(names: Sequence[str], plans: Sequence[Plan], steps: Path, made: int) -> str:
    """What is being done; ``made`` is how many outputs came since the start."""
    if not plans:
        return f"looking at what {names[0]} needs" if len(names) == 1 else f"looking at what {len(names)} systems need"
    (plan,) = plans
    for info, path in zip(plan.runs, plan.paths, strict=True):
        if rows_in(path)[0] < len(plan.clips):
            return f"{info.system}: {said(steps) or 'working'}"
    # What failed before has a row already while it is tried again.
    return said(steps) if said(steps) and not made else "measuring"
