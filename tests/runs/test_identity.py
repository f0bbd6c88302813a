"""A run's ID changes with everything that changes its audio, and with nothing else."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.names import Name
from ldmbench.runs.identity import code_digest, identity, run_id
from ldmbench.system.card import SystemCard, SystemSpec

Sound = Callable[..., Audio]

CARD = SystemCard(name="mine", title="Mine", tasks=("codec",), licence="MIT", settings={"rate": 1, "gain": 0.5})
SPEC = SystemSpec(CARD, Name("mine"), {"rate": 1, "gain": 0.5})
DATA = Dataset("d", "D", "speech", (Clip("d/a", "d"), Clip("d/b", "d")), "digest")


def id_of(spec: SystemSpec = SPEC, data: Dataset = DATA, clips: tuple[str, ...] = ("d/a", "d/b"), seed: int = 0) -> str:
    return run_id(identity(spec, [data], clips, seed))


def test_what_changes_the_audio_changes_the_id() -> None:
    others = [
        id_of(replace(SPEC, card=CARD.model_copy(update={"note": "x"}))),
        id_of(replace(SPEC, settings={"rate": 2, "gain": 0.5})),
        id_of(replace(SPEC, untrained=True)),
        id_of(data=replace(DATA, digest="other")),
        id_of(clips=("d/a",)),
        id_of(clips=("d/ad/b",)),
        id_of(seed=1),
    ]
    assert len({id_of(), *others}) == len(others) + 1


def test_what_does_not_change_the_audio_does_not() -> None:
    same = [
        id_of(replace(SPEC, settings={"gain": 0.5, "rate": 1})),
        id_of(replace(SPEC, device="cuda")),
        id_of(replace(SPEC, weights=Path("elsewhere"))),
        id_of(data=replace(DATA, notes=("note",), title="Other")),
    ]
    assert {id_of(), *same} == {id_of()}


def test_an_r_and_twelve_hexadecimal_digits() -> None:
    assert re.fullmatch("r[0-9a-f]{12}", id_of())


def test_training_material_is_part_of_it(tmp_path: Path, tone: Sound) -> None:
    audio.write(tmp_path / "train" / "a.wav", tone())
    spec = replace(SPEC, settings={"train": str(tmp_path / "train")})
    before = id_of(spec)
    audio.write(tmp_path / "train" / "a.wav", tone(hz=441))
    assert id_of(spec) != before


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adapter in a package of its own, with modules it imports in every way there is."""
    folder = tmp_path / "ldmbench_test_adapters"
    (folder / "deep").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "adapter.py": (
            "import os.path\n"
            "from ldmbench_test_adapters import by_name\n"
            "from ldmbench_test_adapters.by_path import thing\n"
            "import ldmbench_test_adapters.by_import\n"
            "from . import by_dot\n"
            "from .by_dotted_path import thing\n"
            "from .deep import inner\n"
            "raise RuntimeError('an ID must not import the adapter')\n"
        ),
        "by_name.py": "from ldmbench_test_adapters import indirect\n",
        "by_path.py": "",
        "by_import.py": "",
        "by_dot.py": "",
        "by_dotted_path.py": "",
        "indirect.py": "from ldmbench_test_adapters import by_name  # a circle\n",
        "deep/__init__.py": "",
        "deep/inner.py": "from .. import up\nfrom . import sibling\n",
        "deep/sibling.py": "",
        "up.py": "",
        "stranger.py": "",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("ldmbench_test_adapters")]:
        del sys.modules[name]


PACKAGED = SystemSpec(CARD.model_copy(update={"module": "ldmbench_test_adapters.adapter:Mine"}), Name("mine"), {})


@pytest.mark.parametrize(
    "name",
    [
        "adapter",
        "by_name",
        "by_path",
        "by_import",
        "by_dot",
        "by_dotted_path",
        "indirect",
        "deep/inner",
        "deep/sibling",
        "up",
    ],
)
def test_every_module_the_adapter_imports_counts(package: Path, name: str) -> None:
    before = code_digest(PACKAGED)
    assert code_digest(PACKAGED) == before
    path = package / f"{name}.py"
    path.write_text(path.read_text() + "# changed\n")
    assert code_digest(PACKAGED) != before


def test_modules_it_does_not_import_do_not_count(package: Path) -> None:
    before = code_digest(PACKAGED)
    (package / "stranger.py").write_text("# changed\n")
    assert code_digest(PACKAGED) == before
    assert "ldmbench_test_adapters.adapter" not in sys.modules


def test_a_program_is_known_by_its_files(tmp_path: Path) -> None:
    script = tmp_path / "system.sh"
    script.write_text("echo 1")
    spec = replace(SPEC, card=CARD.model_copy(update={"command": ("sh", str(script))}))
    before = code_digest(spec)
    script.write_text("echo 2")
    assert code_digest(spec) != before
