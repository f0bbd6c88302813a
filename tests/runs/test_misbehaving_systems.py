"""Whatever a system does, each clip has a row, every other clip and system its sound, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.runs.generate import generate
from ldmbench.runs.plan import make_plan
from ldmbench.runs.records import OutputRow
from ldmbench.runs.request import Options
from ldmbench.runs.results import Run, open_run
from ldmbench.suite import Suite
from ldmbench.system.registry import resolve

Sound = Callable[..., Audio]
CARD = Path(__file__).parent / "misbehaving" / "misbehaving.toml"

#: Kind -> what its row says; empty where the clip has its sound all the same.
EXPECTED = {
    "error": "ValueError: out of luck (misbehaving.py:",
    "exit 0": "SystemExit: 0",
    "exit text": "SystemExit: had enough",
    "keyboard": "KeyboardInterrupt",
    "generator exit": "GeneratorExit",
    "stop iteration": "generator raised StopIteration",
    "base exception": "Beyond: beyond",
    "memory": "MemoryError",
    "recursion": "RecursionError",
    "unspeakable": "Unspeakable: its message cannot be read (ValueError)",
    "unpicklable": "Unpicklable: 1",
    "surrogates": "ValueError: file ?.wav",
    "escapes": "ValueError: red",
    "long message": "xxx ...",
    "_exit 0": "misbehaving: ended its process with exit code 0",
    "_exit 3": "misbehaving: ended its process with exit code 3",
    "abort": "misbehaving: its process was killed by SIGABRT",
    "segfault": "misbehaving: its process was killed by SIGSEGV",
    "kill": "misbehaving: its process was killed by SIGKILL (out of memory?)",
    "terminate": "misbehaving: its process was killed by SIGTERM",
    "alarm": "misbehaving: its process was killed by SIGALRM",
    "close everything": "misbehaving: ",
    "program and crash": "misbehaving: its process was killed by SIGABRT",
    "sleep": "misbehaving: took longer than 3 s and was ended",
    "spin": "misbehaving: took longer than 3 s and was ended",
    "nothing": "returned 0 outputs for 1 clips",
    "two": "returned more than 1 outputs for 1 clips",
    "endless": "returned more than 1 outputs for 1 clips",
    "text": "returned str, not an Output",
    "array": "cannot be stored: AttributeError",
    "no audio": "returned no audio",
    "no samples": "returned 0 samples",
    "no channels": "returned 0 samples",
    "nan": "returned NaN or Inf in 3200 of 3200 samples",
    "too long": "returned 2.000 s for a clip of 0.200 s",
    "70000 channels": "returned 70000 channels, a WAV holds 65535",
    "rate of a half": "rate = 16000.5 is no whole number",
    "negative bits": "bits = -1 is no whole number from 0 on",
    "bits of a book": "bits is a number of 401 digits",
    "half a bit": "bits = 1.5 is no whole number",
    "nan bits": "cannot be stored: ValueError",
    "bits of text": "cannot be stored: ValueError",
    "details of numpy": "cannot be stored: TypeError",
    "details of nan": "cannot be stored: ValueError",
    "details of surrogates": "cannot be stored: UnicodeEncodeError",
    "details of none": "cannot be stored: TypeError",
    "file that is not there": "names a file that is not there",
    "fork": "",
    "program": "",
    "chdir": "",
    "prints": "",
    "no streams": "",
    "environment": "",
    "thread": "",
}

SETUPS = {
    "exit": "SystemExit: 0",
    "_exit": "ended its process with exit code 0",
    "abort": "killed by SIGABRT",
    "error": "OSError: no weights",
    "keyboard": "KeyboardInterrupt",
    "kill": "killed by SIGKILL (out of memory?)",
}


def clips_of(folder: Path, texts: dict[str, str], tone: Sound) -> tuple[Clip, ...]:
    audio.write(folder / "a.wav", tone(0.2))
    return tuple(Clip(f"d/{name}", "d", path=folder / "a.wav", text=text) for name, text in texts.items())


def run_all(folder: Path, clips: tuple[Clip, ...], names: list[str]) -> tuple[list[Run], dict[str, str]]:
    data = Dataset("d", "D", "general", clips, "digest")
    suite = Suite(name="mini", title="Mini", task="codec", datasets=("d",), metrics=())
    plan = make_plan(suite, [data], [resolve(name) for name in names], folder / "runs")
    problems = generate(plan, Options(quiet=True, timeout=3), isolate=True)
    return [open_run(path) for path in plan.paths], dict(problems)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, tone: Sound) -> dict[str, OutputRow]:
    """All kinds in one run, an ordinary clip after each."""
    folder = tmp_path_factory.mktemp("kinds")
    texts: dict[str, str] = {}
    for kind in EXPECTED:
        texts |= {kind: kind, f"after {kind}": "fine"}
    (run,), problems = run_all(folder, clips_of(folder, texts, tone), [str(CARD)])
    assert problems == {}
    assert len((run.path / "outputs.jsonl").read_text().splitlines()) == len(texts), "one row for each clip"
    assert sorted(path.name for path in run.path.iterdir()) == [
        ".lock",
        "audio",
        "outputs.jsonl",
        "run.json",
        "scores.jsonl",
    ]
    return {clip.removeprefix("d/"): row for clip, row in run.outputs.items()}


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_kind_has_its_row_and_the_next_clip_its_sound(rows: dict[str, OutputRow], kind: str) -> None:
    row, after = rows[kind], rows[f"after {kind}"]
    assert row.status == ("failed" if EXPECTED[kind] else "ok"), row
    assert EXPECTED[kind] in row.message
    assert row.message.isprintable()
    assert len(row.message) < 3000
    assert (after.status, after.digest) == ("ok", rows["after error"].digest)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_systems_leave_behind_is_ended(rows: dict[str, OutputRow]) -> None:
    pid = int(rows["program"].details["pid"])
    with contextlib.suppress(FileNotFoundError):
        # Where nobody asks for its exit code, an ended process stays listed as a zombie.
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_system_that_cannot_be_built_leaves_the_others_alone(tmp_path: Path, tone: Sound) -> None:
    names = [f"{CARD}:setup={kind}" for kind in SETUPS]
    clips = clips_of(tmp_path, {"a": "fine"}, tone)
    runs, problems = run_all(tmp_path, clips, ["reference", *names, "noise"])
    assert [run.pending for run in runs] == [0, *(1 for _ in SETUPS), 0]
    assert len(problems) == len(SETUPS)
    for message, expected in zip(problems.values(), SETUPS.values(), strict=True):
        assert expected in message


def test_a_system_that_is_killed_from_outside_while_it_is_set_up_is_set_up_again(
    tmp_path: Path, tone: Sound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDMBENCH_TEST_MARK", str(tmp_path / "mark"))
    runs, problems = run_all(tmp_path, clips_of(tmp_path, {"a": "fine"}, tone), [f"{CARD}:setup=killed_once"])
    assert problems == {}
    assert (tmp_path / "mark").exists()
    assert [row.status for row in runs[0].outputs.values()] == ["ok"]


def test_exit_code_and_table_tell_it(tmp_path: Path, tone: Sound) -> None:
    """As a user types it, from the folder of the clips: one system leaves, prints and changes the folder."""
    for name in "ab":
        audio.write(tmp_path / "clips" / f"{name}.wav", tone(0.2))
    (tmp_path / "clips" / "clips.csv").write_text("path,text\na.wav,_exit 0\nb.wav,prints\n")
    suite = f'task = "codec"\ndatasets = []\nsystems = ["reference", "{CARD}"]\nmetrics = ["kbps"]\n'
    (tmp_path / "mini.toml").write_text(f'name = "mini"\ntitle = "Mini"\n{suite}')
    words = [sys.executable, "-m", "ldmbench.cli", "run", "mini.toml", "--audio", "clips", "--quiet", "--json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stderr
    assert {row["system"] for row in json.loads(done.stdout)["rows"]} == {"reference", "misbehaving"}
    assert "ended its process with exit code 0" in done.stderr
    assert "NOISE" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_crash_is_tried_again_only_on_request(tmp_path: Path, tone: Sound) -> None:
    clips = clips_of(tmp_path, {"a": "abort", "b": "fine"}, tone)
    run_all(tmp_path, clips, [str(CARD)])
    start = time.monotonic()
    (run,), _ = run_all(tmp_path, clips, [str(CARD)])
    assert time.monotonic() - start < 1, "no process was started"
    assert [row.status for row in run.outputs.values()] == ["failed", "ok"]
