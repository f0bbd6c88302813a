"""Any folder is a dataset; what is left out is named."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import AUDIO_SUFFIXES, Audio
from ldmbench.clips.folder import load_folder
from ldmbench.errors import BenchError

Sound = Callable[..., Audio]


@pytest.fixture
def folder(tmp_path: Path, tone: Sound) -> Path:
    root = tmp_path / "clips"
    for name in ("b.wav", "a.wav", "deep/er/c.wav"):
        audio.write(root / name, tone(0.1))
    return root


def names(root: Path, **options: Any) -> list[str]:
    return [clip.id for clip in load_folder(root, **options).clips]


def test_every_audio_file_in_the_order_of_the_paths(folder: Path) -> None:
    dataset = load_folder(folder)
    assert [clip.id for clip in dataset.clips] == ["clips/a", "clips/b", "clips/deep/er/c"]
    assert (dataset.name, dataset.content, dataset.notes) == ("clips", "general", ())
    assert all(clip.audio.length == 1600 for clip in dataset.clips)
    assert {clip.content for clip in load_folder(folder, "speech").clips} == {"speech"}
    assert names(folder, name="mine")[0] == "mine/a"


def test_every_ending_in_any_case(tmp_path: Path) -> None:
    for index, suffix in enumerate(AUDIO_SUFFIXES):
        (tmp_path / f"{index}{suffix}").write_bytes(b"x")
        (tmp_path / f"{index}-loud{suffix.upper()}").write_bytes(b"x")
    assert len(load_folder(tmp_path).clips) == 2 * len(AUDIO_SUFFIXES)


def test_what_is_not_audio_is_named_and_hidden_files_are_passed_over(folder: Path) -> None:
    (folder / "notes.txt").touch()
    (folder / "deep" / "cover.png").touch()
    (folder / ".DS_Store").touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "x.wav").touch()
    dataset = load_folder(folder)
    assert len(dataset.clips) == 3
    assert dataset.notes == ("clips: left out, not audio by their names: deep/cover.png, notes.txt",)


def test_many_left_out_are_counted(folder: Path) -> None:
    for index in range(12):
        (folder / f"{index:02}.txt").touch()
    (note,) = load_folder(folder).notes
    assert note.endswith("03.txt and 8 more")


def test_a_folder_below_a_hidden_one_is_not_hidden(tmp_path: Path, tone: Sound) -> None:
    audio.write(tmp_path / ".cache" / "clips" / "a.wav", tone(0.1))
    assert names(tmp_path / ".cache" / "clips") == ["clips/a"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("a.wav", "a.flac"), ["a.flac", "a.wav"]),
        (("a.wav", "a.flac", "a.wav.wav"), ["a.flac", "a.wav", "a.wav.wav"]),
        (("a.wav", "a.b.wav"), ["a", "a.b"]),
        (("x/a.wav", "a.wav"), ["a", "x/a"]),
    ],
)
def test_ids_differ(tmp_path: Path, files: tuple[str, ...], expected: list[str]) -> None:
    for name in files:
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(b"x")
    assert sorted(names(tmp_path / "d")) == [f"d/{name}" for name in expected]


FILE = st.from_regex(r"[ab](\.[ab]|\.wav|\.flac){0,2}\.(wav|flac)", fullmatch=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.sets(FILE, min_size=1, max_size=8))
def test_ids_are_unique_whatever_the_names(tmp_path_factory: pytest.TempPathFactory, files: set[str]) -> None:
    root = tmp_path_factory.mktemp("names")
    for name in files:
        (root / name).write_bytes(b"x")
    found = names(root)
    assert len(set(found)) == len(files)


def test_unicode_names(tmp_path: Path, tone: Sound) -> None:
    for name in ("Größe ñ 音声.wav", "spaces  and 'quotes'.wav", "#%?&+=@:.wav"):
        audio.write(tmp_path / "d" / name, tone(0.1))
    found = {unicodedata.normalize("NFC", name) for name in names(tmp_path / "d")}
    assert found == {"d/Größe ñ 音声", "d/spaces  and 'quotes'", "d/#%?&+=@:"}
    assert all(clip.audio.length for clip in load_folder(tmp_path / "d").clips)


def test_names_that_are_not_utf8_are_left_out_and_named(folder: Path) -> None:
    (folder / "caf\udce9.wav").write_bytes(b"x")
    dataset = load_folder(folder)
    assert len(dataset.clips) == 3
    assert dataset.notes == (r"clips: left out, names that are not UTF-8: caf\udce9.wav",)


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"holds no audio: no files \(fix: it should hold one of \.wav"):
        load_folder(tmp_path)
    (tmp_path / "a.txt").touch()
    (tmp_path / "Makefile").touch()
    with pytest.raises(BenchError, match=r"holds no audio: \.txt, Makefile"):
        load_folder(tmp_path)
    with pytest.raises(BenchError, match="is not a folder"):
        load_folder(tmp_path / "a.txt")
    with pytest.raises(BenchError, match="is not a folder"):
        load_folder(tmp_path / "none")


def test_a_broken_file_is_a_clip_that_fails_when_it_is_heard(folder: Path) -> None:
    (folder / "broken.wav").write_bytes(b"RIFF")
    broken = load_folder(folder).clips[2]
    assert broken.id == "clips/broken"
    with pytest.raises(BenchError, match="is not audio"):
        broken.load()


def test_the_digest_follows_the_content(folder: Path, tone: Sound) -> None:
    before = load_folder(folder).digest
    assert load_folder(folder).digest == before
    audio.write(folder / "a.wav", tone(0.1, hz=441))
    changed = load_folder(folder).digest
    (folder / "b.wav").rename(folder / "z.wav")
    assert len({before, changed, load_folder(folder).digest}) == 3


def test_what_is_named_like_a_sound_and_is_none_is_named(folder: Path, tmp_path: Path, tone: Sound) -> None:
    audio.write(tmp_path / "elsewhere" / "d.wav", tone(0.1))
    (folder / "dangling.wav").symlink_to(tmp_path / "none.wav")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    os.mkfifo(folder / "pipe.wav")
    (folder / "null.wav").symlink_to("/dev/null")
    (folder / "dir.wav").mkdir()
    audio.write(folder / "dir.wav" / "inner.wav", tone(0.1))
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "annexed.wav").symlink_to(tmp_path / "elsewhere" / "d.wav")
    dataset = load_folder(folder)
    assert [clip.id for clip in dataset.clips] == [
        "clips/a", "clips/annexed", "clips/b", "clips/deep/er/c", "clips/dir.wav/inner",
    ]  # fmt: skip
    notes = "\n".join(dataset.notes)
    assert "left out, links to what is not there: dangling.wav" in notes
    assert re.search(r"left out, links that lead nowhere \(.*\): loop\.wav", notes)
    assert "left out, devices and pipes: null.wav, pipe.wav" in notes
    assert "left out, folders with the name of a sound: dir.wav" in notes
    assert "left out, links to folders: more" in notes


def test_a_folder_that_cannot_be_opened_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("er"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", closed)
    assert "clips: left out, cannot be opened (Permission denied): deep/er" in load_folder(folder).notes


# The table


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "clips.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_rows_give_order_texts_and_groups(folder: Path) -> None:
    table(folder, 'path,text,group,language\nb.wav,"Hello, ""you""",f,en\ndeep/er/c.wav,,,\n')
    dataset = load_folder(folder)
    b, c = dataset.clips
    assert (b.id, b.text, b.group, b.language) == ("clips/b", 'Hello, "you"', "f", "en")
    assert (c.id, c.text, c.group, c.language) == ("clips/deep/er/c", None, None, "")
    assert dataset.notes == ("clips: left out, not in clips.csv: a.wav",)


