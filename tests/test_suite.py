"""Suites: what ships is valid, names only what exists, and pins the clip lists it was written for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.card import load_dataset_card
from ldmbench.clips.clip import Dataset
from ldmbench.clips.folder import load_folder
from ldmbench.errors import BenchError
from ldmbench.metrics._base import load_metric
from ldmbench.names import parse
from ldmbench.probes.embedder import resolve_probed
from ldmbench.suite import list_suites, load_datasets, load_suite, with_datasets, with_folder
from ldmbench.system.registry import resolve

MINIMAL = 'name = "x"\ntitle = "X"\ntask = "codec"\ndatasets = []\nmetrics = ["snr"]\n'


@pytest.mark.parametrize("name", list_suites())
def test_a_shipped_suite_names_only_what_exists(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    of_name = resolve_probed if suite.task == "embed" else resolve
    for system in suite.systems:
        of_name(system)
    for metric in (*suite.metrics, *suite.curves):
        load_metric(metric)
    assert set(suite.curves) | set(suite.averages) <= set(suite.metrics)


@pytest.mark.parametrize("name", list_suites())
def test_a_shipped_suite_pins_its_clip_lists(name: str) -> None:
    """Whoever changes a list decides, suite by suite, that the new one is meant."""
    suite = load_suite(name)
    cards = map(load_dataset_card, {parse(dataset).name for dataset in suite.datasets})
    # What lies in a folder of the user's own choice has no list to pin.
    assert set(suite.lists) == {card.name for card in cards if card.splits[card.default].sha256}
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
        ('metrics = ["snr", "snr"]\n', "metrics: listed twice: snr"),
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


@pytest.fixture
def mine(tmp_path: Path) -> Dataset:
    audio.write(tmp_path / "mine" / "a.wav", Audio.of(np.random.default_rng(0).uniform(-0.1, 0.1, 4800), 48_000))
    return load_folder(tmp_path / "mine")


def test_a_folder_in_place_of_the_datasets_has_a_name_of_its_own(mine: Dataset) -> None:
    suite, datasets = with_folder(load_suite("quickstart"), mine)
    assert (suite.name, suite.datasets, suite.lists, suite.clips) == ("quickstart+mine", ("mine",), {}, 0)
    assert datasets == [mine]


def test_a_folder_comes_under_each_condition_of_the_datasets(mine: Dataset) -> None:
    suite, datasets = with_folder(load_suite("audiosr-lsd"), mine)
    assert suite.datasets == ("mine@4khz", "mine@8khz", "mine@12khz", "mine@16khz")
    assert tuple(item.name for item in datasets) == suite.datasets
    assert len({item.digest for item in datasets}) == 4
    (clip,) = datasets[0].clips
    assert (clip.id, clip.dataset) == ("mine@4khz/a", "mine@4khz")
    level = np.abs(np.fft.rfft(clip.input.samples[0]))
    assert level[450:].max() < 0.05 * level[:350].max()
    assert clip.audio.digest() == mine.clips[0].audio.digest()


def test_conditions_of_one_name_must_mean_one_thing(mine: Dataset, tmp_path: Path) -> None:
    both = '"builtin-music@4khz", "builtin-speech@4khz", "vctk-test@4khz"'
    suite = load_suite(write(tmp_path, MINIMAL.replace("datasets = []", f"datasets = [{both}]")))
    with pytest.raises(BenchError, match=r"condition 4khz differs.*choose one of them with --dataset"):
        with_folder(suite, mine)
    assert with_folder(with_datasets(suite, ["vctk-test"]), mine)[0].datasets == ("mine@4khz",)


def test_some_of_the_datasets(tmp_path: Path) -> None:
    suite = load_suite("audiosr-lsd")
    some = with_datasets(suite, ["esc50-fold5@8khz", "vctk-test"])
    assert some.datasets == ("vctk-test@4khz", "vctk-test@8khz", "vctk-test@12khz", "esc50-fold5@8khz")
    assert set(some.lists) == {"vctk-test", "esc50-fold5"}
    assert with_datasets(suite, ["audiostock"]).lists == {}
    with pytest.raises(BenchError, match="unknown dataset of suite audiosr-lsd 'vctk'"):
        with_datasets(suite, ["vctk"])


def test_a_dataset_that_is_not_there_names_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VCTK", "ESC50", "AUDIOSTOCK"):
        monkeypatch.setenv(f"LDMBENCH_{name}", str(tmp_path / "none"))
    with pytest.raises(BenchError, match=r"files of vctk-test are not here.*set LDMBENCH_VCTK.*-d audiostock -d esc50"):
        load_datasets(load_suite("audiosr-lsd"))
    with pytest.raises(BenchError) as caught:
        load_datasets(with_datasets(load_suite("audiosr-lsd"), ["vctk-test"]))
    assert "-d" not in caught.value.fix
