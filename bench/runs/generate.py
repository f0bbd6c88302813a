"""The first stage of a run: systems turn clips into audio on disk, one journal row for each clip."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.host import interrupt
from ldmbench.host.memory import peak_memory
from ldmbench.host.progress import progress
from ldmbench.metrics._base import LENGTH_TOLERANCE
from ldmbench.runs.plan import Plan
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import Options
from ldmbench.runs.results import open_run
from ldmbench.runs.store import RunWriter, is_run
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Adapter, Cost, Output, Prepares, System, parameters_of
from ldmbench.system.registry import load_system


def generate(plan: Plan, options: Options, build: Adapter = load_system) -> list[tuple[str, str]]:
    """Produce every output that is not in the journal yet.

    Time and memory are recorded only at a batch of 1, where they belong to one clip.

    Args:
        plan: What to do, and where each system runs.
        options: How many clips a system gets at once, and whether those that failed are tried again.
        build: How a spec becomes a system.

    Returns:
        (system, message) of every system that could not be set up; its clips stay pending and the others go on.

    Raises:
        BenchError: If a run folder cannot be written or is in use.
    """
    not_started = []
    todo = [pending(path, plan.clips, options.retry_failed) for path in plan.paths]
    with progress("generate", sum(len(clips) for clips in todo), options.quiet) as advance:
        for spec, info, path, clips in zip(plan.specs, plan.runs, plan.paths, todo, strict=True):
            if not clips and is_run(path):
                continue
            with RunWriter(path, info) as writer:
                if not clips:
                    continue
                try:
                    system = build(spec)
                    if isinstance(system, Prepares):
                        system.setup(plan.clips)
                except Exception as error:
                    not_started.append((spec.label, _reason(error)))
                    advance(len(clips), spec.label)
                    continue
                writer.set_parameters(parameters_of(system))
                for start in range(0, len(clips), options.batch):
                    part = clips[start : start + options.batch]
                    for row, output in _process(system, spec, part, options.batch == 1):
                        interrupt.check()
                        writer.add_output(row, output.audio if output else None)
                        advance(1, spec.label)
    return not_started


def pending(path: Path, clips: Sequence[Clip], retry_failed: bool = False) -> list[Clip]:
    """The clips that have no output in the run at ``path``; with ``retry_failed`` also those that failed."""
    if not is_run(path):
        return list(clips)
    done = open_run(path).outputs
    return [clip for clip in clips if clip.id not in done or (retry_failed and done[clip.id].status == "failed")]


def _process(
    system: System, spec: SystemSpec, clips: Sequence[Clip], alone: bool
) -> Iterator[tuple[OutputRow, Output | None]]:
    """Rows for a batch; clips whose input is broken, or on which the system fails alone, become failed rows."""
    ready = []
    for clip in clips:
        try:
            ready.append(clip.load() if clip.path is not None else clip)
        except BenchError as error:
            yield OutputRow(clip.id, "failed", str(error)), None
    if not ready:
        return
    outputs: list[Output] = []
    stopped: Exception | None = None
    try:
        # One more than there should be is enough to know; a system that never ends is not waited for.
        for output in islice(_timed(system, spec, ready, alone), len(ready) + 1):
            outputs.append(output)
    except Exception as error:
        stopped = error
    # Outputs belong to clips by their order alone: where one is missing or too many, none can be told apart.
    if stopped is None and len(outputs) != len(ready):
        count = len(outputs) if len(outputs) < len(ready) else f"more than {len(ready)}"
        stopped, outputs = BenchError(f"{spec.label} returned {count} outputs for {len(ready)} clips"), []
    for clip, output in zip(ready, outputs, strict=False):
        yield _row(system, clip, output)
    if stopped is not None and len(ready) == 1:
        yield OutputRow(ready[0].id, "failed", _reason(stopped)), None
        return
    for clip in ready[len(outputs) :]:
        yield from _process(system, spec, [clip], alone=False)


def _timed(system: System, spec: SystemSpec, clips: Sequence[Clip], alone: bool) -> Iterator[Output]:
    """Outputs of a batch; with the cost of each where it was processed alone."""
    if not alone or len(clips) != 1:
        yield from system.process(clips)
        return
    with peak_memory(spec.device) as peak:
        start = time.perf_counter()
        outputs = list(islice(system.process(clips), 2))
        seconds = time.perf_counter() - start
    for output in outputs:
        cost = Cost(seconds, peak(), parameters_of(system))
        yield replace(output, cost=cost) if isinstance(output, Output) else output


def _row(system: System, clip: Clip, output: Output) -> tuple[OutputRow, Output | None]:
    try:
        fault = _fault(system, clip, output)
        row = None if fault else _accepted(clip, output)
    except Exception as error:
        # An adapter may yield anything; what cannot be stored is its failure, not the end of the run.
        fault, row = f"{system.card.name} returned an output that cannot be stored: {_reason(error)}", None
    if row is None:
        return OutputRow(clip.id, "failed", fault), None
    return row, output


def _accepted(clip: Clip, output: Output) -> OutputRow:
    details = dict(output.details)
    json.dumps(details, allow_nan=False)
    return OutputRow(
        clip.id,
        "ok",
        audio=str(output.path.resolve()) if output.path else "",
        bits=None if output.bits is None else int(output.bits),
        tokens=None if output.tokens is None else int(np.size(output.tokens)),
        seconds=output.cost.seconds,
        peak_memory=output.cost.peak_memory,
        reference=clip.loaded.digest() if clip.loaded is not None else "",
        details=details,
    )


def _fault(system: System, clip: Clip, output: Output) -> str:
    """Why an output cannot be accepted, or empty."""
    if not isinstance(output, Output):
        return f"{system.card.name} returned {type(output).__name__}, not an Output"
    if output.audio is None:
        return f"{system.card.name} returned no audio"
    if output.audio.length == 0:
        return f"{system.card.name} returned 0 samples"
    wrong = int((~np.isfinite(output.audio.samples)).sum())
    if wrong:
        return f"{system.card.name} returned NaN or Inf in {wrong} of {output.audio.samples.size} samples"
    if output.path is None and system.card.tasks != ("generate",) and clip.path is not None:
        expected, found = clip.audio.duration, output.audio.duration
        if abs(expected - found) > LENGTH_TOLERANCE:
            return f"{system.card.name} returned {found:.3f} s for a clip of {expected:.3f} s"
    return ""


def _reason(error: Exception) -> str:
    """One line for a failed row: what was raised, and where in the adapter."""
    if isinstance(error, BenchError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"
