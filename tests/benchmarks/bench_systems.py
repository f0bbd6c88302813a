"""Load time, seconds a clip, peak memory and parameters of every system, in one table, on a CPU and on a GPU.

Run: ``python tests/benchmarks/bench_systems.py [--devices cpu cuda] [--systems NAME ...] [--seconds 5.12]``

Every system that ldmbench lists, each in a process of its own, one after the other; those with weights untrained, in
full size and float32. ``load`` is what building takes, imports included. Systems that sample are timed at two small
numbers of steps (``--steps 2 4``), from which the seconds at the card's own number follow as a straight line; others
are timed as they are. A clip of 1 s goes before, but where a CPU would have to sample it. ``peak`` is the process's
largest resident set on a CPU and the allocator's on a GPU, building included. What fails, or takes longer than
``--limit`` seconds, is a row that says so.

``--results FILE`` keeps results, one a line, and adds to those that are there: systems may be measured in several goes.
Without ``--devices`` it takes the CPU, and the GPU where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _gpu_work import clips_of, steps_of

from ldmbench.clips.clip import Clip
from ldmbench.host.memory import peak_memory
from ldmbench.names import Setting, show
from ldmbench.system.registry import list_systems, load_system, load_system_card, resolve

#: Seconds of the clip that warms a GPU up.
WARM_S = 1.0

Row = dict[str, Any]


def measure(name: str, device: str, seconds: float, few: Sequence[int]) -> Row:
    """Build a system and run it, in this process.

    Args:
        name: As typed.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        seconds: Length of the clip.
        few: Two numbers of sampling steps.
    """
    card = load_system_card(resolve(name).card.name)
    key, usual = steps_of(card)
    # Two, since some systems answer with another clip's sound; one is processed.
    clips, warm = clips_of(card, 2, seconds), clips_of(card, 1, WARM_S)
    times: dict[int, float] = {}
    with peak_memory(device) as peak:
        for index, count in enumerate(few if key else (0,)):
            more: dict[str, Setting] = {key: count} if key else {}
            more |= {"seconds": 0.0} if "seconds" in card.settings else {}
            start = time.perf_counter()
            system: Any = load_system(resolve(_with(name, more), device, untrained=True))
            if hasattr(system, "setup"):
                system.setup(clips)
            if index == 0:
                load_s = time.perf_counter() - start
                parameters = getattr(system, "parameters", None)
            if device != "cpu" or not key:
                _run(system, warm, device)
            start = time.perf_counter()
            _run(system, clips[:1], device)
            times[count] = time.perf_counter() - start
            del system
        peak_bytes = peak()
    row: Row = {"load_s": load_s, "parameters": parameters, "peak_bytes": peak_bytes, "times": times, "usual": usual}
    if key:
        first, second = few
        a_step = (times[second] - times[first]) / (second - first)
        row |= {"step_s": a_step, "whole_s": times[first] + (usual - first) * a_step}
    return row


def _run(system: Any, clips: Sequence[Clip], device: str) -> None:
    """Every output, and on a GPU everything that was begun."""
    for output in system.process(clips):
        assert output.audio is not None
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)


def _with(name: str, more: Mapping[str, Setting]) -> str:
    words = ",".join(f"{key}={show(value)}" for key, value in more.items())
    return f"{name}{',' if ':' in name else ':'}{words}" if words else name


def carry_out(name: str, device: str, options: argparse.Namespace) -> Row:
    """One system in a process of its own; how it failed is a result as well."""
    command = [sys.executable, __file__, "--one", name, "--devices", device, "--seconds", str(options.seconds)]
    command += ["--steps", *map(str, options.steps)]
    row: Row = {"system": name, "device": device, "seconds": options.seconds}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=options.limit, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return {**row, "failed": f"not done in {options.limit:g} s"}
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return {**row, "failed": lines[-1] if lines else f"ended with {done.returncode}"}
    return {**row, **json.loads(done.stdout.splitlines()[-1])}


def table(rows: Sequence[Row]) -> str:
    """The results in Markdown, a row for each system and device."""
    head = [
        "system",
        "device",
        "parameters",
        "load s",
        "a clip, s",
        "a step, s",
        "clip at the card's steps, s",
        "peak GiB",
    ]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    latest = {(row["system"], row["device"]): row for row in rows}
    for (system, device), row in sorted(latest.items()):
        if "failed" in row:
            reason = row["failed"].replace("|", "/")
            lines.append(f"| {system} | {device} | {reason} |" + " |" * (len(head) - 3))
            continue
        count, clip_s = next(iter(row["times"].items()))
        usual = row["usual"]
        cells = [
            system, device,
            f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else "–",
            f"{row['load_s']:.2f}",
            f"{clip_s:.3g}" + (f" ({count} steps)" if usual else ""),
            f"{row['step_s']:.3g}" if usual else "",
            f"{row['whole_s']:.3g} ({usual})" if usual else "",
            f"{row['peak_bytes'] / 2**30:.2f}" if row["peak_bytes"] else "–",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def machine() -> str:
    """What it was measured on."""
    import torch

    cards = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    cpu = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"torch {torch.__version__} on {', '.join([cpu, *cards])}"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", nargs="+")
    parser.add_argument("--systems", nargs="+", metavar="NAME[@VARIANT]", help="only these")
    parser.add_argument("--seconds", type=float, default=5.12, help="length of the clip")
    parser.add_argument("--steps", type=int, nargs=2, default=[2, 4], help="divisors of 1000")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for one system on one device")
    parser.add_argument("--minutes", type=float, help="after so many minutes no further system is begun")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not 1 <= options.steps[0] < options.steps[1]:
        parser.error("--steps wants a smaller and a larger number")
    if options.devices is None:
        import torch

        options.devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return options


def main() -> None:
    """Measure, and print the table."""
    options = parse()
    if options.one:
        print(json.dumps(measure(options.one, options.devices[0], options.seconds, options.steps)))
        return
    rows: list[Row] = []
    if options.results and options.results.is_file():
        rows = [json.loads(line) for line in options.results.read_text(encoding="utf-8").splitlines()]
    deadline = time.monotonic() + 60 * (options.minutes or 1e9)
    for name in options.systems or list_systems():
        for device in options.devices:
            if time.monotonic() > deadline:
                row = {"system": name, "device": device, "failed": "time was up before it began"}
            else:
                print(f"{name} on {device}", file=sys.stderr, flush=True)
                row = carry_out(name, device, options)
            rows.append(row)
            if options.results:
                with options.results.open("a", encoding="utf-8") as handle:
                    handle.write(json.dumps(row) + "\n")
    print(f"{machine()}; clips of {options.seconds:g} s, float32, untrained\n\n{table(rows)}")


if __name__ == "__main__":
    main()
