"""What headers only estimate, leave open, or say wrongly: the sound is read whole, or refused with the reason."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from ldmbench.audio import sound as audio
from ldmbench.audio.decode import LARGEST
from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError

Sound = Callable[..., Audio]

RATE = 16_000


def encode(path: Path, sound: Audio, container: str, codec: str, layout: str = "mono", **options: str) -> Path:
    """A file by FFmpeg's libraries; every stream of ``layout`` holds the same sound in all channels."""
    channels = av.AudioLayout(layout).nb_channels
    with av.open(str(path), "w", format=container, options=options) as handle:
        stream: Any = handle.add_stream(codec, rate=sound.rate)
        stream.layout = layout
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=sound.rate)
        packed = np.repeat(sound.samples[:1].T, channels, axis=1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), format="flt", layout=layout)
        frame.sample_rate, frame.pts = sound.rate, 0
        for whole in (frame, None):
            for part in resampler.resample(whole):
                handle.mux(stream.encode(part))
        handle.mux(stream.encode(None))
    return path


def wav(data: bytes, size: int | None = None, *, riff: int | None = None, form: bytes | None = None) -> bytes:
    """A WAV of 16 bits in mono at 16 kHz, with sizes and format chunk of one's choice."""
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16) if form is None else form
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def pcm(sound: Audio) -> bytes:
    return np.round(sound.samples.T * 32767).astype("<i2").tobytes()


