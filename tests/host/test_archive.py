from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from ldmbench.errors import BenchError
from ldmbench.host.archive import extract


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as rolled:
        for info, content in members:
            info.size = len(content)
            rolled.addfile(info, io.BytesIO(content))
    return path


def link(name: str, target: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tar_and_zip_unpack_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "out/sub").mkdir(parents=True)
    (tmp_path / "out/sub/old").write_bytes(b"old")
    extract(tar(tmp_path / "a.tar", (tarfile.TarInfo("sub/new"), b"new")), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("sub/", b"")
        packed.writestr("sub/zipped", b"zipped")
    extract(tmp_path / "a.zip", tmp_path / "out")
    assert everything(tmp_path / "out") == {"sub/old": b"old", "sub/new": b"new", "sub/zipped": b"zipped"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_inside_become_copies(tmp_path: Path, kind: bytes) -> None:
    archive = tar(tmp_path / "a.tar", (tarfile.TarInfo("file"), b"content"), link("copy", "file", kind))
    extract(archive, tmp_path / "out")
    assert everything(tmp_path / "out") == {"file": b"content", "copy": b"content"}
    assert not (tmp_path / "out/copy").is_symlink()


@pytest.mark.parametrize(
    "member",
    [
        (tarfile.TarInfo("../evil"), b"x"),
        (tarfile.TarInfo("sub/../../evil"), b"x"),
        (tarfile.TarInfo("/tmp/evil"), b"x"),
        (tarfile.TarInfo("C:\\evil"), b"x"),
        (tarfile.TarInfo("..\\evil"), b"x"),
        link("evil", "/etc/passwd", tarfile.SYMTYPE),
        link("evil", "../../etc/passwd", tarfile.SYMTYPE),
        link("evil", "/etc/passwd", tarfile.LNKTYPE),
        link("evil", "folder", tarfile.SYMTYPE),
        link("evil", "", tarfile.FIFOTYPE),
        link("evil", "", tarfile.CHRTYPE),
    ],
    ids=lambda member: f"{member[0].name}->{member[0].linkname}",
)
def test_members_that_lead_out_refuse_the_archive(tmp_path: Path, member: tuple[tarfile.TarInfo, bytes]) -> None:
    folder = tarfile.TarInfo("folder")
    folder.type = tarfile.DIRTYPE
    archive = tar(tmp_path / "a.tar", (tarfile.TarInfo("good"), b"x"), (folder, b""), member)
    with pytest.raises(BenchError, match="is refused"):
        extract(archive, tmp_path / "deep/out")
    assert everything(tmp_path) == {"a.tar": archive.read_bytes()}  # not even the good one


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:/evil"])
def test_zip_slip_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(name, b"x")
    with pytest.raises(BenchError, match=f"'{name}' is a path that leads out of the folder"):
        extract(tmp_path / "a.zip", tmp_path / "deep/out")
    assert list(everything(tmp_path)) == ["a.zip"]


def test_zip_link_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        entry = zipfile.ZipInfo("evil")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(entry, "/etc/passwd")
    with pytest.raises(BenchError, match="'evil' is a link"):
        extract(tmp_path / "a.zip", tmp_path / "out")


def test_damaged_archives_are_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("file", bytes(10_000))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[5_000] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(BenchError, match="cannot be unpacked: Bad CRC-32"):
        extract(tmp_path / "a.zip", tmp_path / "out")
    whole = tar(tmp_path / "a.tar", (tarfile.TarInfo("file"), bytes(100_000))).read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:50_000])
    with pytest.raises(BenchError, match="cannot be unpacked"):
        extract(tmp_path / "a.tar", tmp_path / "out")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BenchError, match="neither tar nor zip"):
        extract(tmp_path / "text", tmp_path / "out")
    assert not (tmp_path / "out").exists()
