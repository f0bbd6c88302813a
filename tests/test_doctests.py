"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {"ldmbench": "bench", "ldmbench.systems": "systems", "ldmbench.reports": "reports"}

#: In a process of its own, since an example may register a metric.
RUN = """
import doctest, importlib, json, sys
counts = {}
for name in sys.argv[1:]:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    counts[name] = [result.attempted, result.failed]
print(json.dumps(counts))
"""


def examples() -> dict[str, int]:
    """Module -> number of its examples, wherever in the file they stand."""
    counts = {}
    for package, folder in ROOMS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if ">>>" in text:
                inside = path.relative_to(ROOT / folder).with_suffix("").parts
                name = ".".join([package, *inside]).removesuffix(".__init__")
                counts[name] = len(re.findall(r"^\s*>>> ", text, re.MULTILINE))
    return counts


def test_examples_in_docstrings_print_what_they_say() -> None:
    expected = examples()
    assert len(expected) >= 6
    command = [sys.executable, "-c", RUN, *expected]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *report, counts = done.stdout.splitlines()
    assert not report, done.stdout
    # An example outside a docstring that doctest sees would never run.
    assert json.loads(counts) == {module: [count, 0] for module, count in expected.items()}
