"""What stands behind a name that is fetched: a dataset, or checkpoints of a system, an extractor, a recogniser."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.extractors import vggish
from ldmbench.runs.fetch import official_checkpoints


@pytest.mark.parametrize(
    ("asked", "folders"),
    [
        ("vggish", {"vggish"}),
        ("clap-630k-audioset-best", {"clap", "roberta-base"}),
        ("whisper-large-v3-turbo", {"whisper"}),
        ("audiosr", {"audiosr/basic"}),
        ("audiosr@speech", {"audiosr/speech"}),
        ("tango@tango2", {"tango/tango2"}),
    ],
)
def test_a_name_stands_for_its_checkpoints(asked: str, folders: set[str]) -> None:
    checkpoints = official_checkpoints(asked)
    assert {checkpoint.folder for checkpoint in checkpoints} == folders


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("opus", r"^opus has no weights to fetch \(fix: run it as it is\)$"),
        ("whisper-larg-v3", "unknown name 'whisper-larg-v3'.*did you mean whisper-large-v3"),
        ("panns-8khz", "unknown name 'panns-8khz'.*panns-16khz"),
        ("vggish@pca", "unknown name 'vggish@pca'.*vggish"),
        ("audiosr@music", "unknown variant of audiosr 'music'"),
    ],
)
def test_other_names_are_refused_with_the_nearest(asked: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        official_checkpoints(asked)


def test_fetch_as_a_user_types_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "published.pth"
    source.write_bytes(b"weights")
    (name,) = vggish.CHECKPOINT.names
    digest = hashlib.sha256(b"weights").hexdigest()
    local = vggish.CHECKPOINT.model_copy(update={"urls": {name: source.as_uri()}, "files": {name: digest}})
    monkeypatch.setattr(vggish, "FETCHABLE", {"vggish": (local,)})
    monkeypatch.setenv("LDMBENCH_WEIGHTS", str(tmp_path / "weights"))
    done = CliRunner().invoke(cli, ["fetch", "vggish", "opus"])
    assert done.stdout == f"vggish: {tmp_path / 'weights' / 'vggish'}\n"
    assert done.exit_code == 2
    assert done.stderr.endswith("error: opus has no weights to fetch (fix: run it as it is)\n")
    assert (tmp_path / "weights" / "vggish" / name).read_bytes() == b"weights"
