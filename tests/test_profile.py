"""Latency of systems whose latency is known, and the table of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips.clip import Clip
from ldmbench.deployment import latency
from ldmbench.deployment.profile import Profile, profile
from ldmbench.errors import BenchError
from ldmbench.reports.profiles import DEPLOYMENT, to_text
from ldmbench.runs.identity import identity, system_id
from ldmbench.system.card import SystemCard
from ldmbench.system.protocol import Output
from ldmbench.system.registry import resolve
from tests.conftest import Sound
from tests.present import present

RATE = 16_000
SUITE = """
name = "tiny"
title = "Three codecs"
task = "codec"
datasets = []
systems = ["reference", "g722", "amr-nb@12.2kbps"]
metrics = ["snr", "kbps"]
"""


class Framed:
    """Each frame is scaled by its own loudest sample and that of ``ahead`` samples after it; late by ``late``."""

    card = SystemCard(name="framed", title="T", tasks=("codec",), licence="MIT", module="m:C", rate=RATE)

    def __init__(self, frame: int, ahead: int, late: int = 0, whole: bool = False, random: bool = False) -> None:
        self.frame, self.ahead, self.late, self.whole, self.random = frame, ahead, late, whole, random
        self.generator = np.random.default_rng(0)

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        for clip in clips:
            source = clip.audio.samples[0].astype(np.float64)
            made = np.zeros_like(source)
            for start in range(0, source.size, self.frame):
                seen = source[start : start + self.frame + self.ahead]
                gain = 1 / (1 + np.mean(np.abs(source if self.whole else seen)))
                made[start : start + self.frame] = gain * source[start : start + self.frame]
            if self.random:
                made += self.generator.standard_normal(made.size)
            made = np.concatenate([np.zeros(self.late), made])[: source.size]
            yield Output(Audio.of(made, RATE))


@pytest.mark.parametrize(("frame", "ahead"), [(320, 80), (160, 0), (960, 240), (16, 0), (5600, 0), (9600, 4800)])
def test_latency_is_frame_and_look_ahead(frame: int, ahead: int) -> None:
    measured = latency.measure(Framed(frame, ahead), RATE)
    assert measured.future == pytest.approx((frame + ahead - 1) / RATE, abs=0.001)
    assert measured.streaming
    assert measured.residual == 0.0


def test_a_delay_that_is_not_made_up_for_is_told_from_the_latency() -> None:
    """What is late needs less of the future at its own time; the impulse says by how much it is late."""
    measured = latency.measure(Framed(320, 80, late=100), RATE)
    assert measured.future == pytest.approx((320 + 80 - 1 - 100) / RATE, abs=0.001)
    assert measured.residual == pytest.approx(100 / RATE)


def test_what_needs_the_whole_sound_does_not_stream() -> None:
    measured = latency.measure(Framed(320, 0, whole=True), RATE)
    assert measured.streaming is False
    # All that lies before the first change.
    assert measured.future == pytest.approx(1.8)
    row = Profile("whole", RATE, None, None, measured.future, measured.residual, measured.streaming, 0.1, False)
    assert to_text([row], "csv").splitlines()[1].split(",")[4] == "1.8"
    assert "> 1000" in to_text([row], "text")


@pytest.mark.parametrize(("late", "passes"), [(0, 25), (12_000, 50)])
def test_a_short_sound_is_enough_where_the_look_ahead_is_short(late: int, passes: int) -> None:
    """A second for every pass, but for the impulse; where no change shows in a second the sound is a longer one."""
    heard: list[float] = []

    class Listening(Framed):
        def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
            heard.extend(clip.audio.duration for clip in clips)
            yield from super().process(clips)

    measured = latency.measure(Listening(320, 80, late=late), RATE)
    assert measured.residual == pytest.approx(late / RATE)
    assert len(heard) <= passes
    assert heard.count(3.3) == (1 if late == 0 else len(heard) - 14)


def test_what_changes_from_time_to_time_is_not_measured() -> None:
    measured = latency.measure(Framed(320, 0, random=True), RATE)
    assert (measured.future, measured.streaming, measured.repeats) == (None, None, False)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        # 20 ms and 6.5 ms of look-ahead: RFC 6716, section 2 and the pre-skip.
        ("opus@24kbps", 0.020, 0.0270),
        # 20 ms, and 5 ms of look-ahead but in the mode 12.2: 3GPP TS 26.090, 5.2.1 and 5.2.2.
        ("amr-nb@12.2kbps", 0.0195, 0.0205),
        ("amr-nb@4.75kbps", 0.0205, 0.0252),
    ],
)
def test_codecs_have_about_the_latency_of_their_standards(name: str, least: float, most: float) -> None:
    row = profile(name)
    assert row.future is not None
    assert least < row.future < most
    assert row.streaming
    assert row.residual is not None
    # At 4.75 kbps the pulses of the codebook lie where they fit best, which is not where the impulse was.
    assert abs(row.residual) < (0.001 if name != "amr-nb@4.75kbps" else 0.01)
    assert row.parameters is None


@pytest.mark.slow
def test_a_network_is_profiled_at_the_rate_of_its_variant() -> None:
    """EnCodec at 24 kHz is causal: its latency is its frame of 320 samples, and no resampler's."""
    pytest.importorskip("transformers", reason="the extra 'models' is not installed")
    row = profile("encodec@6kbps", untrained=True)
    assert (row.rate, row.untrained) == (24_000, True)
    assert 0.9 * 320 / 24_000 < present(row.future) < 320 / 24_000
    # Layers of the encoder and of the decoder, as the paper counts them: a few billion for a second.
    assert 2e9 < present(row.macs) < 4e9


