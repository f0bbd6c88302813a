"""AudioSR end to end on narrow models in the official file: what comes out, what repeats, what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.audio.filters import lowpass
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.protocol import Output, System
from ldmbench.system.registry import load_system, load_system_card, resolve
from ldmbench.systems.audiosr import adapter as audiosr
from ldmbench.systems.audiosr import models as models
from ldmbench.weights.fetch import fetch_checkpoints
from tests.present import present

Build = Callable[..., System]
Make = Callable[..., Audio]


def run(system: System, *sounds: Audio, seeds: Sequence[int] = (1, 2, 3)) -> list[Output]:
    clips = [Clip(f"x/{n}", "x", loaded=sound, seed=seeds[n]) for n, sound in enumerate(sounds)]
    return list(system.process(clips))


def samples(output: Output) -> np.ndarray:
    assert output.audio is not None
    return output.audio.samples


def test_the_input_stays_and_the_rest_is_new(system: Build, narrow: Make) -> None:
    adapter = system()
    stereo = narrow(1.5, 44_100, channels=2)
    outputs = run(adapter, narrow(1.0), stereo)
    for sound, output in zip((narrow(1.0), stereo), outputs, strict=True):
        assert output.audio is not None
        assert output.audio.rate == 48_000
        assert output.audio.channels == 1
        assert output.audio.length == round(sound.duration * 48_000)
        kept = lowpass(output.audio, 3000.0).samples
        wanted = lowpass(sound.mono().at(48_000), 3000.0).samples
        inner = np.s_[:, 4800:-4800]
        # Chebyshev ripple of 0.1 dB, four times.
        assert np.abs(kept - wanted)[inner].max() < 0.06 * np.abs(wanted).max()
        new = output.audio.samples - lowpass(output.audio, 6000.0).samples
        assert np.abs(new).max() > 1e-5
    assert outputs[0].details == {"cutoff_hz": pytest.approx(4150, abs=150)}
    assert outputs[1].details["downmix"] == "mean of 2 channels"
    assert outputs[1].details["resampled_from"] == 44_100
    assert isinstance(adapter, audiosr.AudioSR)
    plain = models.untrained()
    models_of = (plain.unet, plain.vae, plain.vocoder)
    assert adapter.parameters == sum(value.numel() for model in models_of for value in model.parameters())


@pytest.mark.slow
def test_settings_change_what_they_say(system: Build, narrow: Make) -> None:
    sound = Audio(narrow(0.5, channels=2).samples + np.float32(0.01), 48_000)
    default = samples(run(system(), sound)[0])
    (upstream,) = run(system("level=upstream"), sound)
    assert np.abs(samples(upstream)).max() > 20 * np.abs(default).std()
    assert samples(upstream).mean() == pytest.approx(0, abs=0.02)
    # One wave at two levels.
    assert np.corrcoef(samples(upstream)[0], default[0])[0, 1] > 0.9999
    assert default.mean() == pytest.approx(0.01, abs=1e-3)
    for settings in ("eta=0", "cfg=1", "lowpass=bessel", "downmix=first"):
        assert not np.array_equal(samples(run(system(settings), sound)[0]), default), settings
    assert not np.array_equal(samples(run(system(), sound, seeds=[9])[0]), default)


def test_alone_in_a_batch_and_again_are_the_same(system: Build, narrow: Make) -> None:
    adapter = system()
    sounds = [narrow(0.5, seed=n) for n in range(3)]
    together = [samples(output) for output in run(adapter, *sounds)]
    again = [samples(output) for output in run(adapter, *sounds)]
    alone = [samples(run(adapter, sound, seeds=[n + 1])[0]) for n, sound in enumerate(sounds)]
    single = [samples(output) for output in run(system("batch=1"), *sounds)]
    for index in range(3):
        assert np.array_equal(together[index], again[index])
        assert np.array_equal(alone[index], single[index])
        assert np.abs(together[index] - alone[index]).max() < 1e-5 * max(1.0, np.abs(alone[index]).max())


def test_every_normalisation_is_exact(system: Build, narrow: Make) -> None:
    """An autoencoder's attention returns tensors on which torch's own is not, by the number of threads."""
    adapter: Any = system()
    norms = [
        module
        for model in (adapter.models.unet, adapter.models.vae)
        for module in model.modules()
        if isinstance(module, torch.nn.GroupNorm)
    ]
    errors = []

    def compare(norm: torch.nn.GroupNorm, given: tuple[torch.Tensor], output: torch.Tensor) -> None:
        image, weight, bias = (value.double() for value in (given[0], norm.weight, norm.bias))
        exact = torch.nn.functional.group_norm(image, norm.num_groups, weight, bias, norm.eps)
        errors.append(float((output - exact).abs().max() / exact.abs().max()))
        assert given[0].is_contiguous()

    for norm in norms:
        norm.register_forward_hook(compare)
    run(adapter, narrow(0.5))
    assert len(errors) >= len(norms) > 40
    assert max(errors) < 1e-6


def test_silence_stays_silence(system: Build, narrow: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = system()
    still = Audio.of(np.full(22_050, 0.125), 44_100)
    outputs = run(adapter, still, narrow(0.3), Audio.of(np.zeros(2400), 48_000))
    assert np.abs(samples(outputs[0]) - 0.125)[:, 100:-100].max() < 1e-6
    assert samples(outputs[1]).any()
    assert samples(outputs[2]).shape == (1, 2400)
    assert not samples(outputs[2]).any()
    assert outputs[2].details == {"cutoff_hz": None}
    monkeypatch.setattr(adapter, "restore", lambda *_: pytest.fail("silence needs no models"))
    assert not samples(run(adapter, Audio.of(np.zeros(48_000), 48_000))[0]).any()


def test_fifty_milliseconds_and_a_low_tone(system: Build, narrow: Make) -> None:
    tone = Audio.of(0.5 * np.sin(2 * np.pi * 300 * np.arange(8000) / 16_000), 16_000)
    short, low = run(system(), narrow(0.05), tone)
    assert samples(short).shape == (1, 2400)
    assert np.isfinite(samples(short)).all()
    assert low.details["cutoff_hz"] == 1000
    assert samples(low).shape == (1, 24_000)
    assert np.isfinite(samples(low)).all()


def test_long_input_goes_in_bounded_batches(system: Build, narrow: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held at once does not grow with the input; pieces join into what they were."""
    adapter = system("batch=2")
    seen: list[tuple[int, int]] = []

    def identity(prepared: Sequence[Any], noises: Sequence[Any]) -> list[tuple[np.ndarray, float]]:
        seen.append((len(prepared), len(prepared[0].lowpassed)))
        assert len(noises) == len(prepared)
        return [(np.pad(item.lowpassed, (0, 16)), 1.0) for item in prepared]

    monkeypatch.setattr(adapter, "restore", identity)
    sound = narrow(60.0)
    (output,) = run(adapter, sound)
    assert len(seen) == 3
    assert max(count for count, _ in seen) == 2
    assert max(length for _, length in seen) == 737_280
    assert len(output.details["cutoff_hz"]) == 5
    below = lowpass(Audio.of(samples(output), 48_000), 3000.0).samples
    wanted = lowpass(sound, 3000.0).samples
    assert np.abs(below - wanted)[:, 4800:-4800].max() < 0.06 * np.abs(wanted).max()


