"""The direction of imports, the size and the opening of modules, and what ``import`` may cost."""

from __future__ import annotations

import ast
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "systems", "reports")
HEAVY = {
    "av", "jinja2", "matplotlib", "numba", "numpy", "pandas", "pesq", "pyarrow", "pystoi", "scipy", "sklearn",
    "soundfile", "soxr", "torch", "torchaudio", "transformers", "visqol", "whisper",
}  # fmt: skip

#: What an adapter may use of the engine.
FOR_ADAPTERS = {
    "audio",
    "cards",
    "condition",
    "dataset",
    "errors",
    "fetch",
    "filters",
    "folder",
    "homes",
    "mel",
    "names",
}
FOR_ADAPTERS |= {"system"}

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether the import stands inside a function or under ``TYPE_CHECKING``); names of packages are joined.

    ``from bench import audio`` is ``bench.audio``, ``from bench.audio import read`` is ``bench.audio.read``.
    """

    def walk(node: ast.AST, lazy: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import; this project writes them out"
                yield from ((f"{child.module}.{alias.name}", lazy) for alias in child.names)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
                    isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                )
                yield from walk(child, lazy or inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


def part(name: str, index: int) -> str:
    return ([*name.split("."), "", ""])[index]


def test_there_is_something_to_look_at() -> None:
    found = {name_of(path) for path in MODULES}
    assert {"bench.cli", "bench.audio", "systems", "reports.table"} <= found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    own = part(name_of(path), 0)
    for name, lazy in imports(path):
        target = part(name, 0)
        if own == "bench" and target in ("systems", "reports"):
            assert name_of(path) == "bench.cli", f"the engine knows no {target}, but imports {name}"
            assert lazy, f"{name} is imported by the command line at its start"
        if own == "systems" and target == "bench":
            assert part(name, 1) in FOR_ADAPTERS, f"an adapter may not use {name}"
        if own == "systems" and target == "systems":
            assert part(name, 1).startswith("_"), f"{name}: an adapter does not import another's internals"
        assert not (own == "systems" and target == "reports"), name
        assert not (own == "reports" and target == "systems"), name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_open_with_one_sentence_and_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "no docstring"
    first = docstring.splitlines()[0]
    assert first.endswith((".", ":")), f"the first line is not a sentence: {first!r}"
    assert len(text.splitlines()) <= 400


def test_datasets_holds_no_python() -> None:
    assert not list((ROOT / "datasets").rglob("*.py"))
    assert list((ROOT / "datasets").glob("*/card.toml"))


def python(code: str, *flags: str, cwd: str = "/") -> str:
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True, cwd=cwd)
    return done.stdout.strip()


def test_the_folders_of_the_repository_are_not_on_the_path() -> None:
    """A package called ``datasets`` would shadow Hugging Face's, one called ``tests`` everybody's."""
    code = (
        "import importlib.util as util\n"
        "for name in ('datasets', 'tests', 'bench', 'systems', 'reports'):\n"
        "    found = util.find_spec(name)\n"
        "    print(name, *(found.submodule_search_locations or []) if found else '')\n"
    )
    found = dict(line.partition(" ")[::2] for line in python(code, "-P").splitlines())
    if str(ROOT) in found["bench"]:
        assert str(ROOT) not in found["datasets"]
        assert str(ROOT) not in found["tests"]
    for name in PACKAGES:
        assert found[name], f"{name} is not installed"


def test_transformers_does_not_take_the_cards_for_hugging_face_datasets() -> None:
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    code = "import importlib.util as u; s = u.find_spec('datasets'); print(s is not None and s.origin is None)"
    assert python(code, "-P", cwd=str(ROOT)) == "False"


@pytest.mark.parametrize("module", ["bench", "bench.cli", "bench.errors", "bench.names", "bench.stats"])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in sys.modules if '.' not in name))"
    allowed = {"numpy"} if module == "bench.stats" else set()
    assert HEAVY & set(python(code).split()) <= allowed


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    """Numpy may stand at the top of a module; one that needs more there, itself or by what it imports, is private.

    Only ``systems._*`` helpers may be so, where networks are classes of torch; adapters import them inside functions.
    """
    eager = {name_of(path): [name for name, lazy in imports(path) if not lazy] for path in MODULES}
    heavy = {module for module, names in eager.items() if {part(name, 0) for name in names} & (HEAVY - {"numpy"})}
    while more := {
        module
        for module, names in eager.items()
        if module not in heavy and any(f"{name}.".startswith(f"{target}.") for name in names for target in heavy)
    }:
        heavy |= more
    # numba's decorators need numba; the module is imported where ViSQOL is computed.
    assert {module for module in heavy if not module.startswith("systems._")} == {"bench.gammatone"}


def test_listing_loads_no_model_library() -> None:
    code = (
        "import sys\n"
        "from bench.metric import list_metrics, load_metric\n"
        "from bench.system import list_systems, load_system_card\n"
        "from bench.dataset_card import list_datasets, load_dataset_card\n"
        "for name in list_metrics(): load_metric(name)\n"
        "for name in list_systems(): load_system_card(name)\n"
        "for name in list_datasets(): load_dataset_card(name)\n"
        "print(*(name for name in sys.modules if '.' not in name))\n"
    )
    assert HEAVY & set(python(code).split()) <= {"numpy"}


def test_help_is_fast() -> None:
    """0.3 s is what is promised on an idle machine; 0.6 s is what a busy one may take."""
    script = Path(sys.executable).with_name("ldmbench")
    if not script.exists():
        pytest.skip("the console script is not installed beside this Python")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
    assert "Usage: ldmbench" in done.stdout
    assert statistics.median(times) < 0.6, times
