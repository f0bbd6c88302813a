"""Metrics that only one test knows."""

from __future__ import annotations

import pytest

from ldmbench.metrics import _base as base


def own_metrics(patch: pytest.MonkeyPatch) -> None:
    """What is registered from now on is forgotten with the patch; all others are known before and after.

    They are imported first: a module registers its metrics once, and in the copy they would be lost with it.
    """
    base.list_metrics()
    patch.setattr(base, "_registry", dict(base._registry))
