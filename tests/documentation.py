"""The README and the pages of docs/ that are written by hand, and the commands in them, as tests read them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Path from the root -> text. Pages of docs/reference are made from cards and facts, and say nothing of their own.
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "docs/examples").glob("*.md")),
    )
}
README = PAGES["README.md"]


def typed(text: str) -> list[str]:
    """What stands behind the prompt in a page's blocks, continued lines joined, comments left out."""
    return re.findall(r"^\$ (.+?)(?: +#.*)?$", text.replace("\\\n", " "), re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """What a page's blocks of one language hold."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
