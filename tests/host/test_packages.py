"""Entry points of installed packages, as Python itself has them."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from ldmbench.host.packages import registered


def installed(site: Path, name: str, version: str, points: str) -> None:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "entry_points.txt").write_text(points)


def test_they_are_those_that_python_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    installed(first, "a-pack", "2", "[ldmbench.metrics]\none = pack.one\n\n[ldmbench.suites]\nall = pack.suites\n")
    installed(second, "a-pack", "1", "[ldmbench.metrics]\nhidden = pack.hidden\n")
    installed(first, "newer", "2", "[console_scripts]\nnewer = newer:main\n")
    installed(second, "newer", "1", "[ldmbench.metrics]\nhidden = newer.hidden\n")
    installed(second, "another", "1", "[console_scripts]\nx = x:main\n[ldmbench.metrics]\ntwo = another\n")
    for site in (second, first):
        monkeypatch.syspath_prepend(site)
    for group in ("ldmbench.metrics", "ldmbench.suites", "ldmbench.systems"):
        ours = sorted((point.name, point.value) for point in registered(group))
        assert ours == sorted((point.name, point.value) for point in entry_points(group=group))
    assert {point.name for point in registered("ldmbench.metrics")} >= {"one", "two"}
    assert not any(point.name == "hidden" for point in registered("ldmbench.metrics"))
