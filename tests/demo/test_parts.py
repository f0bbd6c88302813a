"""The parts of the page that need no browser, and one trial as its process carries it out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips.adhoc import condition_of
from ldmbench.commands.run import run as run_command
from ldmbench.demo import forms, view
from ldmbench.demo.catalogue import choices, is_ready
from ldmbench.demo.conditions import filters, named_conditions, written
from ldmbench.demo.desk import CancelledError, Desk
from ldmbench.demo.home import Served, size_of, temporary_home
from ldmbench.demo.inputs import INPUTS, builtin_names, from_builtin, from_upload
from ldmbench.demo.keep import bound
from ldmbench.demo.packs import make_pack
from ldmbench.demo.raster import png
from ldmbench.demo.settings import Limits, Settings
from ldmbench.demo.trial import Event, command
from ldmbench.errors import BenchError
from ldmbench.host.orphans import descendants
from ldmbench.host.steps import STEPS, counted, said
from ldmbench.listening.pack import load_key, load_pack
from ldmbench.runs.request import Options, Request
from ldmbench.runs.results import find_runs, open_run
from tests.conftest import Sound

LIMITS = Limits(upload_mb=0.2, seconds=1.5, channels=2)


# ---- files


def test_the_home_is_removed_and_those_of_killed_servers_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "import tempfile, os, sys; from ldmbench.demo.home import temporary_home\n"
        "with temporary_home() as home:\n    print(home, flush=True)\n    sys.stdin.read()\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    start = [sys.executable, "-c", code]
    killed, living = (
        subprocess.Popen(start, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    assert killed.stdout is not None
    assert living.stdout is not None
    dead, alive = (Path(process.stdout.readline().strip()) for process in (killed, living) if process.stdout)
    killed.kill()
    killed.wait()
    assert dead.is_dir(), "nobody could remove it"
    with temporary_home() as home:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, home.name])
        assert home.stat().st_mode & 0o077 == 0, "nobody else reads it"
    living.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_served_sounds_are_copies_and_the_oldest_results_go(tmp_path: Path) -> None:
    served = Served(tmp_path / "home", most_mb=0.025)
    audio.write(tmp_path / "a.wav", Audio.of(np.zeros(2500), 8000))  # 10 kB
    groups = []
    for number in range(3):
        groups.append(served.group())
        os.utime(groups[-1], (number, number))
        copy = served.offer(groups[-1], "a.wav", tmp_path / "a.wav")
        assert copy.read_bytes() == (tmp_path / "a.wav").read_bytes()
        os.utime(groups[-1], (number, number))
    assert [group.is_dir() for group in groups] == [False, True, True]
    assert len({group.name for group in groups}) == 3


def test_of_too_many_runs_the_oldest_go_with_their_input(tmp_path: Path) -> None:
    for number in range(3):
        run = tmp_path / f"demo-code+clip{number}" / "opus@6kbps" / f"r{number}"
        run.mkdir(parents=True)
        (run / "run.json").write_text("x" * 1000)
        os.utime(run / "run.json", (number, number))
        (tmp_path / INPUTS / f"clip{number}").mkdir(parents=True)
        (tmp_path / INPUTS / f"clip{number}" / "a.wav").write_bytes(b"x" * 1000)
    (tmp_path / "quickstart" / "opus@6kbps" / "r9").mkdir(parents=True)
    (tmp_path / "quickstart" / "opus@6kbps" / "r9" / "run.json").write_text("x" * 100_000)
    assert bound(tmp_path, 0) == 0
    assert bound(tmp_path, 0.0045) == 1
    assert sorted(path.name for path in (tmp_path / INPUTS).iterdir()) == ["clip1", "clip2"]
    assert bound(tmp_path, 0.0001) == 1, "the newest stays"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo-code+clip2", INPUTS, "quickstart"]


# ---- sounds that come in


def test_an_upload_becomes_a_folder_known_by_its_sound(tmp_path: Path, tone: Sound) -> None:
    sound = tone(1.0, 16_000, 2)
    audio.write(tmp_path / "my <tone> é.wav", sound)
    got = from_upload(tmp_path / "my <tone> é.wav", "speech", LIMITS, tmp_path / "runs")
    (path,) = got.folder.glob("*.wav")
    assert np.array_equal(audio.read(path).samples, sound.samples)
    assert got.folder.name == f"my-tone-{sound.digest()[:8]}"
    assert got.content == "speech"


def test_what_is_no_good_is_refused_in_one_line_without_a_path(tmp_path: Path, tone: Sound) -> None:
    audio.write(tmp_path / "long.wav", tone(2.0, 8000))
    audio.write(tmp_path / "wide.wav", tone(0.5, 8000, 3))
    audio.write(tmp_path / "large.wav", tone(1.0, 96_000))
    (tmp_path / "text.wav").write_text("this is no sound, " * 10)
    (tmp_path / "empty.wav").write_bytes(b"")
    whole = (tmp_path / "wide.wav").read_bytes()
    (tmp_path / "torn.wav").write_bytes(whole[: len(whole) // 2])
    expected = {
        "long": "long.wav is too long: 2.0 s of 1.5", "wide": "wide.wav has too many channels: 3 of 2",
        "large": "large.wav is too large: 0.4 MB of 0.2", "text": "text.wav is not audio",
        "empty": "empty.wav is empty", "torn": "torn.wav is truncated",
    }  # fmt: skip
    for name, message in expected.items():
        with pytest.raises(BenchError) as error:
            from_upload(tmp_path / f"{name}.wav", "general", LIMITS, tmp_path / "runs")
        text = str(error.value)
        assert text.startswith(message), text
        assert str(tmp_path) not in text
        assert "\n" not in text
    assert not (tmp_path / "runs").exists()


def test_a_builtin_clip_brings_its_content_and_words(tmp_path: Path) -> None:
    name = builtin_names()[0]
    got = from_builtin(name, tmp_path)
    assert got.content == "speech"
    assert "harbour" in (got.folder / "clips.csv").read_text()
    assert from_builtin(name, tmp_path) == got
    with pytest.raises(BenchError, match="unknown built-in clip"):
        from_builtin("builtin-speech/nothing", tmp_path)


# ---- what can be chosen


def test_what_is_not_ready_is_greyed_with_the_reason_and_the_fetch_line() -> None:
    listed = choices("codec", Settings(systems=("opus", "semanticodec@0.35kbps", "opus@6kbps:application=audio")))
    assert [choice.label for choice in listed if not choice.reason][-1] == "opus@6kbps:application=audio"
    assert sum(choice.family == "opus" and not choice.reason for choice in listed) == 11
    (absent,) = [choice for choice in listed if choice.reason]
    assert absent.label == "semanticodec@0.35kbps"
    assert "ldmbench fetch semanticodec" in absent.fix
    text = forms.absent_as_html([absent])
    assert "@0.35kbps" in text
    assert "<code>" in text
    whole = forms.absent_as_html(choices("codec", Settings(systems=("semanticodec",))))
    assert whole.count("weights of semanticodec are not in") == 1, "variants that lack other files each share a line"
    assert whole.count("<li>") == 1
    (again,) = choices("codec", Settings(systems=("semanticodec@0.35kbps",), untrained=True))
    assert (again.reason, again.untrained) == ("", True)


def test_the_clap_score_stands_there_only_with_its_checkpoint() -> None:
    assert not is_ready("clap_score", Settings())


def test_only_what_is_ready_can_be_asked_for() -> None:
    listed = choices("codec", Settings(systems=("opus@6kbps", "opus@12kbps", "semanticodec@0.35kbps")))
    assert forms.chosen(listed, ["opus@12kbps", "semanticodec@0.35kbps"], [], 9) == ("opus@12kbps",)
    assert forms.chosen(listed, [], ["opus"], 9) == ("opus@6kbps", "opus@12kbps")
    with pytest.raises(BenchError, match="no system is chosen"):
        forms.chosen(listed, ["nothing"], [], 9)
    with pytest.raises(BenchError, match="too many systems at once: 2 of 1"):
        forms.chosen(listed, [], ["opus"], 1)


def test_every_condition_of_every_card_can_be_chosen_and_any_be_written() -> None:
    named = named_conditions()
    assert len({condition_of(item.name)[1].digest() for item in named}) == len(named)
    kinds = {condition_of(item.name)[1].kind for item in named}
    assert {"lowpass", "gap", "noise", "restyle"} <= kinds
    assert next(item for item in named if item.name == "builtin-general@4khz").title.startswith(
        "4khz: lowpass, cutoff hz 4000"
    )
    assert condition_of(written("lowpass", filter="bessel", order=6, cutoff_hz=4000.0))[1].filter == "bessel"
    assert {"kaiser", "cheby1", "butter", "ellip", "bessel"} <= set(filters())


# ---- what is shown


def test_tokens_are_drawn_by_their_codes() -> None:
    import io

    tokens = np.array([[5, 5, 7, -1], [9, 8, 8, 9]])
    picture = np.asarray(Image.open(io.BytesIO(png(tokens))).convert("RGB"))
    cells = picture[4::14, 90::180]
    assert cells.shape == (2, 4, 3)
    assert np.array_equal(cells[0, 0], cells[0, 1])
    assert not np.array_equal(cells[0, 1], cells[0, 2])
    assert cells[0, 3].tolist() == [208, 208, 208]
    assert np.array_equal(cells[1, 0], cells[1, 3])


def test_text_of_visitors_and_of_errors_is_no_markup() -> None:
    assert "<script>" not in view.nothing(error="<script>alert(1)</script>")


def test_loops_say_how_far_they_are_only_where_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "steps.txt"
    assert list(counted([1, 2, 3], "step")) == [1, 2, 3]
    assert said(path) == ""
    monkeypatch.setenv(STEPS, str(path))
    seen = [said(path) for _ in counted("abc", "step")]
    assert seen == ["step 0 of 3", "step 1 of 3", "step 2 of 3"]
    assert said(path) == "step 3 of 3"
    monkeypatch.setenv(STEPS, str(tmp_path / "nowhere" / "steps.txt"))
    assert list(counted([1], "step")) == [1]


# ---- a trial


def test_the_command_line_is_read_back_as_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = [
        Request(
            "demo-enhance", ("unprocessed", "audiosr@basic:steps=10"), ("snr",), audio=Path("runs/demo-inputs/a b"),
            content="music", conditions=("lowpass:cutoff_hz=4000,filter=cheby1",), seed=3, untrained=True,
            out=Path("elsewhere"),
        ),
        Request("demo-generate", ("audioldm:negative=low_quality",), prompts=("it's \"loud\"; $HOME",)),
    ]  # fmt: skip
    for request, options in zip(asked, (Options("cuda:1", Path("/weights/of all")), Options()), strict=True):
        words = shlex.split(command(request, options))[2:]
        read = run_command.make_context("run", words).params
        names = {field.name for field in fields(Request)} & read.keys()
        assert {"suite", "systems", "audio", "conditions", "prompts", "seed", "untrained", "out"} <= names
        assert Request(**{name: read[name] for name in names}) == request
        assert (read["device"], read["weights"]) == (options.device, options.weights)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, speechlike: Sound) -> Path:
    path = tmp_path_factory.mktemp("sound") / "voice.wav"
    audio.write(path, speechlike(1.2, 16_000))
    return path


def request_of(sound: Path, out: Path, *systems: str) -> Request:
    folder = from_upload(sound, "general", Limits(), out).folder
    return Request("demo-code", systems, audio=folder, out=out)


@pytest.mark.slow
def test_a_trial_is_the_run_of_its_command_line(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = request_of(sound, tmp_path / "runs", "opus@12kbps", "amr-nb@12.2kbps")
    with Desk(Settings(out=tmp_path / "runs", options=Options(quiet=True)), tmp_path / "home") as desk:
        events = list(desk.carry_out(request, "me"))
    paths = list(dict.fromkeys(event.path for event in events if event.path))
    runs = [open_run(path) for path in paths]
    assert [run.info.system for run in runs] == ["opus@12kbps", "amr-nb@12.2kbps"]
    assert all(not run.pending and not run.failures for run in runs)
    assert events[-1] == Event("at", "measuring")
    typed = command(request, Options())
    assert typed.startswith(f"ldmbench run demo-code --audio {shlex.quote(os.path.relpath(str(request.audio)))} ")
    # In a folder of its own, the command line makes the same sounds under the same IDs.
    words = [*shlex.split(typed)[1:], "--out", str(tmp_path / "again"), "--quiet", "--jobs", "1"]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    again = find_runs(tmp_path / "again", runs[0].info.suite)
    assert {run.info.id: [row.digest for row in run.outputs.values()] for run in again} == {
        run.info.id: [row.digest for row in run.outputs.values()] for run in runs
    }
    pack = make_pack([[str(path) for path in paths]], "mushra", "Mine", tmp_path / "runs")
    key = load_key(pack.folder, load_pack(pack.folder))
    assert set(key.systems) == {"opus@12kbps", "amr-nb@12.2kbps"}
    assert pack.commands[1].startswith("ldmbench mushra serve runs/demo-packs/")


def test_what_is_not_ready_is_a_line_with_the_reason(sound: Path, tmp_path: Path) -> None:
    with Desk(Settings(out=tmp_path / "runs", options=Options(quiet=True)), tmp_path / "home") as desk:
        request = request_of(sound, tmp_path / "runs", "semanticodec@0.35kbps")
        shown = list(forms.stream(desk, lambda: request, "me"))
    assert 'data-state="done"' in shown[-1][0]
    assert "ldmbench fetch semanticodec@0.35kbps" in shown[-1][0]
    assert shown[-1][1] == []


def test_a_cancelled_trial_ends_its_process_and_the_next_one_starts_afresh(sound: Path, tmp_path: Path) -> None:
    with Desk(Settings(out=tmp_path / "runs", options=Options(quiet=True)), tmp_path / "home") as desk:
        request = request_of(sound, tmp_path / "runs", "opus@6kbps")
        before = set(descendants(os.getpid()))
        events = desk.carry_out(request, "me")
        next(events)
        started = set(descendants(os.getpid())) - before
        assert started
        desk.cancel("me")
        start = time.monotonic()
        with pytest.raises(CancelledError):
            list(events)
        # Also what its process had started by then.
        while any(Path(f"/proc/{pid}").exists() for pid in started):
            assert time.monotonic() - start < 5
            time.sleep(0.01)
        with pytest.raises(CancelledError):
            list(desk.carry_out(request, "me"))
        desk.begin("me")
        desk.cancel("somebody else")
        assert any(event.path for event in desk.carry_out(request, "me"))


def test_an_empty_pack_and_trials_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="the pack is empty"):
        make_pack([], "mushra", "", tmp_path)
    with pytest.raises(BenchError, match="unknown method 'poll'"):
        make_pack([["x"]], "poll", "", tmp_path)
    assert size_of(tmp_path) == 0


# ---- a Space


def test_a_space_holds_the_page_the_bench_and_what_they_need(tmp_path: Path) -> None:
    if find_spec("gradio") is None:  # Its import takes ten seconds.
        pytest.skip("a Space names the version of gradio, which is not installed")
    folder = tmp_path / "space"
    done = CliRunner().invoke(cli, ["demo", "opus", "semanticodec", "--space", str(folder), "--most-seconds", "5"])
    assert done.exit_code == 0, done.output
    head = (folder / "README.md").read_text().split("---")[1]
    fields = dict(line.split(": ", 1) for line in head.strip().splitlines())
    assert (fields["sdk"], fields["app_file"], fields["license"]) == ("gradio", "app.py", "apache-2.0")
    assert fields["sdk_version"].startswith("6.")
    needed = (folder / "requirements.txt").read_text().splitlines()
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0] for line in needed}
    assert {"numpy", "soundfile", "torch"} <= names
    assert not names & {"gradio", "pytest", "ray"}
    assert not [line for line in needed if "extra ==" in line]
    application = (folder / "app.py").read_text()
    compile(application, "app.py", "exec")
    assert "systems=('opus', 'semanticodec')" in application
    assert "'seconds': 5.0" in application
    assert (folder / "ldmbench" / "systems" / "codecs" / "opus.toml").is_file()
    assert (folder / "ldmbench" / "datasets" / "builtin-speech" / "test.csv").is_file()
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    again = CliRunner().invoke(cli, ["demo", "--space", str(folder)])
    assert (again.exit_code, "is not an empty folder" in again.output) == (2, True)
    other = CliRunner().invoke(cli, ["demo", "./mine.toml", "--space", str(tmp_path / "other")])
    assert "does not come with ldmbench" in other.output
