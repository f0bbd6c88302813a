"""Midway-infilling at its ends, and its steps beside those of diffusers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.systems.ladiffcodec import sampling as sampling
from ldmbench.systems.ladiffcodec.sampling import Draws, Steps, betas, midway_infilling, released_infilling

SHAPE = (4, 24)


def predict(x: torch.Tensor, time: int, condition: torch.Tensor) -> torch.Tensor:
    """A smooth function of everything that noise may depend on."""
    return torch.sin(3 * x + 0.01 * time) * 0.5 + 0.3 * condition + 0.2 * x


@pytest.fixture
def condition() -> torch.Tensor:
    return torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.fixture
def draws() -> list[Draws]:
    return [Draws.seeded(seed) for seed in (5, 6)]


def stacked(draws: list[Draws], index: int) -> torch.Tensor:
    return torch.stack([draw.sampled(index, SHAPE) for draw in draws])


def in_double_precision(stock: Any, schedule: str) -> None:
    """Schedulers keep the schedule in single precision, which moves a thousand steps by 3e-4."""
    stock.alphas_cumprod = torch.from_numpy(np.cumprod(1 - betas(schedule)))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_without_infilling_and_from_pure_noise_it_is_ddpm(
    schedule: str, condition: torch.Tensor, draws: list[Draws], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the scheduler of diffusers, through all 1000 steps."""
    from diffusers.schedulers import scheduling_ddpm

    stock = scheduling_ddpm.DDPMScheduler(
        trained_betas=betas(schedule), prediction_type="epsilon", clip_sample=True, variance_type="fixed_small"
    )
    in_double_precision(stock, schedule)
    x = torch.stack([draw.start(SHAPE) for draw in draws])
    fresh: list[torch.Tensor] = []
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *_, **__: fresh[0])
    for index, time in enumerate(range(999, -1, -1)):
        fresh[:] = [stacked(draws, index)]
        x = stock.step(predict(x, time, condition), time, x, return_dict=False)[0]
    own = midway_infilling(predict, Steps.of(schedule, "ddpm", 1000), condition, draws, 0.0)
    torch.testing.assert_close(own, x, atol=1e-5, rtol=0)


def test_all_infilling_is_the_infilling_branch(condition: torch.Tensor, draws: list[Draws]) -> None:
    """It starts from the condition, and no noise of the sampled branch matters."""
    steps = Steps.of("linear", "ddpm", 20)
    x = condition
    for index in range(20):
        fresh = torch.stack([draw.infilling(index, SHAPE) for draw in draws])
        x = steps.step(index, x, predict(x, 19 - index, condition), lambda fresh=fresh: fresh)  # type: ignore[misc]
    whole = midway_infilling(predict, steps, condition, draws, 1.0)
    torch.testing.assert_close(whole, x, atol=1e-6, rtol=0)
    # The limit is no special case: the general path comes to the same.
    nearly = midway_infilling(predict, steps, condition, draws, 1 - 1e-9)
    torch.testing.assert_close(nearly, whole, atol=1e-5, rtol=0)


def test_no_infilling_is_no_special_case(condition: torch.Tensor, draws: list[Draws]) -> None:
    steps = Steps.of("linear", "ddpm", 20)
    none = midway_infilling(predict, steps, condition, draws, 0.0)
    torch.testing.assert_close(midway_infilling(predict, steps, condition, draws, 1e-9), none, atol=1e-5, rtol=0)


def test_algorithm_1_step_by_step(condition: torch.Tensor, draws: list[Draws]) -> None:
    """The paper's lines, one after the other, on one clip."""
    gamma, steps = 0.3, Steps.of("linear", "ddpm", 5)
    h, draw = condition[:1], draws[0]

    def g(x: torch.Tensor, index: int, noise: Any) -> torch.Tensor:
        return steps.step(index, x, predict(x, 4 - index, h), lambda: noise(index, SHAPE)[None])

    s = h
    x = (1 - gamma) * draw.start(SHAPE)[None] + gamma * s
    for index in range(5):
        s = g(s, index, draw.infilling)
        x = g(x, index, draw.sampled)
        x = (1 - gamma) * x + gamma * s
    torch.testing.assert_close(midway_infilling(predict, steps, h, [draw], gamma), x, atol=1e-6, rtol=0)
    # The code's own mixes once more, and starts from noise alone.
    other = released_infilling(predict, steps, h, [draw], gamma)
    assert (other - x).abs().max() > 0.01


def test_ddim_with_all_noise_and_every_step_is_ddpm(condition: torch.Tensor, draws: list[Draws]) -> None:
    ddpm = midway_infilling(predict, Steps.of("cosine", "ddpm", 100), condition, draws, 0.3)
    ddim = midway_infilling(predict, Steps.of("cosine", "ddim", 100, eta=1.0), condition, draws, 0.3)
    torch.testing.assert_close(ddim, ddpm, atol=1e-5, rtol=0)


def test_ddim_beside_diffusers(condition: torch.Tensor, draws: list[Draws]) -> None:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    stock = DDIMScheduler(
        trained_betas=betas("linear"), clip_sample=True, timestep_spacing="trailing", prediction_type="epsilon"
    )
    stock.set_timesteps(50)
    in_double_precision(stock, "linear")
    own = Steps.of("linear", "ddim", 1000, 50, eta=0.5)
    assert list(own.times) == stock.timesteps.tolist()
    x = torch.stack([draw.start(SHAPE) for draw in draws])
    for index, time in enumerate(own.times):
        noise = predict(x, time, condition)
        x = stock.step(
            noise, time, x, eta=0.5, use_clipped_model_output=True, variance_noise=stacked(draws, index)
        ).prev_sample
    sampled = midway_infilling(predict, own, condition, draws, 0.0)
    torch.testing.assert_close(sampled, x, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("tau", "count"), [(100, 0), (100, 50), (100, 7), (3, 2), (1, 1)])
def test_steps_go_from_the_last_noise_level_to_the_clean_latent(tau: int, count: int) -> None:
    steps = Steps.of("linear", "ddim", tau, count)
    assert len(steps.times) == (count or tau)
    assert steps.times[0] == tau - 1
    assert all(first > second >= 0 for first, second in zip(steps.times, steps.times[1:], strict=False))
    x, noise = torch.full((1, 3), 0.4), torch.full((1, 3), 0.1)
    last = len(steps.times) - 1
    np.testing.assert_allclose(steps.step(last, x, noise, lambda: noise), steps.clean(steps.times[last], x, noise))


def test_schedules() -> None:
    """The share of signal left after 100 steps, by which the two are told apart."""
    left = {name: float(np.cumprod(1 - betas(name))[99]) for name in sampling.SCHEDULES}
    assert left == {"linear": pytest.approx(0.897, abs=2e-3), "cosine": pytest.approx(0.972, abs=1e-3)}


def test_the_uniform_start_is_uniform() -> None:
    values = Draws.seeded(1, uniform=True).start((100, 100))
    assert float(values.min()) >= 0
    assert float(values.max()) < 1
    assert float(values.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(values.var()) == pytest.approx(1 / 12, abs=0.002)
