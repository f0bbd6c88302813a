"""Whatever a metric does on a clip, it has a row for it, and every other metric and clip has its value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio

Sound = Callable[..., Audio]
pytestmark = pytest.mark.slow
HERE = Path(__file__).parent / "misbehaving"

#: Kind -> what its row says; empty where the clip has its value all the same.
EXPECTED = {
    "error": "ValueError: out of luck",
    "exit": "SystemExit: 0",
    "keyboard": "KeyboardInterrupt",
    "beyond": "Beyond: beyond",
    "memory": "MemoryError",
    "unspeakable": "Unspeakable: its message cannot be read (ValueError)",
    "unpicklable": "Unpicklable: 1",
    "surrogates": "ValueError: file ?.wav",
    "escapes": "ValueError: red",
    "leave": "ended its process with exit code 0",
    "abort": "its process was killed by SIGABRT",
    "segfault": "its process was killed by SIGSEGV",
    "kill": "its process was killed by SIGKILL (out of memory?)",
    "sleep": "and was ended",
    "spin": "and was ended",
    "none": "the metric returned None",
    "text": "ValueError",
    "nan": "the metric returned nan",
    "complex": "TypeError",
    "array": "the metric returned an array (3,) as its mean value",
    "unscored": "nothing to hear",
    "chdir": "",
    "prints": "",
}


#: The command line; a model that stalls before its first answer is not waited for as long as it may take to load one.
COMMAND = "from ldmbench.runs import measure; measure._LOADING_S = 1.0; from ldmbench.cli import main; main()"

Result = tuple[int, str, str, list[dict[str, object]]]


@pytest.fixture(scope="module", params=["bad", "model"])
def family(request: pytest.FixtureRequest) -> str:
    """Metrics on their own, or with a model, which hear all clips together."""
    return str(request.param)


@pytest.fixture(scope="module")
def result(family: str, tmp_path_factory: pytest.TempPathFactory, tone: Sound) -> Result:
    """All kinds in one command, as metrics that a package has registered; exit code, both streams, and the journal."""
    folder = tmp_path_factory.mktemp("metrics")
    info = folder / "site" / "misbehaving_metrics-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving-metrics\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ldmbench.metrics]\nbad = misbehaving_metrics\nworse = no_such_module\n")
    for name in ("bad", "good"):
        audio.write(folder / "clips" / f"{name}.wav", tone(0.3))
    (folder / "suite.toml").write_text(
        'name = "mini"\ntitle = "Mini"\ntask = "codec"\ndatasets = []\nsystems = ["noise"]\nmetrics = ["snr"]\n'
    )
    words = ["run", "suite.toml", "--audio", "clips", "--json", "--quiet", "--jobs", "1", "--timeout", "4"]
    for kind in EXPECTED:
        words += ["-m", f"{family}_{kind}"]
    path = os.pathsep.join([str(folder / "site"), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    (journal,) = folder.rglob("scores.jsonl")
    return done.returncode, done.stdout, done.stderr, [json.loads(line) for line in journal.read_text().splitlines()]


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_kind_has_its_row_and_the_other_clip_its_value(result: Result, family: str, kind: str) -> None:
    rows = {str(row["clip"]).rpartition("/")[2]: row for row in result[3] if row["metric"] == f"{family}_{kind}"}
    message = str(rows["bad"]["message"])
    status = "unscored" if kind == "unscored" else "failed" if EXPECTED[kind] else "ok"
    assert (rows["bad"]["status"], rows["good"]["status"]) == (status, "ok")
    assert EXPECTED[kind] in message
    assert message.isprintable()


def test_exit_code_table_and_other_metrics_are_right(result: Result) -> None:
    code, output, errors, rows = result
    assert code == 1
    assert json.loads(output)["rows"]
    assert len(rows) == 2 * (len(EXPECTED) + 1), "one row for each clip and metric"
    assert [row["status"] for row in rows if row["metric"] == "snr"] == ["ok", "ok"]
    assert "the metrics of no_such_module cannot be loaded: ModuleNotFoundError" in errors
    assert "NOISE" not in output
    assert "NOISE of a metric" in errors
    assert "Traceback" not in errors
