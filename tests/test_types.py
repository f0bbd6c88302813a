"""Annotations say what things are: few of those of the systems hide behind ``Any``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SYSTEMS = Path(__file__).parents[1] / "systems"

#: Largest share of annotations with ``Any`` in them: values of JSON files, and networks that are kept by name.
LARGEST_SHARE = 0.05


def annotated(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """(What is annotated, its annotation): parameters, what is returned, and variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = node.args
            several = [argument for argument in (own.vararg, own.kwarg) if argument]
            for argument in (*own.posonlyargs, *own.args, *own.kwonlyargs, *several):
                if argument.annotation is not None:
                    yield f"{node.name}, {argument.arg}", argument.annotation
            if node.returns is not None:
                yield f"{node.name}, returned", node.returns
        elif isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target), node.annotation


def holds_any(annotation: ast.expr) -> bool:
    """Whether ``Any`` stands in it, by itself or inside."""
    names = (node.id if isinstance(node, ast.Name) else getattr(node, "attr", "") for node in ast.walk(annotation))
    return "Any" in names


def test_the_count_sees_every_kind() -> None:
    source = "def f(a: int, *b: Any, c: list[Any] = [], **d: typing.Any) -> dict[str, Any]: x: Any = 1\ny: int = 2"
    counted = {name: holds_any(annotation) for name, annotation in annotated(ast.parse(source))}
    assert counted == {
        "f, a": False, "f, b": True, "f, c": True, "f, d": True, "f, returned": True, "x": True, "y": False
    }  # fmt: skip


def test_few_annotations_of_systems_hide_behind_any() -> None:
    total, hidden = 0, []
    for path in sorted(SYSTEMS.rglob("*.py")):
        for name, annotation in annotated(ast.parse(path.read_text(encoding="utf-8"))):
            total += 1
            if holds_any(annotation):
                hidden.append(f"{path.relative_to(SYSTEMS)}:{annotation.lineno}: {name}: {ast.unparse(annotation)}")
    assert total > 500
    assert len(hidden) / total < LARGEST_SHARE, f"{len(hidden)} of {total}\n" + "\n".join(hidden)