def test_what_cannot_be_measured_says_so() -> None:
    for name, message in (("audioldm", "turns no sound into another"), ("opus-lace", "a process of its own")):
        with pytest.raises(BenchError, match=message):
            profile(name, untrained=name == "audioldm")


def test_profiles_stand_beside_the_metrics_of_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speechlike: Sound, in_this_process: None
) -> None:
    monkeypatch.chdir(tmp_path)

    def ask(*words: str) -> Result:
        return CliRunner().invoke(cli, words)

    Path("tiny.toml").write_text(SUITE)
    audio.write(Path("clips/one.wav"), speechlike(1.0))
    assert ask("run", "tiny.toml", "--audio", "clips", "--quiet", "--jobs", "1").exit_code == 0
    done = ask("profile", "g722", "amr-nb@12.2kbps", "--to", "json", "-o", "profiles.json")
    assert done.exit_code == 0, done.output
    g722, amr = rows = json.loads(Path("profiles.json").read_text())
    done = ask("report", "tiny+clips", "--profiles", "profiles.json", "--to", "json")
    assert done.exit_code == 0, done.output
    table = json.loads(done.stdout)
    cells = {
        (row["system"], column["metric"]): cell["estimate"]["value"]
        for row in table["rows"]
        for column, cell in zip(table["columns"], row["cells"], strict=True)
        if column["dataset"] == DEPLOYMENT and cell["estimate"]
    }
    assert cells["g722@64kbps", "latency"] == pytest.approx(1000 * g722["future"])
    assert cells["amr-nb@12.2kbps", "latency"] == pytest.approx(1000 * amr["future"])
    assert "Not profiled: reference" in table["notes"]
    assert not any("n = 0" in note for note in table["notes"])
    # Of a codec that was changed since, and of one that was measured to need all of the sound.
    g722["identity"], amr["streaming"] = "0" * 64, False
    Path("profiles.json").write_text(json.dumps([*rows, {**g722, "system": "mine", "identity": ""}]))
    spec = 'runs = ["tiny+clips"]\nprofiles = "profiles.json"\nto = "md"\n'
    Path("table.toml").write_text(spec)
    shown = ask("report", "--spec", "table.toml").stdout
    assert "Latency" not in shown
    assert "another version (card, settings, code or weights), not shown: g722@64kbps" in shown
    assert "more than 1 s of the future needed: amr-nb@12.2kbps" in shown
    for text, message in ((json.dumps([g722]), "is of other systems, or of other versions"), ("{}", "holds no prof")):
        Path("profiles.json").write_text(text)
        refused = ask("report", "--spec", "table.toml")
        assert (refused.exit_code, message in refused.stderr) == (2, True), refused.output


def test_what_a_system_is_does_not_depend_on_clips_and_seed() -> None:
    spec = resolve("opus@12kbps")
    whole = identity(spec, (), ("a", "b"), 7)
    assert system_id(whole) == system_id(identity(spec, (), (), 0))
    others = [resolve("opus@24kbps"), resolve("encodec", untrained=True), resolve("opus@12kbps:loss=5")]
    assert len({system_id(identity(other, (), (), 0)) for other in (spec, *others)}) == 4


def test_the_table_from_the_command_line(tmp_path: Path) -> None:
    answer = CliRunner().invoke(cli, ["profile", "g722", "--json", "-o", str(tmp_path / "table.json")])
    assert answer.exit_code == 0, answer.output
    (row,) = profiles = [Profile(**item) for item in json.loads((tmp_path / "table.json").read_text())]
    assert row.streaming
    assert present(row.future) < 0.003
    text = to_text(profiles, "terminal")
    assert "g722@64kbps" in text
    assert "nothing is computed in torch" in text
    assert to_text(profiles, "csv").splitlines()[1].startswith("g722@64kbps,16000,,,")
