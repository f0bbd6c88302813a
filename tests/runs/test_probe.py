"""Runs of embeddings: a row for each system and layer, computed once for each sound, scored by what probes tell."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import ldmbench
from ldmbench.audio.sound import Audio, write
from ldmbench.errors import BenchError
from ldmbench.extractors import cache
from ldmbench.probes.embedder import CACHED
from ldmbench.probes.examples import Examples, Predictions
from ldmbench.reports import render
from ldmbench.reports.table_spec import TableSpec
from ldmbench.runs.results import Run
from tests.present import present

CARD = """
name = "spectrum"
title = "Loudness in two bands"
tasks = ["embed"]
module = "spectrum:Spectrum"
rate = 16000
licence = "CC0-1.0"
"""

MODULE = """
from pathlib import Path

import numpy as np


class Spectrum:
    def __init__(self, spec):
        self.card = spec.card

    def process(self, clips):
        raise AssertionError("it makes no sound")

    def embed(self, clips):
        for clip in clips:
            with Path("CALLS").open("a") as calls:
                calls.write(clip.id + "\\n")
            bins = np.abs(np.fft.rfft(clip.audio.samples[0]))
            bands = np.log([bins[:2000].sum() + 1, bins[2000:].sum() + 1]).astype(np.float32)
            yield {"all": bands, "constant": np.ones(3, np.float32)}
"""

SUITE = """
name = "bands"
title = "High or low"
task = "embed"
datasets = []
metrics = ["accuracy_linear"]
"""


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system that tells high noise from low; it notes whom it embeds."""
    folder = tmp_path_factory.mktemp("system")
    (folder / "spectrum.toml").write_text(CARD)
    (folder / "spectrum.py").write_text(MODULE.replace("CALLS", str(folder / "calls")))
    return folder / "spectrum.toml"


