from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.errors import BenchError
from ldmbench.systems.latent.v_diffusion import check_steps, cosine_alphas, ddim, guided, seeded_noise

SHAPE = (2, 6, 4)


def velocity(latents: Any, time: int) -> Any:
    """Something that depends on everything a model would see."""
    return torch.sin(3 * latents) + 0.001 * time


def test_time_steps_are_those_of_the_reference() -> None:
    def taken(steps: int) -> list[int]:
        seen: list[int] = []
        ddim(velocity, cosine_alphas(), [seeded_noise(0)], SHAPE, steps, 1.0, watch=lambda t, *_: seen.append(t))
        return seen

    assert taken(4) == [751, 501, 251, 1]
    assert taken(2) == [501, 1]
    assert taken(50) == list(range(981, 0, -20))
    assert taken(1) == [1]


@pytest.mark.parametrize("steps", [0, -1, 3, 7, 300, 999, 1000, 2000])
def test_steps_that_the_reference_cannot_take_are_refused(steps: int) -> None:
    with pytest.raises(BenchError, match=rf"DDIM cannot take {steps} steps: .*use 1, 2, 4, 5, 8, 10"):
        check_steps(steps)
    with pytest.raises(BenchError, match=f"DDIM cannot take {steps} steps"):
        ddim(velocity, cosine_alphas(), [seeded_noise(0)], SHAPE, steps, 1.0)


@pytest.mark.parametrize("single", [False, True], ids=["double", "as stored"])
@pytest.mark.parametrize("steps", [1, 2, 4, 10, 50, 500])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ddim_equals_the_papers_equations(steps: int, eta: float, single: bool) -> None:
    """Equation 12 with v, written out in double precision; a checkpoint holds its schedule in single."""
    alphas = torch.tensor(cosine_alphas()).tolist() if single else cosine_alphas()
    noise = seeded_noise(5)
    latents, seen = noise(0, SHAPE), []
    times = [start + 1 for start in range(0, 1000, 1000 // steps)][::-1]
    for index, time in enumerate(times, start=1):
        before, after = alphas[time], alphas[times[index]] if index < steps else alphas[0]
        spread = eta * math.sqrt((1 - after) / (1 - before) * (1 - before / after))
        v = velocity(latents, time)
        clean = math.sqrt(before) * latents - math.sqrt(1 - before) * v
        noisy = math.sqrt(before) * v + math.sqrt(1 - before) * latents
        # Zero from pure noise on at eta 1, but for rounding.
        rest = math.sqrt(max(0.0, 1 - after - spread**2))
        latents = math.sqrt(after) * clean + rest * noisy + spread * noise(index, SHAPE)
        seen.append((time, latents, clean))
    steps_of: list[tuple[int, torch.Tensor, torch.Tensor]] = []
    found = ddim(velocity, alphas, [noise], SHAPE, steps, eta, watch=lambda *step: steps_of.append(step))
    torch.testing.assert_close(found[0], latents, atol=4e-6, rtol=0)
    for (time, x, clean), (at, wanted, wanted_clean) in zip(steps_of, seen, strict=True):
        assert time == at
        torch.testing.assert_close(x[0], wanted, atol=4e-6, rtol=0)
        torch.testing.assert_close(clean[0], wanted_clean, atol=4e-6, rtol=0)


def test_each_latent_has_its_own_noise_and_no_other() -> None:
    noises = [seeded_noise(1), seeded_noise(2), seeded_noise(1, 1)]
    together = ddim(velocity, cosine_alphas(), noises, SHAPE, 5, 1.0)
    for index, noise in enumerate(noises):
        alone = ddim(velocity, cosine_alphas(), [noise], SHAPE, 5, 1.0)[0]
        torch.testing.assert_close(alone, together[index], rtol=0, atol=0)
    assert len({float(latent.sum()) for latent in together}) == 3


def test_draws_are_asked_for_in_order_and_only_if_used() -> None:
    def asked(eta: float) -> list[int]:
        drawn: list[int] = []
        noise = seeded_noise(0)

        def note_and_draw(index: int, shape: tuple[int, ...]) -> Any:
            drawn.append(index)
            return noise(index, shape)

        ddim(velocity, cosine_alphas(), [note_and_draw], SHAPE, 4, eta)
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
