"""The command line as a user types it: what is printed, where, and the exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli

SUITE = """
name = "tiny"
title = "Two anchors"
task = "codec"
datasets = []
systems = ["reference", "lowpass@3.5khz"]
metrics = ["kbps", "stft_dac", "si_sdr"]
"""


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three clips of noise in a folder."""
    generator = np.random.default_rng(1)
    for name in ("a", "b", "sub/c"):
        sound = Audio.of(0.1 * generator.standard_normal((1, 16_000)), 16_000)
        audio.write(tmp_path / "clips" / f"{name}.wav", sound)
    return tmp_path / "clips"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE)
    return path


def run(suite: Path, folder: Path, out: Path, *more: str) -> Result:
    return invoke("run", suite, "--audio", folder, "--out", out, "--jobs", "1", "--quiet", *more)


def journal(out: Path, system: str, name: str = "scores.jsonl") -> list[dict[str, object]]:
    (path,) = out.glob(f"tiny+clips/{system}/*/{name}")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_run_prints_a_table_and_exits_0(suite: Path, folder: Path, tmp_path: Path) -> None:
    result = run(suite, folder, tmp_path / "runs")
    assert result.exit_code == 0, result.output
    assert "lowpass@3.5khz" in result.stdout
    assert "n = 3 clips" in result.stdout


