"""SemantiCodec on parts of a list of clips: the same tokens and the same sound as on all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.folder import load_folder
from ldmbench.runs.generate import generate
from ldmbench.runs.plan import make_plan
from ldmbench.runs.request import Options
from ldmbench.runs.results import open_run
from ldmbench.suite import Suite
from ldmbench.system.registry import resolve

pytestmark = pytest.mark.usefixtures("shrunk")


@pytest.mark.slow
def test_sharded_is_bit_equal(
    tiny_folder: Path, tmp_path: Path, speech_like: Callable[..., Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    for index, (name, seconds) in enumerate((("a", 1.0), ("b", 11.0), ("c", 0.4))):
        audio.write(tmp_path / "clips" / f"{name}.wav", speech_like(16_000, seconds, seed=index))

    def outputs(names: str) -> dict[str, tuple[int | None, str]]:
        table = tmp_path / f"{names}.csv"
        table.write_text("path\n" + "".join(f"{name}.wav\n" for name in names))
        dataset = load_folder(tmp_path / "clips", table=table)
        suite = Suite(name="tiny", title="Tiny", task="codec", datasets=(dataset.name,), metrics=())
        spec = resolve("semanticodec@0.31kbps:steps=2", weights=tiny_folder)
        plan = make_plan(suite, [dataset], [spec], tmp_path / names)
        assert generate(plan, Options(quiet=True)) == []
        run = open_run(plan.paths[0])
        return {name: (row.bits, row.digest) for name, row in run.outputs.items()}

    whole = outputs("abc")
    assert len(whole) == 3
    assert {**outputs("cb"), **outputs("a")} == whole