def test_autoencoder_and_vocoder_see_few_frames_at_once(
    system: Build, narrow: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter: Any = system("batch=8")
    seen: list[int] = []
    monkeypatch.setitem(models.MOST_FRAMES, "cpu", 256)
    vocoder = adapter.models.vocoder
    vocoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[0] * given[0].shape[1]))
    run(adapter, *(narrow(0.2, seed=n) for n in range(3)))
    assert seen == [256, 128]


def test_condition_comes_from_the_condition_stage(tiny: None, weights: Callable[..., Path]) -> None:
    """The file holds the autoencoder twice; the reference encodes with one copy and decodes with the other."""
    encoder = "encoder.conv_in.bias"
    decoder = "decoder.conv_out.bias"
    marked = torch.full((32,), 0.5)
    folder = weights(
        **{
            f"cond_stage_models.0.vae.{encoder}": marked,
            f"first_stage_model.{encoder}": 0 * marked,
            f"cond_stage_models.0.vae.{decoder}": torch.tensor([0.0]),
            f"first_stage_model.{decoder}": torch.tensor([0.25]),
        }
    )
    found = models.load(folder)
    assert torch.equal(present(found.vae.encoder.conv_in.bias), marked)
    assert present(found.vae.decoder.conv_out.bias).item() == 0.25
    assert found.scale == pytest.approx(0.4)
    assert found.alphas_cumprod[0] == pytest.approx(0.999958694)
    assert found.alphas_cumprod[-1] == 0


