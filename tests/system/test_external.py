from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError
from ldmbench.names import Name
from ldmbench.system.card import SystemCard, SystemSpec
from ldmbench.system.external import ExternalSystem
from ldmbench.system.folder import FolderSystem
from ldmbench.system.registry import load_system, resolve

#: A complete program: it makes every clip louder, needs nothing of ldmbench, and fails where a text says so.
GAIN = """
import json, pathlib, sys
import soundfile

job = json.loads(pathlib.Path(sys.argv[1]).read_text())
out = pathlib.Path(sys.argv[2])
assert job["schema"] == 1
clips = []
for index, clip in enumerate(job["clips"]):
    if clip["text"] == "broken":
        print("cannot do", clip["id"], file=sys.stderr)
        clips.append({"id": clip["id"], "error": "this clip is broken"})
        continue
    samples, rate = soundfile.read(clip["audio"], dtype="float32")
    soundfile.write(out / f"{index}.wav", samples * 10 ** (job["settings"]["gain_db"] / 20), rate, subtype="FLOAT")
    clips.append({"id": clip["id"], "audio": f"{index}.wav", "bits": 8 * len(samples), "tokens": [[1, 2], [3, 4]],
                  "details": {"seed": clip["seed"], "device": job["device"], "weights": job["weights"]}})
(out / "results.json").write_text(json.dumps({"schema": 1, "clips": clips}))
"""


def system(tmp_path: Path, program: str, rate: int = 0, task: str = "codec", **settings: float) -> ExternalSystem:
    script = tmp_path / "program.py"
    script.write_text(program)
    card = SystemCard(
        name="gain", title="Gain", tasks=(task,), rate=rate, licence="CC0-1.0", settings=settings,
        command=(sys.executable, str(script), "{input}", "{output}"),
    )  # fmt: skip
    return ExternalSystem(SystemSpec(card, Name("gain", "6dB"), settings))


def clip(name: str, seconds: float = 0.1, rate: int = 16_000, channels: int = 1, **fields: Any) -> Clip:
    seed = int.from_bytes(name.encode(), "little") % 2**31
    samples = np.random.default_rng(seed).uniform(-1.5, 1.5, (channels, round(seconds * rate)))
    return Clip(f"set/{name}", "set", loaded=Audio.of(samples, rate), seed=seed, **fields)


def test_program_processes_a_batch_and_its_outputs_are_exact(tmp_path: Path) -> None:
    clips = [clip("a"), clip("b", 0.05), clip("c", 0.2)]
    outputs = list(system(tmp_path, GAIN, gain_db=6.0).process(clips))
    for given, made in zip(clips, outputs, strict=True):
        assert made.audio is not None
        assert made.audio.rate == 16_000
        expected = given.audio.samples * np.float32(10 ** (6 / 20))
        np.testing.assert_allclose(made.audio.samples, expected, rtol=1e-6)  # above 1.0 nothing is clipped
        assert np.abs(made.audio.samples).max() > 1.0
        assert made.bits == 8 * given.audio.length
        assert made.tokens is not None
        assert made.tokens.dtype == np.int64
        assert made.tokens.tolist() == [[1, 2], [3, 4]]
        assert made.details == {"seed": given.seed, "device": "cpu", "weights": None}


def test_what_a_program_says_of_its_bits(tmp_path: Path) -> None:
    told = GAIN.replace('"tokens": [[1, 2], [3, 4]],', '"tokens": [[1, -1], [3, 4]], "codebooks": [2, 8], '
                        '"side_bits": 32, "nominal_kbps": 1.5,')  # fmt: skip
    (made,) = system(tmp_path, told, gain_db=0.0).process([clip("a")])
    assert made.tokens is not None
    assert made.tokens.tolist() == [[1, -1], [3, 4]]
    assert (made.codebooks, made.side_bits, made.nominal_kbps) == ((2, 8), 32, 1.5)
    with pytest.raises(BenchError, match=r"clips\.0\.side_bits: Input should be greater than or equal to 0"):
        list(system(tmp_path, told.replace('"side_bits": 32', '"side_bits": -1'), gain_db=0.0).process([clip("a")]))


