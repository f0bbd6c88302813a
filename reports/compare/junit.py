"""A comparison as JUnit XML: a test case for each cell."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ldmbench.compare.records import Cell, Comparison
from ldmbench.reports.compare.links import NO_LINKS, Links
from ldmbench.reports.compare.text import cell_text, worst_lines

#: Characters that XML 1.0 has no way to write.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(comparison: Comparison, links: Links = NO_LINKS) -> str:
    """A suite for each system and dataset; worse and failed are failures, not comparable is an error.

    ``undecided`` is skipped, or a failure where the rules say so.

    Source: the schema of Jenkins' xunit plugin, junit-10.xsd, as far as GitLab and Jenkins read it.
    """
    root = ElementTree.Element("testsuites", name="ldmbench compare")
    suites: dict[tuple[str, str], list[Cell]] = {}
    for cell in comparison.cells:
        suites.setdefault((cell.system, cell.dataset), []).append(cell)
    for (system, dataset), cells in suites.items():
        kinds = [_kind(comparison, cell) for cell in cells]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_clean(f"{system} on {dataset}"),
            tests=str(len(cells)),
            failures=str(kinds.count("failure")),
            errors=str(kinds.count("error")),
            skipped=str(kinds.count("skipped")),
            time="0",
        )
        for cell, kind in zip(cells, kinds, strict=True):
            name = cell.metric if cell.part == "all" else f"{cell.metric} [{cell.part}]"
            case = ElementTree.SubElement(
                suite, "testcase", classname=_clean(f"{system}.{dataset}"), name=_clean(name), time="0"
            )
            text = _clean(cell_text(cell))
            if kind == "skipped":
                ElementTree.SubElement(case, kind, message=text)
            elif kind:
                detail = ElementTree.SubElement(case, kind, type=cell.verdict, message=text)
                detail.text = _clean("\n".join([text, *worst_lines(cell, links)]))
            else:
                ElementTree.SubElement(case, "system-out").text = text
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _kind(comparison: Comparison, cell: Cell) -> str:
    if comparison.counts_against(cell):
        return "failure"
    return {"not comparable": "error", "undecided": "skipped"}.get(cell.verdict, "")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
