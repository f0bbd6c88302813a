"""The folder of a Space in an environment of its own, as Hugging Face would make one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.demo.settings import Settings
from ldmbench.demo.space import write_space
from tests.conftest import Sound
from tests.demo.page import Page, sounds

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with what the Space asks for, in the versions of the lock, and nothing of this checkout."""
    if find_spec("gradio") is None:  # Its import takes ten seconds.
        pytest.skip("gradio is not installed (the extra 'demo')")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        pytest.skip("uv is not installed")
    home = tmp_path_factory.mktemp("environment")
    made = home / "venv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, made], check=True)
    write_space(home / "space", Settings(systems=("opus@6kbps",)))
    lock, wanted = ROOT / "requirements-dev.lock", home / "space" / "requirements.txt"
    words = f"pip install --quiet --python {made}/bin/python gradio -c {lock} -r {wanted}".split()
    done = subprocess.run([uv, *words], capture_output=True, text=True, timeout=900)
    if done.returncode:
        offline = re.search(r"error sending request|dns|connect|Failed to fetch", done.stderr, re.IGNORECASE)
        assert offline, done.stderr
        pytest.skip(f"the package registry cannot be reached: {done.stderr.splitlines()[0]}")
    return made / "bin" / "python"


def test_a_space_starts_in_a_fresh_environment_and_codes_a_clip(
    python: Path, tmp_path: Path, speechlike: Sound
) -> None:
    folder = tmp_path / "space"
    write_space(folder, Settings(systems=("opus@6kbps",)))
    own = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    environment |= {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": "7897", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [python, "app.py"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("the page is at"):
                break
        else:
            pytest.fail("".join(said))
        page = Page("http://127.0.0.1:7897/")
        labels = {component["props"].get("elem_id") for component in page.config["components"]}
        assert {"generate-run", "enhance-run", "code-run"} <= labels
        sound = speechlike(1.0)
        audio.write(tmp_path / "voice.wav", sound)
        kept = page.upload(tmp_path / "voice.wav")
        upload = {"path": kept, "orig_name": "voice.wav", "meta": {"_type": "gradio.FileData"}}
        shown = page.press("code-run", code_upload=upload, code_content="speech")
        assert "done: 1 of 1 made" in shown, shown
        heard = page.get(sounds(shown)["opus@6kbps"])
        (coded,) = folder.rglob("runs/demo-code+*/opus@6kbps/*/audio/**/*.wav")
        assert coded.read_bytes() == heard
        (tmp_path / "coded.wav").write_bytes(heard)
        output = audio.read(tmp_path / "coded.wav")
        assert output.duration == sound.duration
        # Opus at 6 kbps keeps the voice: it is no silence, and no noise.
        assert np.corrcoef(output.at(sound.rate).samples[0], sound.samples[0])[0, 1] > 0.5
        where = "import ldmbench; print(ldmbench.__path__[0])"
        found = subprocess.run([python, "-c", where], cwd=folder, env=environment, capture_output=True, text=True)
        assert Path(found.stdout.strip()) == folder / "ldmbench", "it is the copy, and not this checkout"
    finally:
        process.terminate()
        process.wait(timeout=30)
