"""The codecs of the ffmpeg program: alignment, bits, and what is said where the program or an encoder is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.system.protocol import Checks, Output
from ldmbench.system.registry import load_system, load_system_card, resolve
from ldmbench.systems.codecs import _ffmpeg
from ldmbench.systems.codecs.codec2 import Codec2
from ldmbench.systems.codecs.speex import Speex
from ldmbench.systems.codecs.vorbis import Vorbis

CODECS = ["codec2", "speex", "vorbis"]
VARIANTS = {codec: list(load_system_card(codec).variants) for codec in CODECS}


@pytest.mark.parametrize("variant", VARIANTS["vorbis"])
@pytest.mark.parametrize("rate", [48000, 22050])
def test_vorbis_is_aligned_to_the_sample(
    variant: str, rate: int, speech_like: Callable[..., Audio], through: Callable[..., Output], lag: Callable[..., int]
) -> None:
    audio = speech_like(rate, 1.0)
    decoded = through(f"vorbis@{variant}", audio).audio
    assert decoded is not None
    assert decoded.rate == rate
    assert lag(audio.samples[0], decoded.samples[0]) == 0


@pytest.mark.parametrize("variant", VARIANTS["speex"])
def test_speex_is_aligned_to_the_sample(
    variant: str, speech_like: Callable[..., Audio], through: Callable[..., Output], lag: Callable[..., int]
) -> None:
    """At 4 kbps the lower band has no waveform to find a lag in, only an envelope (5 ms); at 6 kbps a coarse one."""
    audio = speech_like(16000, 2.0)
    decoded = through(f"speex@{variant}", audio).audio
    assert decoded is not None
    if variant == "4kbps":
        envelopes = [np.convolve(np.abs(sound.samples[0]), np.hanning(160), "same") for sound in (audio, decoded)]
        assert abs(lag(*(envelope - envelope.mean() for envelope in envelopes))) <= 80
    else:
        assert abs(lag(audio.samples[0], decoded.samples[0])) <= (variant == "6kbps")


@pytest.mark.parametrize("variant", VARIANTS["codec2"])
def test_codec2_is_aligned_by_its_envelope(
    variant: str, speech_like: Callable[..., Audio], through: Callable[..., Output], lag: Callable[..., int]
) -> None:
    """A vocoder has phases of its own: 5 ms is what the envelope of 20 ms can tell."""
    audio = speech_like(8000, 4.0)
    decoded = through(f"codec2@{variant}", audio).audio
    assert decoded is not None
    envelopes = [np.convolve(np.abs(sound.samples[0]), np.hanning(160), "same") for sound in (audio, decoded)]
    assert abs(lag(*(envelope - envelope.mean() for envelope in envelopes))) <= 40


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("length", [15999, 16001, 16313])
def test_the_end_survives(codec: str, length: int, through: Callable[..., Output]) -> None:
    pulses = scipy.signal.lfilter([1], [1, -1.6, 0.8], (np.arange(length) % 133 == 0).astype(float))
    audio = Audio.of(0.3 * pulses / np.abs(pulses).max(), 16000)
    decoded = through(codec, audio).audio
    assert decoded is not None
    reference = audio.at(decoded.rate)
    assert decoded.length == reference.length
    tail = round(0.02 * decoded.rate)
    level, expected = (np.sum(sound.samples[0, -tail:] ** 2) for sound in (decoded, reference))
    assert abs(10 * np.log10(level / expected)) < 6


@pytest.mark.parametrize(
    ("label", "rate", "bits"),
    [
        # ceil((samples + delay) / frame) frames of whole bytes, worked out by hand for 1 s.
        ("codec2@0.7kbps", 8000, 26 * 4 * 8),
        ("codec2@1.2kbps", 8000, 26 * 6 * 8),
        ("codec2@2.4kbps", 8000, 51 * 6 * 8),
        ("codec2@3.2kbps", 8000, 51 * 8 * 8),
        ("speex@4kbps", 16000, 51 * 10 * 8),
        ("speex@42.4kbps", 16000, 51 * 106 * 8),
    ],
)
def test_bits_are_those_of_the_packets(
    label: str, rate: int, bits: int, speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    assert through(label, speech_like(rate, 1.0)).bits == bits


@pytest.mark.parametrize("codec", ["speex", "vorbis"])
def test_more_bits_are_nearer(
    codec: str, speech_like: Callable[..., Audio], through: Callable[..., Output], snr: Callable[..., float]
) -> None:
    audio = speech_like(16000, 2.0)
    low, high = (through(f"{codec}@{VARIANTS[codec][index]}", audio) for index in (0, -1))
    assert low.audio
    assert high.audio
    assert low.bits
    assert high.bits
    assert low.bits < high.bits
    assert snr(audio.samples, high.audio.samples) > snr(audio.samples, low.audio.samples) + 1


def test_codec2_with_more_bits_has_the_nearer_spectrum(
    speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    audio = speech_like(8000, 3.0)

    def distance(label: str) -> float:
        decoded = through(label, audio).audio
        assert decoded
        first, second = (
            10 * np.log10(np.abs(scipy.signal.stft(sound.samples[0], nperseg=512)[2]) ** 2 + 1e-8)
            for sound in (audio, decoded)
        )
        return float(np.mean(np.abs(first - second)))

    assert distance("codec2@3.2kbps") < distance("codec2@0.7kbps") - 0.3


def test_stereo_vorbis_keeps_its_channels(speech_like: Callable[..., Audio], through: Callable[..., Output]) -> None:
    audio = speech_like(44100, 0.5, channels=2)
    decoded = through("vorbis@128kbps", audio).audio
    assert decoded
    for channel in range(2):
        assert np.corrcoef(audio.samples[channel], decoded.samples[channel])[0, 1] > 0.9


@pytest.mark.parametrize("variant", VARIANTS["vorbis"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 32000])
def test_every_vorbis_variant_takes_every_clip(
    variant: str, channels: int, rate: int, speech_like: Callable[..., Audio], through: Callable[..., Output]
) -> None:
    output = through(f"vorbis@{variant}", speech_like(rate, 0.2, channels=channels))
    assert output.audio
    assert output.audio.channels == channels


@pytest.mark.parametrize("codec", CODECS)
def test_odd_inputs(codec: str, speech_like: Callable[..., Audio], through: Callable[..., Output]) -> None:
    surround = through(codec, speech_like(48000, 0.2, channels=6))
    assert surround.details["downmix"] == "mean of 6 channels"
    silent = through(codec, Audio.of(np.zeros(8000), 16000))
    assert silent.audio
    assert np.abs(silent.audio.samples).max() < 0.01
    short = through(codec, Audio.of([0.5], 8000))
    assert short.audio
    assert short.audio.length == short.audio.rate // 8000


@pytest.mark.parametrize("codec", ["codec2", "speex"])
def test_integer_codecs_count_what_they_clip(codec: str, through: Callable[..., Output]) -> None:
    rate = load_system_card(codec).rate
    audio = Audio.of(1.5 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate), rate)
    assert through(codec, audio).details["clipped_samples"] == np.count_nonzero(np.abs(audio.samples) > 1)


@pytest.mark.parametrize("codec", ["codec2", "speex"])
def test_no_sample_left(codec: str, through: Callable[..., Output]) -> None:
    with pytest.raises(BenchError, match="too short for"):
        through(codec, Audio.of([0.5], 96000))


@pytest.mark.parametrize("label", ["vorbis:kbps=1000", "vorbis:kbps=2", "speex:quality=11", "codec2:mode=9"])
def test_refused_settings(label: str, speech_like: Callable[..., Audio], through: Callable[..., Output]) -> None:
    with pytest.raises(BenchError) as caught:
        through(label, speech_like(48000, 0.2))
    assert "\n" not in str(caught.value)


@pytest.fixture
def no_memory() -> Iterator[None]:
    """Forget which encoders are installed, before and after."""
    _ffmpeg.listed.cache_clear()
    yield
    _ffmpeg.listed.cache_clear()


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize("adapter", [Codec2, Speex, Vorbis])
def test_program_missing(adapter: type[Checks], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    name = adapter.__name__.lower()
    assert "not installed" in adapter.available()
    with pytest.raises(BenchError, match="apt-get install ffmpeg"):
        load_system(resolve(name))


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize("adapter", [Codec2, Speex, Vorbis])
def test_encoder_missing(adapter: type[Checks], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nprintf 'Codecs:\\n ------\\n A..... aac    AAC\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    name = adapter.__name__.lower()
    assert f"no lib{name}" in adapter.available()
    with pytest.raises(BenchError, match=f"has no lib{name}"):
        load_system(resolve(name))


@pytest.mark.usefixtures("no_memory")
def test_failure_of_the_program_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'first line' >&2\necho 'second line' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(BenchError, match="first line") as caught:
        _ffmpeg.run("vorbis", [], b"")
    assert "second line" not in str(caught.value)
