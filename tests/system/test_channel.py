"""Channels lose what they say, and codecs conceal it; without losses nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics._base import load_metric
from ldmbench.names import Name
from ldmbench.system.card import SystemCard, SystemSpec
from ldmbench.system.channel import Channel, repeated
from ldmbench.system.codec import Codec, Stream
from ldmbench.system.protocol import Output
from ldmbench.system.registry import load_system, resolve
from tests.conftest import Sound
from tests.present import present


def runs(lost: np.ndarray) -> np.ndarray:
    """Lengths of the runs of lost packets."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize(
    ("settings", "length"),
    [
        ({"loss": 5.0}, 1 / 0.95),
        ({"loss": 20.0}, 1 / 0.8),
        ({"loss": 5.0, "burst": 4.0}, 4.0),
        ({"loss": 20.0, "burst": 10.0}, 10.0),
        # Of a bad packet half are lost: a run of losses goes on where the state stays bad and the next is lost too.
        ({"loss": 10.0, "burst": 6.0, "burst_loss": 50.0}, 1 / (1 - 0.5 * 5 / 6)),
    ],
)
def test_losses_have_the_rate_and_the_bursts_they_are_asked_for(settings: dict[str, Any], length: float) -> None:
    lost = Channel.of("x", settings).lost(400_000, seed=1)
    assert 100 * lost.mean() == pytest.approx(settings["loss"], rel=0.03)
    assert runs(lost).mean() == pytest.approx(length, rel=0.03)


def test_losses_are_drawn_from_the_seed_and_nest() -> None:
    few, many = (Channel.of("x", {"loss": loss}).lost(1000, seed=3) for loss in (5.0, 20.0))
    assert not (few & ~many).any()
    np.testing.assert_array_equal(few, Channel.of("x", {"loss": 5.0}).lost(1000, seed=3))
    assert (few != Channel.of("x", {"loss": 5.0}).lost(1000, seed=4)).any()
    assert not Channel.of("x", {"loss": 0.0, "burst": 4.0}).lost(1000, seed=3).any()


@pytest.mark.parametrize("settings", [{"loss": 20.0}, {"loss": 10.0, "burst": 6.0, "burst_loss": 50.0}])
def test_the_first_packets_meet_the_same_losses_however_many_follow(settings: dict[str, Any]) -> None:
    channel = Channel.of("x", settings)
    for seed in range(10):
        np.testing.assert_array_equal(channel.lost(100, seed), channel.lost(107, seed)[:100])


