"""Sampling in the continuous latent: schedules, DDPM and DDIM steps, and midway-infilling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ldmbench.audio.arrays import Real
from ldmbench.host.steps import counted
from ldmbench.systems.latent.v_diffusion import Noise, seeded_noise

#: Steps the model was trained with.
TRAINED = 1000
SCHEDULES = ("linear", "cosine")
SAMPLERS = ("ddpm", "ddim")
ALGORITHMS = ("midway", "infilling", "codec")

#: ``predict(x, t, condition)``: the noise in ``x`` ``[n, ...]`` at step ``t`` under ``condition`` ``[n, ...]``.
Predict = Callable[[Tensor, int, Tensor], Tensor]
#: ``start(shape)``: where the sampled branch of one clip begins.
Start = Callable[[tuple[int, ...]], Tensor]


def betas(schedule: str) -> Real:
    """Variances added by each of the 1000 steps: ``linear`` from 1e-4 to 0.02, or ``cosine``, at most 0.999.

    Source: Ho et al. 2020 (arXiv:2006.11239), section 4; Nichol & Dhariwal 2021 (arXiv:2102.09672), eq. 17.
    """
    if schedule == "linear":
        return np.linspace(1e-4, 0.02, TRAINED)
    left = np.cos((np.arange(TRAINED + 1) / TRAINED + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.asarray(np.minimum(1 - left[1:] / left[:-1], 0.999), np.float64)


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of one sampler through the last ``tau`` of the 1000 trained ones.

    Attributes:
        alphas: Share of signal power left after each trained step, float64.
        times: Steps taken, from ``tau - 1`` down.
        ddim: Whether DDIM steps are taken, which may skip some; else DDPM's.
        eta: Share of fresh noise in a DDIM step.
    """

    alphas: Real
    times: tuple[int, ...]
    ddim: bool
    eta: float

    @classmethod
    def of(cls, schedule: str, sampler: str, tau: int, steps: int = 0, eta: float = 0.0) -> Steps:
        """DDPM takes every step below ``tau``, DDIM ``steps`` evenly spaced ones of them (0 is every one)."""
        count = steps or tau
        times = tuple(-(-tau * (count - index) // count) - 1 for index in range(count))
        return cls(np.asarray(np.cumprod(1 - betas(schedule)), np.float64), times, sampler == "ddim", eta)

    def step(self, index: int, x: Tensor, noise: Tensor, draw: Callable[[], Tensor]) -> Tensor:
        """``x`` ``[n, ...]`` after step ``index``, with what is predicted clean kept in [-1, 1].

        Args:
            index: Which of ``times``.
            x: Before the step.
            noise: Predicted in it.
            draw: Fresh noise; not called where a step adds none.
        """
        time = self.times[index]
        last = index == len(self.times) - 1
        here, there = float(self.alphas[time]), 1.0 if last else float(self.alphas[self.times[index + 1]])
        clean = self.clean(time, x, noise)
        if not self.ddim:
            beta = 1 - here / there
            mean = beta * math.sqrt(there) / (1 - here) * clean
            mean = mean + (1 - there) * math.sqrt(1 - beta) / (1 - here) * x
            return mean if last else mean + math.sqrt(beta * (1 - there) / (1 - here)) * draw()
        sigma = self.eta * math.sqrt((1 - there) / (1 - here) * (1 - here / there))
        # The noise that belongs to the clean latent as it was kept in its range.
        direction = (x - math.sqrt(here) * clean) / math.sqrt(1 - here)
        moved = math.sqrt(there) * clean + math.sqrt(max(0.0, 1 - there - sigma**2)) * direction
        return moved + sigma * draw() if sigma else moved

    def clean(self, time: int, x: Tensor, noise: Tensor) -> Tensor:
        """The clean latent that ``noise`` in ``x`` leaves, kept in [-1, 1]."""
        here = float(self.alphas[time])
        return (math.sqrt(1 / here) * x - math.sqrt(1 / here - 1) * noise).clamp(-1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Draws:
    """All that is drawn for one clip; the branches draw on their own, so that one alone is what it is beside the other.

    Attributes:
        start: Where the sampled branch starts from.
        sampled: Noise of the sampled branch, number ``i`` in step ``i`` (0, 1, ...).
        infilling: Noise of the infilling branch.
    """

    start: Start
    sampled: Noise
    infilling: Noise

    @classmethod
    def seeded(cls, seed: int, uniform: bool = False) -> Draws:
        """The draws of a seed, made on the CPU; the start is normal, or ``uniform`` in [0, 1)."""
        first = seeded_noise(seed, "start")

        def start(shape: tuple[int, ...]) -> Tensor:
            # The distribution function of the normal gives what is uniform.
            return torch.special.ndtr(first(0, shape)) if uniform else first(0, shape)

        return cls(start, seeded_noise(seed, "sampled"), seeded_noise(seed, "infilling"))


def midway_infilling(predict: Predict, steps: Steps, condition: Tensor, draws: Sequence[Draws], gamma: float) -> Tensor:
    """Latents ``[n, 128, frames]`` of scaled conditions of the same shape, sampled beside an infilling branch.

    Both branches go through the same steps; the infilling branch starts from the condition, the sampled one from
    noise, and after every step the sampled branch takes over the share ``gamma`` of the other. With ``gamma`` 0 only
    the sampled branch is computed (with all trained steps this is plain DDPM or DDIM), with ``gamma`` 1 only the
    infilling branch, which starts without noise (as the released ``halfway_sampling`` does).

    Source: Yang et al. 2024 (arXiv:2311.08330), algorithm 1.
    """
    shape = tuple(condition.shape[1:])
    filled = condition
    start = torch.stack([draw.start(shape) for draw in draws]).to(condition) if gamma < 1 else condition
    sampled = (1 - gamma) * start + gamma * filled
    for index in counted(range(len(steps.times)), "step"):
        if gamma == 1:
            filled = sampled = _stepped(predict, steps, index, filled, condition, [draw.infilling for draw in draws])
        elif gamma == 0:
            sampled = _stepped(predict, steps, index, sampled, condition, [draw.sampled for draw in draws])
        else:
            # Both in one call of the model.
            noises = [draw.infilling for draw in draws] + [draw.sampled for draw in draws]
            both = torch.cat([filled, sampled])
            both = _stepped(predict, steps, index, both, torch.cat([condition, condition]), noises)
            filled, sampled = both.chunk(2)
            sampled = (1 - gamma) * sampled + gamma * filled
    return sampled


def released_infilling(
    predict: Predict, steps: Steps, condition: Tensor, draws: Sequence[Draws], gamma: float
) -> Tensor:
    """The variant of the authors' code, which its script leaves out: mixed before and after the infilling step.

    The sampled branch starts as it is drawn (the code: uniformly) instead of mixed with the condition.
    """
    shape = tuple(condition.shape[1:])
    filled = condition
    sampled = torch.stack([draw.start(shape) for draw in draws]).to(condition)
    noises = [draw.infilling for draw in draws] + [draw.sampled for draw in draws]
    both_conditions = torch.cat([condition, condition])
    for index in counted(range(len(steps.times)), "step"):
        both = _stepped(predict, steps, index, torch.cat([filled, sampled]), both_conditions, noises)
        stepped, sampled = both.chunk(2)
        sampled = (1 - gamma) * sampled + gamma * filled
        filled = stepped
        sampled = (1 - gamma) * sampled + gamma * filled
    return sampled


def _stepped(
    predict: Predict, steps: Steps, index: int, x: Tensor, condition: Tensor, noises: Sequence[Noise]
) -> Tensor:
    """``x`` after one step, each member with its own fresh noise."""

    def draw() -> Tensor:
        return torch.stack([noise(index, tuple(x.shape[1:])) for noise in noises]).to(x)

    return steps.step(index, x, predict(x, steps.times[index], condition).float(), draw)