@pytest.fixture
def bench(tmp_path: Path, card: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 24 labelled sounds, and a suite."""
    card.with_name("calls").unlink(missing_ok=True)
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        label = ("high", "low")[number % 2]
        noise = rng.standard_normal(8000)
        sound = np.diff(noise) if label == "high" else np.cumsum(noise - noise.mean()) / 30
        write(tmp_path / "sounds" / f"{number:02d}.wav", Audio.of(0.1 * sound[:7900], 16000))
        rows.append({"path": f"{number:02d}.wav", "label": label, "split": f"fold{number // 2 % 3}"})
    with (tmp_path / "sounds" / "clips.csv").open("w", newline="") as handle:
        table = csv.DictWriter(handle, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    (tmp_path / "bands.toml").write_text(SUITE)
    return tmp_path


def run(bench: Path, card: Path, *layers: str) -> list[Run]:
    names = [f"{card}{layer}" for layer in layers]
    return ldmbench.evaluate(
        str(bench / "bands.toml"), names, audio=bench / "sounds", out=bench / "runs", quiet=True
    )  # fmt: skip


def calls(card: Path) -> int:
    return len(card.with_name("calls").read_text().splitlines())


def test_layers_are_rows_and_each_sound_is_embedded_once(bench: Path, card: Path) -> None:
    plain, constant = run(bench, card, "", ":layer=constant")
    assert calls(card) == 24
    assert [done.info.settings["layer"] for done in (plain, constant)] == ["all", "constant"]
    assert plain.info.id != constant.info.id
    assert present(present(plain.estimate("accuracy_linear")).value) == 100.0
    # What was chosen for a clip's fold is in its row.
    assert {row.message.split(",")[0] for row in plain.scores.values()} == {"C=0.001"}
    assert all(row.message.endswith(",valid=1") for row in plain.scores.values())
    # Nothing is in a constant layer: a guess, of two classes.
    assert present(present(constant.estimate("accuracy_linear")).value) == 50.0
    assert "Accuracy (linear)" in "".join(render.table([plain, constant], TableSpec(to="md")))
    run(bench, card, "", ":layer=constant")
    assert calls(card) == 24


def test_an_embedding_that_was_lost_is_made_again(bench: Path, card: Path) -> None:
    (before,) = run(bench, card, "")
    row = before.outputs["sounds/03"]
    fingerprint, key = row.details[CACHED]
    cache._path(fingerprint, key).unlink()
    cache.forget()
    (after,) = run(bench, card, "")
    assert calls(card) == 25
    assert after.outputs["sounds/03"].digest == row.digest
    assert after.scores == before.scores


def test_a_layer_that_is_not_there_is_named_with_those_that_are(bench: Path, card: Path) -> None:
    (done,) = run(bench, card, ":layer=constent")
    assert done.problem == "unknown layer of spectrum:layer=constent 'constent' (fix: did you mean constant?)"
    assert done.pending == 24


def test_a_system_without_embeddings_is_probed_by_what_it_decodes(bench: Path, card: Path) -> None:
    suite, sounds = str(bench / "bands.toml"), bench / "sounds"
    with pytest.raises(BenchError, match="it offers no embeddings; layer=log-mel probes what it decodes"):
        ldmbench.evaluate(suite, ["reference"], audio=sounds, out=bench / "runs")
    (done,) = ldmbench.evaluate(suite, ["reference:layer=log-mel"], audio=sounds, out=bench / "runs", quiet=True)
    assert present(present(done.estimate("accuracy_linear")).value) == 100.0


def test_clips_that_cannot_be_probed_are_refused_before_anything_is_computed(bench: Path, card: Path) -> None:
    (bench / "sounds" / "clips.csv").unlink()
    with pytest.raises(BenchError, match="cannot be probed: 24 clips have no label or no split"):
        run(bench, card, "")
    assert not card.with_name("calls").exists()


def test_a_failed_clip_is_a_row_and_the_others_are_probed(bench: Path, card: Path) -> None:
    (bench / "sounds" / "05.wav").write_bytes(b"RIFF")
    (done,) = run(bench, card, "")
    estimate = present(done.estimate("accuracy_linear"))
    assert (estimate.n, estimate.failed) == (23, 1)


def test_a_limited_run_keeps_clips_of_every_split_and_label(bench: Path, card: Path) -> None:
    (done,) = ldmbench.evaluate(
        str(bench / "bands.toml"), [str(card)], audio=bench / "sounds", out=bench / "runs", limit=6,
        quiet=True,
    )  # fmt: skip
    assert {(clip.split, clip.label) for clip in done.info.clips} == {
        (f"fold{fold}", label) for fold in range(3) for label in ("high", "low")
    }


def test_the_quickstart_tells_timbre_from_log_mel_spectra(tmp_path: Path) -> None:
    done = ldmbench.evaluate(
        "probe-quickstart", ["reference:layer=log-mel", "noise:layer=log-mel"], datasets=["builtin-timbre"],
        out=tmp_path, quiet=True,
    )  # fmt: skip
    told, guessed = (present(present(one.estimate("accuracy_linear", "builtin-timbre")).value) for one in done)
    assert told > 60
    # Level and length alone tell a little; chance is 12.5 %.
    assert guessed < 30


def test_metrics_share_what_one_probe_predicts(bench: Path, card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ldmbench.probes import protocols
    from ldmbench.probes.linear import linear_probe

    asked: list[tuple[str, int]] = []

    def told(examples: Examples, judge: str, device: str, points: int, seed: int) -> Predictions:
        asked.append((judge, points))
        return linear_probe(examples)

    # What networks learn is tested elsewhere, and takes torch.
    monkeypatch.setattr(protocols, "hear_probe", told)
    names = [f"{measure}:points=1" for measure in ("accuracy_hear", "map_hear", "auc_hear", "d_prime_hear")]
    (done,) = ldmbench.evaluate(
        str(bench / "bands.toml"), [str(card)], audio=bench / "sounds", out=bench / "runs", metrics=names, quiet=True
    )
    assert asked == [("top1_acc", 1)]
    # Two classes that are told without an error have no finite d-prime, and every other score.
    values = [present(done.estimate(name)).value for name in names]
    assert values == [100.0, 100.0, 100.0, None]
    row = done.scores["sounds/00", names[3]]
    assert (row.status, "its d-prime is infinite" in row.message) == ("unscored", True)
    assert done.scores["sounds/00", names[1]].message == "C=0.001,valid=1"