def test_official_shapes_are_the_official_ones(official_keys: dict[str, tuple[int, ...]]) -> None:
    """The full-size models take exactly the tensors that the official file lists."""
    from ldmbench.systems.latent.keys import load_unet, load_vae, load_vocoder, parts

    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in official_keys.items()}
    names = ("model.diffusion_model.", "first_stage_model.vocoder.", "first_stage_model.", "cond_stage_models.0.vae.")
    wanted = ("alphas_cumprod", "scale_factor")
    (unet, vocoder, decoder, encoder), _ = parts(state, names, wanted, models.UNUSED, Path("pytorch_model.bin"))
    for load, config, tensors, millions in (
        (load_vae, models.VAE, {**encoder, **decoder}, 223.5),
        (load_vocoder, models.VOCODER, vocoder, 190.3),
        (load_unet, models.UNET, unet, 258.2),
    ):
        # Buffers that the file lacks have no values here either; the keys are what is looked at.
        try:
            load(tensors, config, Path("pytorch_model.bin"))
        except BenchError as error:
            assert "no values for" in str(error)  # noqa: PT017
        assert sum(value.numel() for value in tensors.values()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model.diffusion_model.out.2.bias": None}, "1 missing (conv_out.bias)"),
        ({"first_stage_model.vocoder.conv_pre.bias": None}, "1 missing (conv_pre.bias)"),
        ({"model.diffusion_model.label_emb.weight": torch.zeros(2, 2)}, "1 superfluous (label_emb.weight)"),
        ({"cond_stage_models.1.weight": torch.zeros(2)}, "1 superfluous (cond_stage_models.1.weight)"),
        ({"model.diffusion_model.out.2.bias": torch.zeros(3)}, "1 of another shape (conv_out.bias ["),
        ({"scale_factor": None}, "1 missing (scale_factor)"),
        ({"scale_factor": torch.tensor(float("nan"))}, "scale factor nan"),
        ({"alphas_cumprod": torch.ones(10)}, "10 steps"),
    ],
)
def test_other_weights_are_named(tiny: None, weights: Callable[..., Path], changes: Any, named: str) -> None:
    with pytest.raises(BenchError) as caught:
        models.load(weights(**changes))
    assert named in str(caught.value)


class Code:
    """A pickle that runs something."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_damaged_files_and_code_are_refused(tiny: None, weights: Callable[..., Path], tmp_path: Path) -> None:
    folder = weights()
    path = folder / models.FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BenchError, match="cannot be read as tensors"):
        models.load(folder)
    torch.save({"state_dict": {"betas": Code(tmp_path / "ran")}}, path)
    with pytest.raises(BenchError, match="cannot be read as tensors"):
        models.load(folder)
    assert not (tmp_path / "ran").exists()
    torch.save({"model": {}}, path)
    with pytest.raises(BenchError, match="is not a state dictionary"):
        models.load(folder)
    path.unlink()
    with pytest.raises(BenchError, match="missing pytorch_model"):
        load_system(resolve("audiosr@basic", weights=folder))


@pytest.mark.parametrize("variant", ["basic", "speech"])
def test_fetching_names_a_file_that_is_not_the_pinned_one(
    variant: str, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variants share all shapes: only the checksum tells them apart."""
    card = load_system_card("audiosr")
    folder = tmp_path / "audiosr" / variant
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("ldmbench.weights.fetch.snapshot", lambda *_: shutil.copytree(official, folder))
    with pytest.raises(BenchError, match=rf"{models.FILE} is not the official checkpoint of audiosr@{variant}: SHA"):
        fetch_checkpoints(list(card.weights_of(variant).values()))


def test_the_other_variants_file_loads_but_makes_another_run(tiny: None, weights: Callable[..., Path]) -> None:
    """A checkpoint of one's own is welcome; the ID of a run tells which it was."""
    from ldmbench.runs.identity import weights_digest

    digests = []
    for value in (0.0, 1.0):
        folder = weights(**{"first_stage_model.decoder.conv_out.bias": torch.tensor([value])})
        spec = resolve("audiosr@speech:steps=1", weights=folder)
        load_system(spec)
        digests.append(weights_digest(spec))
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("steps=300", "cannot take 300 steps"),
        ("lowpass=cheby2", "one of cheby1, butter, ellip, bessel"),
        ("level=loud", "one of input, upstream"),
        ("downmix=left", "one of mean, first"),
        ("precision=int8", "one of float32"),
        ("eta=1.5", "0 to 1"),
        ("cfg=-1", "0 or more"),
        ("batch=0", "1 or more"),
    ],
)
def test_settings_are_checked_before_anything_is_loaded(settings: str, named: str) -> None:
    with pytest.raises(BenchError, match=named):
        load_system(resolve(f"audiosr@speech:{settings}", untrained=True))


def test_untrained_needs_no_files(tiny: None, narrow: Make) -> None:
    spec = resolve("audiosr@speech:steps=1", untrained=True)
    first, second = (samples(run(load_system(spec), narrow(0.3))[0]) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.std() > 1e-3


def test_card() -> None:
    card = load_system_card("audiosr")
    assert card.tasks == ("enhance",)
    assert set(card.variants) == {"basic", "speech"}
    assert card.weights_of("speech").keys() == {"speech"}
    assert card.settings["steps"] == 50
