"""Environments of programs: pinned, made by fetch, looked for before a run, and part of its ID."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import ldmbench
from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.runs.check import check_systems
from ldmbench.runs.fetch import fetch
from ldmbench.runs.identity import identity
from ldmbench.system.environment import Environment, installed, make_environment
from ldmbench.system.registry import resolve
from tests.conftest import Sound

UV = Path(sys.executable).with_name("uv")

PROGRAM = """
import json, pathlib, shutil, sys
import tiny_gain

job = json.loads(pathlib.Path(sys.argv[1]).read_text())
clips = []
for index, clip in enumerate(job["clips"]):
    shutil.copy(clip["audio"], pathlib.Path(sys.argv[2]) / f"{index}.wav")
    details = {"version": tiny_gain.VERSION, "prefix": sys.prefix}
    clips.append({"id": clip["id"], "audio": f"{index}.wav", "details": details})
pathlib.Path(sys.argv[2], "results.json").write_text(json.dumps({"schema": 1, "clips": clips}))
"""

CARD = """
name = "tiny"
title = "Tiny"
tasks = ["codec"]
licence = "CC0-1.0"
command = ["{python}", "{here}/program.py", "{input}", "{output}"]
[environment]
packages = ["tiny-gain==VERSION"]
"""

SUITE = 'name = "one"\ntitle = "One"\ntask = "codec"\ndatasets = ["builtin-speech"]\nmetrics = ["snr"]\n'


def wheel(folder: Path, version: str) -> None:
    """A package of one module."""
    folder.mkdir(exist_ok=True)
    files = {
        "tiny_gain.py": f"VERSION = {version!r}\n",
        f"tiny_gain-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: tiny-gain\nVersion: {version}\n",
        f"tiny_gain-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text)}\n"
    with zipfile.ZipFile(folder / f"tiny_gain-{version}-py3-none-any.whl", "w") as archive:
        for name, text in {**files, f"tiny_gain-{version}.dist-info/RECORD": record}.items():
            archive.writestr(name, text)


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not UV.exists():
        pytest.skip("uv is not installed beside this Python; make install puts it there")
    # The packages lie here; nothing is asked of an index.
    for version in ("1.0", "2.0"):
        wheel(tmp_path / "wheels", version)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "tiny.toml").write_text(CARD.replace("VERSION", "1.0"))
    (tmp_path / "one.toml").write_text(SUITE)
    return tmp_path / "tiny.toml"


def test_from_a_card_to_a_run(card: Path, tone: Sound) -> None:
    (finding,) = check_systems([resolve(str(card))])
    assert finding.level == "error"
    assert finding.text.startswith("its environment is not in ")
    assert finding.fix == f"ldmbench fetch {card}"
    folder, _ = fetch(str(card))
    assert [finding.level for finding in check_systems([resolve(str(card))])] == ["ok"]
    made = (folder / "ready.json").stat().st_mtime_ns
    assert fetch(str(card)) == (folder, ())
    assert (folder / "ready.json").stat().st_mtime_ns == made, "what is there is not made again"
    assert "tiny-gain==1.0" in json.loads((folder / "ready.json").read_text())["installed"]

    audio.write(card.parent / "clips" / "a.wav", tone(0.2))
    (run,) = ldmbench.evaluate(
        str(card.parent / "one.toml"), [str(card)], audio=card.parent / "clips", out=card.parent / "runs", quiet=True
    )
    (row,) = run.outputs.values()
    assert row.details == {"version": "1.0", "prefix": str(folder)}
    assert run.info.identity["environment"] == installed(folder)


def test_another_version_is_another_environment_and_another_run(card: Path) -> None:
    first, _ = fetch(str(card))
    before = identity(resolve(str(card)), [], [], 0)
    card.write_text(CARD.replace("VERSION", "2.0"))
    assert check_systems([resolve(str(card))])[0].level == "error"
    second, _ = fetch(str(card))
    after = identity(resolve(str(card)), [], [], 0)
    assert first != second
    assert {key for key in before if before[key] != after[key]} == {"environment"}


def test_an_installation_that_was_cut_short_is_made_again(card: Path) -> None:
    folder, _ = fetch(str(card))
    (folder / "ready.json").unlink()
    (folder / "rest").write_text("")
    assert check_systems([resolve(str(card))])[0].level == "error"
    fetch(str(card))
    assert installed(folder)
    assert not (folder / "rest").exists()


def test_what_cannot_be_installed_is_one_line(card: Path) -> None:
    card.write_text(CARD.replace("VERSION", "3.0"))
    with pytest.raises(BenchError, match=r"^uv cannot make the environment of tiny: .*tiny-gain==3\.0") as caught:
        fetch(str(card))
    assert "\n" not in str(caught.value)
    card.write_text(CARD.replace("==VERSION", ">=1.0"))
    with pytest.raises(BenchError, match=r"'tiny-gain>=1\.0' pins no version"):
        resolve(str(card))
    card.write_text(CARD.replace('packages = ["tiny-gain==VERSION"]', ""))
    with pytest.raises(BenchError, match="needs packages or npm"):
        resolve(str(card))
    with pytest.raises(BenchError, match=r"npm/package\.json cannot be read"):
        make_environment("x", Environment(npm="npm"), card.parent)


def test_a_program_is_known_by_what_it_imports_of_ldmbench(card: Path) -> None:
    fetch(str(card))
    before = identity(resolve(str(card)), [], [], 0)["code"]
    program = card.parent / "program.py"
    program.write_text(f"{PROGRAM}\n# a comment\n")
    commented = identity(resolve(str(card)), [], [], 0)["code"]
    program.write_text(f"import ldmbench.systems.codecs.opus\n{PROGRAM}")
    assert len({before, commented, identity(resolve(str(card)), [], [], 0)["code"]}) == 3


def node_is_there() -> bool:
    try:
        return subprocess.run(["node", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def test_a_program_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = check_systems([resolve("opus-nolace")])
    assert (finding.level, finding.text, finding.fix) == ("error", "program node not found", "install node")
    with pytest.raises(BenchError, match=r"cannot make the environment of x: npm not found \(fix: install Node\.js"):
        make_environment("x", Environment(npm="npm"), Path(resolve("opus-nolace").card.folder))


@pytest.mark.slow
@pytest.mark.skipif(not node_is_there(), reason="Node.js is not installed")
def test_opus_with_a_neural_decoder_on_node(tmp_path: Path, tone: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed from the registry by its checksums; without enhancement it decodes like libopus here."""
    from ldmbench.clips.clip import Clip
    from ldmbench.system.registry import load_system

    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path))
    fetch("opus-nolace")
    clips = list(ldmbench.load_dataset("builtin-speech").clips[:2])
    clips = [Clip(clip.id, clip.dataset, loaded=clip.audio) for clip in clips]

    def outputs(name: str) -> list[Audio]:
        made = list(load_system(resolve(name)).process(clips))
        return [output.audio for output in made if output.audio]

    plain, same = outputs("opus@16kbps"), outputs("opus-nolace@16kbps:enhancement=none")
    for first, second in zip(plain, same, strict=True):
        assert abs(first.samples - second.samples).max() < 2e-3
    for first, second in zip(plain, outputs("opus-nolace@16kbps"), strict=True):
        assert first.samples.shape == second.samples.shape
        assert abs(first.samples - second.samples).max() > 2e-2
