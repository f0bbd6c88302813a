"""Metrics of other packages: their modules are imported, one that does harm only in another process."""

from __future__ import annotations

import importlib
import logging
from importlib.machinery import PathFinder

from ldmbench.errors import describe
from ldmbench.host.apart import Apart
from ldmbench.host.child import is_expendable
from ldmbench.host.executor import WorkerDiedError
from ldmbench.host.packages import registered

_log = logging.getLogger(__name__)

#: Seconds that an import may take.
_IMPORT_S = 120.0


def import_packages() -> None:
    """Import the modules of the entry points ``ldmbench.metrics``, which register metrics.

    One that cannot be imported is named in a warning: its metrics are then unknown by name, and all others are there.
    """
    for point in registered("ldmbench.metrics"):
        try:
            if not is_expendable():
                # First where it does no harm: one that leaves, crashes or stalls would take the command along.
                with Apart() as apart:
                    apart.call(_import, point.module, limit=_IMPORT_S)
            point.load()
        except WorkerDiedError as error:
            _log.warning("the metrics of %s cannot be loaded: the import: %s", point.value, error)
        except (Exception, SystemExit) as error:
            _log.warning("the metrics of %s cannot be loaded: %s", point.value, describe(error))


def importable(module: str) -> bool:
    """Whether a module lies where another process looks for it too; having been imported here is no proof of that."""
    return module != "__main__" and PathFinder.find_spec(module.partition(".")[0]) is not None


def _import(module: str) -> None:
    importlib.import_module(module)