def test_what_is_lost_is_replaced_by_the_last_that_arrived() -> None:
    lost = np.array([True, False, True, True, False, True])
    assert repeated(lost).tolist() == [-1, 1, 1, 1, 4, 4]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("opus:loss=100", "0 or more, and less than 100"),
        ("opus:loss=-1", "0 or more"),
        ("opus:burst=4", "no such channel: no loss"),
        ("opus:loss=5,burst=0.5", "0, or 1 packet and more"),
        ("opus:loss=60,burst=1", "longer ones"),
        ("opus:loss=60,burst=4,burst_loss=50", "less than burst_loss"),
        ("opus:loss=5,burst_loss=50", "name their length"),
        ("opus:passes=0", "1 or more"),
        ("mp3:loss=5", "mp3@64kbps:loss=5.0 has no packets .*: Mp3 lacks the methods 'packets' and 'receive'"),
        ("reference:passes=2", "reference:passes=2 has no channel: passes is a setting of codecs"),
        ("opus:passes=two", "must be a whole number"),
        ("deepfilternet:loss=5", "unknown setting"),
    ],
)
def test_a_channel_that_cannot_be_is_refused(name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        load_system(resolve(name))


def test_the_preflight_refuses_what_has_no_channel(tmp_path: Path, tone: Sound) -> None:
    audio_io.write(tmp_path / "clips" / "tone.wav", tone())
    for name, message in (("mp3:loss=5", "no packets that could be lost"), ("opus:loss=100", "less than 100")):
        words = ["run", "quickstart", "-s", name, "--audio", str(tmp_path / "clips"), "--out", str(tmp_path / "runs")]
        answer = CliRunner().invoke(cli, words)
        assert answer.exit_code == 2
        assert message in answer.stderr
    assert not (tmp_path / "runs").exists()


def output(name: str, clip: Clip) -> Output:
    return next(iter(load_system(resolve(name)).process([clip])))


@pytest.fixture(scope="module")
def clip(speechlike: Sound) -> Clip:
    return Clip("d/c", "d", "speech", loaded=speechlike(3.0), seed=5)


@pytest.mark.parametrize("name", ["opus@24kbps", "opus@6kbps", "amr-nb@12.2kbps"])
def test_a_channel_without_losses_changes_no_sample(clip: Clip, name: str) -> None:
    """For Opus that is libopus against FFmpeg's wrapper of it."""
    through, plain = output(f"{name}:loss=0", clip), output(name, clip)
    assert present(through.audio).digest() == present(plain.audio).digest()
    assert through.bits == plain.bits
    assert through.details["packets_lost"] == 0 < through.details["packets"]


@pytest.mark.parametrize("name", ["opus@24kbps", "amr-nb@12.2kbps"])
def test_what_is_lost_is_concealed_and_costs_quality(clip: Clip, name: str) -> None:
    lost, again, worse, plain = (output(f"{name}{more}", clip) for more in (":loss=5", ":loss=5", ":loss=30", ""))
    assert present(lost.audio).digest() == present(again.audio).digest()
    assert 0 < lost.details["packets_lost"] < worse.details["packets_lost"]
    assert lost.bits == plain.bits
    metric = load_metric("pesq_wb")
    scores = [float(metric.measure(clip, item)) for item in (plain, lost, worse)]
    assert scores[0] > scores[1] + 0.1 > scores[2] + 0.2
    # Concealed, not silent: zeros in place of what was lost would leave holes.
    first, second = present(plain.audio), present(lost.audio)
    same = np.all(first.samples == second.samples, axis=0)
    gap = second.samples[:, ~same]
    assert np.mean(gap == 0.0) < 0.2
    ratio = load_metric("packet_loss").measure(clip, lost)
    assert list(np.ravel(ratio)) == [100 * lost.details["packets_lost"], lost.details["packets"]]


def test_passes_code_what_the_pass_before_decoded(clip: Clip) -> None:
    once, twice = output("opus@12kbps", clip), output("opus@12kbps:passes=2", clip)
    by_hand = output("opus@12kbps", Clip("d/c", "d", loaded=present(once.audio), seed=5))
    assert present(twice.audio).digest() == present(by_hand.audio).fit(present(twice.audio).length).digest()
    assert present(output("opus@12kbps:passes=1", clip).audio).digest() == present(once.audio).digest()


def test_settings_of_a_channel_are_part_of_the_name_and_of_nothing_else() -> None:
    spec = resolve("opus@24kbps:loss=5,burst=4")
    assert spec.label == "opus@24kbps:burst=4.0,loss=5.0"
    assert "loss" not in resolve("opus@24kbps").settings


class Bytes(Codec):
    """A byte a sample, sent in packets of one sample; what is lost is not concealed."""

    def encode(self, audio: Audio) -> Stream:
        return Stream(np.round(127 * audio.samples[0]), 8 * audio.length)

    def decode(self, stream: Stream) -> Audio:
        return Audio.of(stream.payload / 127, self.rate)


class Sends(Bytes):
    """With packets."""

    def packets(self, stream: Stream) -> int:
        return int(stream.payload.size)

    def receive(self, stream: Stream, lost: np.ndarray) -> Audio:
        return self.decode(replace(stream, payload=np.where(lost, 0.0, stream.payload)))


def test_a_codec_of_ones_own_loses_what_its_channel_loses(tone: Sound) -> None:
    card = SystemCard(name="mine", title="T", tasks=("codec",), licence="MIT", module="m:C", rate=8000)
    spec = SystemSpec(card, Name("mine"), {"loss": 25.0})
    clip = Clip("d/c", "d", loaded=tone(1.0, rate=8000), seed=9)
    heard = present(next(iter(Sends(spec).process([clip]))).audio)
    lost = Channel(25.0, lossy=True).lost(8000, 9)
    expected = np.where(lost, 0.0, np.round(127 * clip.audio.samples[0]) / 127)
    np.testing.assert_allclose(heard.samples[0], expected, atol=1e-7)
    with pytest.raises(BenchError, match="no packets that could be lost: it lacks the methods 'packets' and 'receive'"):
        list(Bytes(spec).process([clip]))
