"""Repeats of a run with other seeds: what measures how far its scores move when nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ldmbench.errors import BenchError
from ldmbench.runs.plan import Plan
from ldmbench.runs.prepare import prepare
from ldmbench.runs.request import Options, Request


def plans(request: Request, options: Options, count: int) -> Iterator[Plan]:
    """Plans of ``count`` runs of each system, with the request's seed and those that follow it.

    The request's own comes last: of several runs of a system, tables show the one that was asked for last.

    Raises:
        BenchError: If a repeat cannot be started.
    """
    own = _plan(request, options)
    for offset in range(count - 1, 0, -1):
        yield _plan(replace(request, seed=own.runs[0].seed + offset), options)
    yield own if count == 1 else _plan(request, options)


def _plan(request: Request, options: Options) -> Plan:
    prepared = prepare(request, options)
    for finding in prepared.errors:
        raise BenchError(f"{finding.subject}: {finding.text}", fix=finding.fix)
    if prepared.plan is None:
        raise BenchError("no system is left to run", "; ".join(prepared.left_out))
    return prepared.plan
