"""Seconds and memory against the number of clips: a run, the rest after SIGKILL, the same again, and reports."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _command import Tree, Used, clips, command, table, trees

SUITE = """name = "scale"
title = "Many clips"
task = "codec"
datasets = []
systems = ["lowpass"]
metrics = ["snr"]
"""


def half_made(runs: Path, count: int) -> Callable[[], bool]:
    """Whether half of the outputs are in the journal."""

    def look() -> bool:
        return sum(path.read_bytes().count(b"\n") for path in runs.rglob("outputs.jsonl")) >= count // 2

    return look


def measured(tree: Tree, folder: Path, count: int, pages: bool) -> dict[str, Used]:
    """Each command once, in the order in which a user meets them."""
    sounds, runs, cache = folder / f"clips-{count}", folder / "runs", folder / "cache"
    run = ["run", folder / "scale.toml", "--audio", sounds, "--out", runs, "--quiet"]
    report = ["report", f"scale+{sounds.name}", "--out", runs]
    shutil.rmtree(runs, ignore_errors=True)
    used = {"run": command(tree, cache, *run)}
    used["run again, nothing to do"] = command(tree, cache, *run)
    used["report"] = command(tree, cache, *report)
    used["export"] = command(tree, cache, "export", f"scale+{sounds.name}", "--out", runs, "-o", folder / "export")
    if pages:
        used["page"] = command(tree, cache, *report, "--to", "html", "-o", folder / "page")
    shutil.rmtree(runs)
    command(tree, cache, *run, stop=half_made(runs, count), code=None)
    used["resume after SIGKILL at half"] = command(tree, cache, *run)
    used["list"] = command(tree, cache, "list")
    shutil.rmtree(runs)
    return used


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[200, 2000, 20_000])
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a clip")
    parser.add_argument("--beside", type=Path, help="another checkout, by turns with this one")
    parser.add_argument("--pages", action="store_true", help="pages, too")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder where none is named")
    arguments = parser.parse_args()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        (folder / "scale.toml").write_text(SUITE)
        for tree in trees(arguments.beside):
            command(tree, folder / "cache", "list")  # Compiles byte code.
        for count in arguments.clips:
            clips(folder / f"clips-{count}", count, arguments.seconds)
            for tree in trees(arguments.beside):
                for title, used in measured(tree, folder, count, arguments.pages).items():
                    per_clip = 1000 * used.cpu / count
                    memory = [used.largest, used.together]
                    rows.append([count, title, tree.name, used.wall, used.cpu, per_clip, *memory])
                    print(*rows[-1], file=sys.stderr, flush=True)
            shutil.rmtree(folder / f"clips-{count}")
    print(table(["clips", "", "checkout", "wall s", "CPU s", "CPU ms a clip", "largest, MiB", "all, MiB"], rows))


if __name__ == "__main__":
    main()