def test_columns_may_be_missing_and_rows_short(folder: Path) -> None:
    table(folder, "path,text\r\na.wav\r\nb.wav,hello\r\n")
    assert [clip.text for clip in load_folder(folder).clips] == [None, "hello"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_path_in_other_letters_of_unicode(tmp_path: Path, tone: Sound, form: Literal["NFC", "NFD"]) -> None:
    other: Literal["NFC", "NFD"] = "NFD" if form == "NFC" else "NFC"
    audio.write(tmp_path / "d" / unicodedata.normalize(form, "Größe.wav"), tone(0.1))
    table(tmp_path / "d", f"path,text\n{unicodedata.normalize(other, 'Größe.wav')},hello\n")
    (clip,) = load_folder(tmp_path / "d").clips
    assert clip.text == "hello"
    assert clip.audio.length == 1600


def test_a_byte_order_mark_of_excel(folder: Path) -> None:
    table(folder, b"\xef\xbb\xbfpath,text\r\na.wav,caf\xc3\xa9\r\n")
    assert load_folder(folder).clips[0].text == "café"


def test_a_table_elsewhere(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.csv"
    other.write_text("path\na.wav\n")
    assert names(folder, table=other) == ["clips/a"]
    # Named by a relative path, and in the folder itself, it is still no clip and nothing left out.
    (folder / "texts.csv").write_text("path\na.wav\nb.wav\ndeep/er/c.wav\n")
    monkeypatch.chdir(folder)
    assert load_folder(".", table="texts.csv").notes == ()
    with pytest.raises(BenchError, match=r"none\.csv does not exist"):
        load_folder(folder, table=tmp_path / "none.csv")


def test_a_row_without_its_file_fails_when_it_is_heard(folder: Path) -> None:
    table(folder, "path\na.wav\nmissing.wav\n")
    one, missing = load_folder(folder).clips
    assert one.audio.length == 1600
    with pytest.raises(BenchError, match=r"missing\.wav does not exist"):
        missing.load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,txt\na.wav,x\n", r"wrong columns: path, txt \(fix: use path, text, group, language"),
        ("text\nx\n", "wrong columns: text"),
        ("", "wrong columns: none"),
        ("path\n../secret.wav\n", r"line 2 has no usable path: '\.\./secret\.wav'"),
        ("path\na.wav\n/etc/passwd\n", "line 3 has no usable path: '/etc/passwd'"),
        ("path,text\n,hello\n", "line 2 has no usable path: ''"),
        ("path\na.wav\na.wav\n", r"lists files twice: a\.wav"),
        ("path\na.wav\n./a.wav\n", r"lists files twice: a\.wav"),
        (b"path\n\xff\xfe.wav\n", "is not a CSV in UTF-8"),
        ("path\n", "holds no audio"),
        (
            "path,text\na.wav,so, my fellow\n",
            r"line 2 has the wrong number of fields \(fix: quote texts",
        ),
        ('path,text\na.wav,"And so\nb.wav,ask not\n', "line 2 opens a quote that nothing closes: it takes all rows"),
        ('path,text\na.wav,x\nb.wav,"' + "long " * 30_000, "line 3 opens a quote that nothing closes"),
        ('path,text\na.wav,"And so\nb.wav,ask not"\n', "line 2 has a field that ends on line 3: a quote that nothing"),
        ('path,text\na.wav,"And" so\n', "line 2 has text behind a closing quote .fix: double"),
        ("path,text,text\na.wav,one,two\n", "names a column twice: path, text, text"),
    ],
)
def test_a_wrong_table(folder: Path, text: str | bytes, message: str) -> None:
    table(folder, text)
    with pytest.raises(BenchError, match=message) as caught:
        load_folder(folder)
    assert "\n" not in str(caught.value)


def test_a_pipe_in_a_table_is_a_clip_that_fails(tmp_path: Path) -> None:
    """Its digest is not waited for."""
    os.mkfifo(tmp_path / "a.wav")
    table(tmp_path, "path\na.wav\n")
    (clip,) = load_folder(tmp_path).clips
    with pytest.raises(BenchError, match=r"a\.wav is not a file: a device or pipe"):
        clip.load()


@pytest.mark.parametrize("name", ["loop.wav", "gone.wav", "pipe.wav", "deep"])
def test_a_table_that_lists_no_file_gives_a_clip_that_fails(folder: Path, name: str) -> None:
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "gone.wav").symlink_to("nowhere.wav")
    os.mkfifo(folder / "pipe.wav")
    table(folder, f"path\na.wav\n{name}\n")
    good, bad = load_folder(folder).clips
    assert good.load().loaded is not None
    with pytest.raises(BenchError, match=name.partition(".")[0]):
        bad.load()


@pytest.mark.parametrize("kind", ["dangling", "loop", "pipe", "folder"])
def test_a_clips_csv_that_is_no_file_is_refused(folder: Path, kind: str) -> None:
    path = folder / "clips.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere.csv" if kind == "dangling" else "clips.csv")
    with pytest.raises(BenchError, match=r"clips\.csv is no file: (links|devices|folders)"):
        load_folder(folder)


def test_a_table_from_a_pipe_is_read(folder: Path) -> None:
    """As the shell gives it for ``--csv <(...)``."""
    read, write = os.pipe()
    os.write(write, b"path,text\na.wav,hello\n")
    os.close(write)
    try:
        (clip,) = load_folder(folder, table=f"/dev/fd/{read}").clips
    finally:
        os.close(read)
    assert clip.text == "hello"