def refused(path: Path) -> str:
    with pytest.raises(BenchError) as caught:
        audio.read(path)
    text = str(caught.value)
    assert text.startswith(f"{path} ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("adts", "aac")])
def test_tags_behind_bare_frames_are_no_frames(tmp_path: Path, speechlike: Sound, container: str, codec: str) -> None:
    """MP3 without a tag of its length, and AAC without a container: FFmpeg would decode an APE tag, and complain."""
    options = {"write_xing": "0", "id3v2_version": "0"} if container == "mp3" else {}
    path = encode(tmp_path / "a.sound", speechlike(0.5), container, codec, **options)
    frames = path.read_bytes()
    sound = audio.read(path)
    items = struct.pack("<II", 4, 0) + b"Year\x001999"
    footer = b"APETAGEX" + struct.pack("<IIIIQ", 2000, len(items) + 32, 1, 0, 0)
    for tags in (items + footer, items + footer + b"TAG" + bytes(125)):
        path.write_bytes(frames + tags)
        assert np.array_equal(audio.read(path).samples, sound.samples)
        assert audio.duration(path) == sound.duration


def test_a_tag_that_says_it_has_no_bytes_is_not_walked_over_for_ever(tmp_path: Path, speechlike: Sound) -> None:
    options = {"write_xing": "0", "id3v2_version": "0"}
    path = encode(tmp_path / "a.mp3", speechlike(0.5), "mp3", "libmp3lame", **options)
    frames = path.read_bytes()
    path.write_bytes(frames + b"APETAGEX" + bytes(24))
    assert f"no MPEG frame at byte {len(frames)}" in refused(path)


# Lengths that a header only estimates, or says wrongly


@pytest.mark.parametrize("quality", [{"b": "64000"}, {"q": "4"}, {"q": "9"}])
def test_an_mp3_from_a_pipe_is_read_to_its_end(tmp_path: Path, speechlike: Sound, quality: dict[str, str]) -> None:
    # Variable bit rates were cut to what the first frames promise.
    loud_at_the_end = Audio.of(np.concatenate([np.zeros(RATE), speechlike(2.0).samples[0]]), RATE)
    options = {"write_xing": "0", "id3v2_version": "0", **quality}
    path = encode(tmp_path / "a.mp3", loud_at_the_end, "mp3", "libmp3lame", **options)
    sound = audio.read(path)
    assert 3 * RATE <= sound.length <= 3 * RATE + 2 * 1152
    assert audio.duration(path) == sound.duration
    assert np.abs(sound.samples[0, -RATE // 2 :]).max() > 0.05


def test_an_mp3_inside_a_wav_is_read_to_its_end(tmp_path: Path, speechlike: Sound) -> None:
    path = encode(tmp_path / "a.wav", speechlike(3.0), "wav", "libmp3lame", q="7")
    assert 3 * RATE <= audio.read(path).length <= 3 * RATE + 3 * 1152


@pytest.mark.parametrize(
    ("container", "codec", "suffix"),
    [("flac", "flac", "flac"), ("OGG", "VORBIS", "ogg"), ("ogg", "libopus", "opus"), ("mp3", "libmp3lame", "mp3"),
     ("wav", "pcm_s16le", "wav"), ("aiff", "pcm_s16be", "aiff"), ("ipod", "aac", "m4a"), ("matroska", "flac", "mka")],
)  # fmt: skip
def test_two_files_joined_to_one_are_refused(
    tmp_path: Path, speechlike: Sound, container: str, codec: str, suffix: str
) -> None:
    rate = 48_000 if codec == "libopus" else RATE
    one = tmp_path / f"one.{suffix}"
    if container.isupper():
        soundfile.write(one, speechlike(0.5).samples.T, rate, format=container, subtype=codec)
    else:
        encode(one, speechlike(0.5, rate), container, codec)
    whole = one.read_bytes()
    (tmp_path / f"two.{suffix}").write_bytes(whole + whole)
    text = refused(tmp_path / f"two.{suffix}")
    assert any(word in text for word in ("one after another", "holds more", "is damaged: no MPEG frame")), text


@pytest.mark.parametrize("bare", [("adts", "aac", "aac", 1024), ("mp3", "libmp3lame", "mp3", 576)])
def test_two_streams_of_bare_frames_are_one(tmp_path: Path, tone: Sound, bare: tuple[str, str, str, int]) -> None:
    container, codec, suffix, frame = bare
    options = {"write_xing": "0", "id3v2_version": "0"} if suffix == "mp3" else {}
    whole = encode(tmp_path / f"one.{suffix}", tone(1.0), container, codec, **options)
    (tmp_path / f"two.{suffix}").write_bytes(whole.read_bytes() * 2)
    length = audio.read(whole).length
    assert length % frame == 0
    assert audio.read(tmp_path / f"two.{suffix}").length == 2 * length


@pytest.mark.parametrize("said", [8000, 15_999, 16_001, 2**36 - 1])
def test_a_flac_header_with_another_length_is_refused(tmp_path: Path, tone: Sound, said: int) -> None:
    soundfile.write(tmp_path / "a.flac", tone().samples.T, RATE, subtype="PCM_16")
    content = bytearray((tmp_path / "a.flac").read_bytes())
    packed = int.from_bytes(content[18:26], "big")
    content[18:26] = (packed >> 36 << 36 | said).to_bytes(8, "big")
    (tmp_path / "a.flac").write_bytes(content)
    assert f"its header says {said} samples, its last frame ends at 16000" in refused(tmp_path / "a.flac")


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_the_md5_of_a_flac_is_of_its_samples(tmp_path: Path, tone: Sound, subtype: str) -> None:
    soundfile.write(tmp_path / "a.flac", tone(0.5, channels=2).samples.T, RATE, subtype=subtype)
    expected = soundfile.read(tmp_path / "a.flac", dtype="float32", always_2d=True)[0].T
    assert np.array_equal(audio.read(tmp_path / "a.flac").samples, expected)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[26] ^= 1
    (tmp_path / "a.flac").write_bytes(content)
    assert "another MD5" in refused(tmp_path / "a.flac")


@pytest.mark.parametrize("subtype", ["GSM610", "MS_ADPCM", "IMA_ADPCM"])
def test_compressed_blocks_in_a_wav(tmp_path: Path, tone: Sound, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0, 8000).samples.T, 8000, subtype=subtype)
    sound = audio.read(tmp_path / "a.wav")
    assert 8000 <= sound.length < 8000 + 2048
    # The fact chunk says how much of the last block is sound.
    content = bytearray((tmp_path / "a.wav").read_bytes())
    fact = content.find(b"fact") + 8
    assert fact > 8
    content[fact : fact + 4] = struct.pack("<I", sound.length - 7)
    (tmp_path / "a.wav").write_bytes(content)
    assert audio.read(tmp_path / "a.wav").length == sound.length - 7


# Lengths that the writer did not know


@pytest.mark.parametrize("size", [0, 0x7FFFEFFF, 0x7FFF_FF00, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
@pytest.mark.parametrize("riff", [0, 0xFFFF_FFFF, None])
def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path, tone: Sound, size: int, riff: int | None) -> None:
    (tmp_path / "a.wav").write_bytes(wav(pcm(tone()), size, riff=riff))
    sound = audio.read(tmp_path / "a.wav")
    assert np.allclose(sound.samples, tone().samples, atol=1e-4)
    assert audio.duration(tmp_path / "a.wav") == 1.0


def test_a_wav_without_samples_is_still_empty(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(b"", riff=0) + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert "holds no samples" in refused(tmp_path / "a.wav")


# Crashes, hangs and memory


@pytest.mark.parametrize(
    ("container", "codec", "suffix", "layout"),
    [
        ("ipod", "aac", "m4a", "7.1"),
        ("ipod", "alac", "m4a", "7.1(wide)"),
        ("matroska", "pcm_f32le", "mka", "hexadecagonal"),
    ],
)
def test_eight_channels_and_more(
    tmp_path: Path, tone: Sound, container: str, codec: str, suffix: str, layout: str
) -> None:
    path = encode(tmp_path / f"a.{suffix}", tone(0.3, 48_000), container, codec, layout)
    code = f"from ldmbench.audio.sound import read; print(read({str(path)!r}).samples.shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    channels, length = (int(part) for part in done.stdout.strip("()\n").split(","))
    assert channels == av.AudioLayout(layout).nb_channels
    assert 14_400 <= length <= 14_400 + 1024


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 10**9, 2 * 10**9, 2**32 - 1])
def test_a_rate_that_no_sound_has(tmp_path: Path, rate: int) -> None:
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate & 0xFFFFFFFF, 2, 16)
    (tmp_path / "a.wav").write_bytes(wav(bytes(2000), form=form))
    assert f"has an absurd header: {rate} Hz" in refused(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "form",
    [
        struct.pack("<HHIIHH", 1, 513, RATE, 2 * RATE, 2, 16),
        struct.pack("<HHIIHH", 1, 1, RATE + 1, 2 * RATE, 2, 16),
        struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 24),
    ],
)
def test_a_header_that_contradicts_itself(tmp_path: Path, form: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(wav(bytes(2000), form=form))
    assert "has a header that contradicts itself" in refused(tmp_path / "a.wav")


def test_a_sound_beyond_the_bound_is_refused_and_a_part_of_it_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    count = LARGEST // 2  # Bytes of 16-bit samples that become more than the bound as float32.
    with path.open("wb") as handle:
        handle.write(wav(b"", count + 2))
        handle.truncate(44 + count + 2)  # A hole: it takes no room on the disk.
    assert "is too long" in refused(path)
    assert audio.read(path, 1000.0, 1001.0).length == RATE


def test_chunks_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF\xff\xff\xff\x00WAVE" + b"junk\0\0\0\0" * 100_000)
    assert "chunks without the end of the file" in refused(tmp_path / "a.wav")


def test_channels_that_change_in_the_middle(tmp_path: Path, tone: Sound) -> None:
    both = [encode(tmp_path / f"{name}.aac", tone(), "adts", "aac", name).read_bytes() for name in ("mono", "stereo")]
    (tmp_path / "a.aac").write_bytes(b"".join(both))
    assert "changes its rate or channels" in refused(tmp_path / "a.aac")


def test_whatever_a_decoder_raises_is_one_line(tmp_path: Path, tone: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    audio.write(tmp_path / "a.wav", tone(0.1))

    def fail(*_: object) -> None:
        raise MemoryError("256 GiB")

    monkeypatch.setattr("ldmbench.audio.decode.inspect", fail)
    assert "cannot be read: MemoryError: 256 GiB" in refused(tmp_path / "a.wav")


# What FFmpeg may open


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile b.wav\n", "#EXTM3U\n#EXTINF:1,\nb.wav\n"])
@pytest.mark.parametrize("name", ["a.wav", "a.m3u8", "a.ffconcat"])
def test_a_list_of_files_opens_none_of_them(tmp_path: Path, tone: Sound, text: str, name: str) -> None:
    audio.write(tmp_path / "b.wav", tone(0.1))
    (tmp_path / name).write_text(text)
    assert "is not audio" in refused(tmp_path / name)


@pytest.mark.parametrize(
    ("container", "codec", "suffix", "rate"),
    [("ogg", "libspeex", "ogg", 16_000), ("ac3", "ac3", "ac3", 48_000), ("wav", "ac3", "wav", 48_000),
     ("wav", "g726", "wav", 8000), ("mp2", "mp2", "mp2", 48_000), ("asf", "wmav2", "wma", 48_000),
     ("wv", "wavpack", "wv", 48_000), ("tta", "tta", "tta", 48_000), ("caf", "alac", "caf", 48_000)],
)  # fmt: skip
def test_what_only_ffmpeg_reads(
    tmp_path: Path, tone: Sound, container: str, codec: str, suffix: str, rate: int
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV was built without {codec}")
    try:
        path = encode(tmp_path / f"a.{suffix}", tone(1.0, rate), container, codec)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"PyAV does not encode {codec}: {error}")
    sound = audio.read(path)
    assert sound.rate == rate
    assert 0.95 * rate <= sound.length <= 1.1 * rate


def test_of_two_audio_streams_the_first_with_a_note(tmp_path: Path, tone: Sound) -> None:
    with av.open(str(tmp_path / "a.mka"), "w") as handle:
        streams: list[Any] = [handle.add_stream("pcm_f32le", rate=RATE) for _ in range(2)]
        for stream in streams:
            stream.layout = "mono"
        for stream, hz in zip(streams, (440, 880), strict=True):
            frame = av.AudioFrame.from_ndarray(np.array(tone(hz=hz).samples), format="flt", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            for part in (frame, None):
                handle.mux(stream.encode(part))
    sound = audio.read(tmp_path / "a.mka")
    assert np.array_equal(sound.samples, tone(hz=440).samples)
    assert sound.notes == ("holds 2 audio streams, the first is read",)


def test_a_device_is_no_file() -> None:
    assert "a device or pipe" in refused(Path(os.devnull))


@pytest.mark.parametrize("less", [256, 4096])
def test_a_data_chunk_that_says_less_than_there_is(tmp_path: Path, tone: Sound, less: int) -> None:
    content = wav(pcm(tone()), 32_000 - less, riff=36 + 32_000)
    (tmp_path / "a.wav").write_bytes(content)
    assert f"{less} bytes behind its samples are no chunk" in refused(tmp_path / "a.wav")
    # What belongs there: other chunks, padding, and tags behind the end that the header says.
    whole = wav(pcm(tone()))
    for behind, inside in (
        (b"LIST\x04\0\0\0INFO", True),
        (b"id3 \x02\0\0\0ab", True),
        (bytes(100), True),
        (b"TAG" + b"x" * 125, False),
        (b"ID3 and so on", False),
        (bytes(-len(whole) % 512), False),
    ):
        riff = len(whole) - 8 + (len(behind) if inside else 0)
        (tmp_path / "b.wav").write_bytes(wav(pcm(tone()), riff=riff) + behind)
        assert audio.read(tmp_path / "b.wav").length == RATE


@pytest.mark.parametrize("behind", [b"!" * 99, bytes(100), b"RIFF", b"\1"], ids=["text", "silence", "a name", "a byte"])
@pytest.mark.parametrize("name", ["wav", "aiff", "au"])
def test_more_than_the_header_says(tmp_path: Path, tone: Sound, name: str, behind: bytes) -> None:
    """What was put in in the middle shows at the end."""
    path = tmp_path / f"a.{name}"
    soundfile.write(path, tone(0.1).samples.T, RATE, subtype="PCM_16", format=name.upper())
    assert audio.read(path).length == RATE // 10
    path.write_bytes(path.read_bytes() + behind)
    assert "holds more than its header says" in refused(path) or "stream" in refused(path)
