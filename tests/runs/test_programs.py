"""Programs as a user writes them, through whole runs: shell scripts that work, crash, hang, or write the wrong rate."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ldmbench
from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio

PAGE = (Path(__file__).parents[2] / "docs" / "programs.md").read_text(encoding="utf-8")
SUITE = 'name = "one"\ntitle = "One"\ntask = "codec"\ndatasets = ["builtin-speech"]\nmetrics = ["snr"]\n'

pytestmark = [
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="program ffmpeg is not installed"),
    pytest.mark.usefixtures("in_this_process"),
]


def block(language: str) -> str:
    """The first example of that language on the page about programs."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def folder(tmp_path: Path, tone: Callable[..., Audio]) -> Path:
    for index in range(4):
        audio.write(tmp_path / "clips" / f"{index}.wav", tone(0.2, hz=200.0 + index, peak=0.7))
    (tmp_path / "one.toml").write_text(SUITE)
    return tmp_path


def run(folder: Path, script: str, timeout_s: float = 60.0, batch: int = 4) -> ldmbench.Run:
    """The page's card with a script in place of its own."""
    (folder / "louder.sh").write_text(script)
    (folder / "louder.toml").write_text(block("toml").replace("timeout_s = 60.0", f"timeout_s = {timeout_s}"))
    (made,) = ldmbench.evaluate(
        str(folder / "one.toml"), [str(folder / "louder.toml")], audio=folder / "clips", out=folder / "runs",
        batch=batch, quiet=True,
    )  # fmt: skip
    return made


def failed(made: ldmbench.Run) -> dict[str, str]:
    """Why each clip failed, by the name of its file."""
    return {clip.rpartition("/")[2]: message for clip, _, message in made.failures}


def test_the_script_of_the_page(folder: Path) -> None:
    made = run(folder, block("sh"))
    assert not made.failures
    for clip, row in made.outputs.items():
        louder, given = (
            audio.read(path) for path in (made.path / row.audio, folder / "clips" / f"{Path(clip).name}.wav")
        )
        np.testing.assert_allclose(louder.samples, given.samples * 10 ** (6 / 20), atol=1e-5)
        assert np.abs(louder.samples).max() > 1.3, "nothing is clipped"


def test_a_crash_on_the_third_clip_is_its_row_alone(folder: Path) -> None:
    made = run(folder, """grep -q '/2"' "$1" && kill -SEGV $$\n""" + block("sh"))
    assert failed(made) == {"2": "louder: sh failed with killed by signal 11"}


def test_what_ffmpeg_says_is_the_reason(folder: Path) -> None:
    made = run(folder, block("sh").replace('-i "$sound"', '-i "$sound.gone"'), batch=1)
    assert len(failed(made)) == 4
    assert "louder: sh failed with exit code" in failed(made)["0"]
    assert "No such file or directory" in failed(made)["0"]


def test_a_hang_is_ended_and_named(folder: Path) -> None:
    nap = f"sleep 300.{os.getpid()}"  # As nothing else on this machine.
    made = run(folder, f"""grep -q '/1"' "$1" && {nap}\n""" + block("sh"), timeout_s=6.0, batch=1)
    assert failed(made) == {"1": "louder: sh took longer than 6 s (fix: raise timeout_s)"}
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False).stdout
    assert nap not in listed.splitlines() or sys.platform != "linux"


def test_the_wrong_rate_is_named(folder: Path) -> None:
    script = block("sh").replace("-c:a pcm_f32le", "-ar 8000 -c:a pcm_f32le")
    made = run(folder, script)
    assert len(failed(made)) == 4
    assert re.fullmatch(r"louder returned 8000 Hz for .*/0: its card: 16000", failed(made)["0"])
