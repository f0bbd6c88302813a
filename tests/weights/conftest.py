from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the weights home is ``weights``."""
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path
