"""A run's ID changes with everything that changes its audio, and with nothing else."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips.clip import Clip, Dataset
from ldmbench.errors import BenchError
from ldmbench.names import Name
from ldmbench.runs.code import code_modules
from ldmbench.runs.identity import VERSION, code_digest, identity, run_id, weights_digest
from ldmbench.runs.records import RunInfo
from ldmbench.system.card import SystemCard, SystemSpec
from ldmbench.system.registry import resolve

Sound = Callable[..., Audio]

CARD = SystemCard(name="mine", title="Mine", tasks=("codec",), licence="MIT", settings={"rate": 1, "gain": 0.5})
SPEC = SystemSpec(CARD, Name("mine"), {"rate": 1, "gain": 0.5})
DATA = Dataset("d", "D", "speech", (Clip("d/a", "d"), Clip("d/b", "d")), "digest")


#: What may be corrected in a card without making its audio anew.
UNHEARD: tuple[dict[str, Any], ...] = (
    {"title": "Other"}, {"note": "x"}, {"role": "anchor"}, {"licence": "x"}, {"paper": "x"}, {"url": "x"},
    {"extras": ("models",)}, {"programs": ("x",)},
    {"tasks": ("codec", "enhance")}, {"variants": {"new": {"gain": 1.0}}},
)  # fmt: skip


def id_of(spec: SystemSpec = SPEC, data: Dataset = DATA, clips: tuple[str, ...] = ("d/a", "d/b"), seed: int = 0) -> str:
    return run_id(identity(spec, [data], clips, seed))


def test_what_changes_the_audio_changes_the_id() -> None:
    others = [
        id_of(replace(SPEC, card=CARD.model_copy(update={"rate": 48_000}))),
        id_of(replace(SPEC, card=CARD.model_copy(update={"channels": (1, 2)}))),
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
        *(id_of(replace(SPEC, card=CARD.model_copy(update=change))) for change in UNHEARD),
    ]
    assert {id_of(), *same} == {id_of()}


@pytest.mark.parametrize(
    ("listed", "counted"),
    [
        ({"files": {"a": "", "b": ""}}, {"a", "b"}),
        # Published at an address, with no digest.
        ({"files": {"a": ""}, "urls": {"b": "https://example.org/b"}}, {"a", "b"}),
        ({"urls": {"a": "https://example.org/a"}}, {"a"}),
        ({"repo": "somebody/something"}, {"a", "b", "c"}),
    ],
)
def test_weights_are_known_by_their_content(tmp_path: Path, listed: dict[str, object], counted: set[str]) -> None:
    card = SystemCard.model_validate({**CARD.model_dump(), "weights": {"main": listed}})
    spec = replace(SPEC, card=card, weights=tmp_path)
    for name in "abc":
        (tmp_path / name).write_text("before")
    changed = set()
    for name in "abc":
        before = weights_digest(spec)
        (tmp_path / name).write_text("afterwards")
        changed |= {name} if weights_digest(spec) != before else set()
    assert changed == counted


def test_an_r_and_twelve_hexadecimal_digits() -> None:
    assert re.fullmatch("r[0-9a-f]{12}", id_of())


def test_training_material_is_part_of_it(tmp_path: Path, tone: Sound) -> None:
    audio.write(tmp_path / "train" / "a.wav", tone())
    spec = replace(SPEC, settings={"train": str(tmp_path / "train")})
    before = id_of(spec)
    audio.write(tmp_path / "train" / "a.wav", tone(hz=441))
    assert id_of(spec) != before


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
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
    text = path.read_text()
    path.write_text(text + "changed = True\n")
    assert code_digest(PACKAGED) != before
    path.write_text(f'"""Changed."""\n\n# A comment.\n{text}')
    assert code_digest(PACKAGED) == before


def test_modules_it_does_not_import_do_not_count(package: Path) -> None:
    before = code_digest(PACKAGED)
    (package / "stranger.py").write_text("changed = True\n")
    assert code_digest(PACKAGED) == before
    assert "ldmbench_test_adapters.adapter" not in sys.modules


def test_code_is_part_of_the_id(package: Path) -> None:
    before = id_of(PACKAGED)
    (package / "up.py").write_text("changed = True\n")
    assert id_of(PACKAGED) != before


def test_an_adapter_without_a_source_is_refused() -> None:
    for module in ("__main__", "ldmbench_no_such_package.adapter", "ldmbench.systems.no_such_adapter"):
        with pytest.raises(BenchError, match="cannot be read"):
            code_digest(replace(PACKAGED, card=CARD.model_copy(update={"module": f"{module}:Mine"})))


def test_an_adapter_that_is_no_python_is_refused(package: Path) -> None:
    (package / "up.py").write_text("def broken(:\n")
    with pytest.raises(BenchError, match=r"up\.py is not valid Python"):
        code_digest(PACKAGED)


def test_the_public_face_counts_as_what_it_hands_on(package: Path) -> None:
    plain = {name for name in code_modules("ldmbench_test_adapters.adapter") if name.startswith("ldmbench.")}
    (package / "up.py").write_text("from ldmbench import Codec\n")
    more = {name for name in code_modules("ldmbench_test_adapters.adapter") if name.startswith("ldmbench.")}
    assert more - plain == {"ldmbench.system.codec", "ldmbench.system.channel"}


def test_a_program_is_known_by_its_files(tmp_path: Path) -> None:
    script = tmp_path / "system.sh"
    spec = replace(SPEC, card=CARD.model_copy(update={"command": ("sh", str(script))}))
    digests = []
    # The last two are no text, and differ in what cannot be decoded.
    for content in (b"echo 1", b"echo 2", b"\x80", b"\x81"):
        script.write_bytes(content)
        digests.append(code_digest(spec))
    assert len(set(digests)) == 4


def test_what_lies_beside_a_card_counts(tmp_path: Path) -> None:
    (tmp_path / "idcodec.toml").write_text(
        'name = "idcodec"\ntitle = "T"\ntasks = ["codec"]\nlicence = "MIT"\nmodule = "idcodec:Mine"\n'
    )
    (tmp_path / "idcodec.py").write_text("import json\nimport idcodec_helper\n")
    (tmp_path / "idcodec_helper.py").write_text("gain = 1\n")
    spec = resolve(str(tmp_path / "idcodec.toml"))
    before = code_digest(spec)
    (tmp_path / "idcodec_helper.py").write_text("gain = 2\n")
    assert code_digest(spec) != before
    assert "json" not in code_modules("idcodec")


def test_runs_from_before_identities_had_versions_are_of_the_first() -> None:
    parts = identity(SPEC, [DATA], ["d/a"], 0)
    assert parts["version"] == str(VERSION)
    info = RunInfo(
        id="r0", suite="s", system="mine", title="", task="codec", settings={}, seed=0, untrained=False, limit=0,
        identity=parts, datasets=(), clips=(), metrics=(), environment={}, created="",
    )  # fmt: skip
    assert info.identity_version == VERSION
    assert replace(info, identity={"code": ""}).identity_version == 1


def test_older_runs_are_read_and_made_again_beside(tmp_path: Path, tone: Sound) -> None:
    audio.write(tmp_path / "clips" / "a.wav", tone())
    suite = tmp_path / "tiny.toml"
    suite.write_text(
        'name = "tiny"\ntitle = "T"\ntask = "codec"\ndatasets = []\nsystems = ["reference"]\nmetrics = ["snr"]\n'
    )
    out = ["--out", str(tmp_path / "runs")]

    def call(*words: str) -> str:
        done = CliRunner().invoke(cli, list(words))
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    run = ("run", str(suite), "--audio", str(tmp_path / "clips"), "--quiet", *out)
    assert "identity" not in call(*run)
    (new,) = tmp_path.glob("runs/*/reference/*")
    # As it was written before identities had versions.
    old = new.rename(new.with_name("r000000000001"))
    record = json.loads((old / "run.json").read_text())
    del record["identity"]["version"]
    (old / "run.json").write_text(json.dumps({**record, "id": old.name}))
    report = call("report", "tiny+clips", *out)
    assert "Made under an older identity: reference (r000000000001); its ID may not" in report
    call("export", "tiny+clips", "--to", "csv", "-o", str(tmp_path / "tables"), *out)
    assert old.name in (tmp_path / "tables" / "scores.csv").read_text()
    assert "STFT" in call("score", str(old), "-m", "stft_dac", *out)

    note = "note: runs of reference were made under an older identity: they stay, and new ones are made beside them"
    assert note in call(*run)
    assert {path.name for path in old.parent.iterdir()} == {old.name, new.name}
    assert "identity" not in call(*run)
    assert "identity" not in call("report", "tiny+clips", *out)
    # Other clips are another run, which was never made.
    assert "identity" not in call(*run, "--seed", "7")
