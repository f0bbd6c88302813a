"""Which edit of which file changes the identity of which system, on a copy of the whole package."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from ldmbench.runs.code import ALWAYS, RUNNER, SILENT, _parsed, code_modules, imported
from ldmbench.system.environment import NPM_FILES
from ldmbench.system.registry import list_systems, load_system_card

ROOT = Path(__file__).resolve().parent.parent.parent

#: Engine modules, and folders of modules, that make audio. One that an adapter comes to import is put here or into
#: ``SILENT``, after a look at what it does.
COUNTED = ("ldmbench.audio", "ldmbench.clips.clip", "ldmbench.clips.condition", "ldmbench.system.codec",
           "ldmbench.system.channel", RUNNER, "ldmbench.weights.tensors")  # fmt: skip

SYSTEMS = ("opus@6kbps", "unprocessed", "kmeans-mel", "semanticodec", "program")
ALL = set(SYSTEMS)
CODECS = {"opus@6kbps", "kmeans-mel", "semanticodec", "program"}

#: (file, function) into which a statement is put, at the end of the file where none is named -> whose identity changes.
CODE: Mapping[tuple[str, str], set[str]] = {
    ("system/codec.py", "Codec.process"): CODECS,
    ("system/codec.py", "Codec.adapt"): CODECS,
    ("clips/condition.py", "Condition.apply"): ALL,
    ("clips/clip.py", "Clip.seeded"): ALL,
    ("clips/clip.py", "Clip.input"): ALL,
    ("audio/filters.py", "lowpass"): ALL,
    ("audio/sound.py", "Audio.at"): ALL,
    ("audio/sound.py", "read"): ALL,
    ("audio/sound.py", "write"): ALL,
    ("audio/decode.py", ""): ALL,
    ("audio/spectra.py", ""): {"kmeans-mel"},
    ("system/external.py", "ExternalSystem._write_job"): {"program"},
    ("systems/codecs/opus.py", "Opus.delay"): {"opus@6kbps"},
    ("systems/codecs/_packets.py", "PacketCodec.encode"): {"opus@6kbps"},
    ("systems/codecs/codec2.py", ""): set(),
    ("systems/anchors/unprocessed.py", "Unprocessed.process"): {"unprocessed"},
    ("systems/anchors/noise.py", ""): set(),
    ("systems/kmeans_mel/patches.py", "griffin_lim"): {"kmeans-mel"},
    ("systems/semanticodec/tokens.py", ""): {"semanticodec"},
    ("systems/latent/keys.py", "load_vae"): {"semanticodec"},
    ("systems/latent/mel_batches.py", ""): {"semanticodec"},
    ("systems/latent/tokenizers.py", ""): set(),  # Of AudioLDM 2 and Tango.
    ("systems/audiosr/signal.py", ""): set(),
    ("weights/tensors.py", "read_tensors"): {"semanticodec"},
    ("weights/find.py", ""): set(),
    ("metrics/signal.py", "snr"): set(),
    ("host/homes.py", ""): set(),
    ("host/progress.py", ""): set(),
    ("runs/generate.py", ""): set(),
    ("runs/identity.py", ""): set(),
    ("reports/text.py", ""): set(),
    ("names.py", ""): set(),
    ("errors.py", ""): set(),
    ("synthesis/dsp.py", ""): set(),
}

#: Files in which only words or layout change.
WORDS = ("system/codec.py", "audio/sound.py", "audio/filters.py", "clips/condition.py", "systems/codecs/_packets.py",
         "systems/semanticodec/decoder.py", "systems/latent/keys.py", "system/external.py")  # fmt: skip

#: Reads the names of edits, makes each, and prints which digests there are after it.
PROGRAM = """
import json, sys
from pathlib import Path
from ldmbench.names import Name
from ldmbench.runs import identity
from ldmbench.system.card import SystemCard, SystemSpec
from ldmbench.system.registry import resolve

root, script = Path(sys.argv[1]), Path(sys.argv[2])
assert Path(identity.__file__).is_relative_to(root), identity.__file__
command = ("sh", str(script), "{input}", "{output}")
card = SystemCard(name="program", title="", tasks=("codec",), licence="", command=command)
specs = {name: resolve(name) for name in sys.argv[3:]}
specs["program"] = SystemSpec(card, Name("program"), {})

def digests():
    return {name: identity.code_digest(spec) for name, spec in specs.items()}

before, done = digests(), []
for path, text in json.load(sys.stdin):
    file = Path(path)
    old = file.read_bytes()
    file.write_bytes(text.encode())
    after = digests()
    file.write_bytes(old)
    done.append([name for name in after if after[name] != before[name]])
