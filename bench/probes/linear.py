"""The linear probe: multinomial logistic regression on standardised features, without torch."""

from __future__ import annotations

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.probes.examples import Examples, Fold, Predictions

#: Inverse strengths of the penalty; the best on the validation split is taken, the strongest penalty among equals.
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)


def linear_probe(examples: Examples) -> Predictions:
    """Predictions of every fold by the regression with the penalty that is best on the fold's validation split.

    Features are standardised by the training split; a feature that is constant there is left out of the count.
    """
    scores = np.full((len(examples.ids), len(examples.classes)), np.nan)
    number = np.full(len(examples.ids), -1)
    settings = []
    for index, fold in enumerate(examples.folds()):
        scores[fold.test], chosen = _one_fold(examples, fold)
        number[fold.test] = index
        settings.append(chosen)
    return Predictions(scores, number, tuple(settings))


def _one_fold(examples: Examples, fold: Fold) -> tuple[Real, dict[str, object]]:
    """Probabilities ``[test, classes]``, and the penalty that was chosen."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    features = examples.features.astype(np.float64)
    mean, deviation = features[fold.train].mean(axis=0), features[fold.train].std(axis=0)
    features = (features - mean) / np.where(deviation > 0, deviation, 1.0)
    best, chosen = None, (-1.0, 0.0)
    # One thread: the number of threads may change the last digits, and with them a label.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=1000)
            model.fit(features[fold.train], examples.targets[fold.train])
            accuracy = float(model.score(features[fold.valid], examples.targets[fold.valid]))
            if accuracy > chosen[0]:
                best, chosen = model, (accuracy, strength)
    assert best is not None, "there are strengths"
    scores = np.zeros((len(fold.test), len(examples.classes)))
    scores[:, best.classes_] = best.predict_proba(features[fold.test])
    return scores, {"C": chosen[1], "valid": chosen[0]}