def test_an_anchor_of_somebody_else_declares_itself(
    suite: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by the path of its card, it runs in any of its tasks, is never best, and the reports need no card."""
    module = tmp_path / "mutter_system.py"
    module.write_text(
        "from ldmbench.audio.sound import Audio\n"
        "from ldmbench.system.protocol import Output\n"
        "class Mutter:\n"
        "    def __init__(self, spec):\n"
        "        self.card = spec.card\n"
        "    def process(self, clips):\n"
        "        for clip in clips:\n"
        "            yield Output(Audio(clip.audio.samples / 2, clip.audio.rate))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = 'name = "{0}"\ntitle = "Half"\n{1}tasks = {2}\nmodule = "mutter_system:Mutter"\nlicence = "none"\n'
    both = '["codec", "enhance"]'
    cards = {
        "mutter": text.format("mutter", 'role = "anchor"\n', both),
        "a": text.format("a", "", both),
        "b": text.format("b", "", both),
    }
    paths = [tmp_path / f"{name}.toml" for name in cards]
    for path, content in zip(paths, cards.values(), strict=True):
        path.write_text(content)
    chosen = [word for path in paths for word in ("-s", str(path))]
    assert run(suite, folder, tmp_path / "runs", *chosen).exit_code == 0
    code = module.read_text()
    for path in (*paths, module):
        path.unlink()
    chosen = [word for name in cards for word in ("-s", name)]
    shown = invoke("report", "tiny+clips", *chosen, "--out", tmp_path / "runs", "--to", "json")
    assert shown.exit_code == 0, shown.output
    table = json.loads(shown.stdout)
    column = [item["metric"] for item in table["columns"]].index("stft_dac")
    ranks = {row["system"]: (row["role"], row["cells"][column]["rank"]) for row in table["rows"]}
    assert ranks == {"mutter": ("anchor", 0), "a": ("system", 1), "b": ("system", 1)}
    assert "Not ranked: anchors (mutter), and cells short of clips" in table["notes"]
    suite.write_text(SUITE.replace('task = "codec"', 'task = "generate"'))
    paths[0].write_text(cards["mutter"])
    module.write_text(code)
    refused = run(suite, folder, tmp_path / "runs", "-s", str(paths[0]))
    assert refused.exit_code == 2
    assert "its task is codec or enhance, the suite's is generate" in refused.stderr


def test_a_rerun_computes_nothing(suite: Path, folder: Path, tmp_path: Path) -> None:
    first = run(suite, folder, tmp_path / "runs")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    second = run(suite, folder, tmp_path / "runs")
    assert second.stdout == first.stdout
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*") if path.is_file()}


def test_adding_a_metric_computes_only_that_metric(suite: Path, folder: Path, tmp_path: Path) -> None:
    run(suite, folder, tmp_path / "runs")
    outputs = journal(tmp_path / "runs", "reference", "outputs.jsonl")
    scores = journal(tmp_path / "runs", "reference")
    result = run(suite, folder, tmp_path / "runs", "-m", "snr")
    assert result.exit_code == 0, result.output
    assert journal(tmp_path / "runs", "reference", "outputs.jsonl") == outputs
    added = journal(tmp_path / "runs", "reference")[len(scores) :]
    assert {row["metric"] for row in added} == {"snr"}
    assert len(added) == 3


def test_a_folder_is_said_to_be_speech_only_later(suite: Path, folder: Path, tmp_path: Path) -> None:
    """The sound is the same and so is the run, but metrics of speech now have something to measure."""
    first = run(suite, folder, tmp_path / "runs", "-m", "stoi")
    assert "No STOI: for speech only, and clips holds general" in " ".join(first.stdout.split())
    second = run(suite, folder, tmp_path / "runs", "-m", "stoi", "--content", "speech")
    assert second.exit_code == 0, second.output
    assert "STOI ↑" in second.stdout
    assert len(journal(tmp_path / "runs", "reference", "outputs.jsonl")) == 3
    assert "STOI ↑" not in run(suite, folder, tmp_path / "runs", "-m", "stoi").stdout


def test_adding_a_system_computes_only_that_system(suite: Path, folder: Path, tmp_path: Path) -> None:
    run(suite, folder, tmp_path / "runs")
    scores = journal(tmp_path / "runs", "reference")
    run(suite, folder, tmp_path / "runs", "-s", "reference", "-s", "noise")
    assert journal(tmp_path / "runs", "reference") == scores
    assert len(journal(tmp_path / "runs", "noise", "outputs.jsonl")) == 3


def test_what_an_output_cost_is_in_the_table(suite: Path, folder: Path, tmp_path: Path) -> None:
    costs = ("rtf", "peak_memory", "parameters", "kbps", "tokens_per_second")
    result = run(suite, folder, tmp_path, "--json", *(word for name in costs for word in ("-m", name)))
    assert result.exit_code == 0, result.stderr
    table = json.loads(result.stdout)
    places = {column["metric"]: place for place, column in enumerate(table["columns"])}
    for row in table["rows"]:
        for name in ("rtf", "peak_memory"):
            estimate = row["cells"][places[name]]["estimate"]
            assert estimate["value"] > 0, (row["system"], name)
            assert not estimate["failed"]


def test_one_dataset_of_a_suite_from_a_folder_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AudioSR's table on whatever music is there, with the published values of other music beside it."""
    white = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 44_100))
    audio.write(tmp_path / "music" / "rock" / "a.wav", Audio.of(white, 44_100))
    monkeypatch.setenv("LDMBENCH_AUDIOSTOCK", str(tmp_path / "music"))
    words = ("run", "audiosr-lsd", "-s", "unprocessed", "-s", "reference", "--out", tmp_path, "--quiet", "--jobs", "1")
    result = invoke(*words, "-d", "audiostock@4khz", "-d", "audiostock@8khz", "--json")
    assert result.exit_code == 0, result.stderr
    table = json.loads(result.stdout)
    assert {column["dataset"] for column in table["columns"]} == {"audiostock@4khz", "audiostock@8khz"}
    (row,) = (row for row in table["rows"] if row["system"] == "unprocessed")
    assert row["cells"][0]["published"] == 4.25
    assert row["cells"][0]["estimate"]["value"] > 4
    assert any("chosen by rule" in note for note in table["notes"])
    refused = invoke(*words, "-d", "audiostock", "-d", "esc50")
    assert refused.exit_code == 2
    assert "unknown dataset of suite audiosr-lsd 'esc50'" in refused.stderr
    absent = invoke(*words)
    assert absent.exit_code == 2
    assert "set LDMBENCH_VCTK to its folder; or run the others alone: -d audiostock -d esc50-fold5" in absent.stderr


