"""The suites of text-to-audio papers: every name in them means something, and their numbers stand beside runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from ldmbench.clips.card import load_dataset_card
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import MetricFacts, RecordedMetric, load_metric
from ldmbench.names import Name, Setting, parse
from ldmbench.probes.embedder import resolve_probed, why_not_probed
from ldmbench.reports import published, render, result
from ldmbench.reports.published import PublishedValue
from ldmbench.reports.table_spec import TableSpec
from ldmbench.runs.records import ClipInfo, DatasetInfo, OutputRow, RunInfo, ScoreRow
from ldmbench.runs.results import Run
from ldmbench.suite import load_suite
from ldmbench.system.registry import load_system_card, resolve

SUITES = (
    "audioldm-sota", "audioldm-ddim-steps", "audioldm-zero-shot", "audioldm2-audiocaps", "src-gaudio-table2",
    "semanticodec-reconstruction", "semanticodec-ablations", "audiosr-lsd", "ladiffcodec-strides", "src-gaudio-table1",
    "semanticodec-semantic", "semanticodec-centroids",
)  # fmt: skip

#: Published, and not in the suites: a classifier that is not here, a recogniser that has to be fetched first.
OPTIONAL = ("kl_audioldm_eval_passt", "wer_whisper_large_v3")

#: Systems of every suite that may be missing where only the systems of this test's issue are installed.
ANCHORS = ("reference", "noise")

#: (suite, row as printed) -> metric -> number; read off the papers, one row or two of each table.
PRINTED = {
    ("audioldm-sota", "AudioLDM-L-Full"): {
        "fd_panns": 23.31, "is_panns": 8.13, "kl_softmax_panns": 1.59, "fad_vggish_audioldm_eval": 1.96,
    },
    ("audioldm-sota", "AudioGen"): {"kl_softmax_panns": 2.09, "fad_vggish_audioldm_eval": 3.13},
    ("audioldm-ddim-steps", "AudioLDM-S, 50 DDIM steps"): {
        "fd_panns": 35.71, "is_panns": 6.51, "kl_softmax_panns": 2.01,
    },
    ("audioldm2-audiocaps", "AudioLDM 2-Full-Large"): {
        "fad_vggish_audioldm_eval": 1.86, "kl_audioldm_eval_passt": 1.64,
        "clap_score@music_speech_audioset_epoch_15_esc_89.98": 0.182,
    },
    ("src-gaudio-table2", "Tango"): {
        "fd_panns": 25.50, "is_panns": 7.04, "kl_softmax_panns": 1.35, "fad_vggish_audioldm_eval": 1.82,
        "clap_score@630k-audioset-best": 0.491,
    },
    ("src-gaudio-table1", "SRC-gAudio 32k"): {
        "fd_panns": 45.40, "is_panns": 6.85, "kl_softmax_panns": 1.52, "fad_vggish_audioldm_eval": 2.09,
        "clap_score@630k-audioset-best": 0.592,
    },
    ("src-gaudio-table1", "gAudio 48k"): {
        "fd_panns": 56.87, "is_panns": 4.88, "kl_softmax_panns": 1.80, "fad_vggish_audioldm_eval": 9.95,
        "clap_score@630k-audioset-best": 0.549,
    },
    ("ladiffcodec-strides", "LaDiffCodec, strides [4, 8], 1.5 kbps"): {"pesq_wb": 2.19},
    ("ladiffcodec-strides", "LaDiffCodec, strides [8], 3 kbps"): {"pesq_wb": 2.23},
    ("semanticodec-ablations", "stack factor 2, variable vocab"): {"visqol_audio": 3.55, "wer_whisper_large_v3": 5.10},
    ("semanticodec-ablations", "acoustic codebook 8192, LSTM"): {"visqol_audio": 3.596, "wer_whisper_large_v3": 4.80},
}  # fmt: skip


def values_of(suite: str) -> tuple[PublishedValue, ...]:
    found = published.load(suite)
    assert found is not None
    return found.values


@pytest.mark.parametrize("name", SUITES)
def test_everything_a_suite_names_exists(name: str) -> None:
    suite = load_suite(name)
    for metric in suite.metrics:
        assert load_metric(metric).facts.name == metric
    for dataset in suite.datasets:
        asked = parse(dataset)
        card = load_dataset_card(asked.name)
        assert not asked.variant or asked.variant in card.conditions
        assert suite.lists.get(asked.name, "") == card.splits[card.default].sha256
    for system in suite.systems:
        if suite.task == "embed":
            spec = resolve_probed(system)
            assert spec.label == system
            assert not why_not_probed(spec)
        elif system not in ANCHORS:
            spec = resolve(system)
            assert spec.label == system
            assert suite.task in spec.card.tasks
    assert set(suite.curves) <= set(suite.metrics)


@pytest.mark.parametrize("name", SUITES)
def test_published_numbers_belong_to_cells_of_the_suite(name: str) -> None:
    suite = load_suite(name)
    for item in values_of(name):
        assert item.dataset in (*suite.datasets, result.AVERAGE)
        assert item.metric in (*suite.metrics, *OPTIONAL)
        assert not item.system or item.system in suite.systems, item
        assert item.source
    assert {item.metric for item in values_of(name)} & set(suite.metrics)
    shown = {item.dataset for item in values_of(name)}
    only_averages = ("semanticodec-ablations", "semanticodec-centroids")
    assert shown - {result.AVERAGE} == set(suite.datasets) or name in only_averages
    assert (result.AVERAGE in shown) == bool(suite.averages)


def test_a_number_of_another_classifier_is_not_shown_beside_a_measured_one() -> None:
    assert "kl_audioldm_eval_passt" not in load_suite("audioldm2-audiocaps").metrics
    rows = {item.row for item in values_of("audioldm2-audiocaps") if item.metric == "kl_softmax_panns"}
    assert rows == {"AudioLDM-Large (ft)"}


@pytest.mark.parametrize(("suite", "row"), PRINTED)
def test_numbers_are_those_of_the_papers(suite: str, row: str) -> None:
    found = {item.metric: item.value for item in values_of(suite) if item.row == row}
    assert found == PRINTED[suite, row]


def test_a_number_of_another_training_says_so_where_it_is_shown() -> None:
    for name in ("audioldm-sota", "audioldm-ddim-steps", "audioldm-zero-shot"):
        for item in values_of(name):
            if item.system.startswith("audioldm"):
                assert "trained on" in item.source or "fine-tuned" in item.source, item


def test_the_sweep_of_steps_has_a_published_number_at_every_step() -> None:
    suite = load_suite("audioldm-ddim-steps")
    assert suite.systems == tuple(f"audioldm@s-full:steps={n}" for n in (10, 25, 50, 100, 200))
    for metric in suite.metrics:
        known = {item.system: item.value for item in values_of(suite.name) if item.metric == metric}
        assert known.keys() == set(suite.systems)
    fd = [item.value for item in values_of(suite.name) if item.metric == "fd_panns"]
    assert fd == sorted(fd, reverse=True)


@pytest.fixture
def fake_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], list[Run]]:
    """``fake_runs(suite)``: a finished run of each of its systems on three clips; all values are known."""

    def make(name: str) -> list[Run]:
        suite = load_suite(name)
        metrics.list_metrics()
        for metric in suite.metrics:
            asked = parse(metric)
            old = metrics._registry.get(asked.name)
            facts = load_metric(metric).facts if old else MetricFacts(metric, metric)
            facts = MetricFacts(metric, facts.title, better=facts.better, digits=facts.digits)

            def build(asked: Name, settings: object, facts: MetricFacts = facts) -> RecordedMetric:
                return RecordedMetric(facts)

            variants: dict[str, dict[str, Setting]] = {asked.variant: {}} if asked.variant else {}
            defaults = dict(asked.settings)
            monkeypatch.setitem(metrics._registry, asked.name, metrics._Entry(build, variants, defaults))
        runs = []
        for place, system in enumerate(suite.systems):
            clips = tuple(ClipInfo(f"{dataset}/{n}", dataset) for dataset in suite.datasets for n in range(3))
            info = RunInfo(
                id=f"{place:012x}", suite=name, system=system, title=system, task=suite.task, settings={}, seed=0,
                untrained=False, limit=0, identity={},
                datasets=tuple(DatasetInfo(item, item, "general", "0" * 64) for item in suite.datasets),
                clips=clips, metrics=suite.metrics, environment={}, created="2026-01-01T00:00:00Z",
                role=load_system_card(parse(system).name).role,
            )  # fmt: skip
            rows = [
                ScoreRow(clip.id, metric, 1, "ok", 10.0 + place, output="x")
                for clip in clips
                for metric in suite.metrics
            ]
            outputs = {clip.id: OutputRow(clip.id, "ok", digest="x") for clip in clips}
            runs.append(Run(tmp_path / system, info, outputs, {(row.clip, row.metric): row for row in rows}))
        return runs

    return make


@pytest.mark.parametrize("name", SUITES)
def test_published_numbers_stand_beside_runs(name: str, fake_runs: Callable[[str], list[Run]]) -> None:
    runs = fake_runs(name)
    suite = load_suite(name)
    table = result.build(runs, published=published.load(name), published_rows=True, averages=suite.averages)
    measured = {row.system: row for row in table.rows if row.system}
    shown = 0
    for item in values_of(name):
        places = [
            place
            for place, column in enumerate(table.columns)
            if (column.dataset, column.metric) == (item.dataset, item.metric)
        ]
        if not places or item.system not in measured:
            continue
        cell = measured[item.system].cells[places[0]]
        assert cell.published == item.value
        assert cell.difference is not None
        assert math.isclose(cell.difference, 10 + [run.info.system for run in runs].index(item.system) - item.value)
        shown += 1
    assert shown == sum(
        bool(item.system) and item.dataset in table.datasets and item.metric in suite.metrics
        for item in values_of(name)
    )
    assert shown >= 3
    others = {row.label for row in table.rows if row.marks == ("published",)}
    assert others == {item.row for item in values_of(name) if not item.system}
    text = "\n".join(render.table(runs, TableSpec(to="md")))
    assert "publ. " in text
    assert "Published: " in text


def test_real_sound_for_the_wrong_prompt_wins_nothing(fake_runs: Callable[[str], list[Run]]) -> None:
    table = result.build(fake_runs("audioldm-sota"))
    ranks = {row.system: {cell.rank for cell in row.cells} for row in table.rows}
    assert ranks["shuffled"] == ranks["noise"] == ranks["reference"] == {0}
    assert ranks["audioldm@s-full"] != {0}
    assert load_system_card("unprocessed").tasks == ("codec", "enhance")
    assert load_system_card("unprocessed").role == "anchor"
