"""Rewrites the lists of the built-in datasets and the digests in their cards: ``python -m ldmbench.synthesis REASON``.

To be run after a recipe was added or changed. Numbers measured on a changed clip change too, so the reason belongs
into the changelog under "Scores change"; it is printed ready for that.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import sys
from pathlib import Path

from ldmbench.clips.card import datasets_root
from ldmbench.synthesis.cache import versions
from ldmbench.synthesis.recipe import GENERATORS, recipes

COLUMNS = ("id", "path", "start", "end", "text", "group", "language", "sha256")


def listing(generator: str) -> bytes:
    """The clip list of a generator as CSV, with the digests the clips have on this machine."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for recipe in recipes(generator).values():
        writer.writerow({**recipe.row(), "sha256": recipe.audio().digest()})
    return text.getvalue().encode("utf-8")


def rewrite(root: Path, generator: str) -> bool:
    """Write list and card of ``builtin-GENERATOR`` below ``root``; True if that changed the list."""
    card = root / f"builtin-{generator}" / "card.toml"
    path = card.with_name("test.csv")
    content = listing(generator)
    changed = not path.is_file() or path.read_bytes() != content
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    line = f'test = {{ list = "test.csv", sha256 = "{digest}" }}'
    text, count = re.subn(r"^test = \{.*\}$", line, card.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{card} has {count} lines 'test = {{...}}', expected one")
    card.write_text(text, encoding="utf-8")
    return changed


def main(arguments: list[str]) -> int:
    """Exit code: 0 done, 2 without a reason."""
    reason = " ".join(arguments).strip()
    if not reason:
        print("usage: python -m ldmbench.synthesis REASON   (why the built-in clips change)", file=sys.stderr)
        return 2
    changed = [f"builtin-{generator}" for generator in GENERATORS if rewrite(datasets_root(), generator)]
    print(f"- {', '.join(changed) or 'no list'} changed: {reason} ({versions()})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