def test_score_adds_a_metric_to_runs_that_exist(suite: Path, folder: Path, tmp_path: Path) -> None:
    run(suite, folder, tmp_path / "runs")
    result = invoke("score", "tiny+clips", "-m", "snr", "--out", tmp_path / "runs", "--quiet", "--jobs", "1")
    assert result.exit_code == 0, result.output
    assert "SNR" in result.stdout


def test_a_broken_clip_is_a_failed_row_and_the_rest_goes_on(suite: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "broken.wav").write_bytes((folder / "a.wav").read_bytes()[:2000])
    (folder / "notes.txt").write_text("not audio")
    result = run(suite, folder, tmp_path / "runs")
    assert result.exit_code == 1
    assert "is truncated" in result.stderr
    assert "notes.txt" in result.stderr
    assert "notes.txt" in result.stdout, "what was left out belongs below the table as well"
    rows = {row["clip"]: row["status"] for row in journal(tmp_path / "runs", "reference", "outputs.jsonl")}
    assert rows == {"clips/a": "ok", "clips/b": "ok", "clips/broken": "failed", "clips/sub/c": "ok"}
    assert run(suite, folder, tmp_path / "runs", "--allow-failures").exit_code == 0


def test_a_mended_clip_is_another_clip_list(suite: Path, folder: Path, tmp_path: Path) -> None:
    run(suite, folder, tmp_path / "runs")
    audio.write(folder / "a.wav", Audio.of(np.ones((1, 16_000)), 16_000))
    run(suite, folder, tmp_path / "runs")
    assert len(list((tmp_path / "runs").glob("tiny+clips/reference/*"))) == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "quickstrat"], "did you mean quickstart"),
        (["run", "quickstart", "-s", "opsu"], "did you mean opus"),
        (["run", "quickstart", "-s", "opus@7kbps"], "unknown variant of opus '7kbps'"),
        (["run", "quickstart", "-s", "opus:speed=3"], "unknown setting of opus 'speed'"),
        (["run", "quickstart", "-s", "reference", "-m", "pesk_wb"], "did you mean pesq_wb"),
        (["run", "quickstart", "-s", "opus@6kbps", "-s", "opus@6kbps"], "named twice"),
        (["show", "nothing-like-it"], "unknown name"),
        (["report", "quickstart"], "ldmbench run quickstart"),
    ],
)
def test_a_name_that_is_wrong_is_one_clear_line(words: list[str], expected: str, tmp_path: Path) -> None:
    tail = [] if words[0] == "show" else ["--out", str(tmp_path)]
    result = invoke(*words, *tail)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.rglob("run.json")) == []


def test_a_suite_with_an_unknown_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(SUITE + "colour = 'red'\n")
    result = invoke("check", tmp_path / "bad.toml")
    assert result.exit_code == 2
    assert "unknown key 'colour'" in result.stderr


def test_a_suite_for_another_clip_list_is_refused(tmp_path: Path) -> None:
    text = SUITE.replace("datasets = []", 'datasets = ["builtin-music"]')
    (tmp_path / "old.toml").write_text(text + f'[lists]\nbuiltin-music = "{"0" * 64}"\n')
    result = invoke("run", tmp_path / "old.toml", "--out", tmp_path / "runs")
    assert result.exit_code == 2
    assert "was written for another clip list" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_second_run_on_one_folder_is_refused(suite: Path, folder: Path, tmp_path: Path) -> None:
    from ldmbench.runs.journal import lock

    run(suite, folder, tmp_path / "runs")
    (path,) = (tmp_path / "runs").glob("tiny+clips/reference/*")
    with lock(path):
        result = run(suite, folder, tmp_path / "runs", "-m", "snr")
    assert result.exit_code == 2
    assert "another ldmbench writes to it" in result.stderr


