"""What an installed ldmbench puts into site-packages, and that it works beside a paper's own folders of those names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from ldmbench.clips.card import list_datasets
from ldmbench.metrics._base import list_metrics
from ldmbench.suite import list_suites
from ldmbench.system.registry import list_systems

pytest.importorskip("hatchling", reason="hatchling builds the package; it is in ldmbench[dev]")

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
OWN = ("bench", "systems", "reports", "datasets")


def build(checkout: Path, out: Path, *targets: str) -> list[Path]:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    command += [word for target in targets for word in ("-t", target)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(out.iterdir())


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution and the wheel of this checkout."""
    sdist, wheel = sorted(build(ROOT, tmp_path_factory.mktemp("dist"), "sdist", "wheel"), key=lambda path: path.suffix)
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and with the libraries of the one that runs the tests behind it."""
    if not UV.exists():
        pytest.skip("uv is not installed beside this Python; make install puts it there")
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    command = [
        str(UV),
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--python",
        str(folder / "bin" / "python"),
    ]
    subprocess.run([*command, str(distributions[1])], check=True)
    libraries = [path for path in sys.path if path.endswith("-packages")]
    (site_packages(folder) / "libraries.pth").write_text("\n".join(libraries))
    return folder


def site_packages(environment: Path) -> Path:
    (path,) = environment.glob("lib/python*/site-packages")
    return path


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """A repository with packages of its own under every one of our folders' names."""
    for name in OWN:
        (tmp_path / "paper" / name).mkdir(parents=True)
        (tmp_path / "paper" / name / "__init__.py").write_text(f"WHOSE = 'the {name} of the paper'\n")
    return tmp_path / "paper"


def run(environment: Path, program: str, *words: str, cwd: Path) -> str:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(environment / "bin" / program), *words]
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.slow
def test_the_source_distribution_builds_the_same_wheel(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    sdist, wheel = distributions
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive.getmembers() if not member.isfile()], "a link"
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    (again,) = build(unpacked, tmp_path / "dist", "wheel")
    assert contents(again) == contents(wheel)


@pytest.mark.slow
def test_only_ldmbench_gets_into_site_packages(installed: Path) -> None:
    names = {path.name for path in site_packages(installed).iterdir()} - {"libraries.pth"}
    assert {name for name in names if not name.endswith(".dist-info")} == {"ldmbench"}
    assert len(names) == 2, names
    assert (site_packages(installed) / "ldmbench" / "py.typed").is_file()


@pytest.mark.slow
def test_everything_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(run(installed, "ldmbench", "list", "--json", cwd=tmp_path))
    metrics = listed["metrics"].items()
    named = {kind: sorted(records) for kind, records in listed.items()}
    forms = [[name, *(f"{name}@{variant}" for variant in item["variants"])] for name, item in metrics]
    named["metrics"] = sorted(form for several in forms for form in several)
    assert named == {
        "datasets": list_datasets(),
        "systems": sorted(list_systems()),
        "metrics": list_metrics(),
        "suites": list_suites(),
    }


@pytest.mark.slow
def test_a_repository_keeps_its_own_bench_systems_and_reports(installed: Path, paper: Path) -> None:
    code = (
        "import ldmbench, bench, systems, reports\n"
        "print(ldmbench.Audio.__module__, bench.WHOSE, systems.WHOSE, reports.WHOSE, sep='\\n')\n"
    )
    printed = run(installed, "python", "-c", code, cwd=paper).splitlines()
    assert printed == ["ldmbench.audio.sound", *(f"the {name} of the paper" for name in OWN[:3])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "suite"), [("ldmbench", "quickstart"), ("python -m ldmbench.cli", "mine.toml")], ids=["script", "module"]
)
def test_a_run_with_worker_processes_in_such_a_repository(installed: Path, paper: Path, start: str, suite: str) -> None:
    """``python -m`` puts the repository first on the path, also of the worker processes."""
    (paper / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\ntask = "codec"\nmetrics = ["mel_dac"]\n'
        'datasets = ["builtin-speech", "builtin-music"]\n'
    )
    program, *words = start.split()
    words += ["run", suite, "-s", "reference", "-m", "snr", "--limit", "1", "--jobs", "2", "--json"]
    table = json.loads(run(installed, program, *words, cwd=paper))
    (row,) = table["rows"]
    cells = dict(zip(((column["dataset"], column["metric"]) for column in table["columns"]), row["cells"], strict=True))
    for dataset in ("builtin-speech", "builtin-music"):
        assert cells[dataset, "mel_dac"]["estimate"]["n"] == 1
        assert (dataset, "snr") not in cells
    # The reference beside itself has no noise.
    assert any(note.startswith("No SNR for reference: ") for note in table["notes"])


def test_a_checkout_without_links_is_refused_in_one_line(tmp_path: Path) -> None:
    """As git makes it on Windows without the right to make links: a text file with the target in it."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "ldmbench").write_text("../bench")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: src/ldmbench is not a folder: ")
    assert "Traceback" not in done.stderr
