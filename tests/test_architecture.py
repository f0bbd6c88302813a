"""The direction of imports, the size and the opening of modules, and what ``import`` may cost."""

from __future__ import annotations

import ast
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from ldmbench.system.registry import list_systems, load_system_card

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {
    "av", "jinja2", "matplotlib", "numba", "numpy", "pandas", "pesq", "pyarrow", "pystoi", "scipy", "sklearn",
    "soundfile", "soxr", "torch", "torchaudio", "transformers", "visqol", "whisper",
}  # fmt: skip

#: What may import what: a room only those on floors below its own, and none on its own floor.
FLOORS = (
    ("errors",),
    ("names", "stats", "cards"),
    ("host",),
    ("audio",),
    ("weights", "synthesis"),
    ("clips",),
    ("system",),
    ("extractors",),
    ("probes",),
    ("metrics",),
    ("audit", "deployment", "suite"),
    ("runs",),
    ("compare",),
    ("listening",),
    ("reports",),
    ("console", "demo", "lists", "notebook"),
    ("commands",),
    ("cli", "systems"),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

#: What an adapter may use of the engine.
FOR_ADAPTERS = {"errors", "names", "cards", "audio", "host", "weights", "clips", "system", "extractors"}

#: Folders of ``systems/`` that adapters share; of all others each imports only itself.
SHARED = {"latent"}

#: Started by hand, like the command line: nothing imports it.
PROGRAMS = {"ldmbench.cli", "ldmbench.synthesis.__main__"}


def modules() -> dict[str, Path]:
    """Module name -> file, of everything that is installed."""
    named = {}
    for folder, package in (("bench", "ldmbench"), ("systems", "ldmbench.systems"), ("reports", "ldmbench.reports")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            inside = path.relative_to(ROOT / folder).with_suffix("").parts
            named[".".join([package, *inside]).removesuffix(".__init__")] = path
    return named


MODULES = modules()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module or name in it, whether the import stands inside a function or under ``TYPE_CHECKING``)."""

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


def module_of(name: str) -> str:
    """The module of this project that an imported name is or lies in, or nothing."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def part(name: str, index: int) -> str:
    return ([*name.split("."), "", ""])[index]


def arrows(names: Iterable[str]) -> dict[str, set[str]]:
    """Module -> modules it imports, those inside functions included; packages' faces only hand names on."""
    graph: dict[str, set[str]] = {}
    for name in names:
        targets = {module_of(target) for target, _ in imports(MODULES[name])} - {name, ""}
        graph[name] = {target for target in targets if MODULES[target].name != "__init__.py"}
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that import each other in a loop, each group once (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in index:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return groups


def rooms() -> dict[str, set[str]]:
    """Room -> rooms it imports: a module or folder at the top of ``bench/``, and ``systems`` and ``reports``."""
    house: dict[str, set[str]] = {}
    for name, targets in arrows(MODULES).items():
        if name not in PROGRAMS - {"ldmbench.cli"} and part(name, 1):
            house.setdefault(part(name, 1), set()).update({part(target, 1) for target in targets} - {part(name, 1), ""})
    return house


def test_there_is_something_to_look_at() -> None:
    assert {"ldmbench.cli", "ldmbench.audio.sound", "ldmbench.systems", "ldmbench.reports.text"} <= MODULES.keys()
    assert rooms().keys() == FLOOR.keys()


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name: str) -> None:
    own = part(name, 1)
    for target, lazy in imports(MODULES[name]):
        if part(target, 0) != "ldmbench" or name in PROGRAMS - {"ldmbench.cli"}:
            continue
        room = part(target, 1)
        if own == "":
            assert lazy, f"the face of the package loads {target} at once"
        elif room not in FLOOR:
            pytest.fail(f"{name} imports the face of the package ({target}); it names the module")
        elif own == "systems":
            folder, other = part(name, 2), part(target, 2)
            assert room in {"systems", *FOR_ADAPTERS}, f"an adapter may not use {target}"
            assert room != "systems" or other in {folder, *SHARED}, f"{target}: an adapter imports no other adapter"
        else:
            assert room == own or FLOOR[room] < FLOOR[own], f"{target} is not below {own}"
            assert room != "systems", target
            light = FLOOR[room] < FLOOR["host"] or room in {"host", "commands"}
            assert own not in {"cli", "commands"} or light or lazy, f"{target} at the start"


def test_nothing_imports_in_a_circle() -> None:
    assert circles(arrows(MODULES)) == []


def test_no_folder_imports_another_in_a_circle() -> None:
    assert circles(rooms()) == []


@pytest.mark.parametrize("name", MODULES)
def test_modules_open_with_one_sentence_and_stay_short(name: str) -> None:
    text = MODULES[name].read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "no docstring"
    first = docstring.splitlines()[0]
    assert first.endswith((".", ":")), f"the first line is not a sentence: {first!r}"
    assert len(text.splitlines()) <= 400


@pytest.mark.parametrize("name", MODULES)
def test_no_function_is_longer_than_sixty_lines(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def aliases(name: str) -> dict[str, str]:
    """Name -> value of every assignment at the top of a module."""
    return {
        target.id: ast.unparse(node.value)
        for node in ast.parse(MODULES[name].read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_kinds_of_arrays_are_named_once() -> None:
    kinds = {name for name, value in aliases("ldmbench.audio.arrays").items() if value.startswith("NDArray[")}
    assert {"Signal", "Waveform", "Features"} <= kinds
    for module in MODULES.keys() - {"ldmbench.audio.arrays"}:
        own = aliases(module)
        assert not own.keys() & kinds, module
        assert "NDArray[np.float32]" not in own.values(), module


def test_datasets_holds_no_python() -> None:
    assert not list((ROOT / "datasets").rglob("*.py"))
    assert list((ROOT / "datasets").glob("*/card.toml"))


def python(code: str, *flags: str, cwd: str = "/") -> str:
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True, cwd=cwd)
    return done.stdout.strip()


def test_nothing_but_ldmbench_is_importable() -> None:
    """A package called ``datasets`` would shadow Hugging Face's; ``bench`` or ``systems`` may be a user's own."""
    code = (
        "import importlib.util as util\n"
        "for name in ('ldmbench', 'datasets', 'tests', 'bench', 'systems', 'reports'):\n"
        "    spec = util.find_spec(name)\n"
        "    print(name, *(spec.submodule_search_locations or []) if spec else '')\n"
    )
    places = dict(line.partition(" ")[::2] for line in python(code, "-P").splitlines())
    assert places["ldmbench"], "ldmbench is not installed"
    if str(ROOT) in places.pop("ldmbench"):
        assert not [name for name, place in places.items() if str(ROOT) in place]


def test_transformers_does_not_take_the_cards_for_hugging_face_datasets() -> None:
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    code = "import importlib.util as u; s = u.find_spec('datasets'); print(s is not None and s.origin is None)"
    assert python(code, "-P", cwd=str(ROOT)) == "False"


@pytest.mark.parametrize("module", ["ldmbench", "ldmbench.cli", "ldmbench.errors", "ldmbench.names", "ldmbench.stats"])
def test_importing_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in sys.modules if '.' not in name))"
    allowed = {"numpy"} if module == "ldmbench.stats" else set()
    assert HEAVY & set(python(code).split()) <= allowed


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    """Numpy may stand at the top of a module; one that needs more there is loaded only where it is needed.

    Networks are classes of torch; adapters import their modules inside functions.
    """
    eager = {name: [target for target, lazy in imports(path) if not lazy] for name, path in MODULES.items()}
    heavy = {module for module, names in eager.items() if {part(name, 0) for name in names} & (HEAVY - {"numpy"})}
    while more := {
        module for module, names in eager.items() if module not in heavy and {module_of(name) for name in names} & heavy
    }:
        heavy |= more
    adapters = {load_system_card(name).module.partition(":")[0] for name in list_systems()}
    assert not heavy & adapters
    # numba's decorators need numba; the module is imported where ViSQOL is computed.
    assert {module for module in heavy if part(module, 1) != "systems"} == {"ldmbench.metrics._gammatone"}


def test_listing_loads_no_model_library() -> None:
    code = (
        "import sys\n"
        "from ldmbench.metrics._base import list_metrics, load_metric\n"
        "from ldmbench.system.registry import list_systems, load_system_card\n"
        "from ldmbench.clips.card import list_datasets, load_dataset_card\n"
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
    # Measuring coverage, `make test` would start its tracer in the command, too.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    times = []
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run([script, "--help"], env=variables, capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
    assert "Usage: ldmbench" in done.stdout
    assert statistics.median(times) < 0.6, times


if __name__ == "__main__":
    house = rooms()
    floors: dict[str, int] = {}

    def floor(room: str) -> int:
        """A room stands above all that it imports."""
        if room not in floors:
            floors[room] = 1 + max((floor(target) for target in house[room]), default=0)
        return floors[room]

    loops = circles(arrows(MODULES))
    if not circles(house):
        print(f"{len(house)} rooms on {max(map(floor, house))} floors, {sum(map(len, house.values()))} arrows")
        for height in range(max(floors.values()), 0, -1):
            print(f"floor {height:2}  {', '.join(sorted(room for room in floors if floors[room] == height))}")
    print(f"{len(MODULES)} modules, {sum(map(len, arrows(MODULES).values()))} imports, {len(loops)} circles")