def test_check_computes_nothing(suite: Path, folder: Path, tmp_path: Path) -> None:
    result = invoke("check", suite, "--audio", folder, "--out", tmp_path / "runs", "--json")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "runs").exists()
    assert {finding["level"] for finding in json.loads(result.stdout)} == {"ok"}


def test_check_names_a_missing_recogniser(suite: Path, folder: Path, tmp_path: Path) -> None:
    words = ("check", suite, "--audio", folder, "--content", "speech", "-m", "wer_whisper_tiny", "--out", tmp_path)
    result = invoke(*words, "--weights", tmp_path)
    assert result.exit_code == 2
    assert "tiny.pt" in result.stdout


def test_a_missing_program_stops_the_run_or_is_left_out(
    suite: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = run(suite, folder, tmp_path / "runs", "-s", "codec2", "-s", "reference")
    assert refused.exit_code == 2
    assert "ffmpeg" in refused.stderr
    assert not list((tmp_path / "runs").rglob("run.json"))
    partly = run(suite, folder, tmp_path / "runs", "-s", "codec2", "-s", "reference", "--skip-unavailable")
    assert partly.exit_code == 1
    assert "left out: codec2" in partly.stderr
    assert "reference" in partly.stdout


def test_limit_marks_the_run_partial(suite: Path, folder: Path, tmp_path: Path) -> None:
    result = run(suite, folder, tmp_path / "runs", "--limit", "2")
    assert "PARTIAL" in result.stdout
    assert "n = 2 clips" in result.stdout


def test_folders_are_scored_without_an_adapter(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "sub/c", "extra"):
        sound = audio.read(folder / "a.wav")
        audio.write(tmp_path / "generated" / f"{name}.wav", Audio.of(sound.samples * 0.5, sound.rate))
    words = ("score", tmp_path / "generated", "--reference", folder, "-m", "snr", "-m", "stft_dac")
    result = invoke(*words, "--out", tmp_path / "runs", "--quiet", "--jobs", "1")
    assert result.exit_code == 1, "a reference without an output has failed"
    assert "n=2, 1 FAILED" in result.stdout
    assert "1 without a reference, left out: extra" in result.stderr
    assert "no file for 1 of 3 references, failed: b" in result.stderr
    assert not list((tmp_path / "runs").rglob("*.wav"))


def test_several_folders_and_baselines_are_one_table(folder: Path, tmp_path: Path) -> None:
    """Two folders of one name, one with a stated bitrate and one with a file of them, beside a codec of the bench."""
    for number, parent in enumerate(("one", "two"), 2):
        for name in ("a", "b", "sub/c"):
            sound = audio.read(folder / f"{name}.wav")
            audio.write(tmp_path / parent / "mine" / f"{name}.wav", Audio.of(sound.samples / number, sound.rate))
    rates = "path,bits\na.wav,1000\nb.wav,2000\nsub/c.wav,3000\n"
    (tmp_path / "two" / "mine" / "bitrate.csv").write_text(rates)
    both = [tmp_path / parent / "mine" for parent in ("one", "two")]
    rest = ("--reference", folder, "-m", "snr", "--baseline", "opus@12kbps", "--out", tmp_path / "runs", "--jobs", "1")
    result = invoke("score", *both, *rest, "--kbps", f"{both[0]}=1.5")
    assert result.exit_code == 0, result.output
    rows = {words[0]: words[1:] for line in result.stdout.splitlines() if len(words := line.split()) == 3}
    assert rows["mine"] == ["1.50", "6.02"]
    assert rows["two-mine"] == ["2.00", "3.52"]
    assert 10 < float(rows["opus@12kbps"][0]) < 16
    assert "as stated by who made the folders, not measured: mine, two-mine" in " ".join(result.stdout.split())
    assert f"ldmbench report folders+clips --to html --out {tmp_path / 'runs'}" in result.stderr
    assert invoke("report", "folders+clips", "--out", tmp_path / "runs").stdout == result.stdout
    latex = invoke("score", *both, *rest, "--kbps", f"{both[0]}=1.5", "--to", "latex").stdout
    assert r"\begin{tabular}" in latex
    assert latex == invoke("report", "folders+clips", "--out", tmp_path / "runs", "--to", "latex").stdout
    wrong = invoke("score", *both, *rest, "--kbps", "mine=1.5")
    assert wrong.exit_code == 2
    assert "2 of the folders are called so" in wrong.stderr


def test_a_table_is_kept_as_a_file(folder: Path, tmp_path: Path) -> None:
    """The same bytes from anywhere; what is typed counts instead; faults are named."""
    for name in ("a", "b", "sub/c"):
        sound = audio.read(folder / f"{name}.wav")
        audio.write(tmp_path / "mine" / f"{name}.wav", Audio.of(sound.samples / 2, sound.rate))
    words = ("--reference", folder, "-m", "snr", "-m", "stft_dac", "--baseline", "lowpass@3.5khz", "--jobs", "1")
    assert invoke("score", tmp_path / "mine", *words, "--out", tmp_path / "runs", "--quiet").exit_code == 0
    spec = tmp_path / "paper" / "table.toml"
    spec.parent.mkdir()
    spec.write_text(
        'runs = ["folders+clips"]\nout = "../runs"\nto = "latex"\noutput = "table.tex"\n'
        'metrics = ["stft_dac", "snr"]\nsort = "snr"\ncaption = "Ours."\nlabel = "tab:ours"\n'
        '[names]\nmine = "Ours"\nstft_dac = "STFT"\nclips = "Test set"\n'
    )
    assert invoke("report", "--spec", spec).exit_code == 0
    text = (spec.parent / "table.tex").read_bytes()
    assert invoke("report", "--spec", spec).exit_code == 0
    assert (spec.parent / "table.tex").read_bytes() == text
    assert rb"  Ours & " in text
    assert text.index(b"STFT") < text.index(b"SNR")
    assert text.index(b"Ours &") < text.index(b"lowpass@3.5khz")
    assert rb"\caption{Ours.}" in text
    shown = invoke("report", "--spec", spec, "--to", "md", "--output", tmp_path / "t.md", "--sort", "stft_dac")
    assert shown.exit_code == 0, shown.output
    assert "| Ours |" in (tmp_path / "t.md").read_text()
    for line, message in (("colour = 1", "unknown key 'colour'"), ("width = 7", "72 to 2000 points")):
        spec.write_text(f'runs = ["folders+clips"]\n{line}\n')
        refused = invoke("report", "--spec", spec)
        assert refused.exit_code == 2
        assert message in refused.stderr
    assert "nothing to report" in invoke("report").stderr


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("ldmbench run quick", ["quickstart"]),
        ("ldmbench run codecs -s opus@6", ["opus@6kbps", "opus@64kbps"]),
        ("ldmbench score codecs -m visqol_sp", ["visqol_speech_exponential", "visqol_speech_lattice"]),
        ("ldmbench run codecs -d builtin-m", ["builtin-music"]),
        ("ldmbench show amr", ["amr-nb", "amr-nb@4.75kbps"]),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_names(line: str, names: list[str], shell: str) -> None:
    words = line.split()
    position = words[-1] if shell == "fish" else str(len(words) - 1)
    variables = {"_LDMBENCH_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": position}
    answer = CliRunner().invoke(cli, [], prog_name="ldmbench", env=variables, auto_envvar_prefix="LDMBENCH")
    offered = re.findall(r"[\w@.-]+", answer.output)
    assert set(names) <= set(offered), answer.output


def test_bash_completes_at_the_prompt() -> None:
    """A real shell with the script that README installs."""
    bash = shutil.which("bash")
    program = Path(sys.executable).with_name("ldmbench")
    if bash is None or not program.is_file():
        pytest.skip("no bash, or ldmbench is not installed as a program")
    script = (
        'eval "$(_LDMBENCH_COMPLETE=bash_source ldmbench)"; COMP_WORDS=(ldmbench run codecs -s opus@6); COMP_CWORD=4; '
        '_ldmbench_completion ldmbench; echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.split() == ["opus@6kbps", "opus@64kbps"], done.stderr


def test_show_of_a_variant_and_of_a_shared_name(tmp_path: Path) -> None:
    variant = invoke("show", "opus@6kbps:frame_ms=20")
    assert variant.exit_code == 0
    assert "system: opus@6kbps:frame_ms=20" in variant.stdout
    assert "  kbps: 6" in variant.stdout
    assert "  frame_ms: 20" in variant.stdout
    assert "variants" not in variant.stdout
    assert "kind=lowpass" not in invoke("show", "vctk-test").stdout.partition("conditions")[0]
    assert invoke("show", "opus@7kbps").exit_code == 2
    assert "audioldm-zero-shot" in invoke("show", "audioldm-zero-shot").stdout
    both = invoke("show", "audioldm-zero-shot").stdout
    assert "suite: audioldm-zero-shot" in both
    assert "system: audioldm-zero-shot" in both


def test_a_file_has_no_end_of_the_line(
    folder: Path, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is wrapped where the output goes to a file or a pipe; a terminal has its own width."""
    monkeypatch.delenv("COLUMNS", raising=False)
    run(suite, folder, tmp_path / "runs", "-m", "visqol_audio", "-m", "lsd_audiosr", "-m", "lsd_ssr_eval", "-m", "snr")
    wide = invoke("report", "tiny+clips", "--out", tmp_path / "runs")
    heading = next(line for line in wide.stdout.splitlines() if line.startswith("System"))
    assert "SNR" in heading
    assert "LSD (ssr_eval)" in heading
    narrow = CliRunner().invoke(cli, ["report", "tiny+clips", "--out", str(tmp_path / "runs")], env={"COLUMNS": "60"})
    assert max(map(len, narrow.stdout.splitlines())) <= 60


def test_late_outputs_are_noted_and_can_be_aligned(tmp_path: Path, speechlike: Callable[..., Audio]) -> None:
    sound = speechlike(2.0)
    noisy = sound.samples + 0.01 * np.random.default_rng(0).standard_normal(sound.samples.shape)
    late = np.concatenate([np.zeros((1, 371)), noisy], axis=1)[:, : sound.length]
    for name, first, second in (("late", sound.samples, late), ("two", np.repeat(sound.samples, 2, axis=0), noisy)):
        audio.write(tmp_path / "clips" / f"{name}.wav", Audio.of(first, sound.rate))
        audio.write(tmp_path / "outputs" / f"{name}.wav", Audio.of(second if name == "late" else [*first], sound.rate))
    both = (tmp_path / "outputs", "--reference", tmp_path / "clips")
    words = ("score", *both, "-m", "mel_dac", "--quiet", "--jobs", "1", "--out", tmp_path / "runs")
    plain = invoke(*words, "--json")
    assert plain.exit_code == 0, plain.output
    assert "1 of 2 outputs are late or early, by 23.2 ms at most, and scored as they are" in plain.stdout
    assert "1 of 2 outputs have more than one channel: their mono mixes are compared" in plain.stdout
    aligned = invoke(*words, "--align")
    assert aligned.exit_code == 0, aligned.output
    assert "MEL (DAC) aligned" in " ".join(aligned.stdout.split())
    again = invoke("score", "folders+clips", "-m", "stft_dac", "--align", "--out", tmp_path / "runs", "--quiet")
    assert "STFT (DAC) aligned" in " ".join(again.stdout.split()), again.output


def test_folders_without_a_common_name_are_refused(folder: Path, tmp_path: Path) -> None:
    audio.write(tmp_path / "generated" / "x.wav", audio.read(folder / "a.wav"))
    result = invoke("score", tmp_path / "generated", "--reference", folder, "--out", tmp_path / "runs")
    assert result.exit_code == 2
    assert "has the name of one of" in result.stderr


def test_a_reference_that_changed_is_not_scored_against_old_outputs(suite: Path, folder: Path, tmp_path: Path) -> None:
    run(suite, folder, tmp_path / "runs")
    audio.write(folder / "a.wav", Audio.of(np.ones((1, 16_000)), 16_000))
    result = invoke("score", "tiny+clips", "-m", "snr", "--out", tmp_path / "runs", "--quiet", "--jobs", "1")
    assert result.exit_code == 1
    assert "the reference of clips/a changed since the output was made" in result.stderr
    assert "FAILED: lowpass@3.5khz on 1 of 3 clips" in result.stdout


def test_a_system_that_cannot_be_set_up_does_not_stop_the_others(suite: Path, folder: Path, tmp_path: Path) -> None:
    words = ("-s", "reference", "-s", "kmeans-mel:vocab=5")
    result = run(suite, folder, tmp_path / "runs", *words)
    assert result.exit_code == 1
    assert "vocab of kmeans-mel@0.70kbps:vocab=5 must be a power of two" in result.stderr
    assert len(journal(tmp_path / "runs", "reference", "outputs.jsonl")) == 3
    assert "INTERRUPTED: kmeans-mel@0.70kbps:vocab=5 has 0 of 3 clips" in result.stdout


@pytest.mark.parametrize("kind", ["terminal", "md", "csv", "latex", "json"])
def test_report_writes_every_format(suite: Path, folder: Path, tmp_path: Path, kind: str) -> None:
    run(suite, folder, tmp_path / "runs")
    target = tmp_path / f"table.{kind}"
    result = invoke("report", "tiny+clips", "--out", tmp_path / "runs", "--to", kind, "-o", target)
    assert result.exit_code == 0, result.output
    assert "lowpass" in target.read_text()


def test_report_writes_a_page(suite: Path, folder: Path, tmp_path: Path) -> None:
    run(suite, folder, tmp_path / "runs")
    result = invoke("report", "tiny+clips", "--out", tmp_path / "runs", "--to", "html", "-o", tmp_path / "page")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "page" / "index.html").stat().st_size > 5000


def test_export_writes_tidy_tables(suite: Path, folder: Path, tmp_path: Path) -> None:
    import pandas as pd

    run(suite, folder, tmp_path / "runs")
    for kind in ("parquet", "csv"):
        result = invoke("export", "tiny+clips", "--out", tmp_path / "runs", "--to", kind, "-o", tmp_path / "tables")
        assert result.exit_code == 0, result.output
    parquet = pd.read_parquet(tmp_path / "tables" / "scores.parquet")
    csv = pd.read_csv(tmp_path / "tables" / "scores.csv")
    assert len(parquet) == len(csv) == 2 * 3 * 3
    # SI-SDR of an identical signal has no finite value: unscored, and never a zero.
    row = parquet[(parquet.system == "reference") & (parquet.metric == "si_sdr")].iloc[0]
    assert row.status == "unscored"
    assert pd.isna(row.value)


def test_fetch_knows_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke("fetch", "whisper-larg-v3")
    assert result.exit_code == 2
    assert "did you mean whisper-large-v3" in result.stderr
    assert invoke("fetch", "builtin-general").exit_code == 0


def test_untrained_metrics_are_announced(suite: Path, folder: Path, tmp_path: Path) -> None:
    words = ("-s", "reference", "-m", "clap_score:untrained=true")
    report = run(suite, folder, tmp_path / "runs", *words)
    assert report.exit_code == 0, report.output
    assert "UNTRAINED: random weights behind clap_score:untrained=true" in report.stdout


@pytest.mark.parametrize("kind", ["datasets", "systems", "metrics", "suites"])
def test_list_and_show_know_everything(kind: str) -> None:
    names = json.loads(invoke("list", kind, "--json").stdout)[kind]
    assert names
    for name in names:
        shown = invoke("show", name)
        assert shown.exit_code == 0, shown.output
        assert name.partition("@")[0] in shown.stdout
