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

from ldmbench.cards import load_card
from ldmbench.clips.card import DatasetCard, datasets_root, list_datasets, load_dataset_card
from ldmbench.synthesis.cache import versions
from ldmbench.synthesis.recipe import recipes

COLUMNS = ("id", "path", "start", "end", "text", "group", "language")


def listing(generator: str, task: str) -> bytes:
    """The clip list of a generator (and a task of its labels) as CSV, with the digests of this machine."""
    text = io.StringIO()
    made = recipes(generator).values()
    labels = ("label", "split") if all(task in recipe.labels for recipe in made) else ()
    writer = csv.DictWriter(text, (*COLUMNS, *labels, "sha256"), lineterminator="\n")
    writer.writeheader()
    for recipe in made:
        writer.writerow({**recipe.row(task), "sha256": recipe.audio().digest()})
    return text.getvalue().encode("utf-8")


def rewrite(root: Path, dataset: str) -> bool:
    """Write list and card of the dataset ``builtin-TASK`` below ``root``; True if that changed the list."""
    card = root / dataset / "card.toml"
    pinned = re.compile(r"^test = \{.*\}$", flags=re.MULTILINE)
    if (count := len(pinned.findall(card.read_text(encoding="utf-8")))) != 1:
        raise ValueError(f"{card} has {count} lines 'test = {{...}}', expected one")
    path = card.with_name("test.csv")
    content = listing(load_card(card, DatasetCard).source.generator, dataset.removeprefix("builtin-"))
    changed = not path.is_file() or path.read_bytes() != content
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    line = f'test = {{ list = "test.csv", sha256 = "{digest}" }}'
    card.write_text(pinned.sub(line, card.read_text(encoding="utf-8")), encoding="utf-8")
    return changed


def main(arguments: list[str]) -> int:
    """Exit code: 0 done, 2 without a reason."""
    reason = " ".join(arguments).strip()
    if not reason:
        print("usage: python -m ldmbench.synthesis REASON   (why the built-in clips change)", file=sys.stderr)
        return 2
    builtin = [name for name in list_datasets() if load_dataset_card(name).source.kind == "builtin"]
    changed = [name for name in builtin if rewrite(datasets_root(), name)]
    print(f"- {', '.join(changed) or 'no list'} changed: {reason} ({versions()})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
