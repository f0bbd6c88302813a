"""LaDiffCodec as a system: bits, lengths, seeds, settings and files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.runs.fetch import fetch
from ldmbench.runs.results import find_runs
from ldmbench.system.protocol import Output
from ldmbench.system.registry import load_system, load_system_card, resolve
from ldmbench.systems.ladiffcodec.adapter import STRIDES, LaDiffCodec

NARROW = "width=32,causal=true,schedule=cosine,tau=2"


@pytest.fixture(scope="module")
def system(folder: Path) -> LaDiffCodec:
    built = load_system(resolve(f"ladiffcodec@1.5kbps:{NARROW}", weights=folder))
    assert isinstance(built, LaDiffCodec)
    return built


def sounding(output: Output) -> Audio:
    assert output.audio is not None
    return output.audio


@pytest.mark.parametrize(
    ("seconds", "rate", "channels"),
    [
        (0.003, 16_000, 1), (3.2, 16_000, 1), (1.001, 48_000, 2),
        pytest.param(20.0, 44_100, 1, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_clips_of_any_length_rate_and_channels(
    seconds: float, rate: int, channels: int, system: LaDiffCodec, speech_like: Callable[..., Audio]
) -> None:
    sound = speech_like(rate, seconds, channels=channels)
    (output,) = system.process([Clip("t/a", "t", loaded=sound, seed=1)])
    made, tokens = sounding(output), output.tokens
    assert (made.rate, made.channels, made.length) == (16_000, 1, round(seconds * 16_000))
    assert tokens is not None
    frames = int(np.ceil(made.length / 320))
    assert tokens.shape == (3, frames)
    assert output.bits == frames * 30
    assert tokens.min() >= 0
    assert tokens.max() < 1024
    assert np.isfinite(made.samples).all()
    # Every half second sounds, and the bitrate of whole frames is the nominal one.
    if seconds > 1:
        assert all(part.std() > 1e-4 for part in np.array_split(made.samples[0], int(2 * seconds)))
        assert output.bits / seconds == pytest.approx(1500, rel=0.02)
        assert len(set(tokens[0])) > 10


@pytest.mark.parametrize("level", ["codec", "peak"])
def test_the_shortest_sounds_and_silence(level: str, system: LaDiffCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "level", level)
    for samples in (np.zeros(800), np.zeros(1), np.random.default_rng(0).standard_normal(800) * 0.1):
        (output,) = system.process([Clip("t/a", "t", loaded=Audio.of(samples, 16_000), seed=1)])
        assert sounding(output).length == len(samples)
        assert np.isfinite(sounding(output).samples).all()


def test_alone_and_repeated_is_bit_equal_and_in_a_batch_nearly(
    system: LaDiffCodec, speech_like: Callable[..., Audio]
) -> None:
    clips = [
        Clip(f"t/{seed}", "t", loaded=speech_like(16_000, seconds, seed=seed), seed=seed)
        for seed, seconds in enumerate((0.24, 0.23, 0.1, 0.24))
    ]
    together = [sounding(output) for output in system.process(clips)]
    alone = [sounding(next(system.process([clip]))) for clip in clips]
    backwards = [sounding(next(system.process([clip]))) for clip in reversed(clips)][::-1]
    assert [sound.digest() for sound in alone] == [sound.digest() for sound in backwards]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.samples, other.samples, atol=1e-4)


def test_decoding_depends_on_codes_and_seed_alone(system: LaDiffCodec, speech_like: Callable[..., Audio]) -> None:
    stream = system.encode(speech_like(16_000, 0.24))
    first = system.decode(stream, seed=3)
    assert first.length == 3840
    assert first.digest() == system.decode(stream, seed=3).digest()
    assert first.digest() != system.decode(stream, seed=4).digest()
    (output,) = system.process([Clip("t/a", "t", loaded=speech_like(16_000, 0.24), seed=3)])
    assert sounding(output).digest() == first.digest()


def test_the_level_is_that_of_what_is_asked_for(
    system: LaDiffCodec, speech_like: Callable[..., Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip("t/a", "t", loaded=speech_like(16_000, 0.3), seed=1)
    made = {}
    for level in ("codec", "peak", "decoder"):
        monkeypatch.setattr(system, "level", level)
        made[level] = sounding(next(system.process([clip]))).samples[0]
    with torch.inference_mode():
        words = system.models.codec.sums(torch.from_numpy(system.encode(clip.audio).payload)[None])
        # The decoder repeats the last frame up to whole frames of the U-Net.
        codec = system.models.codec.decode(torch.cat([words, words[..., -1:]], dim=-1))[0, :4800].numpy()
    assert np.abs(made["peak"]).max() == pytest.approx(1.0, abs=1e-6)
    assert np.sqrt(np.mean(made["codec"] ** 2)) == pytest.approx(np.sqrt(np.mean(codec**2)), rel=1e-4)
    # One sound at three levels.
    for level in ("peak", "codec"):
        assert np.corrcoef(made[level], made["decoder"])[0, 1] > 1 - 1e-5


def test_the_discrete_codec_alone_is_a_baseline(folder: Path, speech_like: Callable[..., Audio]) -> None:
    built = load_system(resolve(f"ladiffcodec@1.5kbps:{NARROW},algorithm=codec", weights=folder))
    assert isinstance(built, LaDiffCodec)
    clip = Clip("t/a", "t", loaded=speech_like(16_000, 0.52), seed=1)
    (output,) = built.process([clip])
    with torch.inference_mode():
        wave = torch.from_numpy(clip.audio.fit(26 * 320).samples.copy())
        words = built.models.codec.sums(built.models.codec.quantise(built.models.codec.encode(wave)))
        coarse = built.models.codec.decode(words)[0, :8320].numpy()
    np.testing.assert_allclose(sounding(output).samples[0], coarse, atol=1e-5)
    assert output.bits == 26 * 30


def test_the_condition_is_scaled_by_frame_or_as_a_whole(folder: Path, system: LaDiffCodec) -> None:
    whole = load_system(resolve(f"ladiffcodec@1.5kbps:{NARROW},condition=map", weights=folder))
    assert isinstance(whole, LaDiffCodec)
    words = torch.randn(2, 128, 6, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for built, axes in ((system, 1), (whole, (1, 2))):
            torch.testing.assert_close(
                built.condition(words).abs().amax(dim=axes), torch.ones(2, 240) if axes == 1 else torch.ones(2)
            )


def test_embeddings_are_means_over_time(system: LaDiffCodec, speech_like: Callable[..., Audio]) -> None:
    clip = Clip("t/a", "t", loaded=speech_like(16_000, 1.0))
    (layers,) = system.embed([clip])
    assert {name: layer.shape for name, layer in layers.items()} == dict.fromkeys(
        ("all", "first", "continuous"), (128,)
    )
    books = system.models.codec.codebooks.numpy()
    codes = system.encode(clip.audio).payload
    words = sum(book[row] for book, row in zip(books, codes, strict=True))
    np.testing.assert_allclose(layers["all"], words.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(layers["first"], books[0][codes[0]].mean(axis=0), atol=1e-6)


def test_parameters_are_those_of_the_files(system: LaDiffCodec, official: SimpleNamespace) -> None:
    """A weight is stored as a direction and its length; the U-Net twice; codebooks with their training state."""
    unused = ("weight_g", "inited", "cluster_size", "embed_avg")
    shapes = {**official.codec(3), **{f"latent/{key}": shape for key, shape in official.latent(32).items()}}
    count = sum(
        int(np.prod(shape))
        for key, shape in shapes.items()
        if not key.endswith(unused) and not key.startswith("latent/diffusion.")
    )
    assert system.parameters == count


@pytest.mark.parametrize("name", load_system_card("ladiffcodec").variants)
def test_variants_are_named_by_rate_and_strides(name: str) -> None:
    card = load_system_card("ladiffcodec")
    settings = resolve(f"ladiffcodec@{name}").settings
    rate, _, rest = name.partition("-")
    assert float(rate.removesuffix("kbps")) == settings["kbps"]
    assert settings["strides"] == (rest if rest in STRIDES else "8")
    codec, latent = next(iter(card.weights_of(name).values())).files
    short = rate.removesuffix("ps").replace(".", "_")
    assert codec == f"EnCodec_libri_{short}/model_best.amlt"
    assert latent == f"Ladiff_{short}_{str(settings['strides']).replace('-', '_')}/model_best.amlt"


@pytest.mark.parametrize("strides", STRIDES)
def test_every_stride_sounds_untrained(strides: str, speech_like: Callable[..., Audio]) -> None:
    variant = "1kbps" if strides == "8" else f"1kbps-{strides}"
    built = load_system(resolve(f"ladiffcodec@{variant}:width=8,tau=2", untrained=True))
    sound = speech_like(16_000, 0.2)
    outputs = [sounding(next(built.process([Clip("t/a", "t", loaded=sound, seed=seed)]))) for seed in (1, 1, 2)]
    assert outputs[0].digest() == outputs[1].digest() != outputs[2].digest()
    assert outputs[0].length == 3200
    assert outputs[0].samples.std() > 1e-3
    tokens = next(built.process([Clip("t/a", "t", loaded=sound)])).tokens
    assert tokens is not None
    assert tokens.shape == (2, 10)
    assert len(set(tokens[0])) > 5


@pytest.mark.parametrize(
    "setting",
    [
        "kbps=2", "strides=5", "width=9", "schedule=sigmoid", "tau=0", "tau=1001", "gamma=1.1", "algorithm=full",
        "sampler=euler", "steps=5", "eta=0.5", "sampler=ddim,steps=101", "condition=clip", "latent_scale=0",
        "level=rms", "precision=int8", "batch=0",
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(setting: str) -> None:
    with pytest.raises(BenchError, match="must be"):
        load_system(resolve(f"ladiffcodec@1.5kbps:{setting}", untrained=True))


@pytest.mark.parametrize("cause", ["missing", "other rate", "one key", "not twice the same", "schedule"])
def test_wrong_files_are_refused_in_one_line(
    cause: str, folder: Path, official: SimpleNamespace, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "w")
    codec, latent = (tmp_path / "w" / name / "model_best.amlt" for name in ("EnCodec_libri_1_5kb", "Ladiff_1_5kb_8"))
    name, words = f"ladiffcodec@1.5kbps:{NARROW}", ""
    if cause == "missing":
        codec.unlink()
        words = r"missing EnCodec_libri_1_5kb/model_best\.amlt.*no weights of this variant are published"
    elif cause == "other rate":
        shutil.copy(folder / "EnCodec_libri_3kb/model_best.amlt", codec)
        words = r"codebooks \[6, 1024, 128\] instead of \[3, 1024, 128\]"
    elif cause == "schedule":
        name = name.replace("cosine", "linear")
        words = "not trained with the schedule linear.*theirs is cosine.*use schedule=cosine"
    else:
        state = official.fill(official.latent(32))
        if cause == "one key":
            state["diff_model.extra.weight"] = torch.zeros(1)
            del state["diff_model.final_conv.bias"], state["diffusion.model.final_conv.bias"]
            words = r"1 missing \(out\.bias\).*1 superfluous"
        else:
            state["diffusion.model.final_conv.bias"] = state["diff_model.final_conv.bias"] + 1
            words = r"diffusion\.model\.final_conv\.bias is not diff_model\.final_conv\.bias"
        torch.save(state, latent)
    with pytest.raises(BenchError, match=words) as caught:
        load_system(resolve(name, weights=tmp_path / "w"))
    assert "\n" not in str(caught.value)


def test_what_nobody_can_fetch_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(BenchError, match=r"cannot be fetched.*by the link in the README of https://github\.com"):
        fetch("ladiffcodec@3kbps-released")


def test_weights_trained_on_several_gpus(folder: Path, official: SimpleNamespace, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "w")
    state = {f"module.{key}": value for key, value in official.fill(official.codec(3)).items()}
    torch.save(state, tmp_path / "w/EnCodec_libri_1_5kb/model_best.amlt")
    load_system(resolve(f"ladiffcodec@1.5kbps:{NARROW}", weights=tmp_path / "w"))


@pytest.mark.slow
def test_from_the_official_files_to_the_page(
    folder: Path, typed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    table = typed("codec", "ladiffcodec@1.5kbps-released:width=32,tau=2", folder)
    (row,) = (row for row in table["rows"] if row["system"].startswith("ladiffcodec"))
    assert all(cell["estimate"]["n"] == 3 for cell in row["cells"])
    (run,) = (run for run in find_runs(tmp_path / "runs", "official+clips") if "ladiffcodec" in run.info.system)
    # Frames of 20 ms, three codes of 10 bits in each.
    assert [item.bits for item in run.outputs.values()] == [30 * frames for frames in (150, 512, 1250)]
    for name, seconds in (("a", 3.0), ("b", 10.24), ("c", 25.0)):
        path = run.audio_path(f"clips/{name}")
        assert path is not None
        sound = audio.read(path)
        assert (sound.rate, sound.channels, sound.length) == (16_000, 1, round(seconds * 16_000))
        assert np.abs(sound.samples).max() == pytest.approx(1.0, abs=1e-6)
