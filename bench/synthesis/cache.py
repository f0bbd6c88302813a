"""Built-in clips on disk: made on first use, checked against the pinned digests, remade when damaged."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from ldmbench.audio import sound as audio
from ldmbench.errors import BenchError
from ldmbench.host.files import OTHER_CACHE, replacing
from ldmbench.host.homes import cache_home

#: Part of the cache folder's name; to be raised when files of older versions must not be found any more.
VERSION = 1

_MANIFEST = "manifest.json"


class Materialised(NamedTuple):
    """Built-in clips as they are on this machine.

    Attributes:
        paths: WAV file by row id.
        digests: ``Audio.digest()`` by row id: the pinned one, or what came out here instead.
        notes: A line for the user where clips differ from the pinned ones.
    """

    paths: dict[str, Path]
    digests: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    """What is known of a file: as long as size and time are these, its digest need not be computed again."""

    size: int
    mtime_ns: int
    digest: str
    pinned: str
    made_with: str


def materialise(generator: str, rows: Sequence[Mapping[str, str]]) -> Materialised:
    """The files of built-in clips, synthesised if they are not there, damaged, or of another list.

    A clip that comes out differently from the digest in its row is no error: other versions of numpy, scipy, soxr or
    espeak-ng, or another processor, may do that. It is named in a note, and its own digest identifies it.

    Several processes may do this at once: files appear whole, and whoever comes last writes the same bytes.

    Args:
        generator: ``speech``, ``music``, ``general`` or ``training``.
        rows: Of the clip list; ``id``, ``path`` and ``sha256`` are used.

    Raises:
        BenchError: If the generator or a clip is unknown, espeak-ng does not speak, or the disk cannot be written.
    """
    folder = cache_home() / "builtin" / f"v{VERSION}" / generator
    manifest = _read_manifest(folder)
    before = dict(manifest)
    paths, digests, built = {}, {}, False
    for row in rows:
        name, pinned = row["path"], row["sha256"]
        paths[row["id"]] = folder / name
        entry = _known(folder / name, pinned, manifest.get(name))
        if entry is None:
            _build(generator, row["id"], folder / name)
            entry = _entry(folder / name, audio.read(folder / name).digest(), pinned)
            built = True
        manifest[name] = entry
        digests[row["id"]] = entry.digest
    if manifest != before:
        _write_manifest(folder, manifest, must=built)
    return Materialised(paths, digests, _notes(generator, rows, digests))


def versions() -> str:
    """What decides the last bits of the samples, as one line."""
    packages = ("numpy", "scipy", "soxr", "espeakng-loader")
    lines = []
    for package in packages:
        try:
            lines.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{package} missing")
    return f"{', '.join(lines)} on {platform.system()} {platform.machine()}"


def _known(path: Path, pinned: str, entry: _Entry | None) -> _Entry | None:
    """The entry of a file that is the right one, or None if the clip has to be made."""
    try:
        stat = path.stat()
    except OSError:
        return None
    if entry is not None and entry.digest != pinned and (entry.pinned != pinned or entry.made_with != versions()):
        # It differs from its row for a reason that may be gone: another list, other versions.
        entry = None
    if entry is not None and (stat.st_size, stat.st_mtime_ns) == (entry.size, entry.mtime_ns):
        return entry
    try:
        digest = audio.read(path).digest()
    except BenchError:
        return None
    if digest == pinned or (entry is not None and digest == entry.digest):
        return _entry(path, digest, pinned)
    return None


def _entry(path: Path, digest: str, pinned: str) -> _Entry:
    stat = path.stat()
    return _Entry(stat.st_size, stat.st_mtime_ns, digest, pinned, versions())


def _build(generator: str, name: str, path: Path) -> None:
    import scipy.io.wavfile

    from ldmbench.names import unknown
    from ldmbench.synthesis.recipe import recipes

    by_id = recipes(generator)
    if name not in by_id:
        raise unknown(f"built-in {generator} clip", name, by_id)
    recipe = by_id[name]
    samples = recipe.pcm()
    with replacing(path, OTHER_CACHE) as handle:
        scipy.io.wavfile.write(handle, recipe.rate, samples.T)


def _notes(generator: str, rows: Sequence[Mapping[str, str]], digests: Mapping[str, str]) -> tuple[str, ...]:
    changed = [
        f"{row['id']} is {digests[row['id']][:12]} instead of {row['sha256'][:12]}"
        for row in rows
        if digests[row["id"]] != row["sha256"]
    ]
    if not changed:
        return ()
    return (
        f"{len(changed)} of {len(rows)} built-in {generator} clips differ from the pinned ones here "
        f"({'; '.join(changed)}), made with {versions()}: numbers are not comparable with those of other machines",
    )


def _read_manifest(folder: Path) -> dict[str, _Entry]:
    try:
        content = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return {name: _Entry(**fields) for name, fields in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        # Without it every file is read and checked again.
        return {}


def _write_manifest(folder: Path, manifest: Mapping[str, _Entry], must: bool) -> None:
    content = json.dumps({name: asdict(entry) for name, entry in manifest.items()}, indent=1)
    # A shared cache that may only be read is fine: its files are then checked each time.
    with nullcontext() if must else suppress(BenchError), replacing(folder / _MANIFEST, OTHER_CACHE) as handle:
        handle.write(content.encode())
