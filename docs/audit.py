"""Audits metrics for ``docs/reference/audit.md``: ``python docs/audit.py [METRIC...]``; it keeps what it measures.

Without names, all that can be computed here and are not there yet, or were audited as another version. Afterwards
``python docs/generate.py`` writes the page.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ldmbench.audit import records
from ldmbench.audit.carry_out import Options, audit, computable
from ldmbench.audit.records import Audit
from ldmbench.host.executor import cores
from ldmbench.host.streams import no_noise
from ldmbench.metrics._base import list_metrics, load_metric

KEPT = Path(__file__).parent / "audit.json"


def main() -> None:
    """Audit, and keep every group of metrics as soon as it is done."""
    kept = {item.metric: item for item in records.read(KEPT)} if KEPT.exists() else {}
    names = sys.argv[1:]
    options = Options(jobs=cores())
    if not names:
        names, left_out = computable(list_metrics(), options)
        for name, reason in left_out.items():
            print(f"left out: {name}: {reason}", file=sys.stderr)
        names = [name for name in names if name not in kept or kept[name].version != load_metric(name).facts.version]

    def keep(done: Sequence[Audit]) -> None:
        kept.update({item.metric: item for item in done})
        records.write(KEPT, list(kept.values()))

    with no_noise():
        audit(names, options, keep)


if __name__ == "__main__":
    main()
