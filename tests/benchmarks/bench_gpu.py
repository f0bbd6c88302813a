"""Every check that wants a GPU, in one command of under 8 minutes on one card, ending in one table.

Run: ``tests/benchmarks/gpu.sh [--device cuda]``, or ``tests/benchmarks/gpu.sh --dry-run`` on a CPU (2 steps, clips of
1 s, batches of 1 and 2, bfloat16 for one system). Every system that has weights is built untrained in full size, in
every precision that it offers: real-time factor and peak memory at batch 1 and at the fastest batch (doubling until
the memory or ``--largest``), and how far the sound of a clip of 1 s is from that of a CPU in float32. Every network
behind a metric: sounds per second. FD, FAD, IS and KL of two folders, beside audioldm_eval where ``--audioldm-eval``
(or AUDIOLDM_EVAL) names a checkout, in the environment that ``bench_distribution.py`` asks for.

Systems and metrics are those that ldmbench lists; none is named here. ``--systems`` measures some systems and nothing
else. Each is a process of its own; on a GPU the next
ones are built while one is measured. Results are written as they come: ``$OUT/gpu.jsonl``, and ``$OUT/gpu.md`` when
all is done or time is up. What did not come in time is a row that says so.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from _gpu_work import Task, steps_of, work

from ldmbench.metrics._base import list_metrics, load_metric, untrained
from ldmbench.system.card import SystemCard
from ldmbench.system.registry import list_systems, load_system_card

#: Precisions that are measured where a card offers the setting.
PRECISIONS = ("float32", "bfloat16")

#: Seconds kept back for starting and for the table.
REST_S = 30.0

Row = dict[str, Any]


def neural_systems() -> dict[str, SystemCard]:
    """Cards of the systems that have weights and need an extra: those with a network in this process."""
    cards = (load_system_card(name) for name in list_systems())
    return {card.name: card for card in cards if card.weights and card.extras}


def networks(recognisers: Sequence[str]) -> list[str]:
    """A metric, with random weights, for every network behind metrics: the first that uses it.

    Args:
        recognisers: Sizes of speech recognisers to keep; there are too many to measure all.
    """
    chosen: dict[str, str] = {}
    for name in sorted(list_metrics(), key=lambda name: (len(name), name)):
        random = untrained(name)
        if random == name:
            continue
        metric: Any = load_metric(random)
        if not metric.facts.device:  # Of its variants one has a network, and it has none.
            continue
        if hasattr(metric, "size"):
            if metric.size in recognisers:
                chosen.setdefault(f"recogniser {metric.size}", random)
        else:
            extractor = metric.source.load(device="cpu", weights=None, untrained=True, official=True)
            chosen.setdefault(extractor.fingerprint, random)
    return list(chosen.values())


def plan(options: argparse.Namespace, folder: Path) -> list[Task]:
    """All tasks, with equal shares of the time; on a CPU the float32 run is the reference itself."""
    on_cpu = options.device == "cpu"
    cards = neural_systems()
    works: list[tuple[str, str, str]] = []
    if not options.systems:
        # The cheap ones first: what does not come in time is then the least.
        works += [("distribution", "FD, FAD, IS, KL", "")]
        works += [("metric", name, "") for name in networks(options.recognisers)]
    dry_precisions = len(PRECISIONS)
    for name, card in cards.items():
        if options.systems and name not in options.systems:
            continue
        precisions: tuple[str, ...] = PRECISIONS if "precision" in card.settings else ("",)
        # A CPU takes long to build these: of a dry run, one system in every precision is enough.
        if options.dry_run:
            precisions, dry_precisions = precisions[:dry_precisions], 1
        works += [] if on_cpu else [("reference", name, precisions[0])]
        works += [("system", name, precision) for precision in precisions]
    measured = sum(kind != "reference" for kind, _, _ in works)
    share = (60 * options.minutes - REST_S) / measured
    return [
        Task(
            kind, name, "cpu" if kind == "reference" else options.device, precision,
            steps=options.steps if name in cards and steps_of(cards[name])[0] else 0,
            seconds=options.seconds,
            largest=options.sounds if kind == "metric" else options.largest,
            repeats=1 if on_cpu else 2,
            limit_s=share / 2,
            folder=str(folder),
        )
        for kind, name, precision in works
    ]  # fmt: skip


def carry_out(
    tasks: Sequence[Task], lanes: int, deadline: float, arguments: Sequence[str] = (), ended: Event | None = None
) -> None:
    """Each task in a process, ``lanes`` at a time, until the deadline; how a process failed is a result as well.

    Args:
        tasks: In the order in which they begin.
        lanes: Processes at a time.
        deadline: By ``time.monotonic()``; what runs then is ended, with all processes that it began.
        arguments: Of this script's command line, for each process.
        ended: Set when all shall end at once.
    """
    waiting, running = list(tasks), dict[Task, subprocess.Popen[str]]()
    cores = max(1, (os.cpu_count() or 1) // lanes)
    environment = {**os.environ, "OMP_NUM_THREADS": str(cores), "HF_HUB_OFFLINE": "1"}
    while waiting or running:
        for task, process in list(running.items()):
            if process.poll() is not None:
                error = process.communicate()[1]
                del running[task]
                if process.returncode:
                    lines = [line for line in error.splitlines() if line.strip()]
                    task.write(failed=lines[-1] if lines else f"ended with {process.returncode}")
        stopped = ended is not None and ended.is_set()
        if stopped or time.monotonic() > deadline:
            reason = "ended by hand" if stopped else "time was up"
            for task, process in running.items():
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                task.write(failed=reason)
            for task in waiting:
                task.write(failed=f"{reason} before it began")
            return
        if waiting and len(running) < lanes:
            task = waiting.pop(0)
            print(f"{task.kind} {task.name} {task.precision}", file=sys.stderr, flush=True)
            command = [sys.executable, str(Path(__file__)), *arguments, "--task", task.to_json()]
            # Only the end of what a process says matters, and it says little: a pipe holds it. A group of its own, so
            # that whatever it begins can be ended with it.
            running[task] = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                start_new_session=True,
            )  # fmt: skip
        else:
            time.sleep(0.1)


def distributions(options: argparse.Namespace, task: Task) -> None:
    """FD, FAD, IS and KL by bench_distribution.py, whose results are added to the others."""
    script, result = Path(__file__).with_name("bench_distribution.py"), Path(task.folder) / "distribution.json"
    command = [sys.executable, str(script), f"--device={task.device}", f"--json={result}", "--skip-package"]
    command += [f"--clips={options.pairs}", f"--seconds={task.seconds}", "--states", "cold"]
    if options.audioldm_eval:
        command += [f"--audioldm-eval={options.audioldm_eval}", f"--peer-python={options.peer_python}"]
        command += [f"--torchvggish={options.torchvggish}"] if options.torchvggish else []
    # Its own last line is what went wrong, not that it failed.
    if code := subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        sys.exit(code)
    task.write(pairs=options.pairs, **json.loads(result.read_text(encoding="utf-8")))


def error(folder: Path, name: str, precision: str) -> float | None:
    """RMS of the difference from the CPU's float32 sound, relative to that sound's; None without both.

    On a CPU the float32 run is that sound.
    """
    stem = name.replace("@", "_")
    files = [path for kind in ("reference", "system") for path in sorted(folder.glob(f"{stem}-{kind}-*.npy"))]
    own = folder / f"{stem}-system-{precision}.npy"
    expected = next((path for path in files if path.stem.rpartition("-")[2] in ("float32", "")), None)
    if expected is None or expected == own or not own.is_file():
        return None
    reference, sound = (np.load(path).astype(np.float64) for path in (expected, own))
    if reference.shape != sound.shape:
        return math.inf
    return float(np.sqrt(np.mean((sound - reference) ** 2) / np.mean(reference**2)))


def table(rows: Sequence[Row], folder: Path, header: Sequence[str]) -> str:
    """The results in Markdown."""
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["kind"], row["name"], row["precision"]].append(row)
    lines = [
        *header, "",
        "| | precision | batch | speed | peak GiB | difference | |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for (kind, name, precision), group in groups.items():
        note = "; ".join(row[key] for row in group for key in ("stopped", "failed") if key in row)
        if kind == "system":
            lines += system_lines(name, precision, group, error(folder, name, precision), note)
        elif kind == "metric":
            cells = [(row["batch"], f"{row['sounds'] / row['seconds']:.3g} sounds/s", row) for row in group
                     if "sounds" in row]  # fmt: skip
            lines += [line(name, "float32", *cell, "", note) for cell in cells] or [line(name, note=note)]
        elif kind == "distribution":
            lines += distribution_lines(group, note)
        elif note:
            lines.append(line(f"{name} on a CPU", precision, note=note))
    return "\n".join(lines) + "\n"


def system_lines(name: str, precision: str, group: Sequence[Row], far: float | None, note: str) -> list[str]:
    """Batch 1, and the batch with the most sound per second."""
    batches = [row for row in group if "batch" in row]
    if not batches:
        return [line(name, precision or "float32", note=note or "no result")]
    fastest = min(batches, key=lambda row: row["seconds"] / row["audio_s"])
    difference = "" if far is None else f"{far:.1e}"
    card = load_system_card(name)
    lines = []
    for row in [batches[0]] + ([fastest] if fastest is not batches[0] else []):
        factor = row["seconds"] / row["audio_s"]
        speed = f"RTF {factor:.3g}"
        if row["steps"]:
            usual = steps_of(card)[1]
            speed += f" ({row['steps']} steps; at {usual} at most {factor * max(1.0, usual / row['steps']):.3g})"
        lines.append(line(name, precision or "float32", row["batch"], speed, row, difference, note))
        difference = note = ""
    return lines


def distribution_lines(group: Sequence[Row], note: str) -> list[str]:
    """A row for each side, and by how much the numbers differ at most."""
    row = next((row for row in group if "seconds" in row), None)
    if row is None:
        return [line(group[0]["name"], note=note)]
    differences = row["differences"]
    worst = f"{max(differences.values()):.1e}" if differences else ""
    lines = []
    for who, seconds in row["seconds"].items():
        lines.append(line(f"{row['name']}: {who}", "float32", f"{row['pairs']} pairs", f"{seconds:.3g} s", None, worst))
        worst = ""
    if len(lines) == 1:
        lines.append(line("audioldm_eval", note="not measured: --audioldm-eval names no checkout"))
    return lines


def line(
    name: str, precision: str = "", batch: object = "", speed: str = "", row: Mapping[str, Any] | None = None,
    difference: str = "", note: str = "",
) -> str:  # fmt: skip
    """One row of the table."""
    peak = (row or {}).get("peak_bytes")
    memory = f"{peak / 2**30:.2f}" if peak else ""
    return f"| {name} | {precision} | {batch} | {speed} | {memory} | {difference} | {note} |"


def header(options: argparse.Namespace, seconds: float, ended: bool = False) -> list[str]:
    """What it was measured on, and how."""
    import torch

    if options.device.startswith("cuda"):
        device = torch.cuda.get_device_name(options.device)
    else:
        device = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    dry = "**DRY RUN: shows that the script works, not how fast anything is.** " if options.dry_run else ""
    dry += "**Ended by hand before all was measured.** " if ended else ""
    return [
        f"{dry}torch {torch.__version__} on {device} ({options.device}); everything untrained, in full size; clips of "
        f"{options.seconds:g} s; {seconds:.0f} s in all. Difference: RMS relative to the sound of a clip of 1 s in "
        "float32 on a CPU; of distributions, the largest relative difference between the two sides.",
    ]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; ``--dry-run`` sets what is not set otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="on a CPU: 2 steps, 1 s clips, batches of 1 and 2, bfloat16 for one system",
    )
    parser.add_argument(
        "--systems", nargs="+", metavar="NAME", choices=list(neural_systems()),
        help="only these systems, without metrics and distributions",
    )  # fmt: skip
    parser.add_argument("--device")
    parser.add_argument("--minutes", type=float, help="after so many minutes the table is written")
    parser.add_argument("--steps", type=int, help="sampling steps that are timed (a divisor of 1000)")
    parser.add_argument("--seconds", type=float, help="length of the clips that are timed")
    parser.add_argument("--largest", type=int, help="largest batch of a system")
    parser.add_argument("--sounds", type=int, help="clips that a network behind metrics is given")
    parser.add_argument("--pairs", type=int, help="clips in the folders whose distributions are compared")
    parser.add_argument("--lanes", type=int, help="processes at a time")
    parser.add_argument("--recognisers", nargs="*", help="sizes of speech recognisers")
    parser.add_argument("--audioldm-eval", default=os.environ.get("AUDIOLDM_EVAL"), help="checkout of audioldm_eval")
    parser.add_argument("--peer-python", default=os.environ.get("PEER_PYTHON") or sys.executable)
    parser.add_argument("--torchvggish", default=os.environ.get("TORCHVGGISH"), help="checkout of torchvggish")
    parser.add_argument("--plan", action="store_true", help="print what would be measured, a line each, and stop")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    card = {"device": "cuda", "minutes": 7.5, "steps": 20, "seconds": 10.24, "largest": 16, "sounds": 64,
            "pairs": 44, "lanes": 3, "recognisers": ["base_en", "large_v3"]}  # fmt: skip
    dry = {"device": "cpu", "minutes": 10.0, "steps": 2, "seconds": 1.0, "largest": 2, "sounds": 2,
           "pairs": 12, "lanes": 1, "recognisers": ["tiny_en"]}  # fmt: skip
    for key, value in (dry if options.dry_run else card).items():
        if getattr(options, key) is None:
            setattr(options, key, value)
    return options


def main() -> None:
    """Measure, and print the table."""
    options = parse()
    if options.task:
        task = Task(**json.loads(options.task))
        distributions(options, task) if task.kind == "distribution" else work(task)
        return
    if options.plan:
        print(*(task.to_json() for task in plan(options, Path())), sep="\n")
        return
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__} sees no CUDA device (fix: use --dry-run here, or a machine with a card)")
    begin = time.monotonic()
    deadline = begin + 60 * options.minutes - REST_S
    out = Path(os.environ.get("OUT") or ".")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["LDMBENCH_CACHE"] = str(folder / "cache")
        results = out / "gpu.jsonl"
        results.write_text("")
        (folder / "gpu.jsonl").symlink_to(results.resolve())
        ended = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        carry_out(plan(options, folder), options.lanes, deadline, sys.argv[1:], ended)
        rows = [json.loads(text) for text in results.read_text(encoding="utf-8").splitlines()]
        text = table(rows, folder, header(options, time.monotonic() - begin, ended.is_set()))
    (out / "gpu.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
