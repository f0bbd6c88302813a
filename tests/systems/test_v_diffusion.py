from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.errors import BenchError
from ldmbench.systems.latent.v_diffusion import cosine_alphas, ddim, guided, seeded_noise, time_steps

SHAPE = (2, 6, 4)


def velocity(latents: Any, time: int) -> Any:
    """Something that depends on everything a model would see."""
    return torch.sin(3 * latents) + 0.001 * time


def test_time_steps_are_those_of_the_reference() -> None:
    assert time_steps(4) == [751, 501, 251, 1]
    assert time_steps(2) == [501, 1]
    assert time_steps(50) == list(range(981, 0, -20))
    assert time_steps(1) == [1]


@pytest.mark.parametrize("steps", [0, -1, 3, 7, 300, 999, 1000, 2000])
def test_steps_that_the_reference_cannot_take_are_refused(steps: int) -> None:
    with pytest.raises(BenchError, match=rf"DDIM cannot take {steps} steps: .*use 1, 2, 4, 5, 8, 10"):
        time_steps(steps)


@pytest.mark.parametrize("steps", [2, 10, 50])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ddim_equals_diffusers(steps: int, eta: float) -> None:
    from diffusers import DDIMScheduler

    alphas = cosine_alphas()
    scheduler = DDIMScheduler(
        prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1,
        timestep_spacing="leading",
    )  # fmt: skip
    scheduler.alphas_cumprod = torch.tensor(alphas, dtype=torch.float64)
    scheduler.final_alpha_cumprod = scheduler.alphas_cumprod[0]
    scheduler.set_timesteps(steps)
    noise = seeded_noise(5)
    expected = noise(0, SHAPE)[None]
    for index, time in enumerate(scheduler.timesteps, start=1):
        found = scheduler.step(
            velocity(expected, int(time)), time, expected, eta=eta, variance_noise=noise(index, SHAPE)
        )
        expected = found.prev_sample.float()
    torch.testing.assert_close(ddim(velocity, alphas, [noise], SHAPE, steps, eta), expected, atol=1e-5, rtol=1e-5)


def test_each_latent_has_its_own_noise_and_no_other() -> None:
    noises = [seeded_noise(1), seeded_noise(2), seeded_noise(1, 1)]
    together = ddim(velocity, cosine_alphas(), noises, SHAPE, 5, 1.0)
    for index, noise in enumerate(noises):
        torch.testing.assert_close(ddim(velocity, cosine_alphas(), [noise], SHAPE, 5, 1.0)[0], together[index])
    assert len({float(latent.sum()) for latent in together}) == 3


def test_draws_are_asked_for_in_order_and_only_if_used() -> None:
    def asked(eta: float) -> list[int]:
        drawn: list[int] = []
        noise = seeded_noise(0)
        ddim(velocity, cosine_alphas(), [lambda i, s: (drawn.append(i), noise(i, s))[1]], SHAPE, 4, eta)
        return drawn

    assert asked(1.0) == [0, 1, 2, 3, 4]
    assert asked(0.0) == [0]


def test_noise_does_not_depend_on_the_order_of_draws() -> None:
    first, second = seeded_noise(7, 0), seeded_noise(7, 0)
    later, start = first(3, SHAPE), first(0, SHAPE)
    torch.testing.assert_close(second(0, SHAPE), start, rtol=0, atol=0)
    torch.testing.assert_close(second(3, SHAPE), later, rtol=0, atol=0)
    assert abs(float(seeded_noise(1)(0, (10_000,)).std()) - 1) < 0.05


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 2.0, 3.5])
def test_guidance_is_one_call_of_the_model(scale: float) -> None:
    calls: list[tuple[Any, Any]] = []

    def evaluate(latents: Any, times: Any, condition: Any) -> Any:
        calls.append((latents, times))
        return latents * condition

    x, with_, without = torch.ones(3, 2), torch.full((3, 2), 5.0), torch.full((3, 2), 2.0)
    found = guided(evaluate, with_, without, scale)(x, 501)
    torch.testing.assert_close(found, torch.full((3, 2), 2.0 + scale * 3.0))
    assert len(calls) == 1
    # Neither half is computed where it does not count.
    assert len(calls[0][0]) == (3 if scale in (0.0, 1.0) else 6)
    assert calls[0][1].tolist() == [501] * len(calls[0][0])


def test_cosine_schedule_ends_without_signal() -> None:
    alphas = np.array(cosine_alphas())
    assert (len(alphas), alphas[-1]) == (1000, 0.0)
    assert (np.diff(alphas) < 0).all()
    expected = {0: 0.999958694, 1: 0.99991256, 251: 0.844760478, 501: 0.490726829, 998: 2.42876695e-06}
    for index, value in expected.items():
        assert alphas[index] == pytest.approx(value, rel=1e-6)
