"""Checkpoints by their paths: names, patterns, labels, steps and what they make of a run's ID."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ldmbench.errors import BenchError
from ldmbench.names import parse
from ldmbench.runs.identity import identity
from ldmbench.system.checkpoints import distinct, expand, label_of, series_of, step_of
from ldmbench.system.registry import resolve

FILES = ("semanticodec_tokenrate_100/encoder.ckpt", "semanticodec_tokenrate_100/decoder.ckpt",
         "codebook_idx/combine_512_audioset_dominate/codebook_16384_0.npy")  # fmt: skip


def checkpoint(folder: Path, content: str) -> Path:
    """A folder that has the official files' names; nothing here loads them."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{content} {name}")
    return folder


def own_card(folder: Path, default: str = "") -> Path:
    """A system without official files whose card takes a checkpoint."""
    module = f"mine_of_{folder.name}"  # Importable from here on, so no other test may have its name.
    (folder / f"{module}.py").write_text("class Mine: ...\n")
    path = folder / "mine.toml"
    path.write_text(
        'name = "mine"\ntitle = "Mine"\ntasks = ["codec"]\nmodule = "'
        f'{module}:Mine"\nlicence = "none"\n'
        f'[settings]\nweights = "{default}"\ngain = 1.0\n'
    )
    return path


def parts(spec: Any) -> dict[str, str]:
    return identity(replace(spec, card=spec.card.model_copy(update={"module": ""})), [], [], 0)


def test_a_checkpoint_is_in_the_id_by_its_files_and_in_the_label_by_its_name(tmp_path: Path) -> None:
    first = checkpoint(tmp_path / "a" / "step_50000", "x")
    copy = checkpoint(tmp_path / "b" / "step_60000", "x")
    other = checkpoint(tmp_path / "c" / "step_50000", "y")
    specs = [resolve(f"semanticodec@1.40kbps:steps=10,weights={path}") for path in (first, copy, other)]
    assert [spec.label for spec in specs[:2]] == [
        "semanticodec@1.40kbps:steps=10,weights=step_50000", "semanticodec@1.40kbps:steps=10,weights=step_60000",
    ]  # fmt: skip
    assert specs[0].weights_folder() == first
    assert parts(specs[0]) == parts(specs[1])
    assert {key for key, value in parts(specs[0]).items() if parts(specs[2])[key] != value} == {"weights"}
    official = replace(resolve("semanticodec@1.40kbps:steps=10"), weights=first)
    assert parts(official) == parts(specs[0])
    assert str(tmp_path) not in str(specs[0].settings) + specs[0].label


def test_systems_of_ones_own_take_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = own_card(tmp_path)
    for name in ("one.pt", "two.pt"):
        (tmp_path / name).write_text("same")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "part.bin").write_text("same")
    monkeypatch.chdir(tmp_path)
    bare = resolve(str(card))
    assert (bare.own_weights, bare.weights, parts(bare)["weights"]) == (False, None, "")
    one, two, folder = (resolve(f"{card}:weights=./{name}") for name in ("one.pt", "two.pt", "folder"))
    assert one.weights == tmp_path / "one.pt"
    assert one.settings["weights"] == "one.pt"
    assert parts(one) == parts(two)
    assert parts(folder)["weights"] not in (parts(one)["weights"], "")
    before = parts(folder)["weights"]
    (tmp_path / "folder" / ".hidden").write_text("notes")
    assert parts(folder)["weights"] == before
    (tmp_path / "folder" / "part.bin").write_text("changed")
    assert parts(folder)["weights"] != before
    named = resolve(str(own_card(tmp_path, "one.pt")))
    assert (named.label, named.weights, parts(named)["weights"]) == ("mine", one.weights, parts(one)["weights"])


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "step_1", "x")
    for name, untrained, text in (
        (f"semanticodec:weights={tmp_path}/step_2", False, "there is no checkpoint"),
        (f"semanticodec:weights={folder}", True, "cannot have a checkpoint and be untrained"),
        (f"opus:weights={folder}", False, 'has weights = "" among its card'),
    ):
        with pytest.raises(BenchError, match=text):
            resolve(name, untrained=untrained)
    for path in folder.rglob("*.npy"):
        path.unlink()
    with pytest.raises(BenchError, match=r"codebook_16384_0\.npy"):
        resolve(f"semanticodec@1.40kbps:weights={folder}").weights_folder()


def test_a_pattern_stands_for_checkpoints_by_their_steps(tmp_path: Path) -> None:
    for name in ("step_900", "step_10000", "last", "step_2k"):
        (tmp_path / name).mkdir()
    names = expand(["opus@6kbps", f"mine:gain=2,weights={tmp_path}/*"])
    assert names[0] == parse("opus@6kbps")
    assert [Path(str(name.settings["weights"])).name for name in names[1:]] == [
        "step_900",
        "step_2k",
        "step_10000",
        "last",
    ]
    assert {name.settings["gain"] for name in names[1:]} == {2}
    with pytest.raises(BenchError, match=r"no checkpoint matches .*4 other entries"):
        expand([f"mine:weights={tmp_path}/step-*"])
    with pytest.raises(BenchError, match="that folder is not there"):
        expand([f"mine:weights={tmp_path}/gone/*"])


def test_checkpoints_of_one_name_are_told_apart(tmp_path: Path) -> None:
    card = own_card(tmp_path)
    paths = [tmp_path / run / "step_1" for run in ("small", "large")] + [tmp_path / "large" / "step_2"]
    for path in paths:
        path.mkdir(parents=True)
    specs = distinct([resolve(f"{card}:weights={path}") for path in paths])
    assert [spec.label for spec in specs] == [
        "mine:weights=small-step_1", "mine:weights=large-step_1", "mine:weights=step_2",
    ]  # fmt: skip
    assert specs[0].settings["weights"] == "small-step_1"
    twice = distinct([resolve(f"{card}:weights={paths[0]}")] * 2)
    assert [spec.label for spec in twice] == ["mine:weights=step_1"] * 2


@pytest.mark.parametrize(
    ("name", "step", "series"),
    [
        ("step_50000", 50_000, "step_*"),
        ("step50000.h5", 50_000, "step*.h5"),
        ("epoch=3-step=1200.ckpt", 1200, "epoch=3-step=*.ckpt"),
        ("checkpoint-500", 500, "checkpoint-*"),
        ("ema_0.9999_050000.pt", 50_000, "ema_0.9999_*.pt"),
        ("model-1.5M.safetensors", 1.5e6, "model-*.safetensors"),
        ("0007", 7, "*"),
        ("last.pt", None, "last.pt"),
        ("model.mp3", None, "model.mp3"),
    ],
)
def test_steps_are_read_from_names(name: str, step: float | None, series: str) -> None:
    assert step_of(name) == step
    assert series_of(name) == series


def test_labels_are_read_back() -> None:
    for path in ("/a/my model, step 5", "/a/b.c=d", "/", "/ä/über"):
        label = label_of(Path(path))
        assert parse(f"x:weights={label}").settings["weights"] == label
