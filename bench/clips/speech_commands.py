"""Speech Commands as released, with the silence that is cut from its background sounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ldmbench.audio.sound import duration
from ldmbench.errors import BenchError

#: Folders of the two archives, which hold files of the same names.
TRAIN, TEST = "speech_commands_v0.02", "speech_commands_test_set_v0.02"

WORDS = frozenset(("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes"))
SILENCE, UNKNOWN = "_silence_", "_unknown_"

_BACKGROUND = "_background_noise_"

#: Background sounds whose name begins so are for validation.
_VALID_BACKGROUND = "running_tap"

#: Of all files.
_RATE = 16_000


def speech_commands(dataset: str, folder: Path, fix: str) -> list[dict[str, str]]:
    """The rows of all clips, sorted by split and name: ``stem`` is the name that hear-preprocess gives a clip.

    Source: hear-preprocess 610d864, ``speech_commands.py``, after tensorflow-datasets: what ``testing_list.txt`` names
    is not used, the second archive is the test split; silence is every half second of the background sounds.

    Raises:
        BenchError: If a folder, a list or the background sounds are not there.
    """
    for place in (folder / TRAIN / _BACKGROUND, folder / TEST):
        if not place.is_dir():
            raise BenchError(f"the files of {dataset} are not here", f"no folder {place}", fix)
    left_out, valid = (_listed(folder / TRAIN / f"{name}_list.txt", dataset, fix) for name in ("testing", "validation"))
    rows = [_row(TEST, path, "test") for path in _sounds(folder / TEST, "*/*.wav")]
    rows += [_row(TRAIN, path, "valid") for path in sorted(valid)]
    rows += [
        _row(TRAIN, path, "train")
        for path in _sounds(folder / TRAIN, "[!_]*/*.wav")
        if path not in valid and path not in left_out
    ]
    rows += _silence(folder)
    return sorted(rows, key=lambda row: (row["split"], row["stem"]))


def _listed(path: Path, dataset: str, fix: str) -> set[str]:
    try:
        return set(path.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        raise BenchError(f"the files of {dataset} are not here", f"no {path}", fix) from None


def _sounds(folder: Path, pattern: str) -> list[str]:
    """Paths below a folder; what begins with a dot (macOS leaves such copies) is no sound."""
    return [path.relative_to(folder).as_posix() for path in folder.glob(pattern) if not path.name.startswith(".")]


def _row(archive: str, path: str, split: str) -> dict[str, str]:
    folder, _, file = path.partition("/")
    label = folder if folder in WORDS or folder == SILENCE else UNKNOWN
    stem = f"{folder}_{Path(file).stem}"
    return {"id": f"{split}/{stem}", "path": f"{archive}/{path}", "label": label, "split": split, "stem": stem}


def _silence(folder: Path) -> Iterator[dict[str, str]]:
    """A second from every half second of each background sound."""
    for path in _sounds(folder / TRAIN, f"{_BACKGROUND}/*.wav"):
        name = Path(path).stem
        split = "valid" if name.startswith(_VALID_BACKGROUND) else "train"
        for start in range(0, round(duration(folder / TRAIN / path) * _RATE) - _RATE, _RATE // 2):
            row = _row(TRAIN, f"{SILENCE}/{name}-{start}.wav", split)
            seconds = start / _RATE
            yield {**row, "path": f"{TRAIN}/{path}", "start": f"{seconds:g}", "end": f"{seconds + 1:g}"}
