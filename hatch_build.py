"""Puts the dataset cards into wheels as ``bench/_datasets``; an editable install reads them from the checkout."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg, misc]
    """Includes ``datasets/`` in standard wheels only."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder to what the wheel holds."""
        if version == "standard":
            build_data["force_include"]["datasets"] = "bench/_datasets"
