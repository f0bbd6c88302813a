"""A folder that runs as a Space of Hugging Face: the page, the bench itself, and what it needs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from ldmbench.demo.settings import Settings
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.names import parse
from ldmbench.system.registry import load_system_card

#: MB of runs that a Space keeps, where nothing else is asked for.
KEPT_MB = 1000.0

#: Extras that the page itself uses beside Gradio, which the Space brings along: packs for listening tests.
_EXTRAS = ("listening",)

#: Programs of Debian: a compiler for the one package without wheels, and encoders.
_PROGRAMS = ("build-essential", "ffmpeg")

_README = """---
title: {title}
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
license: apache-2.0
---

# {title}

The page of `ldmbench demo`, as `ldmbench demo --space` wrote it. Sounds of visitors are kept in `runs` up to
{kept:g} MB, the oldest go first. The systems and their weights have licences of their own.
"""

_APP = '''"""Serves the page of ``ldmbench demo`` in this Space."""

from __future__ import annotations

import os
from pathlib import Path

from ldmbench.demo.app import serve
from ldmbench.demo.settings import Limits, Settings
from ldmbench.runs.request import Options

if __name__ == "__main__":
    serve(
        Settings(
            out=Path("runs").absolute(),
            systems={systems!r},
            options=Options(device={device!r}, retry_failed=True, quiet=True),
            untrained={untrained!r},
            limits=Limits(**{limits!r}),
        ),
        os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"),
        int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        lambda url: print("the page is at", url, flush=True),
    )
'''


def write_space(folder: Path, settings: Settings, title: str = "ldmbench demo") -> list[Path]:
    """Write the folder; returns its files but for those of the bench itself, which lies in ``ldmbench`` below it.

    Raises:
        BenchError: If the folder is not empty, or a system is none of the bench.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"{folder} is not an empty folder", fix="name a new one")
    for name in settings.systems:
        if name.endswith(".toml"):
            raise BenchError(f"{name} does not come with ldmbench", fix="a Space holds systems of the bench alone")
    limits = vars(settings.limits) | {"kept_mb": settings.limits.kept_mb or KEPT_MB}
    texts = {
        "README.md": _README.format(
            title=title, gradio=_version("gradio"), python=".".join(_python()), kept=limits["kept_mb"]
        ),
        "app.py": _APP.format(
            systems=settings.systems, device=settings.options.device, untrained=settings.untrained, limits=limits
        ),
        "requirements.txt": "\n".join(requirements(settings)) + "\n",
        "packages.txt": "\n".join(_PROGRAMS) + "\n",
    }
    for name, text in texts.items():
        with replacing(folder / name) as handle:
            handle.write(text.encode())
    source = Path(__file__).parents[1]
    # Links of a checkout become the folders that they lead to.
    shutil.copytree(source, folder / "ldmbench", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    return [folder / name for name in texts]


def requirements(settings: Settings) -> list[str]:
    """What has to be installed for the page and its systems, as this version of ldmbench declares it."""
    extras = dict.fromkeys(_EXTRAS)
    for name in settings.systems:
        extras |= dict.fromkeys(load_system_card(parse(name).name).extras)
    return _declared(list(extras))


def _declared(extras: Sequence[str]) -> list[str]:
    """Requirements of the distribution with some extras, without their markers."""
    from packaging.requirements import Requirement

    lines: dict[str, None] = {}
    for text in metadata.requires("ldmbench") or ():
        requirement = Requirement(text)
        asked = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(extra) for extra in asked):
            requirement.marker = None
            lines[str(requirement)] = None
    return sorted(lines)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError as error:
        raise BenchError("the page needs gradio", str(error), "pip install 'ldmbench[demo]'") from None


def _python() -> tuple[str, str]:
    import sys

    return str(sys.version_info.major), str(sys.version_info.minor)
