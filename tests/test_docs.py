"""README and docs/ say what the program does: every command, option and name in them exists, and none is left out."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from types import ModuleType

import click
import pytest

from ldmbench.cli import cli
from ldmbench.clips.card import list_datasets
from ldmbench.clips.condition import Condition
from ldmbench.metrics._base import list_metrics
from ldmbench.suite import Sweep, list_suites
from ldmbench.system.card import SystemCard
from ldmbench.system.registry import list_systems
from tests.documentation import PAGES, README, ROOT, blocks, typed

TEXT = "\n".join(PAGES.values())
CONSOLE = [
    (page, line.removeprefix("ldmbench "))
    for page, text in PAGES.items()
    for line in typed(text)
    if line.startswith("ldmbench ")
]


@pytest.mark.parametrize("command", cli.commands)
def test_every_command_is_documented_and_helps(command: str) -> None:
    assert f"`ldmbench {command}" in README
    assert cli.commands[command].help


@pytest.mark.parametrize(("page", "line"), CONSOLE)
def test_every_example_parses(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Click accepts the words of the example: command, options and their types."""
    words = shlex.split(line)
    command = cli.commands[words[0]]
    if isinstance(command, click.Group):
        words = words[1:]
        command = command.commands[words[0]]
    # A reader's folder that must be there is not looked for here.
    for parameter in command.params:
        if isinstance(parameter.type, click.Path):
            monkeypatch.setattr(parameter.type, "exists", False)
    context = command.make_context(words[0], words[1:])
    assert context.params, page


def test_there_are_examples() -> None:
    assert len(CONSOLE) >= 80
    assert len([page for page, _ in CONSOLE if page == "README.md"]) >= 8


def test_the_readme_is_a_front_door() -> None:
    """It is read in five minutes; what needs more room has a page, and every page is in the table of contents."""
    assert len(README.splitlines()) <= 270
    index = re.findall(r"^[\w/-]+$", PAGES["docs/index.md"], re.MULTILINE)
    pages = {page.removeprefix("docs/").removesuffix(".md") for page in PAGES if page.startswith("docs/")} - {"index"}
    assert pages <= set(index)


@pytest.mark.parametrize("name", sorted({name.partition("@")[0] for name in list_metrics()}))
def test_every_metric_is_documented(name: str) -> None:
    name = re.sub(r"^(wer|cer)_whisper_.*", r"\1_whisper_SIZE", name)
    assert re.search(rf"`{name}[`:@]", TEXT), name


@pytest.mark.parametrize("name", list_systems())
def test_every_system_is_documented(name: str) -> None:
    assert re.search(rf"`{name}[`@]", TEXT), name


def test_datasets_and_suites_are_named() -> None:
    for name in (*list_datasets(), *list_suites()):
        assert name.removeprefix("builtin-") in TEXT, name


def test_the_example_cards_are_valid() -> None:
    sweep, conditions = (tomllib.loads(block) for block in blocks(PAGES["docs/diffusion.md"], "toml"))
    Sweep.model_validate(sweep["sweep"])
    assert {Condition.model_validate(fields).kind for fields in conditions["conditions"].values()} == {"restyle"}
    (system,) = (tomllib.loads(block) for block in blocks(README, "toml"))
    SystemCard.model_validate(system)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_pages_are_what_the_cards_say() -> None:
    pages: dict[str, str] = generator().pages()
    assert {path.name for path in (ROOT / "docs" / "reference").iterdir()} == pages.keys()
    stale = [name for name, text in pages.items() if (ROOT / "docs/reference" / name).read_text("utf-8") != text]
    assert not stale, "run make docs and commit the pages"


def test_the_reference_pages_hold_everything() -> None:
    for kind, names in (
        ("systems", list(list_systems())),
        ("metrics", [name for name in list_metrics() if "@" not in name]),
        ("datasets", list_datasets()),
        ("suites", list_suites()),
    ):
        page = (ROOT / "docs" / "reference" / f"{kind}.md").read_text(encoding="utf-8")
        assert re.findall(r"^## `(.+)`$", page, re.MULTILINE) == names


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_every_file_that_is_named_exists(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    made = set(re.findall(r"^`([\w./-]+)`:$", text, re.MULTILINE)) | {"reports/published/mine-table.csv"}
    paths = set(re.findall(r"(?:`|\()((?:bench|systems|datasets|reports|tests|docs|\.ci)/[\w./-]*)[`)]", text)) - made
    assert len(paths) > 5 or page not in ("README.md", "CONTRIBUTING.md")
    assert not [path for path in paths if not (ROOT / path).exists() and path != "docs/_build/html"]


def test_every_metric_on_their_page_exists() -> None:
    table = PAGES["docs/metrics.md"].partition("## What a metric is sensitive to")[0]
    named = {name for name in re.findall(r"`([a-z_]+)`", table) if "_" in name}
    known = {name.partition("@")[0] for name in list_metrics()}
    assert named <= known | {"kbps"}, named - known
