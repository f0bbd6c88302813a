"""Suites: what ships is valid, names only what exists, and pins the clip lists it was written for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.dataset import load_dataset_card
from bench.errors import BenchError
from bench.folder import load_folder
from bench.metric import load_metric
from bench.names import parse
from bench.suite import list_suites, load_datasets, load_suite, with_folder
from bench.system import resolve

MINIMAL = 'name = "x"\ntitle = "X"\ntask = "codec"\ndatasets = []\nmetrics = ["snr"]\n'


@pytest.mark.parametrize("name", list_suites())
def test_a_shipped_suite_names_only_what_exists(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    for system in suite.systems:
        resolve(system)
    for metric in (*suite.metrics, *suite.curves):
        load_metric(metric)
    assert set(suite.curves) <= set(suite.metrics)


@pytest.mark.parametrize("name", list_suites())
def test_a_shipped_suite_pins_its_clip_lists(name: str) -> None:
    """Whoever changes a list decides, suite by suite, that the new one is meant."""
    suite = load_suite(name)
    names = {parse(dataset).name for dataset in suite.datasets}
    assert set(suite.lists) == names
    for dataset, digest in suite.lists.items():
        card = load_dataset_card(dataset)
        assert card.splits[card.default].sha256 == digest


def write(folder: Path, text: str) -> str:
    path = folder / "x.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('metrics = ["snr", "snr"]\n', "metrics: Value error, listed twice: snr"),
        ('metrics = "snr"\n', "metrics: Input should be a valid tuple"),
        ('metrics = ["snr"]\ncolour = "red"\n', "unknown key 'colour'"),
    ],
)
def test_a_suite_that_is_not_valid_says_where(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        load_suite(write(tmp_path, MINIMAL.replace('metrics = ["snr"]\n', change)))


def test_another_clip_list_is_refused(tmp_path: Path) -> None:
    text = MINIMAL.replace("datasets = []", 'datasets = ["builtin-music"]')
    suite = load_suite(write(tmp_path, f'{text}[lists]\nbuiltin-music = "{"0" * 64}"\n'))
    with pytest.raises(BenchError, match="was written for another clip list of builtin-music"):
        load_datasets(suite)


def test_a_folder_in_place_of_the_datasets_has_a_name_of_its_own(tmp_path: Path) -> None:
    from bench import audio
    from bench.audio import Audio

    audio.write(tmp_path / "mine" / "a.wav", Audio.of([0.1] * 100, 8000))
    suite = with_folder(load_suite("quickstart"), load_folder(tmp_path / "mine"))
    assert (suite.name, suite.datasets, suite.lists, suite.clips) == ("quickstart+mine", ("mine",), {}, 0)
