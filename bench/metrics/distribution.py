"""Distances between the distributions of references and outputs in a classifier's eyes: FD, FAD, IS, KL, KAD."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast

import numpy as np

from ldmbench import stats
from ldmbench.audio.arrays import Rows
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics import _frechet as frechet
from ldmbench.metrics import _swaps as swaps
from ldmbench.metrics._base import Metric, MetricFacts, Value, register, settings_title
from ldmbench.metrics._distances import frechet_metric
from ldmbench.metrics._embedding import EmbeddingMetric, SetMetric, Source
from ldmbench.metrics._estimates import (
    OF_A_DISTANCE,
    OF_A_KERNEL,
    against,
    infinity_estimate,
    infinity_estimate_to,
    kernel_estimate,
    pooled,
)
from ldmbench.names import Name, Setting
from ldmbench.stats import Estimate

#: Added to the outputs' probabilities, and only to theirs, before the logarithm.
_EPSILON = 1e-6

_AE = "audioldm_eval 8dc07ee"
_FADTK = "Gui et al., arXiv:2311.01616, as fadtk ec74b1f, fad.py, score_inf: draws with replacement (there unseeded)"
_WEIGHTS: dict[str, Setting] = {"untrained": False, "official": True}
#: Of a Frechet distance: the name of statistics (``ldmbench.metrics._statistics``) in place of the references.
_AGAINST: dict[str, Setting] = {"reference": ""}
_STEPS: dict[str, Setting] = {"steps": 25, "smallest": 500, "seed": 0}
_INFINITE: dict[str, Setting] = {**_STEPS, **_AGAINST}
_OF_SPLITS = "of the mean of 10 splits: of what a tenth of the clips gives"
_OF_NOTHING = "none: no interval is known to cover"

_RATES: dict[str, Mapping[str, Setting]] = {"32khz": {"rate": 32_000}}


def kl_divergence(reference: Rows, output: Rows, activation: Literal["softmax", "sigmoid"]) -> float:
    """Sum over classes of p (log p - log(q + 1e-6)), p the reference's and q the output's activated logits.

    With the softmax this is the Kullback-Leibler divergence of the output from the reference. With the sigmoid
    the terms of absent classes, (1 - p), are missing: that number is no divergence and may be below 0.

    Source: audioldm_eval 8dc07ee, ``metrics/kl.py``, ``calculate_kl``.
    """
    from scipy.special import expit, softmax, xlogy

    activate = softmax if activation == "softmax" else expit
    p, q = (np.asarray(activate(np.asarray(logits, np.float64))) for logits in (reference, output))
    return float(np.sum(xlogy(p, p) - p * np.log(q + _EPSILON)))


class KlMetric(EmbeddingMetric):
    """Mean over clips of ``kl_divergence``; ``swapped`` is that of the reference from the output."""

    def __init__(
        self, facts: MetricFacts, source: Source, activation: Literal["softmax", "sigmoid"], swapped: bool = False
    ) -> None:
        super().__init__(facts, source)
        self.activation = activation
        self.swapped = swapped

    def compare(self, *rows: Rows) -> Value:
        """The divergence of one clip.

        Raises:
            Unscored: If one side is too short to be heard.
        """
        if not all(len(side) for side in rows):
            raise Unscored("a sound is too short for the extractor")
        (first, *_), (second, *_) = reversed(rows) if self.swapped else rows
        return kl_divergence(first, second, self.activation)


def _inception(output: Sequence[Rows], splits: int, seed: int, deviation: bool) -> Estimate:
    logits, _ = pooled(output)
    if len(logits) < splits:
        return Estimate(None)
    scores = frechet.inception_scores(logits, splits, seed)
    if deviation:
        return Estimate(float(scores.std()), note="a spread of splits")
    return stats.mean(scores.tolist(), low=1.0)


def _panns(settings: Mapping[str, Setting], layer: str) -> Source:
    from ldmbench.extractors.panns import CHECKPOINTS, load_panns

    rate = cast(int, settings.get("rate", 16_000))
    return Source.by(settings, partial(load_panns, rate), layer, (CHECKPOINTS[rate],))


def _vggish(settings: Mapping[str, Setting], loading: str) -> Source:
    from ldmbench.extractors.vggish import CHECKPOINT, PCA, load_vggish

    own = {key: bool(settings.get(key, False)) for key in ("activation", "pca")}
    checkpoints = (CHECKPOINT, PCA) if own["pca"] else (CHECKPOINT,)
    return Source.by(settings, partial(load_vggish, loading, **own), "embedding", checkpoints)


def _passt(settings: Mapping[str, Setting], layer: str, loading: str) -> Source:
    from ldmbench.extractors.passt import CHECKPOINT, load_passt

    return Source.by(settings, partial(load_passt, loading), layer, (CHECKPOINT,))


def _facts(asked: Name, title: str, settings: Mapping[str, Setting], **facts: Any) -> MetricFacts:
    suffix = " 32 kHz" if asked.variant else ""
    suffix += settings_title(asked)
    facts = {"better": "lower", "kind": "set", "digits": 2, "rate": settings.get("rate", 16_000), **facts}
    return MetricFacts(name=str(asked), title=title + suffix, device=True, extras=("models",), **facts)


def _register_panns(
    name: str, title: str, layer: str, make: Callable[[MetricFacts, Source, Mapping[str, Setting]], Metric],
    defaults: Mapping[str, Setting] | None = None, **facts: Any,
) -> None:  # fmt: skip
    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        return make(_facts(asked, title, settings, **facts), _panns(settings, layer), settings)

    register(name, build, variants=_RATES, defaults={**_WEIGHTS, **(defaults or {})})


def _register_vggish(
    name: str, title: str, loading: str, make: Callable[[MetricFacts, Source, Mapping[str, Setting]], Metric],
    defaults: Mapping[str, Setting] | None = None, **facts: Any,
) -> None:  # fmt: skip
    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        return make(_facts(asked, title, settings, **facts), _vggish(settings, loading), settings)

    register(name, build, defaults={**_WEIGHTS, **(defaults or {})})


def _register_passt(
    name: str, title: str, layer: str, loading: str,
    make: Callable[[MetricFacts, Source, Mapping[str, Setting]], Metric],
    defaults: Mapping[str, Setting] | None = None, **facts: Any,
) -> None:  # fmt: skip
    def build(asked: Name, settings: Mapping[str, Setting]) -> Metric:
        return make(_facts(asked, title, settings, rate=32_000, **facts), _passt(settings, layer, loading), settings)

    register(name, build, defaults={**_WEIGHTS, **(defaults or {})})


def _infinity(replacement: bool, facts: MetricFacts, source: Source, settings: Mapping[str, Setting]) -> Metric:
    steps, smallest, seed = (cast(int, settings[key]) for key in _STEPS)
    if min(steps, smallest) < 2:
        raise BenchError(f"{facts.name} needs at least 2 steps and 2 rows", f"steps={steps}, smallest={smallest}")
    name = str(settings["reference"])
    distance = partial(infinity_estimate_to, name) if name else infinity_estimate
    estimate = partial(distance, steps=steps, smallest=smallest, seed=seed, replacement=replacement)
    no_test = "an extrapolated distance has no test; compare the Frechet distance"
    return SetMetric(against(facts, name) if name else facts, source, estimate, no_test, name)


def _kernel(facts: MetricFacts, source: Source, settings: Mapping[str, Setting]) -> Metric:
    bandwidth = settings["bandwidth"]
    if bandwidth not in ("output", "reference"):
        raise BenchError(f"{facts.name}: no such bandwidth", f"{bandwidth!r}", "use output or reference")
    estimate = partial(kernel_estimate, bandwidth=cast(Literal["output", "reference"], bandwidth))
    return SetMetric(facts, source, estimate, swaps.of_kernel(facts.name, bandwidth))


def _score(deviation: bool, facts: MetricFacts, source: Source, settings: Mapping[str, Setting]) -> Metric:
    estimate = partial(_inception, splits=10, seed=2020, deviation=deviation)
    differences = "a deviation of splits has no test" if deviation else swaps.inception_differences
    return SetMetric(facts, source, estimate, differences)


def _kl(
    activation: Literal["softmax", "sigmoid"],
    swapped: bool,
    facts: MetricFacts,
    source: Source,
    settings: Mapping[str, Setting],
) -> Metric:
    return KlMetric(facts, source, activation, swapped)


_register_panns(
    "fd_panns",
    "FD PANNs",
    "embedding",
    frechet_metric,
    _AGAINST,
    low=0.0,
    interval=OF_A_DISTANCE,
    source=f"{_AE}, metrics/fid.py",
)
_register_panns(
    "is_panns", "IS PANNs", "logits", partial(_score, False),
    better="higher", needs=("output",), low=1.0, interval=_OF_SPLITS,
    source=f"{_AE}, metrics/isc.py, mean of 10 splits in the order of the clips",
)  # fmt: skip
_register_panns(
    "is_panns_std", "IS PANNs std", "logits", partial(_score, True),
    better="neither", needs=("output",), low=0.0, interval=_OF_NOTHING,
    source=f"{_AE}, metrics/isc.py, standard deviation of 10 splits",
)  # fmt: skip
_register_panns(
    "kl_softmax_panns", "KL softmax PANNs", "logits", partial(_kl, "softmax", False),
    kind="mean", digits=3, source=f"{_AE}, metrics/kl.py, kl_softmax: reference from output",
)  # fmt: skip
_register_panns(
    "kl_sigmoid_panns", "KL sigmoid PANNs", "logits", partial(_kl, "sigmoid", False),
    kind="mean", digits=3, source=f"{_AE}, metrics/kl.py, kl_sigmoid: without absent classes",
)  # fmt: skip
_register_panns(
    "kl_stable_audio_panns", "KL Stable Audio PANNs", "logits", partial(_kl, "softmax", True),
    kind="mean", digits=3,
    source="stable-audio-metrics fd55536, passt_kld.py, and audiocraft's kld_qp: output from reference, the other way "
    "round than audioldm_eval's and audiocraft's kld_pq; on Cnn14's classes in place of PaSST's",
)  # fmt: skip
_register_panns(
    "fad_infinity_panns", "FAD-inf PANNs", "embedding", partial(_infinity, False), _INFINITE, interval=_OF_NOTHING,
    source="Gui et al., arXiv:2311.01616; draws without replacement, seeded",
)  # fmt: skip
_register_panns(
    "fad_infinity_fadtk_panns", "FAD-inf (fadtk) PANNs", "embedding", partial(_infinity, True), _INFINITE,
    interval=_OF_NOTHING, source=f"{_FADTK}; embeddings of audioldm_eval's Cnn14",
)  # fmt: skip
_register_panns(
    "kad_panns", "KAD PANNs", "embedding", _kernel, {"bandwidth": "output"},
    digits=3, interval=OF_A_KERNEL,
    source="Chung et al., arXiv:2502.15602; kadtk 8bda71d, kad.py, times 100",
)  # fmt: skip
_register_vggish(
    "fad_vggish_audioldm_eval", "FAD VGGish audioldm_eval", "audioldm_eval", frechet_metric, _AGAINST,
    low=0.0, interval=OF_A_DISTANCE,
    source=f"{_AE}, metrics/fad.py: VGGish without PCA and last ReLU, first channel, zero mean, padded to 2 s",
)  # fmt: skip
_register_vggish(
    "fad_vggish_package", "FAD VGGish package", "frechet_audio_distance", frechet_metric,
    {**_AGAINST, "activation": False, "pca": False}, low=0.0, interval=OF_A_DISTANCE,
    source="frechet-audio-distance 0.3.5, fad.py: mean over channels, resampy kaiser_best, no padding",
)  # fmt: skip
_register_vggish(
    "fad_infinity_vggish", "FAD-inf VGGish", "audioldm_eval", partial(_infinity, False), _INFINITE,
    interval=_OF_NOTHING,
    source="Gui et al., arXiv:2311.01616; loaded as audioldm_eval, draws without replacement, seeded",
)  # fmt: skip
_register_vggish(
    "fad_infinity_fadtk_vggish", "FAD-inf (fadtk) VGGish", "frechet_audio_distance", partial(_infinity, True),
    {**_INFINITE, "activation": False, "pca": False}, interval=_OF_NOTHING,
    source=f"{_FADTK}; VGGish without PCA and last ReLU, loaded as frechet-audio-distance (fadtk converts with SoX)",
)  # fmt: skip
_register_vggish(
    "kad_vggish", "KAD VGGish", "audioldm_eval", _kernel, {"bandwidth": "output"},
    digits=3, interval=OF_A_KERNEL,
    source="Chung et al., arXiv:2502.15602; kadtk 8bda71d, kad.py, times 100; loaded as audioldm_eval",
)  # fmt: skip
_register_passt(
    "fd_passt", "FD PaSST", "embedding", "hear21passt", frechet_metric, _AGAINST,
    low=0.0, interval=OF_A_DISTANCE,
    source="hear21passt 0.0.26, get_scene_embeddings, the 768 features of PaSST-S (mono, soxr to 32 kHz); distance as "
    f"{_AE}, metrics/fid.py",
)  # fmt: skip
_register_passt(
    "is_passt", "IS PaSST", "logits", "hear21passt", partial(_score, False),
    better="higher", needs=("output",), low=1.0, interval=_OF_SPLITS,
    source="hear21passt 0.0.26, get_scene_embeddings, the 527 logits of PaSST-S (mono, soxr to 32 kHz); score as "
    f"{_AE}, metrics/isc.py, mean of 10 splits in the order of the clips",
)  # fmt: skip
_register_passt(
    "kl_passt", "KL PaSST", "logits", "stable_audio_metrics", partial(_kl, "softmax", True),
    kind="mean", digits=3,
    source="stable-audio-metrics fd55536, passt_kld.py, collect=mean: output from reference (audiocraft's kld_qp), "
    "peaks at -1 dB, 10 s windows every 5 s, the last zero-padded; AudioLDM 2's is the other way round, on 10 s",
)  # fmt: skip
