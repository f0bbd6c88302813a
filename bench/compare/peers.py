"""Results of other evaluation tools, read and set beside a run: clip by clip where they keep clips."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ldmbench.compare.peer_names import CODEC_SUPERB, ERRORS, VERSA, PeerName
from ldmbench.errors import BenchError
from ldmbench.runs.results import Run

#: Clip -> name of a score -> its value as (numerator, denominator); a plain score has the denominator 1.
Scores = Mapping[str, Mapping[str, tuple[float, float]]]


@dataclass(frozen=True)
class Beside:
    """A metric of ours beside one of theirs.

    Attributes:
        system: The run's system, or its dataset's kind.
        name: What it is called on both sides, and why they differ.
        ours: Our mean over the clips that both have, None where there is none.
        theirs: Theirs.
        clips: How many clips both have.
        largest: Largest difference of a clip; None where the other side keeps no clips.
        left_out: Clips for which they have no number, or one that stands for an error.
    """

    system: str
    name: PeerName
    ours: float | None
    theirs: float | None
    clips: int
    largest: float | None = None
    left_out: int = 0


def read_versa(path: Path) -> Scores:
    """The scores of VERSA's JSONL: an object a line, with ``key`` and a number for each score.

    Errors of its recognisers come as counts; ``whisper_wer`` is made of them.

    Raises:
        BenchError: If the file is not there, or a line is no such object.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} cannot be read", str(error), "name the file that VERSA's scorer wrote") from None
    scores: dict[str, dict[str, tuple[float, float]]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            key = row.pop("key")
        except (ValueError, AttributeError, KeyError, TypeError):
            raise BenchError(
                f"{path} is no JSONL of VERSA",
                f"line {number} is no object with a 'key'",
                "name the scorer's output file",
            ) from None
        if key in scores:
            raise BenchError(f"{path} has {key!r} twice", f"line {number}", "keep one of them")
        scores[str(key)] = _numbers(row)
    if not scores:
        raise BenchError(f"{path} holds no scores", "no line", "name the file that VERSA's scorer wrote")
    return scores


def _numbers(row: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    own = {name: float(value) for name, value in row.items() if _is_number(value)}
    pairs = {name: (value, 1.0) for name, value in own.items() if math.isfinite(value) and ERRORS.get(name) != value}
    counts = [own.get(f"whisper_wer_{kind}") for kind in ("insert", "delete", "replace", "equal")]
    if None not in counts:
        insert, delete, replace, equal = (count or 0.0 for count in counts)
        if words := delete + replace + equal:
            pairs["whisper_wer"] = 100 * (insert + delete + replace), words
    return pairs


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def beside_versa(runs: Sequence[Run], scores: Scores) -> list[Beside]:
    """Every metric of the runs that VERSA has too, over the clips that both have.

    Raises:
        BenchError: If no clip of a run is among the keys.
    """
    found = []
    for run in runs:
        clips = _pairs((clip.id for clip in run.info.clips), scores)
        if not clips:
            asked = ", ".join(list(scores)[:3])
            first = run.info.clips[0].id if run.info.clips else "no clip"
            raise BenchError(
                "no clip of the run is among VERSA's keys", f"keys such as {asked}; clips such as {first}",
                "score the folder whose files VERSA was given",
            )  # fmt: skip
        for name in VERSA:
            metric = next((item for item in run.info.metrics if item == name.ours), None)
            if metric is not None and any(name.theirs in row for row in scores.values()):
                found.append(_beside(run, name, clips, scores))
    return found


def _beside(run: Run, name: PeerName, clips: Mapping[str, str], scores: Scores) -> Beside:
    ours, theirs = [], []
    left_out = 0
    for clip, key in clips.items():
        row, pair = run.scores.get((clip, name.ours)), scores[key].get(name.theirs)
        if pair is None:
            left_out += 1
        elif row is not None and row.status == "ok" and not isinstance(row.value, str):
            value = np.ravel(np.asarray(row.value, np.float64))
            ours.append((float(value[0]), float(value[1]) if len(value) > 1 else 1.0))
            theirs.append(pair)
    differences = [abs(a / b - c / d) for (a, b), (c, d) in zip(ours, theirs, strict=True) if b and d]
    return Beside(
        run.info.system, name, _mean(ours), _mean(theirs), len(ours), max(differences, default=None), left_out
    )


def _mean(pairs: Sequence[tuple[float, float]]) -> float | None:
    below = sum(pair[1] for pair in pairs)
    return sum(pair[0] for pair in pairs) / below if below else None


def _pairs(clips: Iterable[str], keys: Iterable[str]) -> dict[str, str]:
    """Clip -> key: by the path in the dataset, without the ending that VERSA keeps where it reads folders."""
    plain: dict[str, list[str]] = {}
    for key in keys:
        plain.setdefault(PurePosixPath(key).with_suffix("").as_posix(), []).append(key)
        if key != PurePosixPath(key).with_suffix("").as_posix():
            plain.setdefault(key, []).append(key)
    pairs = {}
    for clip in clips:
        path = PurePosixPath(clip.partition("/")[2])
        for name in (path.as_posix(), path.with_suffix("").as_posix(), path.name, path.stem):
            if len(plain.get(name, ())) == 1:
                pairs[clip] = plain[name][0]
                break
    return pairs


#: Content of a dataset -> what Codec-SUPERB calls such a part.
PARTS = {"speech": "Speech", "music": "Music", "general": "Audio"}


def read_codec_superb(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Codec -> part (``Speech``, ``Music``, ``Audio``, ``overall``) -> metric -> mean, as Codec-SUPERB writes them.

    Raises:
        BenchError: If the file is not there, or something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(codec): {
                str(part): {str(name): float(value) for name, value in means.items() if _is_number(value)}
                for part, means in parts.items()
                if isinstance(means, dict)
            }
            for codec, parts in content.items()
        }
    except OSError as error:
        raise BenchError(f"{path} cannot be read", error.strerror or str(error), "check the path") from None
    except (ValueError, AttributeError) as error:
        raise BenchError(f"{path} is no result of Codec-SUPERB", str(error), "name the JSON it wrote") from None


def beside_codec_superb(runs: Sequence[Run], codecs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Beside]:
    """Every metric that Codec-SUPERB has too, for each part of the run whose codec it names, or the only one there."""
    found = []
    for run in runs:
        parts = codecs.get(run.info.system) or (next(iter(codecs.values())) if len(codecs) == 1 else None)
        if parts is None:
            continue
        for item in run.info.datasets:
            means = parts.get(PARTS[item.content], {})
            for name in CODEC_SUPERB:
                estimate = run.estimate(name.ours, item.name)
                if estimate is not None and name.theirs in means:
                    label = f"{run.info.system}, {item.name}"
                    found.append(Beside(label, name, estimate.value, means[name.theirs], estimate.n))
    if not found:
        names = ", ".join(list(codecs)[:3])
        raise BenchError(
            "nothing of Codec-SUPERB's file is in the runs", f"codecs {names}",
            "score with -m mel_audiotools, stft_dac, pesq_wb or stoi, and name the content of the folder",
        )  # fmt: skip
    return found
