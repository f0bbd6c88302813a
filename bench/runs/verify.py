"""Whether the outputs on disk are still those that the journal tells of."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from ldmbench.audio import sound as audio_io
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.host.homes import cache_home, settled, state_of
from ldmbench.runs.results import Run


def changed_outputs(run: Run) -> set[str]:
    """Clips among a run's outputs whose sound is gone, empty, unreadable, or another than the one the system made.

    Every file is read once; what was read is remembered in the cache home until something about the file changes.
    """
    note = cache_home() / "outputs" / f"{hashlib.sha256(os.fsencode(run.path.absolute())).hexdigest()}.json"
    before = _remembered(note)
    after: dict[str, dict[str, int | str]] = {clip: state for clip, state in before.items() if clip not in run.outputs}
    changed = set()
    for clip, row in run.outputs.items():
        path = run.audio_path(clip)
        if path is None:
            continue
        try:
            facts = path.stat()
            state: dict[str, int | str] = {**state_of(facts), "digest": row.digest}
            if before.get(clip) != state and audio_io.read(path).digest() != row.digest:
                changed.add(clip)
            elif settled(facts):
                after[clip] = state
        except (OSError, BenchError):
            changed.add(clip)
    if after != before:
        # Right whether or not it can be remembered: a read-only cache home only costs time.
        with contextlib.suppress(BenchError), replacing(note) as handle:
            handle.write(json.dumps(after).encode())
    return changed


def _remembered(note: Path) -> dict[str, dict[str, int | str]]:
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(note.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}
