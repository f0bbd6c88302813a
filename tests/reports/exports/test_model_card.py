"""The front matter of a model card is what Hugging Face's own parser reads, and holds the run's numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.reports.exports.model_card import card, write
from tests.present import present
from tests.reports.exports.test_loggers import VALUES, make


def test_the_hub_reads_what_was_measured(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    run = make("mine@1.4kbps:note=it's-#1", VALUES[1000])
    (path,) = write([run], tmp_path)
    read = hub.ModelCard.load(path)
    assert read.data.model_name == run.info.system
    (result,) = read.data.eval_results
    estimate = present(run.estimate("snr", "talk"))
    assert result.metric_value == estimate.value
    assert (result.metric_type, result.dataset_type, result.dataset_name) == ("snr", "talk", "Talk")
    assert (result.task_type, result.dataset_revision) == ("audio-to-audio", "d" * 64)
    assert result.metric_args["interval_95_low"] == estimate.low
    assert result.metric_args["clips"] == 4
    assert run.info.id in result.source_name
    assert "| mine@1.4kbps:note=it" in read.text


def test_every_result_of_every_dataset_is_there_once(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    run = make("mine", VALUES[2000], limit=4)
    (tmp_path / "a.md").write_text(card(run, name="me/mine"))
    data = hub.ModelCard.load(tmp_path / "a.md").data
    assert data.model_name == "me/mine"
    assert data.eval_results[0].dataset_args == {"clips": 4, "partial": True}
    again = hub.repocard_data.eval_results_to_model_index("me/mine", data.eval_results)
    assert hub.repocard_data.model_index_to_eval_results(again)[1] == data.eval_results


def test_random_weights_have_no_card(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="random weights"):
        write([make("mine", VALUES[1000]), make("other", VALUES[2000], untrained=True)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_two_runs_of_one_name_have_two_files(tmp_path: Path) -> None:
    assert len(set(write([make("mine", VALUES[1000]), make("mine", VALUES[2000])], tmp_path))) == 2


def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    answer = CliRunner().invoke(cli, ["export", "nothing-there", "--to", "model-card", "--out", str(tmp_path)])
    assert answer.exit_code == 2
    assert "there are no runs of" in answer.output
