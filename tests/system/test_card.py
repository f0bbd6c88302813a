"""What the cards of systems say: tasks and roles, and what a card may not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.system.card import SystemCard
from ldmbench.system.registry import list_systems, load_adapter, load_system_card

CARD = 'name = "x"\ntitle = "X"\nlicence = "CC0-1.0"\n'


def read(tmp_path: Path, lines: str) -> SystemCard:
    path = tmp_path / "x.toml"
    path.write_text(CARD + lines)
    return load_system_card(str(path))


def test_roles_of_the_cards_that_ship() -> None:
    roles: dict[str, set[str]] = {}
    for name in list_systems():
        roles.setdefault(load_system_card(name).role, set()).add(name)
    assert roles.pop("system") > {"opus", "semanticodec", "audioldm", "audiosr"}
    assert roles == {
        "reference": {"reference"},
        "anchor": {"lowpass", "noise", "shuffled", "unprocessed"},
        "bound": {"resample", "reference-mel"},
    }


@pytest.mark.parametrize("name", list_systems())
def test_every_card_says_its_role_and_tasks(name: str) -> None:
    assert {"role", "tasks"} <= load_system_card(name).model_fields_set


def test_a_card_of_somebody_else_is_a_system_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert read(tmp_path, 'tasks = ["codec"]\n').role == "system"
    assert read(tmp_path, 'tasks = ["codec", "enhance"]\nrole = "anchor"\n').tasks == ("codec", "enhance")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("", "tasks: Field required"),
        ("tasks = []\n", "tasks: Tuple should have at least 1 item"),
        ('tasks = ["transcribe"]\n', "tasks.0: Input should be 'codec', 'generate', 'enhance' or 'embed'"),
        ('task = "codec"\n', "unknown key 'task', known are .*tasks"),
        ('tasks = ["codec"]\nrole = "floor"\n', "role: Input should be 'system', 'anchor', 'reference' or 'bound'"),
        ('tasks = ["codec", "enhance"]\ncommand = ["{input}", "{output}"]\n', "a system with a command does one task"),
    ],
)
def test_what_a_card_may_not_say(tmp_path: Path, lines: str, reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        read(tmp_path, lines)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("os:system", "is of type builtin_function_or_method"),
        ("sys:exit", "is of type builtin_function_or_method"),
        ("math:pi", "is of type float"),
        ("os:path", "is of type module"),
        ("", "names no adapter"),
        (":X", "names no adapter"),
        ("x:", "names no adapter"),
        ("..x:Y", "names no adapter"),
        ("a..b:C", "names no adapter"),
        ("a b:C", "names no adapter"),
        ("os:path.join", "names no adapter"),
        ("leaves_when_imported:X", "cannot be loaded: SystemExit: 0"),
        ("broken_when_imported:X", "cannot be loaded: ZeroDivisionError"),
    ],
)
def test_a_module_that_is_no_adapter_is_one_line(
    module: str, message: str, importable: Callable[[str, str], None]
) -> None:
    importable("leaves_when_imported", "import sys; sys.exit(0)")
    importable("broken_when_imported", "1 / 0")
    card = SystemCard(name="odd", title="Odd", tasks=("codec",), licence="MIT", module=module)
    with pytest.raises(BenchError, match=message):
        load_adapter(card)
