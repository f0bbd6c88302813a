"""Every trap on the way from sounds to ratings: the exporter does not fall into it, and the check finds it."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.audio import sound as audio
from ldmbench.audio.filters import lowpass
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.errors import BenchError
from ldmbench.listening.export import Exported
from ldmbench.listening.items import Material, from_folders
from ldmbench.listening.pack import load_pack, sealed_folder, write_record
from ldmbench.listening.preflight.config import check_config
from ldmbench.listening.preflight.pack import check_pack
from ldmbench.listening.preflight.yaml_subset import NotSafe, parse
from ldmbench.listening.stimuli import MTIME, Treatment, encode_wav, write_wav
from ldmbench.listening.webmushra import config, quoted
from tests.listening.conftest import SYSTEMS


def lines(findings: Any, level: str = "") -> list[str]:
    return [f"{f.subject}: {f.text}" for f in findings if not level or f.level == level]


def saying(findings: Any, level: str, words: str) -> bool:
    return any(re.search(words, line) for line in lines(findings, level))


@pytest.fixture
def copied(tmp_path: Path, mushra_pack: Exported) -> Path:
    """A pack to spoil, with its key."""
    shutil.copytree(mushra_pack.folder, tmp_path / "p")
    shutil.copytree(sealed_folder(mushra_pack.folder), sealed_folder(tmp_path / "p"))
    return tmp_path / "p"


def first_wav(folder: Path) -> Path:
    pack = load_pack(folder)
    return folder / pack.pages[0].stimuli[0].file


def put(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    os.utime(path, (MTIME, MTIME))


def seal_again(folder: Path) -> None:
    """Digests of the sounds as they now are: only what they sound like is left to be found."""
    import hashlib

    pack = load_pack(folder)

    def of(sound: Any) -> Any:
        return sound.model_copy(update={"sha256": hashlib.sha256((folder / sound.file).read_bytes()).hexdigest()})

    def page(record: Any) -> Any:
        opened = None if record.reference is None else of(record.reference)
        return record.model_copy(update={"reference": opened, "stimuli": tuple(map(of, record.stimuli))})

    pages, training = tuple(map(page, pack.pages)), None if pack.training is None else page(pack.training)
    write_record(folder / "pack.json", pack.model_copy(update={"pages": pages, "training": training}))


def test_a_pack_as_exported_has_no_fault(mushra_pack: Exported) -> None:
    findings = check_pack(mushra_pack.folder)
    assert lines(findings, "error") == []
    assert lines(findings, "warning") == []
    done = CliRunner().invoke(cli, ["mushra", "check", str(mushra_pack.folder)])
    assert done.exit_code == 0, done.output
    found = json.loads(CliRunner().invoke(cli, ["mushra", "check", str(mushra_pack.folder), "--json"]).output)
    assert {item["level"] for item in found} == {"ok"}


@pytest.mark.parametrize("method", ["mushra-1s", "acr", "dcr", "ab", "sheet"])
def test_packs_of_other_methods_have_no_fault_either(
    tmp_path: Path, make: Callable[..., Exported], method: Any
) -> None:
    pack = make(tmp_path / "p", method)
    assert lines(check_pack(pack.folder), "error") == []
    assert lines(check_pack(pack.folder), "warning") == []


# ---- sounds


SPOILED: list[tuple[str, Callable[[np.ndarray[Any, Any]], tuple[np.ndarray[Any, Any], int]], str, str]] = [
    ("one sample longer", lambda x: (np.append(x, [[0], [0]], axis=1), 48000), "error", "differ in length"),
    ("mono beside stereo", lambda x: (x[:1], 48000), "error", "1 channels: webMUSHRA plays mono on the left"),
    ("16 kHz beside 48 kHz", lambda x: (x[:, ::3], 16000), "error", "16000 Hz, the pack has 48000 Hz"),
    ("12.1 s", lambda x: (np.resize(x, (2, 580800)), 48000), "error", r"12\.10 s long"),
    ("silence", lambda x: (0 * x, 48000), "warning", "is silent"),
    ("clipping", lambda x: (np.clip(30 * x, -1, 1), 48000), "warning", "clips"),
    ("an offset", lambda x: (x + 0.02, 48000), "warning", "an offset of -34 dB"),
    ("another loudness", lambda x: (x / 2, 48000), "warning", r"loudness differs by 6\.0 LU"),
    ("two channels that differ", lambda x: (x * [[1], [0.5]], 48000), "warning", "two channels differ"),
]


@pytest.mark.parametrize(("spoil", "level", "words"), [case[1:] for case in SPOILED], ids=[case[0] for case in SPOILED])
def test_sounds_that_do_not_fit_are_found(copied: Path, spoil: Any, level: str, words: str) -> None:
    pack, key = load_pack(copied), json.loads((sealed_folder(copied) / "key.json").read_text())
    page = pack.pages[0]
    stimuli = key["pages"][page.id]["stimuli"]
    path = next(copied / sound.file for sound in page.stimuli if stimuli[sound.key]["system"] == "coarse")
    samples, rate = spoil(audio.read(path).samples.astype(np.float64))
    put(path, encode_wav(samples, rate))
    assert saying(check_pack(copied), "error", "not the file that was exported")
    seal_again(copied)
    assert saying(check_pack(copied), level, words), lines(check_pack(copied))


def test_files_that_tell_more_than_their_sound_are_found(copied: Path) -> None:
    path = first_wav(copied)
    content = path.read_bytes()
    note = b"LIST" + struct.pack("<I", 12) + b"INFOISFTopus"
    put(path, content[:4] + struct.pack("<I", len(content) - 8 + len(note)) + content[8:] + note)
    seal_again(copied)
    findings = check_pack(copied)
    assert saying(findings, "warning", "more than sound: fmt , data, LIST")
    assert saying(findings, "warning", "differ in size")
    os.utime(path, (0, 0))
    assert saying(check_pack(copied), "warning", "its date tells")
    path.unlink()
    assert saying(check_pack(copied), "error", path.name)


def test_sounds_that_are_the_same_are_found(tmp_path: Path, folders: Path, make: Callable[..., Exported]) -> None:
    shutil.copytree(folders / "references", tmp_path / "cheat", ignore=shutil.ignore_patterns("*.csv"))
    shutil.copytree(folders / "dull", tmp_path / "twin")
    material = from_folders([folders / "dull", tmp_path / "twin", tmp_path / "cheat"], folders / "references")
    findings = check_pack(make(tmp_path / "p", of=material).folder)
    assert saying(findings, "error", "2 sounds that are the reference itself")
    material = from_folders([folders / "dull", tmp_path / "twin"], folders / "references")
    findings = check_pack(make(tmp_path / "q", of=material).folder)
    assert saying(findings, "error", "one and the same sound")


def test_delays_are_found_unless_taken_away(tmp_path: Path, make: Callable[..., Exported]) -> None:
    findings = check_pack(make(tmp_path / "p", treatment=Treatment(align=False)).folder)
    assert [line for line in lines(findings, "warning") if "late" in line] == [
        "late: +7.0 ms late against the reference on most pages: switching jumps"
    ]


def test_anchors_that_are_none_are_found(copied: Path) -> None:
    pack, key = load_pack(copied), json.loads((sealed_folder(copied) / "key.json").read_text())
    page = pack.pages[0]
    kinds = {entry["system"]: name for name, entry in key["pages"][page.id]["stimuli"].items()}
    files = {system: next(copied / s.file for s in page.stimuli if s.key == name) for system, name in kinds.items()}
    reference = audio.read(files["reference"])
    mono = Audio.of(reference.samples[0], 48000)

    def anchor(name: str, samples: Any) -> list[str]:
        put(files[name], encode_wav(np.stack([samples, samples]).astype(np.float64), 48000))
        seal_again(copied)
        return lines(check_pack(copied), "error")

    assert any(
        "only" in line and "dB down above 4500 Hz" in line
        for line in anchor("anchor35", lowpass(mono, 6000).samples[0])
    )
    assert any("dB below its edge" in line for line in anchor("anchor35", 0.8 * lowpass(mono, 3500).samples[0]))
    assert any("low anchor has more" in line for line in anchor("anchor35", mono.samples[0] * 0.999))


def test_narrow_references_make_no_mid_anchor(tmp_path: Path, folders: Path, make: Callable[..., Exported]) -> None:
    for name in ("references", *SYSTEMS):
        for path in (folders / name).glob("*.wav"):
            audio.write(tmp_path / name / path.name, lowpass(audio.read(path), 6500))
    material = from_folders([tmp_path / name for name in SYSTEMS], tmp_path / "references")
    findings = check_pack(make(tmp_path / "p", of=material).folder)
    assert saying(findings, "warning", "anchor70: the reference has next to nothing above 7500 Hz")
    assert not saying(findings, "warning", "anchor35")


# ---- the pack as a whole


def test_what_leaks_is_found(copied: Path) -> None:
    shutil.copy(sealed_folder(copied) / "key.json", copied / "web" / "key.json")
    (copied / "notes.txt").write_text("coarse is worst")
    (copied / "web" / "spare.wav").write_bytes(b"")
    findings = check_pack(copied)
    assert saying(findings, "error", "web/key.json is in the pack")
    assert saying(findings, "warning", "coarse in notes.txt")
    assert saying(findings, "warning", "not the pack's: web/key.json, web/spare.wav")


def test_another_key_and_none_are_told_apart(copied: Path) -> None:
    path = sealed_folder(copied) / "key.json"
    path.write_text(path.read_text().replace("coarse", "course"))
    assert saying(check_pack(copied), "error", "not the key that was sealed")
    path.unlink()
    assert saying(check_pack(copied), "warning", "not beside the pack")
    assert lines(check_pack(copied), "error") == []
    with pytest.raises(BenchError, match="is not a pack"):
        check_pack(copied / "web")


def test_unfilled_texts_marks_and_long_tests_are_said(
    tmp_path: Path, material: Material, make: Callable[..., Exported]
) -> None:
    marked = replace(material, marks=("UNTRAINED: coarse has random weights",))
    pack = make(tmp_path / "p", of=marked, organiser="", training=False, items=3)
    record = pack.pack.model_copy(update={"minutes": 45})
    write_record(pack.folder / "pack.json", record)
    findings = check_pack(pack.folder)
    for words in ("does not say who", "UNTRAINED", "about 45 minutes", "no training page"):
        assert saying(findings, "warning", words), words


def test_blocks_that_are_unbalanced_are_found(copied: Path) -> None:
    pack = load_pack(copied)
    first, second = pack.blocks
    one = first.model_copy(update={"pages": (first.pages[0],)})
    write_record(copied / "pack.json", pack.model_copy(update={"blocks": (one, one.model_copy(update={"id": "b02"}))}))
    assert saying(check_pack(copied), "error", "1 pages are in no block")
    twice = second.model_copy(update={"pages": (second.pages[0],) * 2})
    write_record(copied / "pack.json", pack.model_copy(update={"blocks": (first, twice)}))
    assert saying(check_pack(copied), "error", "a page comes twice")


def test_twelve_sliders_are_the_most(tmp_path: Path, folders: Path, make: Callable[..., Exported]) -> None:
    names = []
    for number in range(10):
        for path in (folders / "dull").glob("*.wav"):
            noise = 0.002 * (number + 1) * np.random.default_rng(number).standard_normal(audio.read(path).samples.shape)
            audio.write(tmp_path / f"s{number}" / path.name, Audio.of(audio.read(path).samples + noise, 24000))
        names.append(tmp_path / f"s{number}")
    with pytest.raises(BenchError, match="13 sliders on a page, 12 at most"):
        make(tmp_path / "p", of=from_folders(names, folders / "references"), max_sliders=12)
    nine = from_folders(names[:9], folders / "references")
    with pytest.raises(BenchError, match="12 sliders on a page, 9 at most"):
        make(tmp_path / "p", of=nine)
    findings = check_pack(make(tmp_path / "p", of=nine, max_sliders=12, items=1, training=False).folder)
    assert saying(findings, "warning", "12 sliders on a page")
    assert lines(findings, "error") == []


# ---- configurations of webMUSHRA


def test_configurations_are_read_as_they_are_meant(mushra_pack: Exported) -> None:
    pack = mushra_pack.pack
    for block in pack.blocks:
        content = parse(config(pack, block))
        assert content["testId"] == f"{pack.id}-{block.id}" == content["testId"].lower()
        assert (content["stopOnErrors"], content["showButtonPreviousPage"]) == (True, False)
        kinds = [page["type"] for page in content["pages"]]
        assert kinds == ["consent", "generic", "volume", "mushra", *["mushra"] * len(block.pages), "finish"]
        tests = [page for page in content["pages"] if page["type"] == "mushra"]
        assert [page["id"] for page in tests] == ["training", *block.pages]
        for shown, record in zip(tests[1:], block.pages, strict=True):
            page = next(page for page in pack.pages if page.id == record)
            hidden = [key for key, entry in mushra_pack.key.pages[record].stimuli.items() if entry.role == "reference"]
            assert set(shown["stimuli"]) == {sound.key for sound in page.stimuli} - set(hidden)
            assert shown["content"].startswith("<p>")
            assert (shown["strict"], shown["randomize"], shown["showConditionNames"]) == (True, True, False)
            assert (shown["createAnchor35"], shown["createAnchor70"]) == (False, False)
            for file in (shown["reference"], *shown["stimuli"].values()):
                assert (mushra_pack.folder / "web" / file).is_file()
        finish = content["pages"][-1]
        assert [question["type"] for question in finish["questionnaire"]] == ["likert"], "no free text, no e-mail"
        assert (finish["showResults"], finish["showErrors"]) == (False, True)


@pytest.mark.parametrize(
    "title", ['say "x"', "a\\u00e9b", "back\\slash", "Jürgen: a # b", "- - x", "x" * 300, "two\nlines", "'"]
)
def test_titles_cannot_break_a_configuration(tmp_path: Path, make: Callable[..., Exported], title: str) -> None:
    pack = make(tmp_path / "p", title=title, items=1, training=False)
    path = pack.folder / "web" / "configs" / f"{pack.pack.id}-b01.yaml"
    text = path.read_text(encoding="utf-8")
    assert "\\" not in text
    shown = parse(text)["testname"]
    assert "\n" not in shown
    assert shown.replace("″", '"').replace("/", "\\") == " ".join(title.split())
    assert lines(check_config(path, pack.folder / "web")) == []


def test_yaml_is_what_both_readers_read(mushra_pack: Exported) -> None:
    yaml = pytest.importorskip("yaml")
    text = config(mushra_pack.pack, mushra_pack.pack.blocks[0])
    assert parse(text) == yaml.safe_load(text)
    assert quoted('a "b" \\ c\n d') == '"a ″b″ / c d"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pages:\n    - - random\n      - a", "list behind the dash"),
        ("a: some words\n  that go on", "one line"),
        ('a: "some words\n  that go on"', "not closed"),
        ('a: "caf\\u00e9"', "escapes"),
        ("a:\n\tb: 1", "tab"),
        ("a: &x 1", "cannot be checked"),
        ("a: |\n  text", "cannot be checked"),
        ("a: [1, 2]", "cannot be checked"),
        ("content: Reminder: In this test", "colon"),
        ("a: 1\na: 2", "there already"),
        ("", "nothing"),
        ("just words", "neither"),
    ],
)
def test_yaml_that_webmushra_reads_otherwise_is_refused(text: str, words: str) -> None:
    with pytest.raises(NotSafe, match=words):
        parse(text)


def test_yaml_values() -> None:
    text = (
        "a: 007\nb: 12e4\nc: true\nd: 'it''s'\ne: ü # note\nf:\ng:\n- 1\n- h: 2\n  i:\n    - x\n-\n  j: -1.5\n# end\n"
    )
    assert parse(text) == {
        "a": 7, "b": 120000.0, "c": True, "d": "it's", "e": "ü", "f": None, "g": [1, {"h": 2, "i": ["x"]}, {"j": -1.5}],
    }  # fmt: skip


def edit(folder: Path, before: str, after: str) -> Any:
    """What the check says of a configuration in which something was replaced."""
    path = sorted((folder / "web" / "configs").iterdir())[0]
    text = path.read_text(encoding="utf-8")
    assert re.search(before, text), before
    path.write_text(re.sub(before, after, text, count=1), encoding="utf-8")
    return check_config(path, folder / "web")


def test_an_edited_configuration_is_said(copied: Path) -> None:
    edit(copied, "bufferSize: 2048", "bufferSize: 4096")
    findings = check_pack(copied)
    assert saying(findings, "warning", "edited or added after the export")
    assert lines(findings, "error") == []


KEY = r"            k\w{5}: "
NAMES = {
    **dict.fromkeys(("12e4", "007", "nan", "true", "1_000"), "looks like a number"),
    **{"me & you": "has an &", "a+b": r"has a \+", "a%20b": "has a %", "für": "beyond letters"},
    "reference": "lists the hidden reference",
}
TRAPS = [
    *((KEY, f'            "{name}": ', "error", words) for name, words in NAMES.items()),
    (KEY, '            "d\'Arc": ', "error", "apostrophe"),
    (KEY, "            12: ", "error", "number"),
    (r'id: "p\w{5}"', 'id: "a & b"', "error", "has an &"),
    (r'id: "p\w{5}"', "id: 007", "error", "read as a number"),
    (r'id: "p\w{5}"', 'id: "training"', "error", "two pages are called training"),
    (r'testId: "(\w)', r'testId: "\1A', "warning", "has capitals"),
    (r'testId: "\w', 'testId: "a b', "error", "beyond letters"),
    (r"createAnchor35: false", "createAnchor35: true", "warning", "lead by 2 ms"),
    (r"strict: true", "strict: false", "warning", "strict is false"),
    (r"randomize: true", "randomize: false", "warning", "known place"),
    (r"showConditionNames: false", "showConditionNames: true", "warning", "names of stimuli"),
    (r"showResults: false", "showResults: true", "warning", "showResults"),
    (r"stopOnErrors: true", "stopOnErrors: false", "warning", "stopOnErrors"),
    (r'remoteService: ".*"', 'remoteService: ""', "error", "not sent"),
    (r'type: "likert"', 'type: "long_text"', "warning", "free text"),
    (r'type: "likert"', 'type: "number"', "warning", "without default"),
    (r'name: "headphones"', 'name: "email"', "warning", "e-mail"),
    (r'name: "headphones"', 'name: "slider"', "error", "needs a name"),
    (r'type: "finish"', 'type: "generic"', "error", "not of type finish"),
    (r'        content: "(?=.*\n        showWaveform)', '        text: "', "warning", "undefined"),
    (r'    -\n        type: "consent"', '    - - random\n    -\n        type: "consent"', "error", "behind the dash"),
    (r'testname: "', 'testname: Reminder: "', "error", "colon"),
    (r'reference: "stimuli', 'reference: "../stimuli', "error", "outside the folder"),
    (r'reference: "stimuli', 'reference: "other', "error", "does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "level", "words"), TRAPS, ids=[f"{t[1].strip()[:30]}" for t in TRAPS])
def test_each_trap_of_a_configuration_is_found(copied: Path, before: str, after: str, level: str, words: str) -> None:
    findings = edit(copied, before, after)
    assert saying(findings, level, words), lines(findings)


def test_sounds_of_an_edited_configuration_are_looked_at(copied: Path) -> None:
    path = sorted((copied / "web" / "configs").iterdir())[0]
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"            (k\w{5}): \"(.*)\"", text)
    web = copied / "web"
    samples = audio.read(web / names[0][1]).samples[0].astype(float)
    write_wav(web / "long.wav", np.append(samples, 0.0), 48000)
    put(web / "mono.wav", encode_wav(samples[None], 48000))
    put(web / "slow.wav", encode_wav(np.stack([samples, samples])[:, ::3], 16000))
    put(web / "hours.wav", encode_wav(np.zeros((2, 580_800)), 48000))
    for file, words in (
        ("long.wav", "several lengths in samples"), ("mono.wav", "several numbers of channels: 1, 2"),
        ("mono.wav", "on the left only"), ("slow.wav", "several rates: 16000, 48000"), ("hours.wav", r"12\.10 s long"),
    ):  # fmt: skip
        path.write_text(text.replace(names[0][1], file), encoding="utf-8")
        assert saying(check_config(path, web), "", words), (file, lines(check_config(path, web)))
    more = "".join(f'            extra{letter}: "{names[0][1]}"\n' for letter in "abcdefgh")
    path.write_text(
        text.replace(f'            {names[0][0]}: "', f'{more}            {names[0][0]}: "', 1), encoding="utf-8"
    )
    assert saying(check_config(path, web), "error", "lists 13 stimuli")
    assert saying(check_config(path, web), "error", "has 14 sliders")


def test_the_command_exits_2_for_an_error(copied: Path) -> None:
    first_wav(copied).unlink()
    done = CliRunner().invoke(cli, ["mushra", "check", str(copied)])
    assert done.exit_code == 2
    assert ".wav does not exist" in done.output or "No such file" in done.output
