"""Audio in memory and on disk: exact, whole or refused in one line."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError

Sound = Callable[..., Audio]

RATE = 16_000


def pcm(sound: Audio) -> bytes:
    return np.round(sound.samples.T * 32767).astype("<i2").tobytes()


def riff(data: bytes, promised: int | None = None, before: bytes = b"", magic: bytes = b"RIFF") -> bytes:
    """A 16-bit mono WAV around ``data``, with chunks ``before`` the samples and a size of one's choice."""
    body = b"WAVE" + b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) + before
    body += b"data" + struct.pack("<I", len(data) if promised is None else promised) + data
    size = len(body) if promised is None or promised < 2**31 else promised
    return magic + struct.pack("<I", size & 0xFFFFFFFF) + body


def encode(path: Path, sound: Audio, container: str, codec: str, **options: str) -> None:
    import av

    with av.open(str(path), "w", format=container, options=options) as handle:
        stream = handle.add_stream(codec, rate=sound.rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.array(sound.samples), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = sound.rate, 0
        for part in (frame, None):
            handle.mux(stream.encode(part))


def refused(path: Path) -> str:
    """The one line with which ``path`` is refused."""
    with pytest.raises(BenchError) as caught:
        audio.read(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


# Reading what is right


@pytest.mark.parametrize(
    ("subtype", "step"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-23), ("FLOAT", 0.0), ("DOUBLE", 0.0)],
)
def test_every_wav_format_to_its_last_bit(tmp_path: Path, tone: Sound, subtype: str, step: float) -> None:
    sound = tone(0.1, channels=2)
    soundfile.write(tmp_path / "a.wav", sound.samples.T, RATE, subtype=subtype)
    read = audio.read(tmp_path / "a.wav")
    assert (read.rate, read.samples.shape, read.samples.dtype) == (RATE, sound.samples.shape, np.dtype(np.float32))
    assert np.abs(read.samples - sound.samples).max() <= step


def test_integers_scale_to_plus_minus_one(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(riff(struct.pack("<3h", -32768, 0, 16384)))
    assert audio.read(tmp_path / "a.wav").samples.tolist() == [[-1.0, 0.0, 0.5]]


def test_floats_above_one_are_kept_exactly(tmp_path: Path) -> None:
    loud = np.array([[1.5, -7.25, 1e-30, 3e6]], np.float32)
    soundfile.write(tmp_path / "a.wav", loud.T, RATE, subtype="FLOAT")
    assert np.array_equal(audio.read(tmp_path / "a.wav").samples, loud)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_few_samples(tmp_path: Path, length: int) -> None:
    audio.write(tmp_path / "a.wav", Audio.of(np.ones(length), RATE))
    assert audio.read(tmp_path / "a.wav").samples.tolist() == [[1.0] * length]


def test_silence_is_audio(tmp_path: Path) -> None:
    audio.write(tmp_path / "a.wav", Audio.of(np.zeros(100), RATE))
    assert not audio.read(tmp_path / "a.wav").samples.any()


def test_surround_keeps_its_channels(tmp_path: Path) -> None:
    six = np.arange(60, dtype=np.float32).reshape(6, 10) / 100
    soundfile.write(tmp_path / "a.wav", six.T, 48_000, subtype="FLOAT")
    read = audio.read(tmp_path / "a.wav")
    assert np.array_equal(read.samples, six)
    with pytest.raises(BenchError, match=r"cannot turn 6 channels into 2.*does not choose a surround down-mix"):
        read.with_channels(2)
    assert np.allclose(read.mono().samples[0], six.mean(axis=0), atol=1e-7)


@pytest.mark.parametrize("suffix", [".mp3", ".raw", ".gsm", ".txt", ""])
def test_content_decides_not_the_ending(tmp_path: Path, tone: Sound, suffix: str) -> None:
    sound = tone(0.1)
    audio.write(tmp_path / "a.wav", sound)
    (tmp_path / "a.wav").rename(tmp_path / f"b{suffix}")
    assert np.array_equal(audio.read(tmp_path / f"b{suffix}").samples, sound.samples)
    soundfile.write(tmp_path / "a.flac", sound.samples.T, RATE, subtype="PCM_24")
    (tmp_path / "a.flac").rename(tmp_path / "c.wav")
    assert np.allclose(audio.read(tmp_path / "c.wav").samples, sound.samples, atol=2**-23)


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_wav_written_to_a_pipe(tmp_path: Path, tone: Sound, size: int) -> None:
    (tmp_path / "a.wav").write_bytes(riff(pcm(tone(0.1)), size))
    assert np.allclose(audio.read(tmp_path / "a.wav").samples, tone(0.1).samples, atol=1e-4)


def test_a_flac_written_to_a_pipe(tmp_path: Path, tone: Sound) -> None:
    soundfile.write(tmp_path / "a.flac", tone().samples.T, RATE, subtype="PCM_16")
    content = bytearray((tmp_path / "a.flac").read_bytes())
    # STREAMINFO: the 36 bits for the number of samples are 0 where it was not known.
    packed = int.from_bytes(content[18:26], "big")
    content[18:26] = (packed >> 36 << 36).to_bytes(8, "big")
    (tmp_path / "b.flac").write_bytes(content)
    assert np.array_equal(audio.read(tmp_path / "b.flac").samples, audio.read(tmp_path / "a.flac").samples)


def test_an_odd_chunk_is_padded(tmp_path: Path, tone: Sound) -> None:
    junk = b"junk" + struct.pack("<I", 3) + b"abc\0"
    (tmp_path / "a.wav").write_bytes(riff(pcm(tone(0.1)), before=junk))
    assert audio.read(tmp_path / "a.wav").length == 1600
    (tmp_path / "b.wav").write_bytes(riff(pcm(tone(0.1)), before=junk)[:-100])
    assert "is truncated: 3100 of 3200 bytes of samples" in refused(tmp_path / "b.wav")


@pytest.mark.parametrize(("suffix", "kind"), [("wav", "RF64"), ("aiff", "AIFF"), ("w64", "W64"), ("au", "AU")])
def test_other_uncompressed_containers(tmp_path: Path, tone: Sound, suffix: str, kind: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone().samples.T, RATE, subtype="PCM_16", format=kind)
    assert np.allclose(audio.read(path).samples, tone().samples, atol=2**-15)
    content = path.read_bytes()
    path.write_bytes(content[:-1000])
    assert "is truncated" in refused(path)


#: name -> container and codec: capitals through libsndfile, the others through FFmpeg's libraries
LOSSY = {
    "mp3-sndfile": ("MP3", "MPEG_LAYER_III"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "mp4-faststart": ("mp4", "aac"),
    "aac": ("adts", "aac"),
}


def lossy(folder: Path, kind: str, sound: Audio) -> Path:
    container, codec = LOSSY[kind]
    path = folder / f"a.{kind}"
    if container.isupper():
        soundfile.write(path, sound.samples.T, sound.rate, format=container, subtype=codec)
    elif kind == "mp4-faststart":
        encode(path, sound, container, codec, movflags="faststart")
    else:
        encode(path, sound, container, codec)
    return path


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_decode_in_place(tmp_path: Path, speechlike: Sound, kind: str) -> None:
    sound = speechlike(1.0)
    read = audio.read(lossy(tmp_path, kind, sound))
    assert (read.rate, read.channels) == (RATE, 1)
    # A bare AAC stream has nowhere to say that its first 1024 samples are priming; the others do.
    delay = 1024 if kind == "aac" else 0
    assert sound.length <= read.length <= sound.length + delay + 1024
    found = read.samples[0, delay : delay + sound.length]
    correlation = np.corrcoef(found, sound.samples[0])[0, 1]
    assert correlation > 0.9


# Reading what is wrong


@pytest.mark.parametrize("kind", LOSSY)
@pytest.mark.parametrize("missing", [9, 0.3, 0.7])
def test_a_cut_off_lossy_file_is_refused(tmp_path: Path, speechlike: Sound, kind: str, missing: float) -> None:
    path = lossy(tmp_path, kind, speechlike(1.0))
    content = path.read_bytes()
    kept = len(content) - round(missing if missing > 1 else missing * len(content))
    if kind == "m4a" and missing > 1:
        pytest.skip("the last bytes of an MP4 without faststart are tags, not sound")
    path.write_bytes(content[:kept])
    text = refused(path)
    assert "truncated" in text or "is not audio" in text, text


def test_mp3_tags_at_the_end_are_not_missing_sound(tmp_path: Path, tone: Sound) -> None:
    path = lossy(tmp_path, "mp3", tone())
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert audio.read(path).length == RATE


def test_an_mp3_without_a_header_of_its_length_is_read(tmp_path: Path, tone: Sound) -> None:
    encode(tmp_path / "a.mp3", tone(), "mp3", "libmp3lame", write_xing="0", id3v2_version="0")
    assert b"Xing" not in (tmp_path / "a.mp3").read_bytes()[:200]
    assert b"Info" not in (tmp_path / "a.mp3").read_bytes()[:200]
    assert RATE <= audio.read(tmp_path / "a.mp3").length < RATE + 3000


def test_an_ogg_that_never_ends_is_refused(tmp_path: Path, speechlike: Sound) -> None:
    path = lossy(tmp_path, "opus", speechlike(3.0))
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS")])
    assert "is truncated: the last Ogg page does not end the stream" in refused(path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert refused(tmp_path / "a.wav").endswith("is empty: 0 bytes (fix: replace or remove the file)")


def test_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "a.wav").endswith("does not exist (fix: check the path or the clip list)")


def test_a_folder(tmp_path: Path) -> None:
    assert refused(tmp_path).endswith("is not a file: a folder (fix: name an audio file)")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    assert "is not a file: a device or pipe" in refused(tmp_path / "a.wav")


@pytest.mark.parametrize("kept", [44, 45, 20_000, -1])
def test_a_truncated_wav_says_how_much_is_there(tmp_path: Path, tone: Sound, kept: int) -> None:
    content = riff(pcm(tone()))[:kept]
    (tmp_path / "a.wav").write_bytes(content)
    there = len(content) - 44
    expected = f"is truncated: {there} of 32000 bytes of samples (fix: copy or download the file again)"
    assert refused(tmp_path / "a.wav").endswith(expected)


@pytest.mark.parametrize("kept", range(1, 44))
def test_a_wav_cut_within_its_header(tmp_path: Path, tone: Sound, kept: int) -> None:
    (tmp_path / "a.wav").write_bytes(riff(pcm(tone()))[:kept])
    text = refused(tmp_path / "a.wav")
    assert any(word in text for word in ("is not audio", "cannot be decoded", "holds no samples")), text


def test_a_truncated_rf64_by_its_64_bit_size(tmp_path: Path, tone: Sound) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone().samples.T, RATE, subtype="PCM_16", format="RF64")
    content = path.read_bytes()
    assert content[:4] == b"RF64"
    path.write_bytes(content[: len(content) // 2])
    assert "of 32000 bytes of samples" in refused(path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_flac(tmp_path: Path, speechlike: Sound, share: float) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, speechlike().samples.T, RATE)
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    refused(path)


def test_a_flac_with_a_flipped_byte(tmp_path: Path, speechlike: Sound) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, speechlike().samples.T, RATE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert "cannot be decoded" in refused(path)


def test_a_wav_without_samples(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(riff(b""))
    assert "holds no samples: a header and zero frames" in refused(tmp_path / "a.wav")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_counted_and_placed(tmp_path: Path, bad: float) -> None:
    samples = np.zeros((2, RATE), np.float32)
    samples[1, 4000] = samples[1, 9000] = bad
    soundfile.write(tmp_path / "a.wav", samples.T, RATE, subtype="FLOAT")
    text = refused(tmp_path / "a.wav")
    assert "holds NaN or Inf: 2 of 32000 values, the first in channel 1 at 0.250 s (fix: render the file again)" in text


@pytest.mark.parametrize(
    "content",
    [
        b"no audio at all\n" * 50,
        bytes(5000),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"PK\x03\x04" + bytes(100),
        np.random.default_rng(0).bytes(5000),
        b"RIFF" + struct.pack("<I", 104) + b"AVI " + bytes(100),
        b"ID3",
        b"\xff\xfb\x90\x00" + bytes(300),
        b"OggS",
        b"fLaC",
    ],
)
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.ogg", "a.m4a", "a.raw", "a.vox"])
def test_what_is_not_audio(tmp_path: Path, name: str, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(content)
    text = refused(tmp_path / name)
    assert any(word in text for word in ("is not audio", "holds no audio", "cannot be decoded", "is truncated")), text
    assert "does not exist" not in text


def test_decoders_do_not_write_to_the_terminal(tmp_path: Path, tone: Sound, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.mp3").write_text("no audio at all\n" * 50)
    refused(tmp_path / "text.mp3")
    path = lossy(tmp_path, "mp3-sndfile", tone())
    path.write_bytes(path.read_bytes()[:2000])
    refused(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_no_permission(tmp_path: Path, tone: Sound) -> None:
    audio.write(tmp_path / "a.wav", tone())
    (tmp_path / "a.wav").chmod(0)
    if os.geteuid() != 0:
        assert "cannot be read: Permission denied (fix: check its permissions)" in refused(tmp_path / "a.wav")
        return
    # Root reads everything: give up being root in another process.
    for folder in (tmp_path, *tmp_path.parents[:2]):  # What pytest made, and closed to others.
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    code = (
        "import os, sys\n"
        "import soundfile\n"
        "from ldmbench.audio import sound as audio\n"
        "from ldmbench.errors import BenchError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: audio.read(sys.argv[1])\n"
        "except BenchError as error: print(error)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "a.wav")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/a.wav cannot be read: Permission denied (fix: check its permissions)\n"


# Parts of a file


def test_a_part_of_a_file(tmp_path: Path, tone: Sound) -> None:
    sound = tone(1.0, channels=2)
    audio.write(tmp_path / "a.wav", sound)
    part = audio.read(tmp_path / "a.wav", 0.25, 0.5)
    assert np.array_equal(part.samples, sound.samples[:, 4000:8000])
    assert np.array_equal(audio.read(tmp_path / "a.wav", 0.75).samples, sound.samples[:, 12000:])
    assert audio.read(tmp_path / "a.wav", 0.0, 1.0).length == RATE


@pytest.mark.parametrize(("start", "end"), [(1.0, None), (0.5, 1.01), (2.0, 3.0)])
def test_a_part_that_is_not_there(tmp_path: Path, tone: Sound, start: float, end: float | None) -> None:
    audio.write(tmp_path / "a.wav", tone())
    with pytest.raises(BenchError, match=r"is shorter than its place in the clip list: 1\.00 s"):
        audio.read(tmp_path / "a.wav", start, end)


# Writing


def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    sound = Audio.of(np.random.default_rng(0).standard_normal((2, 1000)) * 3, 44_100)
    audio.write(tmp_path / "deep" / "folder" / "a.wav", sound)
    back = audio.read(tmp_path / "deep" / "folder" / "a.wav")
    assert back.digest() == sound.digest()
    # Another reader agrees.
    samples, rate = soundfile.read(tmp_path / "deep" / "folder" / "a.wav", dtype="float32", always_2d=True)
    assert rate == 44_100
    assert np.array_equal(samples.T, sound.samples)
    assert soundfile.info(tmp_path / "deep" / "folder" / "a.wav").subtype == "FLOAT"


#: What stands before the samples, by rate, channels and length: as the hand-written header had it that SciPy's replaced
#: (Multimedia Programming Interface and Data Specifications 1.0, 1991; New Multimedia Data Types 3.0, 1994).
WAV_HEADERS = {
    (8000, 1, 0): (
        "524946463200000057415645 666d74201200000003000100401f0000007d0000040020000000 "
        "666163740400000000000000 6461746100000000"
    ),
    (16000, 1, 3): (
        "524946463e00000057415645 666d74201200000003000100803e000000fa0000040020000000 "
        "666163740400000003000000 646174610c000000"
    ),
    (22050, 1, 1000): (
        "52494646d20f000057415645 666d742012000000030001002256000088580100040020000000 "
        "6661637404000000e8030000 64617461a00f0000"
    ),
    (44100, 2, 7): (
        "524946466a00000057415645 666d7420120000000300020044ac000020620500080020000000 "
        "666163740400000007000000 6461746138000000"
    ),
    (48000, 6, 480): (
        "52494646322d000057415645 666d7420120000000300060080bb000000941100180020000000 "
        "6661637404000000e0010000 64617461002d0000"
    ),
    (192000, 8, 2): (
        "524946467200000057415645 666d7420120000000300080000ee020000c05d00200020000000 "
        "666163740400000002000000 6461746140000000"
    ),
}


@pytest.mark.parametrize(("rate", "channels", "length"), WAV_HEADERS)
def test_the_bytes_of_a_file_never_change(tmp_path: Path, rate: int, channels: int, length: int) -> None:
    samples = np.random.default_rng(length).standard_normal((channels, length)).astype(np.float32)
    audio.write(tmp_path / "a.wav", Audio(samples, rate))
    expected = bytes.fromhex(WAV_HEADERS[rate, channels, length]) + samples.astype("<f4").T.tobytes()
    assert (tmp_path / "a.wav").read_bytes() == expected


def test_equal_sounds_make_equal_files(tmp_path: Path, tone: Sound) -> None:
    for name in ("a.wav", "b.wav"):
        audio.write(tmp_path / name, tone(0.1))
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_a_file_in_the_way_of_the_folder(tmp_path: Path, tone: Sound) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(BenchError, match=r"cannot write .*choose another --out") as caught:
        audio.write(tmp_path / "x" / "a.wav", tone())
    assert caught.value.exit_code == 1


def test_a_failing_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, tone: Sound, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio.write(tmp_path / "a.wav", tone(0.1))
    before = (tmp_path / "a.wav").read_bytes()

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(BenchError, match="No space left on device"):
        audio.write(tmp_path / "a.wav", tone(0.2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == before


def test_a_full_disk(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        audio.write(tmp_path / "small.wav", Audio.of(np.ones(1000), RATE))
        with pytest.raises(BenchError, match=r"big\.wav: No space left on device \(fix: free disk space") as caught:
            audio.write(tmp_path / "big.wav", Audio.of(np.ones(1_000_000), RATE))
        assert caught.value.exit_code == 1
        assert [path.name for path in tmp_path.iterdir()] == ["small.wav"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_file_size_limit(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        with pytest.raises(BenchError, match="File too large"):
            audio.write(tmp_path / "a.wav", Audio.of(np.ones(100_000), RATE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_wav_holds_four_gigabytes(tmp_path: Path) -> None:
    # Broadcast zeros: the shape of four gigabytes, the memory of one number.
    long = Audio(np.broadcast_to(np.zeros(1, np.float32), (1, 2**30)).view(), RATE)
    with pytest.raises(BenchError, match="a WAV holds 4 GiB"):
        audio.write(tmp_path / "a.wav", long)
    assert list(tmp_path.iterdir()) == []


# In memory


def test_construction_is_strict() -> None:
    with pytest.raises(ValueError, match="float32"):
        Audio(np.zeros((1, 3)), RATE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="channels, time"):
        Audio(np.zeros(3, np.float32), RATE)
    with pytest.raises(ValueError, match="positive rate"):
        Audio.of(np.zeros(3), 0)
    with pytest.raises(ValueError, match="read-only"):
        Audio.of(np.zeros(3), RATE).samples[0, 0] = 1.0


def test_of_copies() -> None:
    mine = np.zeros((1, 3), np.float32)
    sound = Audio.of(mine, RATE)
    mine[0, 0] = 1.0
    assert sound.samples[0, 0] == 0.0


def test_views_are_made_once(tone: Sound) -> None:
    sound = tone(channels=2)
    assert sound.at(8000) is sound.at(8000)
    assert sound.mono() is sound.mono()
    assert sound.at(RATE) is sound
    assert sound.mono().mono() is sound.mono()
    assert sound.with_channels(2) is sound
    assert sound.fit(RATE) is sound


def test_channels(tone: Sound) -> None:
    mono = tone()
    assert np.array_equal(mono.with_channels(2).samples, np.repeat(mono.samples, 2, axis=0))
    stereo = Audio.of([[1.0, 0.5], [0.0, 0.5]], RATE)
    assert stereo.mono().samples.tolist() == [[0.5, 0.5]]


def test_fit_trims_and_pads() -> None:
    sound = Audio.of([1.0, 2.0, 3.0], RATE)
    assert sound.fit(2).samples.tolist() == [[1.0, 2.0]]
    assert sound.fit(5).samples.tolist() == [[1.0, 2.0, 3.0, 0.0, 0.0]]


def test_stack_pads_to_the_longest() -> None:
    stacked = audio.stack([Audio.of([1.0, 2.0], RATE), Audio.of([[1.0], [3.0]], RATE)])
    assert stacked.tolist() == [[1.0, 2.0], [2.0, 0.0]]


@settings(max_examples=40)
@given(
    length=st.integers(1, 3000),
    old=st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000]),
    new=st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000]),
)
def test_resampling_follows_the_length_law(length: int, old: int, new: int) -> None:
    assert Audio.of(np.ones(length), old).at(new).length == round(length * new / old)


def inner(sound: Audio) -> np.ndarray:
    """Samples away from the ends, where the filter sees zeros."""
    return sound.samples[0, sound.length // 5 : -sound.length // 5].astype(np.float64)


@pytest.mark.parametrize(("old", "new"), [(48_000, 16_000), (16_000, 48_000), (44_100, 16_000), (16_000, 22_050)])
def test_resampling_keeps_a_tone_in_place(tone: Sound, old: int, new: int) -> None:
    found, exact = tone(1.0, old, hz=1000).at(new), tone(1.0, new, hz=1000)
    assert np.abs(inner(found) - inner(exact)).max() < 1e-5


@pytest.mark.parametrize("hz", [8200, 9000, 12_000, 23_000])
def test_resampling_suppresses_aliases(tone: Sound, hz: int) -> None:
    found = inner(tone(1.0, 48_000, hz=hz).at(16_000))
    assert decibels(found) < -130


@pytest.mark.parametrize("hz", [100, 4000, 7000, 7200])
def test_resampling_is_flat_in_the_pass_band(tone: Sound, hz: int) -> None:
    assert abs(decibels(inner(tone(1.0, 48_000, hz=hz).at(16_000)))) < 0.01


def decibels(samples: np.ndarray) -> float:
    """Level against that of a tone with the peak 0.5."""
    return float(20 * np.log10(np.sqrt(np.mean(samples**2)) / (0.5 / np.sqrt(2))))


def test_resampling_keeps_a_constant() -> None:
    found = inner(Audio.of(np.full(48_000, 0.7), 48_000).at(16_000))
    assert np.abs(found - 0.7).max() < 1e-5


def test_resampling_keeps_channels_apart() -> None:
    stereo = Audio.of([np.ones(4800), np.zeros(4800)], 48_000).at(16_000)
    assert not stereo.samples[1].any()
    assert np.allclose(stereo.samples[0, 300:-300], 1, atol=1e-5)


def test_digest_is_of_rate_shape_and_samples_only(tmp_path: Path) -> None:
    sound = Audio.of([[0.1, 0.2, 0.3, 0.4]], RATE)
    assert sound.digest() == Audio.of([[0.1, 0.2, 0.3, 0.4]], RATE).digest()
    # A view that is not contiguous holds the same sound.
    wide = Audio(np.array([[0.1, 0, 0.2, 0, 0.3, 0, 0.4, 0]], np.float32)[:, ::2], RATE)
    assert wide.digest() == sound.digest()
    others = [
        Audio.of(sound.samples, 8000),
        Audio.of(sound.samples.reshape(2, 2), RATE),
        Audio.of(sound.samples.reshape(4, 1), RATE),
        Audio.of(sound.samples * 1.0000001, RATE),
        sound.fit(5),
    ]
    assert len({sound.digest(), *(other.digest() for other in others)}) == 6
    audio.write(tmp_path / "a.wav", sound)
    soundfile.write(tmp_path / "a.w64", sound.samples.T, RATE, format="W64", subtype="FLOAT")
    assert audio.read(tmp_path / "a.wav").digest() == audio.read(tmp_path / "a.w64").digest() == sound.digest()


def test_digest_never_changes() -> None:
    # Pinned clip lists hold these: SHA-256 of the little-endian int64 (8000, 1, 2) and the float32 (0.5, -1).
    expected = hashlib.sha256(struct.pack("<qqqff", 8000, 1, 2, 0.5, -1.0)).hexdigest()
    assert Audio.of([0.5, -1.0], 8000).digest() == expected
