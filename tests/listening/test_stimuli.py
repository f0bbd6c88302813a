"""What is done to sounds: anchors to the mask, loudness as others measure it, one length, no clipping."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.listening.export import Exported
from ldmbench.listening.items import Item, Material, Source
from ldmbench.listening.stimuli import (
    REFERENCE,
    Treatment,
    anchor_name,
    delays,
    encode_wav,
    loudness,
    treat,
    true_peak,
)
from tests.conftest import Sound


def item_of(tmp_path: Path, reference: Audio, **outputs: Audio) -> Item:
    audio.write(tmp_path / "reference.wav", reference)
    for name, sound in outputs.items():
        audio.write(tmp_path / f"{name}.wav", sound)
    sources = {name: Source(tmp_path / f"{name}.wav") for name in outputs}
    return Item(Clip("d/a", "d", path=tmp_path / "reference.wav"), sources)


@pytest.mark.parametrize("source", [16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_anchors_keep_to_the_mask(tmp_path: Path, source: int, rate: int) -> None:
    """0.1 dB up to the edge, 25 dB at 500 Hz and 50 dB at 1 kHz above (ITU-R BS.1534-3), measured by noise."""
    noise = 0.05 * np.random.default_rng(0).standard_normal(8 * source)
    item = item_of(tmp_path, Audio.of(noise, source), a=Audio.of(noise, source))
    sounds, _ = treat(item, 0.0, 8.0, Treatment(rate), {})
    frequencies = np.fft.rfftfreq(8 * rate, 1 / rate)
    before = np.fft.rfft(sounds[REFERENCE])
    for edge in (3500.0, 7000.0):
        after = np.fft.rfft(sounds[anchor_name(edge)])

        def gain(low: float, high: float, after: Any = after) -> float:
            inside = (frequencies >= low) & (frequencies < high)
            return float(10 * np.log10(np.sum(np.abs(after[inside]) ** 2) / np.sum(np.abs(before[inside]) ** 2)))

        for low in np.arange(100, edge - 99, 100):
            assert abs(gain(low, low + 100)) <= 0.1, (edge, low)
        top = min(source, rate) / 2
        if edge + 600 < top:
            assert gain(edge + 500, edge + 600) <= -25
        if edge + 1000 < top:
            assert gain(edge + 1000, top) <= -50
        # Zero phase: the anchor is neither early nor late.
        inside = (frequencies > 500) & (frequencies < edge - 500)
        turn = np.angle(np.sum(after[inside] * np.conj(before[inside])))
        assert abs(turn) < 1e-3


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_loudness_equals_ffmpeg(tmp_path: Path, rate: int, speechlike: Sound) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed")
    generator = np.random.default_rng(1)
    time = np.arange(5 * rate) / rate
    bursts = np.where(np.sin(2 * np.pi * 0.7 * time) > 0.5, 0.3, 0.001) * generator.standard_normal(time.size)
    sounds = {
        "speech": speechlike(4.37, rate, 3).samples[0],
        "noise": (0.1 * generator.standard_normal(3 * rate)).astype(np.float32),
        "tone": (0.2 * np.sin(2 * np.pi * 997 * time)).astype(np.float32),
        "bursts": np.clip(bursts, -1, 1).astype(np.float32),
        "low": (0.5 * np.sin(2 * np.pi * 60 * time)).astype(np.float32),
    }
    for name, samples in sounds.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(encode_wav(np.stack([samples, samples]).astype(float), rate))
        command = [ffmpeg, "-hide_banner", "-nostats", "-i", str(path), "-filter_complex", "ebur128", "-f", "null", "-"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        summary = text[text.rindex("Integrated loudness") :]
        (theirs,) = re.findall(r"I:\s+(-?[\d.]+) LUFS", summary)
        assert loudness(samples, rate) == pytest.approx(float(theirs), abs=0.1), name


def test_every_sound_has_the_loudness_asked_for(mushra_pack: Exported) -> None:
    for row in mushra_pack.treated:
        if row.system.startswith("anchor"):
            continue
        assert row.loudness == pytest.approx(-23, abs=0.01), row
    for page in mushra_pack.pack.pages:
        for sound in page.sounds():
            samples, rate = soundfile.read(mushra_pack.folder / sound.file)
            entry = mushra_pack.key.pages[page.id].stimuli.get(sound.key)
            if entry is None or entry.role != "anchor":
                assert loudness(samples[:, 0], rate) == pytest.approx(-23, abs=0.01)


def test_loudness_is_left_alone_where_that_is_declared(
    tmp_path: Path, make: Callable[..., Exported], material: Material
) -> None:
    pack = make(tmp_path / "p", treatment=Treatment(loudness=None), training=False)
    rows = {row.system: row for row in pack.treated if row.item == pack.treated[0].item}
    assert {row.gain_db for row in rows.values()} == {0.0}
    assert rows["late"].loudness == pytest.approx((rows[REFERENCE].loudness or 0) + 20 * np.log10(0.4), abs=0.1)


def test_sounds_of_half_a_block_and_silence_have_an_answer() -> None:
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(4800) / 48000)
    assert loudness(tone, 48000) == pytest.approx(loudness(np.tile(tone, 40), 48000), abs=0.3)
    assert loudness(np.zeros(48000), 48000) is None
    assert loudness(np.zeros(0), 48000) is None


def test_a_peak_turns_the_whole_item_down(tmp_path: Path, speechlike: Sound) -> None:
    reference = speechlike(1.0, 48_000)
    spiky = np.array(reference.samples[0]) * 0.01
    spiky[::4800] = 0.9
    item = item_of(tmp_path, reference, even=reference, spiky=Audio.of(spiky, 48_000))
    sounds, rows = treat(item, 0.0, 1.0, Treatment(loudness=-14.0), {})
    assert max(true_peak(sound, 48_000) for sound in sounds.values()) == pytest.approx(10 ** (-1 / 20), rel=1e-3)
    levels = {row.system: row.loudness for row in rows}
    assert levels["even"] == pytest.approx(levels[REFERENCE] or 0, abs=1e-6)
    assert (levels["even"] or 0) < -14.5
    assert all("turned down" in row.note for row in rows)
    assert max(np.abs(sound).max() for sound in sounds.values()) < 1


def test_excerpts_are_cut_alike_and_faded_where_they_were_cut(tmp_path: Path, speechlike: Sound) -> None:
    reference = speechlike(3.0, 24_000)
    item = item_of(tmp_path, reference, same=reference, short=Audio.of(reference.samples[:, :30_000], 24_000))
    sounds, _ = treat(item, 0.5, 2.0, Treatment(loudness=None, anchors=()), {})
    assert {len(sound) for sound in sounds.values()} == {72_000}
    np.testing.assert_allclose(sounds["same"], sounds[REFERENCE], atol=1e-6)
    expected = reference.at(48_000).samples[0, 24_000:96_000]
    middle = slice(480, -480)
    np.testing.assert_allclose(sounds[REFERENCE][middle], expected[middle], atol=1e-6)
    assert abs(sounds[REFERENCE][0]) < 1e-4
    assert abs(sounds[REFERENCE][-1]) < 1e-4
    assert not sounds["short"][-36_000:].any(), "what ends early is silent to the common end"
    whole, _ = treat(item, 0.0, 3.0, Treatment(loudness=None, anchors=()), {})
    np.testing.assert_allclose(whole[REFERENCE], reference.at(48_000).samples[0], atol=1e-6)


def test_lengths_are_equal_whatever_the_rates(tmp_path: Path, speechlike: Sound) -> None:
    reference = speechlike(1.00007, 44_100)
    outputs = {f"r{rate}": reference.at(rate) for rate in (8000, 16_000, 22_050, 24_000, 32_000, 48_000)}
    item = item_of(tmp_path, reference, **outputs)
    sounds, _ = treat(item, 0.0, item.clip.audio.duration, Treatment(), {})
    assert len({len(sound) for sound in sounds.values()}) == 1


def test_a_codec_has_one_delay(tmp_path: Path, speechlike: Sound) -> None:
    items = []
    for index in range(4):
        reference = speechlike(1.0, 16_000, index)
        shift = 80 if index < 3 else 0
        output = Audio.of(np.concatenate([np.zeros((1, shift)), reference.samples], axis=1), 16_000)
        folder = tmp_path / str(index)
        folder.mkdir()
        items.append(item_of(folder, reference, late=output, even=reference))
    assert [row["late"] for row in delays(items)] == [0.005] * 4
    assert [row["even"] for row in delays(items)] == [0.0] * 4
    assert [row["late"] for row in delays(items[1:] + items[3:] * 3)][:2] == [0.0] * 2, "most of these have none"
    textual = [replace(item, clip=replace(item.clip, path=None)) for item in items]
    assert {value for row in delays(textual) for value in row.values()} == {0.0}


@pytest.mark.parametrize("channels", [1, 2])
def test_wavs_are_read_as_they_were_written(tmp_path: Path, channels: int) -> None:
    samples = np.clip(0.4 * np.random.default_rng(0).standard_normal((channels, 999)), -1, 1)
    samples[:, :2] = [[1.5, -1.5]] * channels
    (tmp_path / "a.wav").write_bytes(encode_wav(samples, 44_100))
    data, rate = soundfile.read(tmp_path / "a.wav", always_2d=True)
    assert rate == 44_100
    np.testing.assert_allclose(data.T, np.clip(samples, -1, 1 - 2**-23), atol=2**-24)
    assert audio.read(tmp_path / "a.wav").samples.shape == (channels, 999)
