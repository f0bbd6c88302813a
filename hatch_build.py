"""Refuses to build from a checkout whose links were not made, in one line instead of a package without modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: Links in a checkout, plain folders in a source distribution.
FOLDERS = ("src/ldmbench", "src/ldmbench/systems", "src/ldmbench/reports", "src/ldmbench/datasets")


class LinksHook(BuildHookInterface):  # type: ignore[type-arg]
    """Looks at the folders before anything is packed or installed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Stop with one line where a link is a text file or nothing."""
        for name in FOLDERS:
            if not (Path(self.root) / name).is_dir():
                raise SystemExit(
                    f"error: {name} is not a folder: this copy of ldmbench was made without symbolic links "
                    "(fix: git clone -c core.symlinks=true; on Windows switch developer mode on first)"
                )
