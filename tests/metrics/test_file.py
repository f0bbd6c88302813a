"""Metrics of a user's own file: named by its path, known by its digest, computed in any process, shown without it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import homes, import_home, load_metric, own_name
from tests.registry import own_metrics

PLAIN = '''
import numpy as np

def worst_sample(reference, estimate, rate, *, order: int = 1):
    """The largest error of a sample."""
    return float((np.abs(reference - estimate) ** order).max())
'''
DECLARED = """
from ldmbench import metric

@metric("halves", title="Halves", better="lower", source="this file", low=0.0)
def half(reference, estimate, rate):
    return 0.5 + 0 * rate
"""
A_CLASS = """
from ldmbench.metrics._base import BaseMetric, MetricFacts

class Length(BaseMetric):
    facts = MetricFacts("length", "Length", unit="s", better="neither")

    def measure(self, clip, output):
        return output.audio.duration
"""


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a test registers is forgotten after it."""
    own_metrics(monkeypatch)
    monkeypatch.setattr(metrics, "_recorded", {})
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folders(tmp_path: Path) -> None:
    """References and outputs: 0.25 where the reference is silent."""
    for name in ("a", "b"):
        audio.write(tmp_path / "refs" / f"{name}.wav", Audio.of(np.zeros((1, 1600)), 16_000))
        audio.write(tmp_path / "mine" / f"{name}.wav", Audio.of(np.full((1, 1600), 0.25), 16_000))


def write(text: str, name: str = "own.py") -> str:
    Path(name).write_text(text)
    return f"./{name}"


def values(result: Result) -> dict[str, float]:
    assert result.exit_code == 0, result.output
    table = json.loads(result.stdout)
    (row,) = table["rows"]
    cells = zip(table["columns"], row["cells"], strict=True)
    return {column["metric"]: cell["estimate"]["value"] for column, cell in cells}


def score(*metrics: str) -> dict[str, float]:
    words = [word for name in metrics for word in ("-m", name)]
    return values(invoke("score", "mine", "--reference", "refs", "--json", *words))


def test_a_function_of_a_file_is_a_metric(folders: None) -> None:
    """In worker processes, with its settings."""
    path = write(PLAIN)
    assert score(f"{path}:worst_sample", f"{path}:worst_sample:order=2") == {
        "worst_sample": 0.25,
        "worst_sample:order=2": 0.0625,
    }


def test_another_content_is_another_version(folders: None) -> None:
    path = write(PLAIN)
    assert score(f"{path}:worst_sample") == {"worst_sample": 0.25}
    before = load_metric(f"{path}:worst_sample").facts.version
    write(PLAIN.replace(".max()", ".max() + 1"))
    assert score(f"{path}:worst_sample") == {"worst_sample": 1.25}
    assert load_metric(f"{path}:worst_sample").facts.version != before


def test_a_run_shows_it_where_the_file_is_gone(folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(DECLARED)
    assert score(f"{path}:half") == {"halves": 0.5}
    Path(path).unlink()
    monkeypatch.delitem(metrics._registry, "halves")
    assert values(invoke("report", "folders+refs", "--to", "json")) == {"halves": 0.5}
    assert load_metric("halves").facts.better == "lower"
    done = invoke("score", "folders+refs", "-m", "halves")
    assert done.exit_code == 2
    assert "halves: its code is not here (fix: name its file: -m ./FILE.py:FUNCTION)" in done.stderr


def test_show_says_what_it_is() -> None:
    shown = invoke("show", f"{write(PLAIN)}:worst_sample").stdout
    assert "worst_sample" in shown
    assert "own.py, worst_sample: The largest error of a sample." in shown


def test_another_process_insists_on_the_same_content() -> None:
    path = write(PLAIN)
    (home,) = homes([own_name(f"{path}:worst_sample")]) or ()
    import_home(home)
    write(PLAIN + "\n")
    with pytest.raises(BenchError, match="changed while its metrics were computed"):
        import_home(home)


@pytest.mark.parametrize(
    ("text", "name", "fault"),
    [
        (PLAIN, "worst", r"has no 'worst': it has np, worst_sample"),
        ("def f(a, b): ...", "f", r"own.py:f is no metric: it takes \(a, b\)"),
        ("def f(a, b, c, *, d): ...", "f", r"own.py:f is no metric"),
        (A_CLASS.replace("def measure", "def measured"), "Length", r"own.py:Length is no metric: it lacks measure"),
        ("f = 3", "f", r"own.py:f is no metric: it is of type int"),
        ("1 / 0", "f", r"cannot be loaded: ZeroDivisionError"),
        ("import sys; sys.exit(0)", "f", r"cannot be loaded"),
        ("import os; os._exit(0)", "f", r"cannot be loaded: its import"),
        ("import beside_it", "f", r"No module named 'beside_it' \(fix: a metric is one file"),
        ("def snr(a, b, c): return 0.0", "snr", r"defines a metric snr: ldmbench.metrics.signal has one of that name"),
    ],
)
def test_what_is_no_metric_is_told(text: str, name: str, fault: str) -> None:
    path = write(text)
    for _ in range(2):
        with pytest.raises(BenchError, match=fault):
            load_metric(f"{path}:{name}")
    assert load_metric("snr").facts.title == "SNR"


def test_two_files_do_not_share_a_name() -> None:
    load_metric(f"{write(PLAIN)}:worst_sample")
    with pytest.raises(BenchError, match=r"own.py has one of that name \(fix: give it another name\)"):
        load_metric(f"{write(PLAIN, 'other.py')}:worst_sample")


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(BenchError, match=r"the metric f cannot be read: \./none\.py: No such file"):
        load_metric("./none.py:f")


def test_a_suite_names_it_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    write(PLAIN, "paper/own.py")
    write(A_CLASS, "paper/length.py")
    (tmp_path / "paper" / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\ntask = "codec"\ndatasets = []\nsystems = ["reference"]\n'
        'metrics = ["own.py:worst_sample", "length.py:Length"]\n'
    )
    audio.write(tmp_path / "refs" / "a.wav", Audio.of(np.full((1, 1600), 0.25), 16_000))
    done = invoke("run", "paper/mine.toml", "--audio", "refs", "--json", "--jobs", "1")
    assert values(done) == {"worst_sample": 0.0, "length": 0.1}
