"""Where ratings differ: variance of listeners, items and their tastes for systems, and what more of each would buy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ldmbench.audio.arrays import Real
from ldmbench.listening.crossed import Scores

#: Half of a 95 % interval in standard errors, for planning.
_NORMAL = 1.959964


@dataclass(frozen=True)
class Components:
    """Standard deviations of the effects in a rating, in points.

    Attributes:
        listener: Of listeners' means.
        item: Of items' means.
        item_system: Of what an item adds for one system.
        listener_system: Of what a listener adds for one system.
        residual: Of all else.
    """

    listener: float
    item: float
    item_system: float
    listener_system: float
    residual: float

    def half_width(self, listeners: float, items: float, pages: float | None = None) -> float:
        """Half of the 95 % interval of the difference of two systems that such a test would have.

        Args:
            listeners: How many rate.
            items: How many there are in all.
            pages: How many of them one listener rates; all where None.
        """
        own = self.residual**2 / (listeners * (items if pages is None else pages))
        return _NORMAL * math.sqrt(2 * (self.listener_system**2 / listeners + self.item_system**2 / items + own))


def variance_components(scores: Scores) -> Components | None:
    """Estimate the components by restricted maximum likelihood; None for fewer than two listeners, items or systems.

    The model is a mean for each system and random effects of listener, item, item by system, and listener by system.
    Its likelihood is profiled over means and residual, as lme4 does it: statsmodels' mixed models give the same
    numbers and take a hundred times as long.

    Args:
        scores: ``[listeners, items, systems]``, NaN where a listener did not rate a sound.

    Source: Bates et al., Fitting linear mixed-effects models using lme4, J. Stat. Softw. 67 (2015), section 3.
    """
    from scipy.optimize import minimize
    from scipy.sparse import csr_array, hstack

    there = ~np.isnan(scores)
    listener, item, system = np.nonzero(there)
    if min(map(len, map(np.unique, (listener, item, system)))) < 2:
        return None
    y = scores[there]
    n, systems = len(y), scores.shape[2]
    effects = [listener, item, item * systems + system, listener * systems + system]
    columns = [np.unique(effect, return_inverse=True)[1] for effect in effects]
    sizes = [int(column.max()) + 1 for column in columns]
    ones, rows = np.ones(n), np.arange(n)
    z = hstack([csr_array((ones, (rows, c)), (n, size)) for c, size in zip(columns, sizes, strict=True)]).tocsr()
    present = np.unique(system)
    x = (system[:, None] == present).astype(np.float64)
    products = ((z.T @ z).toarray(), z.T @ x, z.T @ y, x.T @ x, x.T @ y, float(y @ y))

    def deviance(ratios: Real) -> float:
        return _deviance(np.repeat(ratios, sizes), products, n)[0]

    best = minimize(
        deviance, np.full(4, 0.2), method="L-BFGS-B", bounds=[(0.0, None)] * 4, options={"ftol": 1e-13, "gtol": 1e-7}
    )
    residual = math.sqrt(_deviance(np.repeat(best.x, sizes), products, n)[1])
    of_listeners, of_items, of_item_system, of_listener_system = (residual * math.sqrt(max(x, 0.0)) for x in best.x)
    return Components(of_listeners, of_items, of_item_system, of_listener_system, residual)


def _deviance(ratios: Real, products: tuple[Real, Real, Real, Real, Real, float], n: int) -> tuple[float, float]:
    """Restricted deviance at ratios of variances to the residual's, and the residual's variance that goes with them."""
    from scipy.linalg import solve_triangular

    zz, zx, zy, xx, xy, yy = products
    root = np.sqrt(ratios)
    lower = np.linalg.cholesky(root[:, None] * zz * root + np.eye(len(root)))
    right = solve_triangular(lower, root[:, None] * np.column_stack([zx, zy]), lower=True)
    of_x, of_y = right[:, :-1], right[:, -1]
    means = np.linalg.cholesky(xx - of_x.T @ of_x)
    fitted = solve_triangular(means, xy - of_x.T @ of_y, lower=True)
    left = yy - float(of_y @ of_y) - float(fitted @ fitted)
    freedom = n - len(fitted)
    logs = 2 * float(np.log(np.diag(lower)).sum() + np.log(np.diag(means)).sum())
    return logs + freedom * math.log(max(left, 1e-12) / freedom), left / freedom
