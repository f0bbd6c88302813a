"""Alignment, bits, formats and odd inputs of the codecs that come with the PyAV wheel."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.system.protocol import Output
from ldmbench.system.registry import load_system, load_system_card, resolve
from ldmbench.systems.codecs._packets import PacketCodec, coding_rate, fit_format

CODECS = ["opus", "mp3", "aac", "amr-nb", "g722", "g726"]
VARIANTS = [f"{codec}@{variant}" for codec in CODECS for variant in load_system_card(codec).variants]

#: Samples at 48 kHz: packets of SILK and of CELT, which are shifted by fractions of a sample against each other, may
#: alternate within one stream. From 64 kbps on all are CELT.
OPUS_TOLERANCE = 2


@pytest.mark.parametrize("label", VARIANTS)
def test_aligned_to_the_sample(
    label: str, speech_like: Callable[..., Audio], through: Callable[..., Output], lag: Callable[..., int]
) -> None:
    audio = speech_like(48000, 2.0)
    decoded = through(label, audio).audio
    assert decoded is not None
    codec, kbps = label.removesuffix("kbps").split("@")
    tolerance = OPUS_TOLERANCE if codec == "opus" and float(kbps) < 64 else 0
    assert abs(lag(audio.at(decoded.rate).samples[0], decoded.samples[0])) <= tolerance


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("length", [47999, 48000, 48001, 48311])
def test_the_end_survives(
    codec: str, length: int, speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    time = np.arange(length) / 48000
    audio = Audio.of(0.3 * np.sin(2 * np.pi * 700 * time), 48000)
    decoded = through(codec, audio).audio
    assert decoded is not None
    reference = audio.at(decoded.rate)
    assert decoded.length == reference.length
    tail = round(0.02 * decoded.rate)
    energy = np.sum(decoded.samples[0, -tail:] ** 2) / np.sum(reference.samples[0, -tail:] ** 2)
    assert 10 * math.log10(energy) == pytest.approx(0, abs=3)


@pytest.mark.parametrize("codec", CODECS)
def test_more_bits_are_nearer(
    codec: str, speech_like: Callable[..., Audio], through: Callable[..., Output], snr: Callable[..., float]
) -> None:
    audio = speech_like(48000, 2.0)
    variants = list(load_system_card(codec).variants)
    low, high = (through(f"{codec}@{variant}", audio) for variant in (variants[0], variants[-1]))
    assert low.audio
    assert high.audio
    assert low.bits
    assert high.bits
    assert low.bits < high.bits
    reference = audio.at(low.audio.rate).samples
    assert snr(reference, high.audio.samples) > snr(reference, low.audio.samples) + 1


@pytest.mark.parametrize("label", [label for label in VARIANTS if not label.startswith("aac")])
def test_measured_rate_is_the_named_one(
    label: str, speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    """Constant bit-rates on 5 s, the priming packet included; AMR carries up to 0.75 kbps of framing."""
    output = through(label, speech_like(48000, 5.0))
    assert output.bits
    named = float(label.partition("@")[2].removesuffix("kbps"))
    framing = 0.75 if label.startswith("amr-nb") else 0.04 * named
    assert named <= output.bits / 5000 <= named + framing


@pytest.mark.parametrize("variant", load_system_card("aac").variants)
def test_aac_is_near_its_average(
    variant: str, speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    output = through(f"aac@{variant}", speech_like(48000, 5.0))
    assert output.bits
    assert output.bits / 5000 == pytest.approx(float(variant.removesuffix("kbps")), rel=0.2)


@pytest.mark.parametrize(
    ("label", "rate", "bits"),
    [
        # ceil((samples + delay) / frame) packets of whole bytes, worked out by hand for 1 s.
        ("opus@6kbps", 48000, math.ceil((48000 + 312) / 2880) * 45 * 8),
        ("opus@64kbps", 48000, math.ceil((48000 + 312) / 960) * 160 * 8),
        ("mp3@32kbps", 24000, math.ceil((24000 + 1105) / 576) * 96 * 8),
        ("mp3@64kbps", 48000, math.ceil((48000 + 1105) / 1152) * 192 * 8),
        ("amr-nb@4.75kbps", 8000, math.ceil((8000 + 40) / 160) * 13 * 8),
        ("amr-nb@12.2kbps", 8000, math.ceil((8000 + 40) / 160) * 32 * 8),
        ("g722@64kbps", 16000, (16000 + 22) // 2 * 8),
        ("g722@48kbps", 16000, (16000 + 22) // 2 * 6),
        ("g726@16kbps", 8000, 8000 * 2),
        ("g726@24kbps", 8000, 8000 * 3),
        ("g726@40kbps", 8000, 8000 * 5),
    ],
)
def test_bits_are_those_of_the_packets(
    label: str, rate: int, bits: int, speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    assert through(label, speech_like(rate, 1.0)).bits == bits


@pytest.mark.parametrize("codec", ["opus@96kbps", "mp3@128kbps", "aac@128kbps"])
def test_stereo_stays_stereo(
    codec: str, speech_like: Callable[..., Audio], through: Callable[..., Output], lag: Callable[..., int]
) -> None:
    audio = speech_like(44100, 1.0, channels=2)
    output = through(codec, audio)
    assert output.audio
    assert "downmix" not in output.details
    reference = audio.at(output.audio.rate).samples
    for channel in range(2):
        assert lag(reference[channel], output.audio.samples[channel]) == 0
        same, other = (
            abs(np.corrcoef(reference[index], output.audio.samples[channel])[0, 1]) for index in (channel, 1 - channel)
        )
        assert same > 0.9 > other


@pytest.mark.parametrize("codec", CODECS)
def test_surround_becomes_a_recorded_mono_mix(
    codec: str, speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    audio = speech_like(48000, 0.3, channels=6)
    output = through(codec, audio)
    assert output.audio
    assert output.audio.channels == 1
    assert output.details["downmix"] == "mean of 6 channels"
    mixed = through(codec, audio.mono())
    assert mixed.audio
    assert mixed.audio.digest() == output.audio.digest()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000])
def test_any_rate(
    codec: str,
    rate: int,
    speech_like: Callable[..., Audio],
    through: Callable[..., Output],
    lag: Callable[..., int],
) -> None:
    audio = speech_like(rate, 1.0)
    output = through(codec, audio)
    card = load_system_card(codec)
    assert output.audio
    assert output.audio.rate == (card.rate or rate)
    tolerance = OPUS_TOLERANCE if codec == "opus" else 0
    assert abs(lag(audio.at(output.audio.rate).samples[0], output.audio.samples[0])) <= tolerance
    if card.rate and card.rate != rate:
        assert output.details["resampled_from"] == rate


@pytest.mark.parametrize("label", VARIANTS)
def test_silence(label: str, through: Callable[..., Output]) -> None:
    output = through(label, Audio.of(np.zeros(24000), 48000))
    assert output.audio
    assert np.abs(output.audio.samples).max() < 0.002
    assert output.bits


@pytest.mark.parametrize("label", VARIANTS)
@pytest.mark.parametrize("length", [1, 2, 17, 100])
def test_very_short(label: str, length: int, through: Callable[..., Output]) -> None:
    output = through(label, Audio.of(np.full(length, 0.25), 8000))
    assert output.audio
    assert output.audio.length == round(length * output.audio.rate / 8000)
    assert np.isfinite(output.audio.samples).all()


@pytest.mark.parametrize("codec", ["amr-nb", "g722", "g726", "mp3@8kbps", "aac@12kbps"])
def test_no_sample_left(codec: str, through: Callable[..., Output]) -> None:
    with pytest.raises(BenchError, match="too short for") as caught:
        through(codec, Audio.of([0.5], 48000))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("codec", "gain"),
    [
        ("opus@128kbps", 1.0),
        # LAME turns its input down to 0.95 at constant bit-rates; FFmpeg's AAC turns blocks down that peak above 0.95.
        ("mp3@128kbps", 0.95),
        ("aac@128kbps", 0.95 / 1.5),
    ],
)
def test_float_codecs_do_not_clip(codec: str, gain: float, through: Callable[..., Output]) -> None:
    audio = Audio.of(1.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000), 48000)
    output = through(codec, audio)
    assert output.audio
    assert "clipped_samples" not in output.details
    sine, decoded = (sound.samples[0, 9600:-9600].astype(float) for sound in (audio, output.audio))
    # A clipped sine would keep its peak and lose its shape.
    assert np.dot(sine, decoded) / np.dot(sine, sine) == pytest.approx(gain, abs=0.02)
    assert np.corrcoef(sine, decoded)[0, 1] > 0.9995


@pytest.mark.parametrize(("codec", "rate"), [("amr-nb", 8000), ("g722", 16000), ("g726", 8000)])
def test_integer_codecs_count_what_they_clip(codec: str, rate: int, through: Callable[..., Output]) -> None:
    audio = Audio.of(1.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate), rate)
    assert through(codec, audio).details["clipped_samples"] == np.count_nonzero(np.abs(audio.samples) > 1)
    assert "clipped_samples" not in through(codec, Audio.of(audio.samples / 2, rate)).details


def test_sixteen_bit_conversion() -> None:
    samples = np.array([[0.0, 1.0, -1.0, 1.0001, -2.0, 0.5 / 32768, 1.6 / 32768]], np.float32)
    integers, clipped = fit_format(samples, "s16")
    assert integers.tolist() == [[0, 32767, -32768, 32767, -32768, 0, 2]]
    assert clipped == 2
    assert fit_format(samples, "fltp")[0] is samples


@pytest.mark.parametrize(
    "label",
    [
        "mp3:kbps=20", "mp3@128kbps:min_rate=8000,max_rate=8000", "mp3@16kbps:max_rate=48000", "opus:kbps=0.5",
        "amr-nb:kbps=5", "g722:kbps=32", "g726:kbps=20", "opus:frame_ms=15", "opus:vbr=maybe", "opus:application=music",
        "aac:min_rate=50000,max_rate=60000",
    ],
)  # fmt: skip
def test_settings_that_the_encoder_would_alter_are_refused(
    label: str, speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    with pytest.raises(BenchError) as caught:
        through(label, speech_like(48000, 0.3))
    assert caught.value.fix
    assert "\n" not in str(caught.value)


def test_opus_settings_reach_the_encoder(speech_like: Callable[..., Audio], through: Callable[..., Output]) -> None:
    audio = speech_like(48000, 1.0)
    base = through("opus@12kbps", audio)
    assert base.bits == math.ceil((48000 + 312) / 960) * 30 * 8
    longer = through("opus@12kbps:frame_ms=40", audio)
    assert longer.bits == math.ceil((48000 + 312) / 1920) * 60 * 8
    voip, free = through("opus@12kbps:application=voip", audio), through("opus@12kbps:vbr=on", audio)
    assert voip.audio
    assert base.audio
    assert voip.audio.digest() != base.audio.digest()
    assert free.bits != base.bits


def test_g722_ignores_the_bits_it_gives_away(speech_like: Callable[..., Audio]) -> None:
    system = load_system(resolve("g722@48kbps"))
    assert isinstance(system, PacketCodec)
    stream = system.encode(speech_like(16000, 0.3))
    assert all(byte & 0b11 == 0 for packet in stream.payload.data for byte in packet)


@pytest.mark.parametrize(
    ("rate", "low", "high", "expected"),
    [
        (48000, 8000, 48000, 48000), (44100, 8000, 48000, 44100), (96000, 8000, 48000, 48000),
        (22000, 8000, 48000, 32000), (8000, 16000, 48000, 16000), (44100, 8000, 16000, 16000),
        (7000, 8000, 48000, 8000),
    ],
)  # fmt: skip
def test_coding_rate(rate: int, low: int, high: int, expected: int) -> None:
    assert coding_rate(rate, (8000, 16000, 32000, 44100, 48000), low, high) == expected
