"""The suites of degraded speech and of LRAC's rates from the command line: a run of one clip, and its reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ldmbench.cli import cli
from ldmbench.suite import load_suite

pytestmark = pytest.mark.slow

Cells = dict[tuple[str, str, str], float]


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, words)])


def tables(suite: str, out: Path, *systems: str) -> tuple[dict[str, Any], Cells]:
    """Run systems of a suite on a clip of each dataset: its table, and the value of each system, dataset and metric."""
    pytest.importorskip("transformers", reason="the extra 'models' is not installed")
    chosen = [word for system in systems for word in ("-s", system)]
    done = invoke("run", suite, *chosen, "--untrained", "--limit", "1", "--out", out, "--quiet", "--jobs", "1")
    assert done.exit_code == 0, done.output
    shown = invoke("report", suite, "--out", out, "--to", "json")
    assert shown.exit_code == 0, shown.output
    table = json.loads(shown.stdout)
    cells = {
        (row["system"], column["dataset"], column["metric"]): cell["estimate"]["value"]
        for row in table["rows"]
        for column, cell in zip(table["columns"], row["cells"], strict=True)
        if cell["estimate"] is not None
    }
    assert {column["dataset"] for column in table["columns"]} == set(load_suite(suite).datasets)
    assert any("UNTRAINED" in banner and "encodec@6kbps" in banner for banner in table["banners"]), table["banners"]
    return table, cells


def test_impaired_input(tmp_path: Path) -> None:
    systems = ("unprocessed", "opus@24kbps", "encodec@6kbps")
    _, cells = tables("impaired-input", tmp_path, *systems)
    for dataset in load_suite("impaired-input").datasets:
        # Noise and room belong to what is compared with; what is clipped or came by telephone has lost something.
        assert (cells["unprocessed", dataset, "mel_dac"] == 0) == dataset.endswith("-kept"), dataset
        for metric in ("pesq_wb", "estoi", "visqol_speech_lattice"):
            assert cells["opus@24kbps", dataset, metric] > cells["encodec@6kbps", dataset, metric] + 0.1, metric
        assert cells["opus@24kbps", dataset, "kbps"] == pytest.approx(24, rel=0.25)
        assert cells["encodec@6kbps", dataset, "kbps"] == pytest.approx(6, rel=0.02)


def test_rates_of_lrac(tmp_path: Path) -> None:
    systems = ("opus@6kbps", "opus@12kbps", "encodec@6kbps")
    table, cells = tables("lrac-2025", tmp_path, *systems)
    assert "rtf" in {column["metric"] for column in table["columns"]}
    for dataset in load_suite("lrac-2025").datasets:
        assert cells["encodec@6kbps", dataset, "parameters"] == pytest.approx(19.04, abs=0.01)
        assert cells["opus@6kbps", dataset, "mel_dac@24khz"] > cells["opus@12kbps", dataset, "mel_dac@24khz"] > 0
        assert cells["opus@12kbps", dataset, "estoi"] > cells["opus@6kbps", dataset, "estoi"]
        assert cells["opus@6kbps", dataset, "rtf"] > 0
    drawn = invoke("report", "lrac-2025", "--out", tmp_path, "--to", "curves", "-o", tmp_path / "curves")
    assert drawn.exit_code == 0, drawn.output
    assert {path.suffix for path in (tmp_path / "curves").iterdir()} == {".pdf", ".svg"}
