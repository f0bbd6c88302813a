"""From the outputs of a comparison to the clips on its page."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Links:
    """Where the clips of a comparison can be heard.

    Attributes:
        address: Of the page, empty where there is none.
        clips: (label of the pair, clip) of those that are on it.
    """

    address: str = ""
    clips: frozenset[tuple[str, str]] = frozenset()

    def of(self, label: str, clip: str) -> str:
        """The address of a clip, empty where it is not on the page."""
        return f"{self.address}#{anchor(label, clip)}" if (label, clip) in self.clips else ""


#: There is no page.
NO_LINKS = Links()


def anchor(label: str, clip: str) -> str:
    """The name of a clip's place on the page: letters and digits, however the clip is called."""
    return "clip-" + hashlib.sha256(f"{label}\n{clip}".encode()).hexdigest()[:16]
