"""Metrics over sets: one term a clip, against distances computed from scratch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ldmbench.audio.arrays import Real, Rows
from ldmbench.compare.gate import compare
from ldmbench.compare.paired import by_signs
from ldmbench.compare.records import Cell, Rules
from ldmbench.errors import BenchError
from ldmbench.metrics import _frechet as frechet
from ldmbench.metrics._embedding import pack
from ldmbench.metrics._swaps import frechet_differences, inception_differences, kernel_differences
from ldmbench.runs.records import ScoreRow
from ldmbench.runs.results import Run
from tests.compare.conftest import make_run
from tests.present import present

Sides = list[Rows]


def outputs(seed: int, clips: int = 60, dim: int = 6, noise: float = 0.3, shift: float = 0.0) -> tuple[Sides, Sides]:
    """Rows of references, and of outputs that are near them."""
    base = np.random.default_rng(0)
    reference = [base.standard_normal((1 + index % 3, dim)) for index in range(clips)]
    own = np.random.default_rng(seed)
    return reference, [rows + noise * own.standard_normal(rows.shape) + shift for rows in reference]


def swapped(base: Sides, new: Sides, clips: set[int]) -> tuple[Sides, Sides]:
    first = [new[k] if k in clips else base[k] for k in range(len(base))]
    return first, [base[k] if k in clips else new[k] for k in range(len(base))]


def fd(reference: Sides, output: Sides) -> float:
    return frechet.frechet_distance(np.concatenate(reference), np.concatenate(output))


def kad(reference: Sides, output: Sides) -> float:
    """The unbiased squared MMD from its definition, every pair a kernel, times 100."""
    x, y = np.concatenate(reference), np.concatenate(output)
    sigma = frechet.median_distance(x)

    def kernel(a: Rows, b: Rows) -> Real:
        values: Real = np.exp(-(((a[:, None] - b[None]) ** 2).sum(-1)) / (2 * sigma**2 + 1e-8))
        return values

    def mean_of_pairs(a: Rows) -> float:
        return float((kernel(a, a).sum() - len(a)) / (len(a) * (len(a) - 1)))

    return 100 * (mean_of_pairs(x) + mean_of_pairs(y) - 2 * float(kernel(x, y).mean()))


def inception(logits: Sides) -> float:
    p = np.exp(np.concatenate(logits))
    p /= p.sum(axis=1, keepdims=True)
    return float(np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()))


def test_kernel_terms_are_exact_under_every_swap() -> None:
    reference, base = outputs(1)
    _, new = outputs(2, shift=0.2)
    terms = kernel_differences(reference, base, new)
    assert terms.mean() == pytest.approx(kad(reference, new) - kad(reference, base), rel=1e-9)
    for seed in range(5):
        clips = {int(k) for k in np.flatnonzero(np.random.default_rng(seed).integers(0, 2, len(base)))}
        first, second = swapped(base, new, clips)
        signs = np.array([-1 if k in clips else 1 for k in range(len(base))])
        assert (signs * terms).mean() == pytest.approx(kad(reference, second) - kad(reference, first), rel=1e-9)
        np.testing.assert_allclose(kernel_differences(reference, first, second), signs * terms, rtol=1e-9)


@pytest.mark.parametrize("dim", [6, 200])
def test_frechet_terms_change_their_sign_with_a_swap_and_sum_to_the_difference(dim: int) -> None:
    """Also with fewer rows than dimensions."""
    reference, base = outputs(1, dim=dim)
    _, new = outputs(2, shift=0.15, dim=dim)
    terms = frechet_differences(reference, base, new)
    assert terms.mean() == pytest.approx(fd(reference, new) - fd(reference, base), rel=0.1)
    first, second = swapped(base, new, {3, 7, 20})
    changed = frechet_differences(reference, first, second)
    signs = np.array([-1 if k in {3, 7, 20} else 1 for k in range(60)])
    # Exact where clips have equal numbers of rows in both sets, as here.
    np.testing.assert_allclose(changed, signs * terms, rtol=1e-6, atol=1e-9)


def test_frechet_terms_follow_recomputed_swaps() -> None:
    reference, base = outputs(1)
    _, new = outputs(2)
    terms = frechet_differences(reference, base, new)
    linear, recomputed = [], []
    for seed in range(60):
        clips = {int(k) for k in np.flatnonzero(np.random.default_rng(seed).integers(0, 2, len(base)))}
        signs = np.array([-1 if k in clips else 1 for k in range(len(base))])
        linear.append((signs * terms).mean())
        first, second = swapped(base, new, clips)
        recomputed.append(fd(reference, second) - fd(reference, first))
    assert np.corrcoef(linear, recomputed)[0, 1] > 0.98


def test_inception_terms_sum_to_the_difference() -> None:
    _, base = outputs(1, noise=1)
    _, new = outputs(2, noise=1.3)
    terms = inception_differences(base, new)
    assert terms.mean() == pytest.approx(inception(new) - inception(base), rel=0.05)
    first, second = swapped(base, new, {3, 7, 20})
    signs = np.array([-1 if k in {3, 7, 20} else 1 for k in range(60)])
    np.testing.assert_allclose(inception_differences(first, second), signs * terms, rtol=1e-9)


def test_signs_agree_with_an_independent_permutation_test() -> None:
    from scipy.stats import permutation_test

    values = np.random.default_rng(4).standard_normal(30) - 0.35
    test = by_signs(values, float(values.mean()))
    expected = permutation_test(
        (values,), lambda sample, axis: sample.mean(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=99_999, alternative="less", rng=np.random.default_rng(1),
    )  # fmt: skip
    assert test is not None
    assert test.p == pytest.approx(expected.pvalue, abs=0.008)
    assert present(by_signs(np.zeros(30), 0.0)).p == 1.0
    assert by_signs(values[:19], 0.0) is None
    assert present(by_signs(values, float(values.mean()), margin=10.0)).p > 0.9


def set_run(name: str, reference: Sides, output: Sides, both: bool = True, **facts: Any) -> Run:
    run = make_run({name: [0.0] * len(output)}, content="general", **facts)
    for clip, reference_rows, rows in zip(run.info.clips, reference, output, strict=True):
        vector = pack(reference_rows, rows) if both else pack(rows)
        row = run.scores[clip.id, name]
        run.vectors[f"v/{clip.id}"] = vector
        run.scores[clip.id, name] = ScoreRow(clip.id, name, row.version, "ok", f"v/{clip.id}", output=row.output)
    return run


def verdict(base: Run, new: Run, **rules: Any) -> Cell:
    (cell,) = compare([base], [new], Rules(**rules)).cells
    return cell


Make = Callable[..., Run]


@pytest.mark.parametrize(
    ("name", "noise", "both"),
    [("fd_panns", 0.8, True), ("kad_panns:bandwidth=reference", 0.8, True), ("is_panns", 0.05, False)],
)
def test_a_loss_is_found_and_a_gain_is_none(name: str, noise: float, both: bool) -> None:
    reference, good = outputs(1, clips=120)
    _, bad = outputs(2, clips=120, noise=noise)
    if not both:
        bad = [0.5 * rows for rows in bad]  # flatter classes
    base = set_run(name, reference, good, both)
    new = set_run(name, reference, bad, both, id="r1")
    worse, better, same = verdict(base, new), verdict(new, base), verdict(base, base)
    assert (worse.verdict, better.verdict, same.verdict) == ("worse", "better", "same")
    assert worse.difference == -present(better.difference)
    assert worse.difference == present(worse.new) - present(worse.base)
    assert worse.p == pytest.approx(1e-4)
    _, other = outputs(3, clips=120)
    assert verdict(base, set_run(name, reference, other, both, id="r2")).verdict in ("undecided", "better")


def test_what_has_no_test_is_not_comparable() -> None:
    reference, output = outputs(1)
    for name, text in (("kad_panns", "bandwidth=reference"), ("fad_infinity_panns", "extrapolated")):
        run = set_run(name, reference, output)
        cell = verdict(run, run)
        assert cell.verdict == "not comparable"
        assert text in cell.reason
    base = set_run("fd_panns", reference, output)
    other = set_run("fd_panns", [2 * rows for rows in reference], output, id="r1")
    assert "the extractor's weights" in verdict(base, other).reason
    moved = set_run("fd_panns", [rows * (1 + 1e-6) for rows in reference], outputs(2)[1], id="r1")
    assert verdict(base, moved).verdict != "not comparable"


def test_few_clips_are_too_few_for_a_set() -> None:
    reference, output = outputs(1, clips=12)
    cell = verdict(set_run("fd_panns", reference, output), set_run("fd_panns", reference, outputs(2, 12)[1], id="r1"))
    assert (cell.verdict, cell.reason) == ("undecided", "12 clips are too few to test; 20 are needed")
    assert cell.difference is not None


def test_failed_clips_and_tolerances_of_sets() -> None:
    reference, output = outputs(1)
    base, new = set_run("fd_panns", reference, output), set_run("fd_panns", reference, output, id="r1")
    clip = base.info.clips[4].id
    new.scores[clip, "fd_panns"] = replace(new.scores[clip, "fd_panns"], status="failed", value=None, message="boom")
    assert verdict(base, new).verdict == "failed"
    with pytest.raises(BenchError, match="give it a margin"):
        verdict(base, new, tolerances={"fd_panns": 1.0})
