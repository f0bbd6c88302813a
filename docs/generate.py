"""Writes the pages of systems, metrics, datasets and suites from their cards and facts: ``python docs/generate.py``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ldmbench.audit import records
from ldmbench.audit.changes import CHANGES
from ldmbench.clips.card import list_datasets, load_dataset_card, read_list
from ldmbench.compare.peer_names import CODEC_SUPERB, VERSA
from ldmbench.metrics._base import list_metrics, load_metric
from ldmbench.metrics._judge import PackagedJudge
from ldmbench.names import parse, show
from ldmbench.reports import audits, published
from ldmbench.reports import peers as peer_tables
from ldmbench.suite import list_suites, load_suite
from ldmbench.system.registry import list_systems, load_system_card

REFERENCE = Path(__file__).parent / "reference"

#: What ``python docs/audit.py`` measured.
AUDITS = Path(__file__).parent / "audit.json"

HEAD = "<!-- Written by docs/generate.py from {origin}; change those and run `make docs`. -->\n\n# {title}\n\n{text}\n"


def pages() -> dict[str, str]:
    """File name -> content of every generated page."""
    return {f"{kind}.md": write() for kind, write in _PAGES.items()}


def systems() -> str:
    """Every system with its variants, settings and checkpoints."""
    sections = []
    for name in list_systems():
        card = load_system_card(name).model_dump(mode="json", exclude={"name"})
        settings, variants, weights = card.pop("settings"), card.pop("variants"), card.pop("weights")
        parts = [_heading("system", name, card.pop("title")), _facts(card)]
        if settings or variants:
            values = {f"@{key}": {**settings, **own} for key, own in variants.items()} or {name: settings}
            rows = [[_code(key), *(_value(value) for value in row.values())] for key, row in values.items()]
            parts.append(_table(["variant", *(_code(key) for key in settings)], rows))
        if weights:
            rows = [[_code(key), _inline(entry)] for key, entry in weights.items()]
            parts.append(_table(["checkpoint", "files"], rows))
        sections.append("\n".join(parts))
    text = "A system is named `NAME[@VARIANT][:setting=value,...]`; every setting below can be set."
    return _page("Systems", "the cards in systems/", text, sections)


def metrics() -> str:
    """Every metric with its facts."""
    names = list_metrics()
    sections = []
    for name in (name for name in names if "@" not in name):
        facts = asdict(load_metric(name).facts)
        facts["variants"] = [other for other in names if other.startswith(f"{name}@")]
        del facts["name"]
        sections.append(f"{_heading('metric', name, facts.pop('title'))}\n{_facts(facts)}")
    text = (
        "A metric is named `NAME[@VARIANT][:setting=value,...]`; whatever changes the number is part of the name. "
        "`rate` is the rate in Hz at which reference and output are compared, 0 for the reference's own."
    )
    return _page("Metrics", "the facts in bench/metrics/", text, sections)


def datasets() -> str:
    """Every dataset with its splits and input conditions."""
    sections = []
    for name in list_datasets():
        card = load_dataset_card(name)
        record = card.model_dump(mode="json", exclude={"name"})
        conditions, splits = record.pop("conditions"), record.pop("splits")
        parts = [_heading("dataset", name, record.pop("title")), _facts(record)]
        rows = []
        for split, entry in splits.items():
            clips = str(len(read_list(card, split))) if entry["list"] else "by rule"
            rows.append([_code(split), clips, _inline(entry)])
        parts.append(_table(["split", "clips", "pinned by"], rows))
        if conditions:
            parts.append(_table(["condition", "input"], [[_code(f"@{k}"), _inline(v)] for k, v in conditions.items()]))
        sections.append("\n".join(parts))
    text = "A dataset is named `NAME[@CONDITION]`; a condition says what is done to the input of a system."
    return _page("Datasets", "the cards in datasets/", text, sections)


def suites() -> str:
    """Every suite with what it joins, and the published values beside it."""
    sections = []
    for name in list_suites():
        suite = load_suite(name)
        record = suite.model_dump(mode="json", exclude={"name", "lists", "sweep"})
        for key, kind in (("datasets", "dataset"), ("systems", "system"), ("metrics", "metric")):
            record[key] = ", ".join(f"[{_code(item)}](#{kind}-{_anchor(item)})" for item in record[key])
        parts = [_heading("suite", name, record.pop("title")), _facts(record, ready=("datasets", "systems", "metrics"))]
        if values := published.load(name):
            rows = [
                [_text(item.row), _code(item.dataset), _code(item.metric), f"{item.value:g}", _text(item.source)]
                for item in values.values
            ]
            parts += ["Published values:\n", _table(["row", "dataset", "metric", "value", "source"], rows)]
        sections.append("\n".join(parts))
    text = "A suite is datasets and metrics that make one table, with the systems shown by default."
    return _page("Suites", "reports/suites/ and reports/published/", text, sections)


def audit() -> str:
    """What every metric answers to, from the audits that were kept."""
    kept = records.read(AUDITS)
    current = [item for item in kept if item.version == load_metric(item.metric).facts.version]
    grid = audits.summary(current)
    rows = [[f"[{_code(name)}](#audit-{_anchor(name)})", *map(_text, cells)] for name, *cells in grid.rows]
    parts = [_table(grid.columns, rows), "".join(f"- {_text(note)}\n" for note in grid.notes)]
    parts.append("## What is done\n")
    parts.append(_table(["change", "what is done"], [[_text(item.name), _text(item.text)] for item in CHANGES]))
    parts.append("## Not audited\n")
    parts.append(_table(["metric", "why"], _not_audited({item.metric: item.version for item in kept})))
    for item in current:
        if "@" not in item.metric:
            own = audits.detail(item)
            parts.append(f"(audit-{_anchor(item.metric)})=\n## {_code(item.metric)}\n\n{_text(own.title)}\n")
            parts.append(_table(own.columns, [list(map(_text, row)) for row in own.rows]))
            parts.append("".join(f"- {_text(note)}\n" for note in own.notes))
    text = (
        "How the value of a metric moves when outputs are changed in ways that say little of the codec, as "
        "`ldmbench audit --every` measures it on the built-in clips. `ldmbench audit METRIC` does it on your own. A "
        "variant has a row here, and its base a section below."
    )
    return _page("What metrics answer to", "docs/audit.json, which docs/audit.py writes", text, parts)


def _not_audited(kept: Mapping[str, int]) -> list[list[str]]:
    """Metrics without an audit of their version, each with the reason."""
    rows = []
    for name in list_metrics():
        metric = load_metric(name)
        facts = metric.facts
        if kept.get(name) == facts.version:
            continue
        if not {"audio", "output"} & set(facts.needs):
            reason = f"hears no output: it needs {' and '.join(facts.needs)}"
        elif name in kept:
            reason = f"audited as version {kept[name]}; it is version {facts.version} now"
        else:
            fetched = facts.device and not isinstance(metric, PackagedJudge)
            reason = "not audited: its weights have to be fetched" if fetched else "not audited yet: it takes long"
        rows.append([_code(name), reason])
    return rows


def peers() -> str:
    """What other tools call our metrics."""
    sections = []
    for title, names in (("VERSA", VERSA), ("Codec-SUPERB", CODEC_SUPERB)):
        listed = [[_code(theirs), _code(ours), how, _text(why)] for theirs, ours, how, why in peer_tables.names(names)]
        sections.append(f"## {title}\n\n{_table(['theirs', 'ours', 'definition', 'why a number differs'], listed)}")
    text = (
        "Read in the code of VERSA (wavlab-speech/versa c398480) and Codec-SUPERB (voidful/Codec-SUPERB cfccafc). "
        "`ldmbench score --versa FILE` and `--codec-superb FILE` set their numbers beside ours."
    )
    return _page("Names of other tools", "bench/compare/peer_names.py", text, sections)


_PAGES: Mapping[str, Callable[[], str]] = {
    "systems": systems,
    "metrics": metrics,
    "audit": audit,
    "peers": peers,
    "datasets": datasets,
    "suites": suites,
}


def _page(title: str, origin: str, text: str, sections: Sequence[str]) -> str:
    return "\n".join([HEAD.format(title=title, origin=origin, text=text), *sections])


def _heading(kind: str, name: str, title: str) -> str:
    return f"({kind}-{_anchor(name)})=\n## {_code(name)}\n\n{_text(title)}\n"


def _anchor(name: str) -> str:
    """What a page calls the place of a name; a variant stands in the section of its base."""
    return parse(name).name.replace("_", "-").lower()


def _facts(record: Mapping[str, Any], ready: Sequence[str] = ()) -> str:
    """A table of a record's fields; a note follows as text. Fields in ``ready`` are Markdown already."""
    record = {key: value for key, value in record.items() if value not in ("", None, [], {}, ())}
    note = record.pop("note", "")
    rows = [[key, value if key in ready else _inline(value)] for key, value in record.items()]
    return _table(["field", "value"], rows) + (f"\n{_text(' '.join(note.split()))}\n" if note else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _inline(value: Any) -> str:
    """Anything of a card in one cell, empty fields left out."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_inline(item)}" for key, item in value.items() if item not in ("", None, [], {}, 0))
    if isinstance(value, list | tuple):
        return ", ".join(_inline(item) for item in value)
    return f"<{value}>" if str(value).startswith("https://") else _value(value)


def _value(value: Any) -> str:
    """A single value; digests are shortened, as everywhere else."""
    if isinstance(value, str):
        digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
        return _code(value[:12]) if digest else _text(value)
    return show(value)


def _text(text: str) -> str:
    """Text in which Markdown finds nothing to do but code."""
    return re.sub(r"[\\|*<>\[\]#]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(exist_ok=True)
    for name, content in pages().items():
        (REFERENCE / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
