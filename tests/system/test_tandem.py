"""Two codecs one after the other are what they are by hand, and a run of them says so in its ID."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.audio import sound as audio_io
from ldmbench.cli import cli
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.errors import BenchError
from ldmbench.runs.check import check_systems
from ldmbench.runs.code import TANDEM, code_modules
from ldmbench.runs.identity import identity
from ldmbench.runs.results import find_runs
from ldmbench.system.protocol import Output, Prepares, System, parameters_of
from ldmbench.system.registry import load_system, resolve
from tests.conftest import Sound
from tests.present import present

NAME = "opus@12kbps:after=amr-nb@12.2kbps"


def made(name: str, clip: Clip) -> Output:
    (output,) = load_system(resolve(name)).process([clip])
    return output


@pytest.mark.parametrize("condition", [None, Condition(kind="telephone", law="mu")])
def test_the_second_codec_gets_what_came_out_of_the_first(condition: Condition | None, speechlike: Sound) -> None:
    clip = Clip("set/one", "set", loaded=speechlike(1.03), condition=condition, seed=7)
    first = present(made("amr-nb@12.2kbps", clip).audio)
    assert first.rate == 8000
    by_hand = made("opus@12kbps", Clip("set/one", "set", loaded=first, seed=7))
    both = made(NAME, clip)
    sound = present(both.audio)
    assert np.array_equal(sound.samples, present(by_hand.audio).samples)
    assert sound.duration == clip.audio.duration
    assert (both.bits, both.details["after"]) == (by_hand.bits, "amr-nb@12.2kbps")
    assert not np.array_equal(sound.samples, present(made("opus@12kbps", clip).audio).samples)


@pytest.mark.parametrize("name", ["opus@12kbps", "amr-nb@12.2kbps", "mp3@32kbps"])
def test_a_codec_after_itself_is_two_passes(name: str, speechlike: Sound) -> None:
    clip = Clip("set/one", "set", loaded=speechlike(1.03), seed=7)
    twice, after = made(f"{name}:passes=2", clip), made(f"{name}:after={name}", clip)
    assert np.array_equal(present(twice.audio).samples, present(after.audio).samples)
    assert twice.bits == after.bits


def test_losses_of_both_are_not_the_same(speechlike: Sound) -> None:
    clip = Clip("set/one", "set", loaded=speechlike(4.0), seed=7)
    lossy = "amr-nb@12.2kbps:loss=20"
    first = present(made(lossy, clip.seeded(clip.seed)).audio)
    by_hand = made("amr-nb@12.2kbps:loss=20", Clip("set/one", "set", loaded=first, seed=7))
    both = made(f"amr-nb@12.2kbps:loss=20,after={lossy}", clip)
    assert np.array_equal(present(both.audio).samples, present(by_hand.audio).samples)
    assert clip.seeded(clip.seed).seed != clip.seed


def test_a_batch_is_its_clips(speechlike: Sound) -> None:
    clips = [Clip(f"set/{index}", "set", loaded=speechlike(0.5, seed=index), seed=index) for index in range(3)]
    together = list(load_system(resolve(NAME)).process(clips))
    assert [output.bits for output in together] == [made(NAME, clip).bits for clip in clips]


class Learner:
    """Notes what it is set up with, and has parameters from then on."""

    def __init__(self, count: int) -> None:
        self.card, self.count, self.heard = resolve("noise").card, count, 0

    def setup(self, clips: list[Clip]) -> None:
        self.heard = len(clips)

    @property
    def parameters(self) -> int:
        assert self.heard, "asked after setup"
        return self.count

    def process(self, clips: list[Clip]) -> list[Output]:
        return [Output() for _ in clips]


def test_both_are_set_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"noise": Learner(3), "opus": Learner(4)}
    monkeypatch.setattr("ldmbench.system.registry.load_adapter", lambda card: lambda spec: made[card.name])
    system: System = load_system(resolve("opus:after=noise"))
    assert isinstance(system, Prepares)
    clips = [Clip("set/one", "set")]
    system.setup(clips)
    assert parameters_of(system) == 7
    assert [item.heard for item in made.values()] == [1, 1]
    with pytest.raises(BenchError, match="noise made no sound of set/one"):
        list(system.process(clips))


def test_codecs_without_parameters_have_none_together() -> None:
    system = load_system(resolve(NAME))
    assert isinstance(system, Prepares)
    system.setup([])
    assert parameters_of(system) is None


def test_a_run_is_known_by_both() -> None:
    specs = [resolve(name) for name in ("opus@12kbps", NAME, "opus@12kbps:after=amr-nb@4.75kbps", "opus@24kbps")]
    ids = [identity(spec, (), (), 0) for spec in specs]
    assert len({str(sorted(parts.items())) for parts in ids}) == 4
    assert ids[1]["after"] != ids[2]["after"]
    assert "after" not in ids[0]
    assert TANDEM in code_modules(TANDEM), "what leads from one to the other counts"
    assert resolve("opus@12kbps:after=amr-nb").label == NAME, "the variant is made explicit"
    # One more before these two.
    third = resolve(f"kmeans-mel@1.40kbps:after={NAME}")
    assert present(present(third.before).before).label == "amr-nb@12.2kbps"


def test_random_weights_of_the_first_are_random_weights() -> None:
    spec = resolve("opus@12kbps:after=encodec@6kbps", untrained=True)
    assert spec.untrained
    assert not resolve(NAME, untrained=True).untrained
    (finding,) = check_systems([resolve("opus@12kbps:after=encodec@6kbps")])
    assert (finding.level, finding.subject) == ("error", "opus@12kbps:after=encodec@6kbps")
    assert "weights of encodec@6kbps are not in" in finding.text + finding.fix
    assert [item.level for item in check_systems([resolve(NAME)])] == ["ok"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("opus:after=audioldm", "nothing can come after audioldm"),
        ("opus:after=nothing", "unknown system 'nothing'"),
        ("audioldm:after=opus", "unknown setting of audioldm 'after'"),
    ],
)
def test_what_makes_no_tandem_is_one_line(name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        resolve(name)


def test_a_tandem_is_a_row_like_others(tmp_path: Path, speechlike: Sound, in_this_process: None) -> None:
    audio_io.write(tmp_path / "clips" / "one.wav", speechlike(1.0))
    suite = tmp_path / "tiny.toml"
    suite.write_text(
        'name = "tiny"\ntitle = "T"\ntask = "codec"\ndatasets = []\nmetrics = ["kbps", "stoi"]\n'
        f'systems = ["opus@12kbps", "amr-nb@12.2kbps", "{NAME}"]\n'
    )
    words = ["run", suite, "--audio", tmp_path / "clips", "--content", "speech", "--out", tmp_path / "runs"]
    answer = CliRunner().invoke(cli, [*map(str, words), "--quiet", "--jobs", "1"])
    assert answer.exit_code == 0, answer.output
    runs = {run.info.system: run for run in find_runs(tmp_path / "runs", "tiny+clips")}
    stoi = {name: present(present(run.estimate("stoi")).value) for name, run in runs.items()}
    # Compared with the clean clip: after both it is worse than after either.
    assert stoi[NAME] < min(stoi["opus@12kbps"], stoi["amr-nb@12.2kbps"])
    shown = CliRunner().invoke(cli, ["report", "tiny+clips", "--out", str(tmp_path / "runs"), "--to", "csv"])
    assert f"{NAME}," in shown.stdout
