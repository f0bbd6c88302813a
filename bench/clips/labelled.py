"""Labelled clips as releases hold them: hear-preprocess's folders, tables, and labels within names."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from ldmbench.cards import Card
from ldmbench.clips.rule import Selection, list_digest
from ldmbench.clips.speech_commands import speech_commands
from ldmbench.errors import BenchError
from ldmbench.names import some

#: Scores by which HEAR's tasks of one label for each clip are judged.
PRIMARY_SCORES = ("top1_acc", "pitch_acc", "chroma_acc", "mAP", "aucroc")

#: Share of a capped task's hours that each split gets: 80, 10 and 10 of 90.
_SHARES = {"train": 80, "valid": 10, "test": 10}


class Labelled(Card):
    r"""``[splits.NAME.labelled]``: which files are clips, what a probe is to tell of them, and how they are divided.

    A clip's fields are those of its row, of the pattern, ``split`` (of ``parts``) and ``stem``; ``path``, ``label``,
    ``split``, ``group`` and ``key`` are made of them: ``"audio/{filename}"``.

    Attributes:
        hear: A task of hear-preprocess: its folder below ``tasks/``. Nothing else is needed then.
        release: ``speech-commands``, whose lists and silence follow rules of their own.
        table: A CSV with columns, or a JSON file of objects by id; with ``{split}`` there is one for each of ``parts``.
        delimiter: Of the CSV.
        parts: Splits that have a table each.
        files: Patterns of paths, where there is no table.
        pattern: Regular expression of a path, with named groups.
        keep: Field -> regular expression that it must match as a whole.
        path: Path of a clip.
        label: Its label.
        split: Its split; empty where ``parts`` or ``folds`` make it.
        group: Its group.
        key: What must not be on two sides of a new fold: all clips with one key are in one.
        folds: Number of new folds, 0 for none.
        hours: Hours that train, valid and test together have at the most, 0 for no cap.
        whole: Splits that are not capped.
        seconds: Length to which clips are cut or padded with zeros at the end, 0 for as they are.
        count: Clips of the official release, 0 where that is not pinned.
        primary_score: Of ``PRIMARY_SCORES``, by which HEAR judges the task; of ``hear`` the task itself says it.
    """

    hear: str = ""
    release: Literal["", "speech-commands"] = ""
    table: str = ""
    delimiter: str = ","
    parts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    pattern: str = ""
    keep: dict[str, str] = {}
    path: str = ""
    label: str = ""
    split: str = ""
    group: str = ""
    key: str = "{stem}"
    folds: int = 0
    hours: float = 0.0
    whole: tuple[str, ...] = ()
    seconds: float = 0.0
    count: int = 0
    primary_score: str = "top1_acc"

    @model_validator(mode="after")
    def _one_source(self) -> Labelled:
        if [bool(self.hear), bool(self.release), bool(self.table), bool(self.files)].count(True) != 1:
            raise ValueError("needs one of hear, release, table and files")
        if (
            not self.hear
            and not self.release
            and (not self.label or bool(self.folds) == bool(self.split or self.parts))
        ):
            raise ValueError("needs a label, and one of split, parts and folds")
        if self.table and not self.path:
            raise ValueError("a table needs the path of a clip")
        if any(".." in Path(name).parts or Path(name).is_absolute() for name in (self.hear, self.table, *self.files)):
            raise ValueError("paths stay below the folder")
        if self.primary_score not in PRIMARY_SCORES:
            raise ValueError(f"the primary score is one of {', '.join(PRIMARY_SCORES)}")
        return self


def read_labelled(rule: Labelled, dataset: str, folder: Path, fix: str = "") -> list[dict[str, str]]:
    """The rows of all clips, those whose file is not there included.

    Args:
        rule: Which they are.
        dataset: Name of the dataset, for messages.
        folder: Where its files are.
        fix: What to do where they are not there.

    Raises:
        BenchError: If what lists the clips is not there or not as it should be.
    """
    if not folder.is_dir():
        raise BenchError(f"the files of {dataset} are not here", f"no folder {folder}", fix)
    if rule.hear:
        rows = _hear(folder / "tasks" / rule.hear, dataset, fix)
    else:
        if rule.release:
            padded = {"seconds": f"{rule.seconds:g}"}
            rows = [{**row, **padded} for row in speech_commands(dataset, folder, fix)]
        else:
            rows = [_row(rule, fields, dataset) for fields in _fields(rule, dataset, folder, fix)]
        rows = _capped(rule, rows) if rule.hours else rows
        rows = _folded(rule, rows, dataset) if rule.folds else rows
    if not rows:
        raise BenchError(f"there are no clips of {dataset} in {folder}", "nothing fits its card", fix)
    if rule.count and len(rows) != rule.count:
        found = f"{len(rows)} clips in {folder}, the release has {rule.count}"
        raise BenchError(f"the files of {dataset} are not those of the official release", found, fix)
    for row in rows:
        if Path(row["path"]).is_absolute() or ".." in Path(row["path"]).parts:
            raise BenchError(f"{dataset} lists a path outside its folder", repr(row["path"]), "get the release again")
    return rows


def select_labelled(rule: Labelled, dataset: str, folder: Path, fix: str = "") -> Selection:
    """As ``read_labelled``, with the identity of the files.

    Raises:
        BenchError: As there, or if a file is not there.
    """
    rows = read_labelled(rule, dataset, folder, fix)
    sizes = {}
    for row in rows:
        try:
            sizes[row["path"]] = (folder / row["path"]).stat().st_size
        except OSError:
            continue
    if lacking := [row["path"] for row in rows if row["path"] not in sizes]:
        check = f"ldmbench check {dataset} lists them all; {fix}"
        raise BenchError(f"{len(lacking)} of {len(rows)} files of {dataset} are not here", some(lacking), check)
    identity = [f"{row['path']} {sizes[row['path']]} {row['label']} {row['split']}" for row in rows]
    primary = primary_score(rule, dataset, folder, fix)
    if primary != "top1_acc":
        identity.append(f"judged by {primary}")
    digest = list_digest([row["path"] for row in rows])[:12]
    notes = (f"{dataset}: {len(rows)} clips of {folder}, list {digest}",)
    return Selection(tuple(rows), tuple(identity), notes, primary)


def primary_score(rule: Labelled, dataset: str, folder: Path, fix: str = "") -> str:
    """By which score HEAR judges the task: the first of its ``evaluation``, as hear-eval-kit takes it.

    Raises:
        BenchError: If a task of hear-preprocess names none that is of one label for each clip.
    """
    if not rule.hear:
        return rule.primary_score
    path = folder / "tasks" / rule.hear / "task_metadata.json"
    first = next(iter(_json(path, dataset, fix).get("evaluation") or [""]))
    if first not in PRIMARY_SCORES:
        expected = f"its evaluation begins with one of {', '.join(PRIMARY_SCORES)}"
        raise BenchError(f"{path} names no score that can be computed", repr(first), expected)
    return str(first)


def task_seconds(rule: Labelled, dataset: str, folder: Path) -> float:
    """How long every clip of a task of hear-preprocess is, 0 where it does not say.

    Raises:
        BenchError: If the task is not there.
    """
    return float(_json(folder / "tasks" / rule.hear / "task_metadata.json", dataset, "").get("sample_duration") or 0)


def new_folds(keys: Sequence[str], labels: Sequence[str], count: int) -> dict[str, str]:
    """Key -> fold, drawn anew until every fold has every label.

    Source: hear-preprocess 610d864, ``pipeline.py``: keys are sorted, shuffled by ``random.Random`` with the seed
    ``split_k_folds``, then ``split_k_folds_retry_0`` and so on, and divided as ``numpy.array_split`` does.

    Raises:
        ValueError: If a hundred drawings leave labels out.
    """
    import numpy as np

    known = set(labels)
    for seed in ("split_k_folds", *(f"split_k_folds_retry_{number}" for number in range(99))):
        order = sorted(set(keys))
        random.Random(seed).shuffle(order)
        folds = {
            key: f"fold{number:02d}"
            for number, part in enumerate(np.array_split(np.array(order, dtype=object), count))
            for key in part
        }
        drawn: dict[str, set[str]] = {}
        for key, label in zip(keys, labels, strict=True):
            drawn.setdefault(folds[key], set()).add(label)
        if len(drawn) == count and all(found == known for found in drawn.values()):
            return folds
    raise ValueError("no drawing of folds has every label in each of them")


def _hear(task: Path, dataset: str, fix: str) -> list[dict[str, str]]:
    """Rows of a task as hear-preprocess writes it; of several rates the highest is taken."""
    metadata = _json(task / "task_metadata.json", dataset, fix)
    if (metadata.get("embedding_type"), metadata.get("prediction_type")) != ("scene", "multiclass"):
        found = f"{metadata.get('embedding_type')} embeddings, {metadata.get('prediction_type')} labels"
        raise BenchError(f"{dataset} cannot be probed", found, "choose a task with one label for each clip")
    with (task / "labelvocabulary.csv").open(encoding="utf-8", newline="") as handle:
        vocabulary = {row["label"] for row in csv.DictReader(handle)}
    rates = sorted((int(path.name) for path in task.iterdir() if path.is_dir() and path.name.isdecimal()), reverse=True)
    if not rates:
        raise BenchError(f"the files of {dataset} are not here", f"no folder of a rate, such as 48000, in {task}", fix)
    rows = []
    for split in metadata["splits"]:
        for name, labels in _json(task / f"{split}.json", dataset, fix).items():
            (label,) = map(str, labels if isinstance(labels, list) else [labels])
            if label not in vocabulary:
                raise BenchError(f"{dataset} has a label without an index", f"{label!r} of {name}", "unpack it again")
            path = f"tasks/{task.name}/{rates[0]}/{split}/{name}"
            rows.append({"id": f"{split}/{Path(name).stem}", "path": path, "label": label, "split": split})
    return rows


def _fields(rule: Labelled, dataset: str, folder: Path, fix: str) -> Iterator[dict[str, str]]:
    """The fields of every clip that is kept."""
    for split in rule.parts or ("",):
        for fields in _table(rule, split, dataset, folder, fix) if rule.table else _names(rule, folder):
            if all(re.fullmatch(wanted, fields.get(name, "")) for name, wanted in rule.keep.items()):
                yield {**fields, **({"split": split} if split else {})}


def _table(rule: Labelled, split: str, dataset: str, folder: Path, fix: str) -> Iterator[dict[str, str]]:
    path = folder / rule.table.format(split=split)
    if path.suffix == ".json":
        for name, item in _json(path, dataset, fix).items():
            yield {"id": name, **{key: str(value) for key, value in item.items()}}
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            for row in csv.DictReader(handle, delimiter=rule.delimiter):
                yield {key: value or "" for key, value in row.items() if key is not None}
    except FileNotFoundError:
        raise BenchError(f"the files of {dataset} are not here", f"no {path}", fix) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path} is no table", str(error), "unpack it again") from None


def _names(rule: Labelled, folder: Path) -> Iterator[dict[str, str]]:
    matched = {path.relative_to(folder).as_posix() for pattern in rule.files for path in folder.glob(pattern)}
    for path in sorted(name for name in matched if not name.rpartition("/")[2].startswith(".")):
        match = re.fullmatch(rule.pattern, path)
        if match is not None:
            yield {"path": path, **match.groupdict("")}


def _row(rule: Labelled, fields: Mapping[str, str], dataset: str) -> dict[str, str]:
    try:
        path = rule.path.format(**fields) if rule.path else fields["path"]
        stem = Path(path).stem
        label, split, group, key = (
            template.format(stem=stem, **{name: value for name, value in fields.items() if name != "stem"})
            for template in (rule.label, rule.split or fields.get("split", ""), rule.group, rule.key)
        )
    except (KeyError, IndexError) as error:
        raise BenchError(f"the clips of {dataset} have no {error}", ", ".join(fields), "correct the card") from None
    seconds = f"{rule.seconds:g}" if rule.seconds else ""
    return {
        "id": path.rpartition(".")[0], "path": path, "label": label, "split": split, "group": group, "key": key,
        "seconds": seconds,
    }  # fmt: skip


def _capped(rule: Labelled, rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """As many clips of each split as its share of the hours holds.

    Source: hear-preprocess 610d864, ``SubsampleSplit``: stems are sorted and permuted by ``RandomState``, whose seed is
    made of the name of the split.
    """
    import numpy as np

    kept = []
    for split in dict.fromkeys(row["split"] for row in rows):
        own = sorted((row for row in rows if row["split"] == split), key=_stem)
        most = int(rule.hours * 3600 * _SHARES[split] / 90 / rule.seconds)
        if len(own) > most and split not in rule.whole:
            seed = int(hashlib.sha1(f"SubsampleSplit({split})".encode()).hexdigest(), 16) % (2**32 - 1)
            order = np.random.RandomState(seed).permutation(len(own))
            own = [own[position] for position in order[:most]]
        kept += own
    return kept


def _stem(row: Mapping[str, str]) -> str:
    return row.get("stem") or Path(row["path"]).stem


def _folded(rule: Labelled, rows: Sequence[dict[str, str]], dataset: str) -> list[dict[str, str]]:
    try:
        folds = new_folds([row["key"] for row in rows], [row["label"] for row in rows], rule.folds)
    except ValueError as error:
        raise BenchError(f"{dataset} cannot be divided into {rule.folds} folds", str(error), "get all files") from None
    return sorted(({**row, "split": folds[row["key"]]} for row in rows), key=lambda row: (row["split"], row["path"]))


def _json(path: Path, dataset: str, fix: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BenchError(f"the files of {dataset} are not here", f"no {path}", fix) from None
    except ValueError as error:
        raise BenchError(f"{path} is not JSON", str(error), "unpack it again") from None
    if not isinstance(content, dict):
        raise BenchError(f"{path} is no JSON object", type(content).__name__, "unpack it again")
    return content