def test_card_with_a_command_loads_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "gain.py").write_text(GAIN)
    (tmp_path / "gain.toml").write_text(
        f'name = "gain"\ntitle = "Gain"\ntasks = ["codec"]\nlicence = "CC0-1.0"\n'
        f'command = ["{sys.executable}", "{tmp_path}/gain.py", "{{input}}", "{{output}}"]\n'
        f"[settings]\ngain_db = 0.0\n"
    )
    loaded = load_system(resolve(str(tmp_path / "gain.toml")))
    made = next(iter(loaded.process([clip("a")])))
    assert made.audio is not None
    np.testing.assert_array_equal(made.audio.samples, clip("a").audio.samples)


def test_codec_receives_the_cards_rate_and_layout(tmp_path: Path) -> None:
    made = next(system(tmp_path, GAIN, rate=8_000, gain_db=0.0).process([clip("a", rate=16_000, channels=2)]))
    assert made.audio is not None
    assert (made.audio.rate, made.audio.channels, made.audio.length) == (8_000, 1, 800)
    assert made.details["resampled_from"] == 16_000
    assert made.details["downmix"] == "mean of 2 channels"


def test_enhancer_receives_the_degraded_input(tmp_path: Path) -> None:
    gap = Condition(kind="gap", start_s=0.0, end_s=0.05)
    made = next(system(tmp_path, GAIN, task="enhance", gain_db=0.0).process([clip("a", condition=gap)]))
    assert made.audio is not None
    assert not made.audio.samples[:, :800].any()
    np.testing.assert_array_equal(made.audio.samples[:, 800:], clip("a").audio.samples[:, 800:])


def test_generator_receives_text_and_no_reference(tmp_path: Path) -> None:
    program = GAIN.replace('clip["text"] == "broken"', 'clip["audio"] is None and clip["text"] == "rain"')
    with pytest.raises(BenchError, match="this clip is broken"):
        list(system(tmp_path, program, task="generate", gain_db=0.0).process([clip("a", text="rain")]))


def test_clips_before_the_failing_one_are_yielded(tmp_path: Path) -> None:
    outputs = system(tmp_path, GAIN, gain_db=0.0).process([clip("a"), clip("b", text="broken"), clip("c")])
    assert next(outputs).audio is not None
    with pytest.raises(BenchError, match=r"gain@6dB failed on set/b: this clip is broken"):
        next(outputs)


RESULTS = (
    "import pathlib, sys; pathlib.Path(sys.argv[2], 'results.json').write_text({!r}); print('why', file=sys.stderr)"
)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; print('loading'); sys.exit('no GPU here')", "failed with exit code 1: no GPU here"),
        ("raise ValueError('bad settings')", "ValueError: bad settings"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("import sys; print('gave up', file=sys.stderr)", "wrote no results.json: gave up"),
        ("import os, sys; os.mkfifo(sys.argv[2] + '/results.json')", "wrote no results.json"),
        ("import os, sys; os.mkdir(sys.argv[2] + '/results.json')", "wrote no results.json"),
        (RESULTS.format("<html>"), "results.json is not JSON"),
        (RESULTS.format("[" * 100_000), "results.json is not JSON"),
        (RESULTS.format("[]"), "results.json is not valid"),
        (RESULTS.format('{"schema": 2, "clips": []}'), "schema 2, not 1"),
        (RESULTS.format('{"schema": 1, "clips": [{"id": "set/a", "bit": 3}]}'), "clips.0.bit: Extra inputs"),
        (RESULTS.format('{"schema": 1, "clips": [{"id": "other"}]}'), "twice or unasked for: other"),
        (RESULTS.format('{"schema": 1, "clips": [{"id": "set/a"}, {"id": "set/a"}]}'), "twice or unasked for"),
        (RESULTS.format('{"schema": 1, "clips": []}'), "says nothing of set/a: why"),
        (RESULTS.format('{"schema": 1, "clips": [{"id": "set/a"}]}'), "failed on set/a: why"),
        (RESULTS.format('{"schema": 1, "clips": [{"id": "set/a", "audio": "x.wav"}]}'), "did not write x.wav"),
        (RESULTS.format('{"schema": 1, "clips": [{"id": "set/a", "audio": "x\\u0000"}]}'), "names no file for set/a"),
        (
            RESULTS.format(f'{{"schema": 1, "clips": [{{"id": "set/a", "audio": "{"x" * 5000}"}}]}}'),
            "names no file for",
        ),
        ("import os, shutil, sys; shutil.rmtree(os.path.dirname(sys.argv[2]))", "wrote no results.json"),
    ],
)
def test_every_fault_of_a_program_is_one_clear_line(tmp_path: Path, program: str, message: str) -> None:
    with pytest.raises(BenchError, match="gain@6dB") as caught:
        list(system(tmp_path, program).process([clip("a")]))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nan_wrong_rate_and_ragged_tokens_fail_their_clip(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="NaN or Inf"):
        list(
            system(tmp_path, GAIN.replace("samples * ", "samples * float('nan') * "), gain_db=0.0).process([clip("a")])
        )
    with pytest.raises(BenchError, match="differ in length"):
        list(system(tmp_path, GAIN.replace("[3, 4]", "[3]"), gain_db=0.0).process([clip("a")]))
    with pytest.raises(BenchError, match="a token of set/a has more than 63 bits"):
        list(system(tmp_path, GAIN.replace("[3, 4]", "[3, 2**70]"), gain_db=0.0).process([clip("a")]))
    slower = GAIN.replace(", rate, sub", ", rate // 2, sub")
    with pytest.raises(BenchError, match="returned 4000 Hz"):
        list(system(tmp_path, slower, rate=8_000, gain_db=0.0).process([clip("a")]))


