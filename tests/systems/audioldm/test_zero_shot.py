"""Inpainting and super-resolution: what is known stays, the rest is generated, and nothing depends on the batch."""

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
