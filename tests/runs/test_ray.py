"""On a Ray cluster of two nodes, of which one is lost: statuses and numbers are those of a run on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.host.orphans import descendants

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]

CLIPS = 24

SLOWLY = """
import os, time
import numpy as np
from ldmbench import Audio, Codec, Stream

class Slowly(Codec):
    '''Halves the sound, after a while; ends its process at one clip.'''

    def encode(self, audio):
        time.sleep(0.2)
        if audio.samples.shape[1] == 4000 + 10 * 17:
            os._exit(3)
        return Stream(audio.samples, bits=int(audio.samples.size))

    def decode(self, stream):
        return Audio.of(0.5 * stream.payload, self.rate)
"""

CARD = 'name = "slowly"\ntitle = "S"\ntasks = ["codec"]\nmodule = "slowly:Slowly"\nrate = 8000\nlicence = "MIT"\n'

SUITE = """
name = "tiny"
title = "Anchors"
task = "codec"
datasets = []
systems = ["noise", "lowpass@3.5khz", "./slowly.toml"]
metrics = ["kbps", "stft_dac", "snr"]
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ray")
    (root / "tiny.toml").write_text(SUITE)
    (root / "slowly.toml").write_text(CARD)
    (root / "slowly.py").write_text(SLOWLY)
    generator = np.random.default_rng(7)
    for index in range(CLIPS):
        sound = Audio.of(0.1 * generator.standard_normal((1, 4000 + 10 * index)), 8000)
        audio.write(root / "clips" / f"{index:02}.wav", sound)
    return root


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of two CPUs each; the first says that it has a GPU as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_raylet_start_wait_time_s", "120")  # On a loaded machine a node takes its time.
        pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 2, "num_gpus": 1, "include_dashboard": False}
        made = cast(Any, Cluster(initialize_head=True, head_node_args=head))
        made.second = made.add_node(num_cpus=2)
        yield made
        made.shutdown()


def start(work: Path, out: str, *more: object) -> subprocess.Popen[str]:
    words = ["run", "tiny.toml", "--audio", "clips", "--quiet", "--out", out, *map(str, more)]
    return subprocess.Popen(
        [sys.executable, "-m", "ldmbench.cli", *words],
        cwd=work,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors  # A clip fails, here as there.
    return output


def results(work: Path, out: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[Any]]:
    """The table with all digits, and what failed with its messages."""
    monkeypatch.chdir(work)
    table = CliRunner().invoke(cli, ("report", "tiny.toml+clips", "--to", "csv", "--out", out))
    assert table.exit_code <= 1, table.output  # 1 where a clip failed.
    failed = [row for path in sorted((work / out).rglob("outputs.jsonl")) for row in rows(path) if row["message"]]
    return table.stdout, sorted((row["clip"], row["status"], row["message"]) for row in failed)


def rows(journal: Path) -> list[Any]:
    return [json.loads(line) for line in journal.read_text().splitlines()]


def written(work: Path, out: str) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (work / out).rglob("outputs.jsonl"))


def wait_until(met: Callable[[], object], process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not met() and process.poll() is None:
        assert time.monotonic() < deadline, "it did not get so far"
        time.sleep(0.02)
    assert process.poll() is None, f"it ended before: {process.communicate()}"


def workers(kind: str) -> list[int]:
    """Workers of our own cluster that hold an actor, or that do tasks."""
    own = []
    for number in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{number}/cmdline").read_bytes().startswith(b"ray::" + kind.encode()):
                own.append(number)
    return own


def test_a_worker_and_a_node_are_lost_and_ctrl_c_is_pressed(
    work: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(start(work, "serial", "--jobs", 1))
    ray = ("--ray", cluster.address)

    interrupted = start(work, "far", *ray)
    wait_until(lambda: written(work, "far") >= 8, interrupted)
    interrupted.send_signal(signal.SIGINT)
    pressed = time.monotonic()
    _, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, errors
    assert time.monotonic() - pressed < 30
    assert "Traceback" not in errors
    deadline = time.monotonic() + 20
    while workers("_Room") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not workers("_Room"), "actors outlived their command"
    so_far = written(work, "far")
    assert 8 <= so_far < 3 * CLIPS - 20

    again = start(work, "far", *ray)
    wait_until(lambda: written(work, "far") >= so_far + 6, again)
    os.kill(workers("_Room")[0], signal.SIGKILL)
    wait_until(lambda: written(work, "far") >= so_far + 14, again)
    cluster.remove_node(cluster.second, allow_graceful=False)
    finished(again)
    assert results(work, "far", monkeypatch) == results(work, "serial", monkeypatch)
    ((clip, status, message),) = results(work, "far", monkeypatch)[1]
    assert (clip.endswith("/17"), status) == (True, "failed")
    assert "ended its process with exit code 3" in message
    assert written(work, "far") == 3 * CLIPS, "a clip was made twice"


def test_shares_of_a_gpu_and_batches(work: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ("-s", "noise", "-s", "lowpass@3.5khz", "--batch", 4)
    processes = [
        start(work, "shares", *more, "--ray", cluster.address, "--device", "cuda", "--ray-gpus", 0.5),
        start(work, "batches", *more, "--jobs", 1),
    ]
    for process in processes:
        assert (process.communicate(timeout=300), process.returncode)[1] == 0
    assert results(work, "shares", monkeypatch) == results(work, "batches", monkeypatch)


def test_metrics_with_a_network_work_in_actors(work: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ("-s", "noise", "--untrained", "-m", "fad_vggish_audioldm_eval", "--limit", 20)
    for process in (start(work, "net", *more, "--ray", cluster.address), start(work, "net here", *more, "--jobs", 1)):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    table, _ = results(work, "net", monkeypatch)
    assert table == results(work, "net here", monkeypatch)[0]
    assert ",clips,fad_vggish_audioldm_eval:untrained=true," in table