OUTSIDE = """
import json, os, pathlib, sys
job = json.loads(pathlib.Path(sys.argv[1]).read_text())
out = pathlib.Path(sys.argv[2])
(out / "link.wav").symlink_to(job["clips"][0]["audio"])
name = {"up": "../input/0.wav", "absolute": job["clips"][0]["audio"], "link": "link.wav"}[job["clips"][0]["text"]]
print("\\x1b[31mred\\x1b[0m\\x1b]0;title\\x07", file=sys.stderr)
(out / "results.json").write_text(json.dumps({"schema": 1, "clips": [{"id": job["clips"][0]["id"], "audio": name}]}))
"""


@pytest.mark.parametrize("way", ["up", "absolute", "link"])
def test_a_file_outside_the_output_folder_is_refused(tmp_path: Path, way: str) -> None:
    with pytest.raises(BenchError, match="gain@6dB names a file outside its folder for set/a"):
        list(system(tmp_path, OUTSIDE).process([clip("a", text=way)]))


def test_escape_sequences_of_a_program_reach_nobody(tmp_path: Path) -> None:
    program = "import sys; print('\\x1b[31mred\\x1b[0m\\x1b]0;title\\x07', file=sys.stderr); sys.exit(3)"
    with pytest.raises(BenchError, match=r"exit code 3: red$"):
        list(system(tmp_path, program).process([clip("a")]))


def test_what_a_program_leaves_running_is_ended(tmp_path: Path) -> None:
    leave = "import subprocess, pathlib\n" + GAIN.replace(
        "clips = []",
        'pathlib.Path(__file__).with_name("pid").write_text(str(subprocess.Popen(["sleep", "300"]).pid))\nclips = []',
    )
    list(system(tmp_path, leave, gain_db=0.0).process([clip("a")]))
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_missing_program_and_placeholder(tmp_path: Path) -> None:
    card = SystemCard(
        name="x", title="X", tasks=("codec",), licence="", command=("no-such-program", "{input}", "{output}")
    )
    with pytest.raises(BenchError, match="cannot start no-such-program: No such file"):
        list(ExternalSystem(SystemSpec(card, Name("x"), {})).process([clip("a")]))
    card = SystemCard(name="x", title="X", tasks=("codec",), licence="", command=("true", "{input}"))
    with pytest.raises(BenchError, match=r"lacks \{output\}"):
        ExternalSystem(SystemSpec(card, Name("x"), {}))


def test_timeout_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    program = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', \"import time; time.sleep(2); open({str(mark)!r}, 'w')\"])\n"
        "print('working', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
    )
    start = time.monotonic()
    with pytest.raises(BenchError, match=r"took longer than 1 s: working"):
        list(system(tmp_path, program, timeout_s=1.0).process([clip("a")]))
    assert time.monotonic() - start < 30
    time.sleep(2.5)
    assert not mark.exists()


def test_folder_refers_to_its_files(tmp_path: Path) -> None:
    audio_io.write(tmp_path / "a.wav", clip("a").audio)
    card = SystemCard(name="folder", title="Folder", tasks=("codec",), licence="unknown")
    outputs = FolderSystem(SystemSpec(card, Name("folder"), {}), {"set/a": tmp_path / "a.wav"}).process(
        [clip("a"), clip("b")]
    )
    first = next(outputs)
    assert first.path == tmp_path / "a.wav"
    assert first.audio is not None
    assert first.audio.digest() == clip("a").audio.digest()
    with pytest.raises(BenchError, match="no file for set/b"):
        next(outputs)
