"""Inpainting, super-resolution and style transfer: what is known stays, and nothing depends on the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio.filters import lowpass
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.clips.condition import Condition
from ldmbench.clips.folder import load_folder
from ldmbench.errors import BenchError
from ldmbench.runs.generate import generate
from ldmbench.runs.plan import make_plan
from ldmbench.runs.request import Options
from ldmbench.runs.results import open_run
from ldmbench.suite import Suite
from ldmbench.system.card import SystemSpec
from ldmbench.system.registry import load_system
from ldmbench.systems.audioldm.zero_shot import PEAK, log_mel

RATE = 16_000
GAP = Condition(kind="gap", start_s=0.12, end_s=0.2)
LOW = Condition(kind="lowpass", cutoff_hz=2000.0)

Asked = Callable[..., SystemSpec]


def clip(condition: Condition | None, name: str = "a", seed: int = 5, seconds: float = 0.32, **more: Any) -> Clip:
    sound = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE)) + 0.02
    facts = {"text": "rain on a roof", "path": Path(f"{name}.wav"), "loaded": Audio.of(sound, RATE), **more}
    return Clip(id=f"x/{name}", dataset="x@y", condition=condition, seed=seed, **facts)


def run(system: Any, *clips: Clip) -> list[Any]:
    return list(system.process(clips))


@pytest.fixture(scope="module")
def system(asked: Asked, audioldm_folder: Path) -> Any:
    return load_system(asked("audioldm-zero-shot:steps=4", audioldm_folder))


def test_log_mel_is_that_of_torchaudio() -> None:
    import torch
    import torchaudio

    signal = 0.1 * np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    ours = log_mel(signal, 32, 160, RATE, 64)
    transform = torchaudio.transforms.MelSpectrogram(
        RATE, 1024, hop_length=160, f_min=0.0, f_max=8000.0, n_mels=64, power=1.0, norm="slaney", mel_scale="slaney"
    )
    padded = torch.nn.functional.pad(torch.from_numpy(signal), (0, 120))
    theirs = torch.log(torch.clamp(transform(padded), min=1e-5)).T[:32].numpy()
    assert ours.shape == (32, 64)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize(
    ("condition", "rows", "columns"),
    [
        # 40 ms per latent frame: 0.12 to 0.20 s is exactly frames 3 and 4, a little more on either side is 2 to 5.
        (GAP, slice(3, 5), slice(None)),
        (Condition(kind="gap", start_s=0.119, end_s=0.201), slice(2, 6), slice(None)),
    ],
)
def test_gap_mask(system: Any, condition: Condition, rows: slice, columns: slice) -> None:
    mask = system.mask(condition, 32, "x")
    expected = np.ones((8, 16))
    expected[rows, columns] = 0
    np.testing.assert_array_equal(mask, expected)


def test_bands_above_the_cutoff_are_generated(system: Any) -> None:
    from torchaudio.functional import melscale_fbanks

    filters = melscale_fbanks(8001, 0.0, 8000.0, 64, RATE, norm=None, mel_scale="slaney").numpy()
    reach = [int(np.flatnonzero(column)[-1]) for column in filters.T]
    for hz in (1000.0, 2000.0, 4000.0, 6000.0):
        mask = system.mask(Condition(kind="lowpass", cutoff_hz=hz), 32, "x")
        known = int(mask[0].sum())
        assert (mask == mask[0]).all()
        assert reach[4 * known - 1] <= hz < reach[4 * known + 3]
        resampled = system.mask(Condition(kind="resample", rate=int(2 * hz)), 32, "x")
        np.testing.assert_array_equal(mask, resampled)


@pytest.mark.parametrize(
    "condition", [Condition(kind="lowpass", cutoff_hz=8000.0), Condition(kind="lowpass", cutoff_hz=20.0)]
)
def test_nothing_to_do_is_an_error(system: Any, condition: Condition) -> None:
    with pytest.raises(BenchError, match=r"audioldm-zero-shot has nothing to do on x/a: (every|no)thing is known"):
        run(system, clip(condition, loaded=Audio.of(np.zeros(5120) + 0.1, 48_000)))


def test_a_dataset_that_is_not_degraded_is_refused(system: Any) -> None:
    with pytest.raises(BenchError, match="its dataset x@y is not degraded"):
        run(system, clip(None))


@pytest.mark.parametrize("condition", [GAP, LOW])
def test_the_latent_ends_on_what_is_known(system: Any, condition: Condition) -> None:
    asked = clip(condition)
    decoded: list[Any] = []
    decode = system.models["vae"].decode

    def note_and_decode(z: Any, *rest: Any) -> Any:
        decoded.append(z.clone())
        return decode(z, *rest)

    system.models["vae"].decode = note_and_decode
    try:
        (output,) = run(system, asked)
    finally:
        system.models["vae"].decode = decode
    import torch

    source = asked.input.samples[0]
    scaled = (source - source.mean()) * (PEAK / np.abs(source - source.mean()).max())
    generator = torch.Generator().manual_seed(asked.seed)
    with torch.inference_mode():
        mel = torch.from_numpy(log_mel(scaled.astype(np.float32), 32, 160, RATE, 64))[None, None]
        posterior = system.models["vae"].encode(mel).latent_dist
        observed = posterior.mean + posterior.std * torch.randn(posterior.mean.shape[1:], generator=generator)
    mask = system.mask(asked.condition, 32, "x").astype(bool)
    difference = (decoded[0] - observed)[0].abs().numpy()
    assert difference[:, mask].max() < 1e-4
    assert difference[:, ~mask].max() > 0.1
    assert output.details["known"] == pytest.approx(mask.mean(), abs=1e-6)
    assert output.audio.length == 5120


def test_the_masked_part_is_never_seen(system: Any) -> None:
    hidden = clip(GAP)
    samples = np.array(hidden.audio.samples)
    samples[:, round(0.12 * RATE) : round(0.2 * RATE)] = 0.7
    other = replace(hidden, loaded=Audio(samples, RATE))
    first, second = run(system, hidden)[0], run(system, other)[0]
    np.testing.assert_array_equal(first.audio.samples, second.audio.samples)


def test_level_of_the_input_comes_back(system: Any) -> None:
    quiet = clip(GAP)
    gained = replace(quiet, loaded=Audio.of(4 * quiet.audio.samples, RATE))
    first, second = run(system, quiet)[0], run(system, gained)[0]
    np.testing.assert_allclose(second.audio.samples, 4 * first.audio.samples, atol=1e-5)


def test_alone_and_in_a_batch(system: Any) -> None:
    asked = ((1, 0.32, GAP), (2, 0.3, LOW), (3, 0.4, GAP), (4, 0.32, LOW))
    clips = [clip(condition, str(seed), seed, seconds) for seed, seconds, condition in asked]
    together = run(system, *clips)
    for one, output in zip(clips, together, strict=True):
        assert output.audio.length == one.audio.length
        (alone,) = run(system, one)
        np.testing.assert_allclose(alone.audio.samples, output.audio.samples, atol=2e-6)
    for output, again in zip(together, run(system, *clips[::-1])[::-1], strict=True):
        np.testing.assert_array_equal(output.audio.samples, again.audio.samples)


def test_restored_waveform(asked: Asked, audioldm_folder: Path) -> None:
    filled = load_system(asked("audioldm-zero-shot:steps=2,restore=true", audioldm_folder))
    source = clip(GAP)
    plain = run(load_system(asked("audioldm-zero-shot:steps=2", audioldm_folder)), source)[0].audio.samples
    output = run(filled, source)[0].audio.samples
    faded = round(0.11 * RATE), round(0.21 * RATE)
    np.testing.assert_array_equal(output[:, : faded[0]], source.input.samples[:, : faded[0]])
    np.testing.assert_array_equal(output[:, faded[1] + 1 :], source.input.samples[:, faded[1] + 1 :])
    gap = slice(round(0.12 * RATE), round(0.2 * RATE))
    np.testing.assert_array_equal(output[:, gap], plain[:, gap])
    source = clip(LOW)
    output = run(filled, source)[0].audio
    kept = lowpass(output, 1000.0).samples - lowpass(source.input, 1000.0).samples
    assert np.abs(kept[:, 500:-500]).max() < 1e-3
    assert np.abs(output.samples - source.input.samples).max() > 1e-2


def test_prompts(system: Any, asked: Asked, audioldm_folder: Path) -> None:
    caption, spoken = clip(GAP), clip(GAP, content="speech", text="and then he left")
    assert run(system, caption)[0].details["prompt"] == "rain on a roof"
    assert run(system, spoken)[0].details["prompt"] == "A person is speaking."
    with pytest.raises(BenchError, match="x/a has no caption"):
        run(system, clip(GAP, text=None))
    other = load_system(asked("audioldm-zero-shot:steps=4,prompt=a_dog_barks", audioldm_folder))
    output = run(other, clip(GAP, text=None))[0]
    assert output.details["prompt"] == "a dog barks"
    assert np.abs(output.audio.samples - run(system, caption)[0].audio.samples).max() > 1e-4


def test_run_on_a_degraded_folder(asked: Asked, audioldm_folder: Path, captioned: Path, tmp_path: Path) -> None:
    folder = load_folder(captioned)
    dataset = replace(folder, clips=tuple(replace(item, condition=GAP) for item in folder.clips))
    suite = Suite(name="zero-shot", title="Gaps", task="enhance", datasets=(dataset.name,), metrics=("lsd_ssr_eval",))
    plan = make_plan(suite, [dataset], [asked("audioldm-zero-shot:steps=2", audioldm_folder)], tmp_path)
    generate(plan, Options(batch=3, quiet=True))
    outputs = open_run(plan.paths[0]).outputs
    assert [row.status for row in outputs.values()] == ["ok"] * 4
    assert {row.details["known"] for row in outputs.values()} == {0.75}


# --- style transfer -----------------------------------------------------------------------------------------

SINGING = Condition(kind="restyle", text="children singing")


def restyled(asked: Asked, folder: Path, more: str = "") -> Any:
    return load_system(asked(f"audioldm-zero-shot:steps=4,eta=0{more}", folder))


def latents_of(system: Any, source: Clip) -> Any:
    """What a system decodes for one clip; nothing is decoded."""
    decoded: list[Any] = []

    def keep(latents: Any) -> Any:
        decoded.append(latents)
        return np.zeros((1, 5152), np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "sounds", keep)
        (output,) = run(system, source)
    return decoded[0].numpy(), output


def plain_transfer(system: Any, source: Clip, text: str, level: int, times: list[int]) -> Any:
    """Noise to ``level``, then DDIM without fresh noise through ``times``, written out from the formulas."""
    import torch

    wave = source.input.samples[0]
    scaled = ((wave - wave.mean()) * (PEAK / np.abs(wave - wave.mean()).max())).astype(np.float32)
    generator = torch.Generator().manual_seed(source.seed)
    share = np.array([*system.alphas])
    with torch.inference_mode():
        tokens = system.tokenizer([text, ""], padding=True, return_tensors="pt")
        labels = torch.nn.functional.normalize(system.models["text_encoder"](**tokens).text_embeds, dim=-1)
        posterior = system.models["vae"].encode(torch.from_numpy(log_mel(scaled, 32, 160, RATE, 64))[None, None])
        posterior = posterior.latent_dist
        shape = posterior.mean.shape[1:]
        clean = 0.9 * (posterior.mean + posterior.std * torch.randn(shape, generator=generator))
        x = share[level] ** 0.5 * clean + (1 - share[level]) ** 0.5 * torch.randn(shape, generator=generator)
        for time, after in zip(times, [*times[1:], 0], strict=True):
            both = system.models["unet"](torch.cat([x, x]), time, None, class_labels=labels).sample
            noise = both[1:] + system.cfg * (both[:1] - both[1:])
            x0 = (x - (1 - share[time]) ** 0.5 * noise) / share[time] ** 0.5
            x = share[after] ** 0.5 * x0 + (1 - share[after]) ** 0.5 * noise
    return x


@pytest.mark.parametrize(
    ("more", "level", "times"),
    [
        (",strength=0.5", 251, [251, 1]),
        (",strength=0.8", 501, [501, 251, 1]),
        (",strength=1.0", 751, [751, 501, 251, 1]),
        # The released code noises to one step above the first that it takes.
        (",strength=0.5,algorithm=released", 501, [251, 1]),
    ],
)
def test_style_transfer_is_half_forgotten_and_denoised_under_the_other_text(
    more: str, level: int, times: list[int], asked: Asked, audioldm_folder: Path
) -> None:
    system, source = restyled(asked, audioldm_folder, more), clip(SINGING, text=SINGING.text)
    made, output = latents_of(system, source)
    expected = plain_transfer(system, source, "children singing", level, times)
    np.testing.assert_allclose(made, expected.numpy(), atol=2e-5 * float(expected.abs().max()))
    assert output.details["steps_taken"] == len(times)
    assert output.details["prompt"] == "children singing"
    assert output.audio.length == 5120


def test_more_strength_leaves_less_of_the_input(asked: Asked, audioldm_folder: Path) -> None:
    source = clip(SINGING, text=SINGING.text)
    mels = []
    for strength in (0.05, 0.5, 1.0):
        system = load_system(asked(f"audioldm-zero-shot:steps=20,strength={strength},cfg=1", audioldm_folder))
        mels.append(latents_of(system, source)[0])
    near, middle, far = (np.abs(mel - mels[0]).mean() for mel in mels)
    assert near == 0
    assert 0 < middle < far


def test_restyled_and_filled_clips_share_a_batch(asked: Asked, audioldm_folder: Path) -> None:
    system = load_system(asked("audioldm-zero-shot:steps=2", audioldm_folder))
    clips = [clip(GAP, "a", 1), clip(SINGING, "b", 2, text=SINGING.text), clip(LOW, "c", 3)]
    for one, together in zip(clips, run(system, *clips), strict=True):
        (alone,) = run(system, one)
        np.testing.assert_allclose(alone.audio.samples, together.audio.samples, atol=2e-6)
        assert alone.details == together.details


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (",strength=0.0", "strength .* must be above 0 and at most 1: 0.0"),
        (",strength=1.5", "must be above 0 and at most 1"),
        (",strength=0.2", "strength .* must be at least one of 4 steps: 0.2"),
        (",algorithm=other", "algorithm .* must be one of paper, released"),
        (",strength=1.0,algorithm=released", "the released style transfer cannot take strength=1"),
        (",prompt=a_dog", "cannot restyle x@y by another prompt"),
    ],
)
def test_impossible_transfers(more: str, message: str, asked: Asked, audioldm_folder: Path) -> None:
    with pytest.raises(BenchError, match=message):
        run(restyled(asked, audioldm_folder, more), clip(SINGING, text=SINGING.text))


def test_released_inpainting_leaves_the_last_result(asked: Asked, audioldm_folder: Path) -> None:
    """Only the last blend differs: what was generated is the same, what was known is not put back clean."""
    latents = []
    for algorithm in ("paper", "released"):
        system: Any = load_system(asked(f"audioldm-zero-shot:steps=4,algorithm={algorithm}", audioldm_folder))
        latents.append(latents_of(system, clip(GAP))[0][0])
    mask = system.mask(GAP, 32, "x").astype(bool)
    np.testing.assert_array_equal(latents[0][:, ~mask], latents[1][:, ~mask])
    assert np.abs(latents[0][:, mask] - latents[1][:, mask]).max() > 1e-3


def test_a_dataset_that_restyles_asks_for_its_text(tmp_path: Path) -> None:
    from ldmbench.clips.load import load_dataset

    plain, other = load_dataset("builtin-music"), load_dataset("builtin-music@children-singing")
    assert {item.text for item in other.clips} == {"Children singing."}
    assert other.clips[0].input.digest() == other.clips[0].audio.digest() == plain.clips[0].audio.digest()
    assert plain.digest != other.digest
    under = plain.under("x", SINGING)
    assert {item.text for item in under.clips} == {"children singing"}
    for broken in ({"kind": "restyle"}, {"kind": "gap", "text": "x"}, {"kind": "restyle", "text": "  "}):
        with pytest.raises(ValueError, match="text: what kind = 'restyle' asks for"):
            Condition.model_validate(broken)


def test_conditions_without_a_text_are_known_by_what_they_were() -> None:
    """Runs of before there were texts stay comparable."""
    assert GAP.digest() == "354cf2e092ebb5595bbf1089b8df4630608480bc1b874f069c7d6da72ba6db39"
