"""Packs: what is in them, what is not, and the sounds they hold."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from ldmbench.audio import sound as audio
from ldmbench.audio.delay import delay
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.listening.export import Exported
from ldmbench.listening.items import Material, from_folders
from ldmbench.listening.pack import load_key, load_pack, sealed_folder
from ldmbench.listening.stimuli import MTIME, Treatment
from tests.listening.conftest import RATE, SYSTEMS

METHODS = ("mushra", "mushra-1s", "acr", "dcr", "ab", "sheet")


def wavs(pack: Exported) -> list[Path]:
    return sorted((pack.folder / "web" / "stimuli").rglob("*.wav"))


def heard(pack: Exported, page: str) -> dict[str, np.ndarray[Any, Any]]:
    """System -> samples ``[time]`` of a page."""
    record = next(item for item in pack.pack.all_pages() if item.id == page)
    stimuli = pack.key.pages[page].stimuli
    return {stimuli[s.key].system: soundfile.read(pack.folder / s.file)[0][:, 0] for s in record.stimuli}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_pack_that_reads_back(tmp_path: Path, make: Callable[..., Exported], method: Any) -> None:
    made = make(tmp_path / "p", method, duplicates=2 if method == "sheet" else 0)
    pack = load_pack(tmp_path / "p")
    assert pack == made.pack
    assert load_key(tmp_path / "p", pack) == made.key
    systems, pairs = len(SYSTEMS), 3
    expected = {"mushra": 2, "mushra-1s": 2 * systems, "acr": 2 * systems + 2, "dcr": 2 * systems + 2, "ab": 2 * pairs}
    assert len(pack.pages) == expected.get(method, 2 * systems + 2 + 2)
    sizes = {"mushra": systems + 3, "mushra-1s": 3, "ab": 2}
    assert {len(page.stimuli) for page in pack.pages} == {sizes.get(method, 1)}
    assert all((page.reference is None) == (method in ("acr", "sheet")) for page in pack.pages)
    assert {item.repeat for item in made.key.pages.values()} == ({0, 1} if method == "sheet" else {0})


def test_nothing_in_a_pack_names_a_system(mushra_pack: Exported) -> None:
    names = (*SYSTEMS, "anchor35", "anchor70", "ant", "bee", "cat", "reference.wav")
    for path in sorted(mushra_pack.folder.rglob("*")):
        assert not [name for name in names if re.search(rf"\b{name}\b", path.name)], path
        if path.is_file() and path.suffix != ".wav":
            text = path.read_text(encoding="utf-8")
            assert not [name for name in (*SYSTEMS, "anchor35") if re.search(rf"\b{name}\b", text)], path
    sealed = sealed_folder(mushra_pack.folder)
    assert sorted(path.name for path in sealed.iterdir()) == ["excerpts.csv", "key.json", "loudness.csv"]


def test_keys_are_of_one_page_and_look_like_nothing_else(mushra_pack: Exported) -> None:
    keys = [sound.key for page in mushra_pack.pack.all_pages() for sound in page.sounds()]
    assert len(set(keys)) == len(keys)
    for key in keys:
        assert re.fullmatch(r"k[bcdfghjkmnpqrstvwxz][b-df-hj-kmnp-tv-xz2-9]{4}", key), key
        for cast in (int, float, complex):
            with pytest.raises(ValueError):
                cast(key)


def test_files_differ_in_nothing_but_the_sound(mushra_pack: Exported) -> None:
    for page in mushra_pack.pack.all_pages():
        files = [mushra_pack.folder / sound.file for sound in page.sounds()]
        assert len({path.stat().st_size for path in files}) == 1
    for path in wavs(mushra_pack):
        assert path.stat().st_mtime == MTIME
        head = path.read_bytes()[:44]
        assert (head[:4], head[8:16], head[36:40]) == (b"RIFF", b"WAVEfmt ", b"data")
        assert path.stat().st_size == 44 + int.from_bytes(head[40:44], "little")
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (48000, 2, "PCM_24")
        samples, _ = soundfile.read(path)
        assert np.array_equal(samples[:, 0], samples[:, 1])


def test_the_hidden_reference_is_the_reference(mushra_pack: Exported) -> None:
    for page in mushra_pack.pack.all_pages():
        assert page.reference is not None
        (hidden,) = [k for k, s in mushra_pack.key.pages[page.id].stimuli.items() if s.role == "reference"]
        (sound,) = [sound for sound in page.stimuli if sound.key == hidden]
        assert sound.sha256 == page.reference.sha256
        others = [other.sha256 for other in page.stimuli if other.key != hidden]
        assert len({*others, sound.sha256}) == len(others) + 1


def test_delays_are_taken_away(mushra_pack: Exported) -> None:
    for page in mushra_pack.pack.pages:
        sounds = heard(mushra_pack, page.id)
        reference = Audio.of(sounds["reference"], 48000)
        for system in ("coarse", "late"):
            assert abs(delay(reference, Audio.of(sounds[system], 48000))) <= 1 / 24000
    rows = (sealed_folder(mushra_pack.folder) / "loudness.csv").read_text().splitlines()
    late = [row.split(",") for row in rows if ",late," in row]
    assert [float(row[2]) for row in late] == [7.0, 7.0, 7.0]


def test_delays_stay_where_that_is_asked_for(tmp_path: Path, make: Callable[..., Exported]) -> None:
    pack = make(tmp_path / "p", treatment=Treatment(align=False), training=False)
    sounds = heard(pack, pack.pack.pages[0].id)
    late = delay(Audio.of(sounds["reference"], 48000), Audio.of(sounds["late"], 48000))
    assert late == pytest.approx(0.007, abs=1 / 24000)


def test_the_key_is_sealed(tmp_path: Path, make: Callable[..., Exported]) -> None:
    make(tmp_path / "p", training=False)
    path = sealed_folder(tmp_path / "p") / "key.json"
    data = json.loads(path.read_text())
    page = next(iter(data["pages"].values()))
    first, second = list(page["stimuli"])[:2]
    page["stimuli"][first], page["stimuli"][second] = page["stimuli"][second], page["stimuli"][first]
    path.write_text(json.dumps(data))
    with pytest.raises(BenchError, match="not the key that was sealed"):
        load_key(tmp_path / "p", load_pack(tmp_path / "p"))


def test_a_seed_makes_the_same_pack_and_another_none_of_its_keys(tmp_path: Path, make: Callable[..., Exported]) -> None:
    small: dict[str, Any] = {"items": 1, "training": False}
    seeds = (("a", 3), ("b", 3), ("c", 4))
    first, again, other = (make(tmp_path / name, seed=seed, **small) for name, seed in seeds)
    assert first.key == again.key
    assert first.pack.pages == again.pack.pages
    keys = [{key for page in pack.key.pages.values() for key in page.stimuli} for pack in (first, other)]
    assert not keys[0] & keys[1]
    drawn = make(tmp_path / "d", seed=None, **small)
    assert drawn.key.seed not in (3, 4, 5)


def test_too_many_sliders_are_refused_with_what_to_do(tmp_path: Path, make: Callable[..., Exported]) -> None:
    with pytest.raises(BenchError, match=r"6 sliders on a page, 5 at most.*choose 2 systems"):
        make(tmp_path / "p", max_sliders=5)
    assert not (tmp_path / "p").exists()
    with pytest.raises(BenchError, match="at most 12"):
        make(tmp_path / "p", max_sliders=13)


def test_a_folder_in_use_is_not_touched(tmp_path: Path, make: Callable[..., Exported]) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "mine.txt").write_text("mine")
    with pytest.raises(BenchError, match="there already"):
        make(tmp_path / "p")
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["mine.txt"]


def test_a_system_may_be_an_anchor(tmp_path: Path, make: Callable[..., Exported]) -> None:
    pack = make(tmp_path / "p", "mushra-1s", anchors=("dull",), treatment=Treatment(anchors=()))
    roles = Counter((s.system, s.role) for page in pack.key.pages.values() for s in page.stimuli.values())
    assert roles["dull", "anchor"] == len(pack.key.pages)
    assert roles["reference", "reference"] == len(pack.key.pages)
    with pytest.raises(BenchError, match="cannot be an anchor"):
        make(tmp_path / "q", anchors=("other",))


def test_captions_make_rating_sheets(tmp_path: Path, folders: Path, make: Callable[..., Exported]) -> None:
    import openpyxl

    captions = tmp_path / "captions.csv"
    captions.write_text('path,text\nant,an ant\nbee,"a bee, ""=humming"" & more"\ncat,=SUM(A1)\n', encoding="utf-8")
    material = from_folders([folders / name for name in SYSTEMS], folders / "references", captions=captions)
    assert material.generated
    pack = make(tmp_path / "p", "sheet", "src-gaudio", material, items=3, training=False, duplicates=3)
    header, *rows = (pack.folder / "sheets" / "b01.csv").read_text(encoding="utf-8").splitlines()
    assert header == (
        "File name,Text description,Overall impact (1-100),Relation to the text (1-100),Audio quality (1-100)"
    )
    assert len(rows) == 3 * 4 + 3
    assert sum(",'=SUM(A1)," in row for row in rows) >= 4
    sheet = openpyxl.load_workbook(pack.folder / "sheets" / "b01.xlsx")["Ratings"]
    names = [sheet.cell(row, 1).value for row in range(2, sheet.max_row + 1)]
    assert [row.split(",")[0] for row in rows] == names
    assert {path.name for path in (pack.folder / "sheets" / "audio").iterdir()} == set(names)
    assert [(rule.formula1, rule.formula2) for rule in sheet.data_validations.dataValidation] == [("1", "100")] * 3
    assert names != [
        openpyxl.load_workbook(pack.folder / "sheets" / "b02.xlsx")["Ratings"].cell(2, 1).value,
        *names[1:],
    ]


def test_silence_is_said_and_not_amplified(tmp_path: Path, folders: Path, make: Callable[..., Exported]) -> None:
    silent = tmp_path / "silent"
    for path in (folders / "coarse").glob("*.wav"):
        audio.write(silent / path.name, Audio.of(np.zeros(RATE), RATE))
    material = from_folders([folders / "dull", silent], folders / "references")
    pack = make(tmp_path / "p", of=material, training=False)
    rows = [row for row in pack.treated if row.system == "silent"]
    assert all(row.loudness is None and row.gain_db == 0 and "silent" in row.note for row in rows)


def test_material_without_a_common_clip_is_refused(tmp_path: Path, folders: Path) -> None:
    with pytest.raises(BenchError, match="same name"):
        from_folders([folders / "dull", folders / "dull"], folders / "references")
    for folder, name in (("one", "ant"), ("two", "bee")):
        audio.write(tmp_path / folder / f"{name}.wav", Audio.of(np.zeros(RATE), RATE))
    with pytest.raises(BenchError, match="no reference has a counterpart in every folder"):
        from_folders([tmp_path / "one", tmp_path / "two"], folders / "references")


def test_marks_of_untrained_systems_go_into_the_pack(
    tmp_path: Path, material: Material, make: Callable[..., Exported]
) -> None:
    pack = make(tmp_path / "p", of=replace(material, marks=("UNTRAINED: x has random weights",)), training=False)
    assert pack.pack.marks == ("UNTRAINED: x has random weights",)
    assert "UNTRAINED" in (tmp_path / "p" / "README.md").read_text()


def test_the_command_line_exports_folders(tmp_path: Path, folders: Path) -> None:
    words = ["mushra", "export", *(str(folders / name) for name in SYSTEMS), "--reference", str(folders / "references")]
    words += ["--out", str(tmp_path / "p"), "--items", "2", "--preset", "ladiffcodec-3s", "--title", "A & B"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert f"wrote {tmp_path / 'p'}: mushra, 2 pages, 2 blocks" in done.output
    pack = load_pack(tmp_path / "p")
    assert (pack.title, pack.words.preset) == ("A & B", "ladiffcodec-3s")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--loudness", "5"], "is no loudness"),
        (["--low-pass", "x"], "names no edges"),
        (["--duplicates", "2"], "come twice are for rating sheets"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--preset", "acr"], "preset acr is for acr"),
        (["--preset", "bs1543"], "did you mean bs1534"),
        (["-s", "dull"], "-s chooses among runs"),
        (["--method", "ab", "--anchor", "dull", "--anchor", "late"], "a preference needs two systems"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, folders: Path, words: list[str], message: str) -> None:
    base = ["mushra", "export", *(str(folders / name) for name in SYSTEMS), "--reference", str(folders / "references")]
    done = CliRunner().invoke(cli, [*base, "--out", str(tmp_path / "p"), *words])
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "p").exists()
