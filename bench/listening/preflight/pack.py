"""A pack looked at before anybody listens: everything that has cost an organiser sessions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ldmbench.errors import BenchError
from ldmbench.listening import webmushra
from ldmbench.listening.pack import Key, Pack, load_key, load_pack, sealed_folder
from ldmbench.listening.preflight.config import check_config
from ldmbench.listening.preflight.finding import error, ok, warning
from ldmbench.listening.preflight.sounds import check_sounds
from ldmbench.listening.presets import NOBODY
from ldmbench.names import some
from ldmbench.runs.check import Finding

#: Sliders that fit on a screen of 1280 pixels in webMUSHRA, and have a digit key each.
FITTING = 9

#: Minutes after which listeners tire.
TIRING = 30


def check_pack(folder: Path, key_path: Path | None = None) -> list[Finding]:
    """Look at everything in a pack.

    Args:
        folder: The pack.
        key_path: Its key, by default the one beside it; without one, what needs it is not looked at.

    Raises:
        BenchError: If the folder holds no pack.
    """
    pack = load_pack(folder)
    found: list[Finding] = [ok("pack", f"{pack.method}, {len(pack.pages)} pages, {len(pack.blocks)} blocks")]
    key = None
    if (key_path or sealed_folder(folder) / "key.json").exists() or key_path is not None:
        try:
            key = load_key(folder, pack, key_path)
            found += [ok("key", "sealed: its digest is the one in the pack"), *_key(pack, key)]
        except BenchError as fault:
            found.append(error("key", str(fault)))
    else:
        found.append(warning("key", "not beside the pack: what the sounds are cannot be checked", "name it with --key"))
    sounds, late = check_sounds(folder, pack, key)
    found += sounds or [ok("sounds", "one rate, one length a page, two equal channels, nothing but sound in the files")]
    found += _delays(late)
    found += _pages(pack)
    found += _blocks(pack)
    found += _words(pack)
    found += _secrets(folder, pack, key)
    if pack.method == "mushra":
        found += _configs(folder, pack)
    if pack.method == "sheet":
        found += _sheets(folder, pack)
    return found


def _key(pack: Pack, key: Key) -> Iterator[Finding]:
    for page in pack.all_pages():
        keys = {sound.key for sound in page.stimuli}
        entry = key.pages.get(page.id)
        if entry is None or set(entry.stimuli) != keys:
            yield error(page.id, "the key does not name its stimuli", "export the pack again")


def _delays(late: Mapping[str, Sequence[float]]) -> Iterator[Finding]:
    """A codec has one delay: the median over pages is looked at."""
    for system, seconds in late.items():
        middle = float(np.median(seconds))
        if middle:
            yield warning(
                system,
                f"{1000 * middle:+.1f} ms late against the reference on most pages: switching jumps",
                "export with --align",
            )


def _pages(pack: Pack) -> Iterator[Finding]:
    most = max(len(page.stimuli) for page in pack.pages)
    if most > webmushra.MOST_SLIDERS:
        yield error("pages", f"{most} stimuli on a page, ITU-R BS.1534-3 allows {webmushra.MOST_SLIDERS}")
    elif most > FITTING:
        yield warning(
            "pages", f"{most} sliders on a page: webMUSHRA scrolls sideways below 1366 pixels, digit keys end at 9"
        )
    if pack.training is None:
        yield warning("pages", "there is no training page: listeners learn the range on the first pages that count")
    elif pack.training.seconds and any(page.seconds == pack.training.seconds for page in pack.pages):
        digests = {page.reference.sha256 for page in pack.pages if page.reference is not None}
        if pack.training.reference is not None and pack.training.reference.sha256 in digests:
            yield warning("pages", "the training page has an item of the test")
    for mark in pack.marks:
        yield warning("systems", mark)


def _blocks(pack: Pack) -> Iterator[Finding]:
    heard = Counter(page for block in pack.blocks for page in block.pages)
    for block in pack.blocks:
        if len(set(block.pages)) < len(block.pages):
            yield error(block.id, "a page comes twice in it")
    counts = [heard[page.id] for page in pack.pages]
    if min(counts) == 0:
        yield error("blocks", f"{counts.count(0)} pages are in no block")
    elif max(counts) - min(counts) > 1:
        yield warning("blocks", f"pages are heard unequally often: {min(counts)} to {max(counts)} times in all blocks")
    else:
        yield ok("blocks", f"every page in {min(counts)} of {len(pack.blocks)} blocks")
    if pack.minutes > TIRING:
        yield warning("blocks", f"about {pack.minutes} minutes a listener", "fewer items, or --per-listener")


def _words(pack: Pack) -> Iterator[Finding]:
    texts = " ".join((*pack.words.consent, *pack.words.instructions, *pack.words.thanks))
    if NOBODY in texts:
        yield warning("consent", "does not say who runs the test", "export with --organiser")
    if left := re.findall(r"\{\w+\}", texts):
        yield warning("texts", f"{some(left)} was not filled in")


def _secrets(folder: Path, pack: Pack, key: Key | None) -> Iterator[Finding]:
    """Whether anything in the pack's folder tells what the sounds are."""
    told = []
    names = [] if key is None else [*key.systems, *{page.item for page in key.pages.values()}]
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        if path.name == "key.json":
            yield error("secrets", f"{path.relative_to(folder)} is in the pack", "move it out")
        elif path.suffix in (".json", ".csv", ".md", ".yaml", ".txt", ".html"):
            text = path.read_text(encoding="utf-8", errors="replace")
            told += [f"{name} in {path.relative_to(folder)}" for name in names if _says(text, name)]
        elif any(_says(str(path.relative_to(folder)), name) for name in names):
            told.append(str(path.relative_to(folder)))
    files = {sound.file for page in pack.all_pages() for sound in page.sounds()}
    others = [
        str(path.relative_to(folder))
        for path in sorted((folder / webmushra.WEB).rglob("*"))
        if path.is_file() and path.suffix != ".yaml" and str(path.relative_to(folder)) not in files
    ]
    if told:
        yield warning("secrets", f"the pack names what it should not: {some(told)}")
    if others:
        yield warning("secrets", f"files in web/ that are not the pack's: {some(others)}")
    if key is not None and not told:
        yield ok("secrets", "nothing in the pack names a system or a clip")


