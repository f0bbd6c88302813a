"""The sounds in a baseline file: read one by one into the cache, where everything that plays a run finds them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from ldmbench.audio import sound as audio_io
from ldmbench.errors import BenchError
from ldmbench.host.files import replacing
from ldmbench.host.homes import cache_home, file_digest
from ldmbench.runs.records import OutputRow


class Sounds:
    """The sounds of one run in a baseline.

    Args:
        path: The baseline.
        run: Id of the run.
        outputs: Its outputs; those with a sound name a file.
    """

    def __init__(self, path: Path, run: str, outputs: dict[str, OutputRow]) -> None:
        self._path, self._run, self._outputs = path, run, outputs

    def path(self, clip: str) -> Path | None:
        """A file with the sound of a clip, None where the baseline has none.

        Raises:
            BenchError: If it is not the sound that was saved.
        """
        row = self._outputs.get(clip)
        if row is None or row.status != "ok" or not row.audio:
            return None
        target = self._folder / row.audio
        if not target.is_file():
            with replacing(target) as handle:
                handle.write(self._bytes(clip))
        if audio_io.read(target).digest() != row.digest:
            target.unlink()
            raise BenchError(f"the sound of {clip} in {self._path} is damaged", fix="save the baseline again")
        return target

    @cached_property
    def _folder(self) -> Path:
        return cache_home() / "baselines" / file_digest(self._path)[:32] / self._run

    @cached_property
    def _groups(self) -> dict[str, int]:
        """Clip -> the row group that holds its sound."""
        from pyarrow import parquet

        file = parquet.ParquetFile(self._path)
        groups = {}
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number, columns=["run", "clip", "metric"]).to_pydict()
            for run, clip, metric in zip(rows["run"], rows["clip"], rows["metric"], strict=True):
                if run == self._run and not metric:
                    groups[clip] = number
        return groups

    def _bytes(self, clip: str) -> bytes:
        from pyarrow import parquet

        table = parquet.ParquetFile(self._path).read_row_group(
            self._groups[clip], columns=["run", "clip", "metric", "sound"]
        )
        rows = zip(*(table.column(name).to_pylist() for name in ("run", "clip", "metric")), strict=True)
        index = next(place for place, row in enumerate(rows) if row == (self._run, clip, ""))
        sound: Any = table.column("sound")[index].as_py()
        return bytes(sound)
