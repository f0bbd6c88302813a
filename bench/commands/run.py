"""``ldmbench run``: systems on a suite; again with other seeds, or against a stored run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ldmbench.commands import complete, options
from ldmbench.commands.gate import FILES, STRICTNESS, finish, gate_options, rules_of
from ldmbench.commands.outcome import end, show_runs, show_shard, where
from ldmbench.errors import BenchError
from ldmbench.host.streams import no_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ldmbench.runs.plan import Plan
    from ldmbench.runs.request import Options, Request
    from ldmbench.runs.results import Run


@click.command()
@click.argument("suite", shell_complete=complete.suites)
@options.of_request
@click.option("--seed", type=int, help="Seed of the run.  [default: the suite's]")
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Runs of each system, with the seed and those that follow it; for compare --noise.",
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Clips a system gets at once.")
@options.align
@options.retry_failed
@options.timeout
@click.option("--skip-unavailable", is_flag=True, help="Leave out systems whose preflight fails, and say so.")
@options.jobs
@options.shard
@options.ray
@options.gpus
@options.allow
@options.quiet
@click.option(
    "--against",
    metavar="BASE",
    help="Compare with BASE (a run, a suite or a baseline file) as `ldmbench compare` does, with its exit code; "
    "the options below belong to it.",
)
@click.option("--fail-fast", is_flag=True, help="Stop as soon as the run is certain to be worse than BASE.")
@gate_options
@options.runs
@options.as_json
def run(
    suite: str,
    device: str,
    weights: Path | None,
    repeats: int,
    batch: int,
    jobs: int | None,
    retry_failed: bool,
    timeout: float,
    skip_unavailable: bool,
    shard: str | None,
    ray: str,
    gpus: float,
    allow_failures: bool,
    quiet: bool,
    against: str | None,
    as_json: bool,
    **others: Any,
) -> None:
    """Run systems on SUITE and print its table.

    What is already in the run folder is not computed again: an interrupted run continues, a new metric or
    system is added. Exits 1 if a clip failed.
    """
    from ldmbench import console
    from ldmbench.host.executor import cores
    from ldmbench.runs.prepare import open_runs, prepare
    from ldmbench.runs.request import Options, Request

    gate = {name: others.pop(name) for name in (*STRICTNESS, *FILES, "noise", "fail_fast")}
    settings = Options(
        device, weights, batch, jobs or cores(), retry_failed, skip_unavailable, quiet, timeout, shard or "", ray, gpus
    )
    request = Request(suite, **others)
    if against is not None:
        if repeats > 1:
            raise BenchError("--repeats and --against do not go together", fix="make the repeats of BASE first")
        if shard:
            raise BenchError("--shard and --against do not go together", fix="join the shards, then ldmbench compare")
        if skip_unavailable:
            raise BenchError("--skip-unavailable and --against do not go together", fix="choose systems with -s")
        _against(request, settings, open_runs((against,), request.out), as_json, **gate)
        return
    _refuse_gate_options([*gate])
    with no_noise():
        prepared = prepare(request, settings)
    plan = console.ready(prepared)
    with no_noise():
        runs = _repeated(request, settings, plan, repeats, not (quiet or as_json))
    if part := settings.part:
        runs = show_shard(runs, part, settings, request.out, as_json)
    else:
        show_runs(runs, "json" if as_json else "terminal")
        if not (quiet or as_json):
            click.echo(where(runs, request.out, suite), err=True)
    end(runs, allow_failures, prepared.left_out)


def _repeated(request: Request, settings: Options, plan: Plan, count: int, told: bool) -> list[Run]:
    """Carry out the plan, and before it those of the other seeds; what they are for is told."""
    from ldmbench.runs.carry_out import carry_out
    from ldmbench.runs.repeats import plans

    if count == 1:
        return carry_out(plan, settings)
    done = [(each, carry_out(each, settings)) for each in plans(request, settings, count)]
    repeats = [run for _, runs in done[:-1] for run in runs]
    if told:
        seeds = ", ".join(str(each.runs[0].seed) for each, _ in reversed(done[:-1]))
        words = " ".join(str(run.path) for run in repeats)
        click.echo(
            f"repeats with seeds {seeds}: ldmbench compare BASE NEW --noise noise.parquet, once they are", err=True
        )
        click.echo(f"one file: ldmbench baseline save {words} --output noise.parquet", err=True)
    return done[-1][1]


def _against(
    request: Request,
    settings: Options,
    base: Sequence[Run],
    as_json: bool,
    noise: tuple[str, ...],
    fail_fast: bool,
    **gate: Any,
) -> None:
    """Run, compare with BASE, and end as ``compare`` does: clips that fail are judged by it."""
    from ldmbench import console
    from ldmbench.compare.against import metrics_of, run_against
    from ldmbench.runs.estimate import duration
    from ldmbench.runs.prepare import open_runs, prepare

    files = {name: gate.pop(name) for name in FILES}
    rules = rules_of((), **gate)
    repeats = open_runs(noise, request.out) if noise else ()
    with no_noise():
        prepared = prepare(replace(request, metrics=(*request.metrics, *metrics_of(base))), settings)
    plan = console.ready(prepared)
    if not settings.quiet:
        click.echo(f"time: {duration(plan, base)}{', at most' if fail_fast else ''}", err=True)

    def say(line: str) -> None:
        if not settings.quiet:
            click.echo(line, err=True)

    with no_noise():
        runs, comparison = run_against(plan, settings, base, rules, repeats, fail_fast, say)
    console.print_failures(runs)
    finish(comparison, base, runs, as_json, **files)


def _refuse_gate_options(names: Sequence[str]) -> None:
    """Raise where an option of a comparison was typed and there is none."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            (option,) = [item.opts[0] for item in context.command.params if item.name == name]
            raise BenchError(f"{option} belongs to a comparison", fix="add --against BASE")