def _says(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w@.]){re.escape(name)}(?![\w@])", text) is not None


def _configs(folder: Path, pack: Pack) -> Iterator[Finding]:
    """Configurations that were edited or added are looked at line by line; the others are known to load."""
    web = folder / webmushra.WEB
    expected = {webmushra.config_name(pack, block): block for block in pack.blocks}
    for name in expected:
        if not (web / "configs" / name).is_file():
            yield error(name, "is not there", "export the pack again")
    edited = 0
    for path in sorted((web / "configs").glob("*")):
        block = expected.get(path.name)
        if block is not None and path.read_bytes() == webmushra.config(pack, block).encode():
            continue
        edited += 1
        yield warning(path.name, "was edited or added after the export")
        yield from check_config(path, web)
    if not edited:
        yield ok("webMUSHRA", f"{len(expected)} configurations are as exported")


def _sheets(folder: Path, pack: Pack) -> Iterator[Finding]:
    absent = []
    for page in pack.pages:
        for sound in page.stimuli:
            copy = folder / "sheets" / "audio" / f"{sound.key}.wav"
            if not copy.is_file() or copy.read_bytes() != (folder / sound.file).read_bytes():
                absent.append(copy.name)
    for block in pack.blocks:
        absent += [
            f"{block.id}{end}" for end in (".csv", ".xlsx") if not (folder / "sheets" / f"{block.id}{end}").is_file()
        ]
    if absent:
        yield error("sheets", f"not there, or changed: {some(absent)}", "export the pack again")
    else:
        yield ok("sheets", f"{len(pack.blocks)} orders of {len(pack.blocks[0].pages)} sounds")