assert digests() == before
json.dump(done, sys.stdout)
"""


def in_rooms(module: str, rooms: Iterable[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def with_statement(text: str, name: str) -> str:
    """``text`` with one more statement at the beginning of the function or method ``name``, or at its own end."""
    if not name:
        return text + "\nchanged = True\n"
    scope: ast.AST = ast.parse(text)
    for part in name.split("."):
        scope = next(
            node
            for node in ast.iter_child_nodes(scope)
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part
        )
    assert isinstance(scope, ast.FunctionDef)
    first = scope.body[1] if ast.get_docstring(scope) else scope.body[0]
    lines = text.splitlines(keepends=True)
    lines.insert(first.lineno - 1, " " * first.col_offset + "changed = True\n")
    return "".join(lines)


def with_words(text: str) -> str:
    """``text`` with other docstrings, one more comment after every line that can bear one, and none of its layout."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body[0] = ast.Expr(ast.Constant("Other words, and a comma."))
    return "# A comment.\n" + ast.unparse(ast.fix_missing_locations(tree)) + "\n\n\n# Another.\n"


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Edit -> the systems whose identity it changes; all in one process, on a copy of the package."""
    root = tmp_path_factory.mktemp("copy")
    package = root / "ldmbench"
    shutil.copytree(ROOT / "bench", package, ignore=shutil.ignore_patterns("__pycache__"))
    script = root / "program.sh"
    script.write_text("echo 1\n")
    edits = {f"code in {name} of {path}": (path, with_statement((package / path).read_text(), name))
             for path, name in CODE}  # fmt: skip
    for path in WORDS:
        edits[f"words of {path}"] = (path, with_words((package / path).read_text()))
    edits["the program"] = (str(script), "echo 2\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root), str(script), *SYSTEMS[:-1]],
        input=json.dumps([(str(package / path), text) for path, text in edits.values()]),
        capture_output=True, text=True, check=True, cwd=root, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return {edit: set(names) for edit, names in zip(edits, json.loads(done.stdout), strict=True)}


@pytest.mark.parametrize(("path", "name"), CODE)
def test_code_changes_whom_it_serves(changed: dict[str, set[str]], path: str, name: str) -> None:
    assert changed[f"code in {name} of {path}"] == CODE[path, name]


@pytest.mark.parametrize("path", WORDS)
def test_docstrings_comments_and_layout_change_nobody(changed: dict[str, set[str]], path: str) -> None:
    text = (ROOT / "bench" / path).read_text()
    assert with_words(text) != text
    assert changed[f"words of {path}"] == set()


def test_a_program_changes_its_own_system(changed: dict[str, set[str]]) -> None:
    assert changed["the program"] == {"program"}


def test_every_engine_module_was_looked_at() -> None:
    """An adapter that imports a module of the engine on no list makes somebody decide whether it makes audio."""
    cards = [load_system_card(name) for name in list_systems()]
    starts = {card.module.partition(":")[0] for card in cards if not card.command}
    starts |= {module for card in cards for module in imported(map(Path, card.command_line))}
    reached = {module for start in (*starts, RUNNER) for module in code_modules(start)}
    engine = {name for name in reached if not in_rooms(name, ["ldmbench.systems"])}
    assert set(ALWAYS) <= engine
    assert {name for name in engine if not in_rooms(name, COUNTED)} == set()


@pytest.mark.parametrize("room", [*SILENT, *COUNTED])
def test_lists_name_what_is_there(room: str) -> None:
    path = ROOT.joinpath("bench", *room.split(".")[1:])
    assert path.is_dir() or path.with_suffix(".py").is_file()


def test_adapters_keep_nothing_beside_code_and_cards() -> None:
    """What decides audio and is neither code, nor card, nor weights would be in no ID.

    Files that a command names are in it, and so is what an environment's lock installs.
    """
    cards = [load_system_card(name) for name in list_systems()]
    counted = {Path(word).resolve() for card in cards for word in card.command_line}
    for card in cards:
        if card.environment and card.environment.npm:
            counted |= {(card.folder / card.environment.npm / name).resolve() for name in NPM_FILES}
    files = [path for path in (ROOT / "systems").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path for path in files if path.suffix not in (".py", ".toml")} <= counted


def test_what_runs_is_counted(tmp_path: Path) -> None:
    """All modules of ldmbench that are loaded once a system has made audio are counted or silent."""
    code = (
        "import sys\n"
        "from ldmbench.audio.sound import Audio, write\n"
        "from ldmbench.clips.clip import Clip\n"
        "from ldmbench.system.registry import load_system, resolve\n"
        "clip = Clip('d/a', 'd', loaded=Audio.of([[0.1, -0.1] * 8000], 16000)).seeded(1)\n"
        "(output,) = load_system(resolve('opus')).process([clip])\n"
        "write('out.wav', output.audio)\n"
        "print(*(name for name in sys.modules if name.startswith('ldmbench.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = {name for name in done.stdout.split() if not ROOT.joinpath("bench", *name.split(".")[1:]).is_dir()}
    counted = code_modules(load_system_card("opus").module.partition(":")[0]).keys()
    assert {"ldmbench.systems.codecs.opus", "ldmbench.system.codec"} <= counted & loaded
    assert {name for name in loaded - counted if not in_rooms(name, SILENT)} == set()


def test_every_version_of_python_reads_the_same_code() -> None:
    """What versions of Python write into their trees in different ways; the digest is pinned."""
    assert _parsed(TRICKY)[0] == PINNED
    assert _parsed(TRICKY.replace("width + 2", "width + 3"))[0] != PINNED


TRICKY = '''
"""Docstring."""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from nowhere import Nothing

async def f(a, /, b: int = 1, *rest, c=None, **more) -> "str":
    """Docstring."""
    width = lambda: ...
    text = f"{a!r:>{width + 2}.{b}f} {a:} {{}}" "tail" f"{b=}" u"kind"
    match a:
        case {"x": [1, *_], **others} if others: return None
        case None | True: return b"bytes"
    try:
        [x async for x in a if (y := x)]
    except* OSError as error:
        raise ValueError(1e400, -0.0, 1j) from error
    return text
'''

PINNED = "bebc908237f3d28a83f338ad729dee21a056e8f421ce0c91ce58408fa2739a0d"
