"""Labelled datasets, each against a miniature of the layout it has at its publisher's, and faults of copies."""

from __future__ import annotations

import csv
import hashlib
import http.server
import io
import json
import random
import shutil
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ldmbench.audio.sound import Audio, write
from ldmbench.cli import cli
from ldmbench.clips.card import load_dataset_card
from ldmbench.clips.labelled import new_folds
from ldmbench.clips.load import load_dataset
from ldmbench.clips.verify import verify
from ldmbench.errors import BenchError
from ldmbench.host.download import download

CARDS = Path(__file__).parents[2] / "datasets"
#: Task of hear-preprocess -> splits, seconds and labels.
HEAR: Mapping[str, tuple[str, Sequence[str], float, Sequence[str]]] = {
    "hear-esc50": ("esc50-v2.0.0-full", [f"fold{n:02d}" for n in range(5)], 5.0, ("dog", "rain")),
    "hear-nsynth-5h": ("nsynth_pitch-v2.2.3-5h", ("train", "valid", "test"), 4.0, ("21", "108")),
    "hear-nsynth-50h": ("nsynth_pitch-v2.2.3-50h", ("train", "valid", "test"), 4.0, ("21", "108")),
    "hear-libricount": ("libricount-v1.0.0-hear2021-full", [f"fold{n:02d}" for n in range(5)], 5.0, ("0", "10")),
    "hear-crema-d": ("tfds_crema_d-1.0.0-full", [f"fold{n:02d}" for n in range(5)], 5.0, ("ANG", "NEU")),
    "hear-vocal-imitations": ("vocal_imitation-v1.1.3-full", [f"fold{n:02d}" for n in range(3)], 11.26, ("a", "b")),
    "hear-speech-commands-5h": ("speech_commands-v0.0.2-5h", ("train", "valid", "test"), 1.0, ("_unknown_", "yes")),
    "hear-speech-commands": ("speech_commands-v0.0.2-full", ("train", "valid", "test"), 1.0, ("_silence_", "no")),
}  # fmt: skip


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """A card by name, with so many clips in place of the release's."""
    monkeypatch.setenv("LDMBENCH_DATASETS", str(tmp_path / "cards"))

    def copy(name: str, count: int) -> None:
        shutil.copytree(CARDS / name, tmp_path / "cards" / name)
        path = tmp_path / "cards" / name / "card.toml"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(f"count = {count}\n" if line.startswith("count = ") else line for line in lines))

    return copy


def sound(path: Path, seconds: float, rate: int = 16_000, level: float = 0.1) -> None:
    write(path, Audio.of(np.full(round(seconds * rate), level), rate))


def hear(root: Path, name: str, rates: Sequence[int] = (16_000, 8_000)) -> Path:
    """A task with two clips of each label in each split, as hear-preprocess writes it."""
    task, splits, seconds, labels = HEAR[name]
    folder = root / "tasks" / task
    folder.mkdir(parents=True)
    metadata = {
        "task_name": task.rsplit("-", 2)[0], "splits": list(splits), "sample_duration": seconds,
        "split_mode": "trainvaltest" if "train" in splits else "presplit_kfold",
        "embedding_type": "scene", "prediction_type": "multiclass",
        "evaluation": {"hear-vocal-imitations": ["mAP", "d_prime", "aucroc", "top1_acc"],
                       "hear-nsynth-5h": ["pitch_acc", "chroma_acc"],
                       "hear-nsynth-50h": ["pitch_acc", "chroma_acc"]}.get(name, ["top1_acc"]),
    }  # fmt: skip
    (folder / "task_metadata.json").write_text(json.dumps(metadata))
    with (folder / "labelvocabulary.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerows([("idx", "label"), *enumerate(sorted(labels))])
    for split in splits:
        files = {f"{label}-{n}-{split}.wav": [label] for n in range(2) for label in labels}
        (folder / f"{split}.json").write_text(json.dumps(files))
        for rate in rates:
            for file in files:
                sound(folder / str(rate) / split / file, seconds, rate)
    return folder


@pytest.mark.parametrize("name", HEAR)
def test_tasks_of_hear_preprocess(
    name: str, tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hear(tmp_path / "hear", name)
    _, splits, _, labels = HEAR[name]
    cards(name, 4 * len(splits))
    monkeypatch.setenv("LDMBENCH_HEAR", str(tmp_path / "hear"))
    dataset = load_dataset(name)
    assert Counter((clip.split, clip.label) for clip in dataset.clips) == Counter(
        {(split, label): 2 for split in splits for label in labels}
    )
    # The highest rate, and the order of the lists, which the order of training stands on.
    assert {clip.audio.rate for clip in dataset.clips} == {16_000}
    listed = [
        f"{name}/{split}/{file[:-4]}" for split in splits for file in json.loads((folder / f"{split}.json").read_text())
    ]
    assert [clip.id for clip in dataset.clips] == listed
    assert not list(verify(name))
    # The first of its scores is the one that stops and chooses, and runs by another are others.
    assert dataset.primary_score == json.loads((folder / "task_metadata.json").read_text())["evaluation"][0]
    metadata = json.loads((folder / "task_metadata.json").read_text())
    (folder / "task_metadata.json").write_text(json.dumps({**metadata, "evaluation": ["aucroc"]}))
    assert load_dataset(name).digest != dataset.digest
    (folder / "task_metadata.json").write_text(json.dumps({**metadata, "evaluation": ["event_onset_50ms_fms"]}))
    with pytest.raises(BenchError, match="names no score that can be computed: 'event_onset_50ms_fms'"):
        load_dataset(name)


def test_everything_that_is_wrong_with_a_copy_is_listed(
    tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "hear-crema-d"
    folder = hear(tmp_path / "hear", name, rates=(16_000,))
    cards(name, 0)
    monkeypatch.setenv("LDMBENCH_HEAR", str(tmp_path / "hear"))
    (folder / "16000" / "fold00" / "ANG-0-fold00.wav").unlink()
    (folder / "16000" / "fold01" / "ANG-0-fold01.wav").write_bytes(b"RIFF")
    sound(folder / "16000" / "fold02" / "ANG-0-fold02.wav", 5.0, 22_050)
    sound(folder / "16000" / "fold03" / "more.wav", 1.0)
    sound(folder / "16000" / "fold04" / "NEU-0-fold04.wav", 1.5)
    with pytest.raises(BenchError, match=r"1 of 20 files of hear-crema-d are not here: tasks/.*ANG-0-fold00\.wav"):
        load_dataset(name)
    done = CliRunner().invoke(cli, ["check", name])
    assert done.exit_code == 2
    lines = done.output.splitlines()
    assert len(lines) == 5
    for text in (
        "ANG-0-fold00.wav is missing",
        "ANG-0-fold01.wav",
        "22050 Hz, its folder says 16000",
        "more.wav is in no",
        "NEU-0-fold04.wav is 1.50 s long, its task says 5 s",
    ):
        assert sum(text in line for line in lines) == 1, done.output
    (folder / "fold04.json").unlink()
    done = CliRunner().invoke(cli, ["check", name])
    assert done.exit_code == 2
    assert "no " + str(folder / "fold04.json") in done.output


def esc50(root: Path) -> None:
    rows = [
        {"filename": f"{n % 5 + 1}-{n}-A.wav", "fold": n % 5 + 1, "target": n % 2, "category": ("dog", "rain")[n % 2]}
        for n in range(20)
    ]
    (root / "meta").mkdir(parents=True)
    with (root / "meta" / "esc50.csv").open("w", newline="") as handle:
        table = csv.DictWriter(handle, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    for row in rows:
        sound(root / "audio" / str(row["filename"]), 5.0, 44_100)


def nsynth(root: Path) -> None:
    for split in ("train", "valid", "test"):
        notes = {f"bass_{n:03d}-{20 + n:03d}-050": {"pitch": 20 + n, "instrument_family_str": "bass"} for n in range(3)}
        (root / f"nsynth-{split}").mkdir(parents=True)
        (root / f"nsynth-{split}" / "examples.json").write_text(json.dumps(notes))
        for note in notes:
            sound(root / f"nsynth-{split}" / "audio" / f"{note}.wav", 4.0)


def libricount(root: Path) -> None:
    for n in range(40):
        sound(root / "test" / f"{n % 2 * 10}_120-1088-{n}.wav", 5.0)


def crema_d(root: Path) -> None:
    for n in range(80):
        emotion = ("ANG", "NEU")[n // 20 % 2]
        sound(root / "AudioWAV" / f"{1001 + n % 20}_IEO_{emotion}_{'XX' if n < 40 else 'HI'}.wav", 1.5)


def vocal_imitations(root: Path) -> None:
    folder = root / "VocalImitationSet"
    folder.mkdir(parents=True)
    with (folder / "vocal_imitations.txt").open("w", newline="") as handle:
        table = csv.writer(handle, delimiter="\t")
        table.writerow(["imitation_filename", "included", "reference_filename"])
        for n in range(13):
            table.writerow([f"00{n}.wav", "True" if n < 12 else "False", ("bell.wav", "cat.wav")[n % 2]])
            sound(folder / "vocal_imitations" / "included" / f"00{n}.wav", 2.0)


def speech_commands(root: Path) -> None:
    """Both archives with files of the same names, as they unpack; three seconds and a bit of each background sound."""
    train, test = root / "speech_commands_v0.02", root / "speech_commands_test_set_v0.02"
    for word in ("yes", "no", "marvin"):
        for n in range(4):
            sound(train / word / f"0{n}a_nohash_0.wav", 1.0 if n else 0.7)
        sound(test / ("_unknown_" if word == "marvin" else word) / "03a_nohash_0.wav", 1.0)
    sound(test / "_silence_" / "noise_0.wav", 1.0)
    for name in ("running_tap", "pink_noise"):
        sound(train / "_background_noise_" / f"{name}.wav", 3.1)
    (train / "validation_list.txt").write_text("yes/01a_nohash_0.wav\nmarvin/01a_nohash_0.wav\n")
    (train / "testing_list.txt").write_text("yes/02a_nohash_0.wav\n")


RELEASES: Mapping[str, tuple[Callable[[Path], None], str, int, float, int]] = {
    "esc50": (esc50, "ESC50", 20, 5.0, 5),
    "nsynth-5h": (nsynth, "NSYNTH", 6, 4.0, 3),
    "nsynth-50h": (nsynth, "NSYNTH", 6, 4.0, 3),
    "libricount": (libricount, "LIBRICOUNT", 40, 5.0, 5),
    "crema-d": (crema_d, "CREMA_D", 80, 5.0, 5),
    "crema-d-speakers": (crema_d, "CREMA_D", 80, 5.0, 5),
    "vocal-imitations": (vocal_imitations, "VOCAL_IMITATIONS", 12, 11.26, 3),
    # Twelve words less one, four of the test archive, and 0, 0.5 ... 2 s of two background sounds.
    "speech-commands": (speech_commands, "SPEECH_COMMANDS", 25, 1.0, 3),
    "speech-commands-5h": (speech_commands, "SPEECH_COMMANDS", 25, 1.0, 3),
}


@pytest.mark.parametrize("name", RELEASES)
def test_releases(
    name: str, tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, variable, count, seconds, splits = RELEASES[name]
    make(tmp_path / "release")
    cards(name, count)
    monkeypatch.setenv(f"LDMBENCH_{variable}", str(tmp_path / "release"))
    dataset = load_dataset(name)
    assert len(dataset.clips) == count
    assert len({clip.split for clip in dataset.clips}) == splits
    assert len({clip.label for clip in dataset.clips}) == (4 if name.startswith("speech") else 2)
    # As long as HEAR cuts and pads them.
    assert dataset.clips[0].audio.duration == pytest.approx(seconds)
    assert not [fault for fault in verify(name) if fault.level == "error"]
    if name == "crema-d-speakers":
        folds: dict[str, set[str]] = {}
        for clip in dataset.clips:
            folds.setdefault(str(clip.group), set()).add(clip.split)
        assert len(folds) == 20
        assert all(len(found) == 1 for found in folds.values())
    assert dataset.primary_score == ("mAP" if name == "vocal-imitations" else "top1_acc")
    if name.startswith("nsynth"):
        assert {clip.label for clip in dataset.clips} == {"21", "22"}


@pytest.mark.parametrize("name", RELEASES)
def test_faults_of_a_release(
    name: str, tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip that is too short is padded as in HEAR; another rate is said; sounds that nothing lists do no harm."""
    make, variable, count, seconds, _ = RELEASES[name]
    make(tmp_path / "release")
    cards(name, count)
    monkeypatch.setenv(f"LDMBENCH_{variable}", str(tmp_path / "release"))
    first, second, *_ = [clip for clip in load_dataset(name).clips if clip.end is None and clip.split != "test"]
    assert first.path is not None
    assert second.path is not None
    rate = first.audio.rate
    sound(first.path, 0.25, rate)
    sound(second.path, 1.0, 12_000)
    # Neither a copy of macOS nor a text is a clip.
    (first.path.parent / "._copy.wav").write_bytes(b"macOS")
    (first.path.parent / "notes.txt").write_text("no sound")
    clips = {clip.id: clip for clip in load_dataset(name).clips}
    assert len(clips) == count
    short = clips[first.id].audio
    assert (short.duration, int(np.count_nonzero(short.samples))) == (seconds, rate // 4)
    (fault,) = verify(name)
    assert (fault.level, "has 12000 Hz, most files" in fault.text) == ("warning", True)
    assert second.path.name in fault.text
    # One more where the card's pattern finds it is another release; where a table lists the clips it is named.
    more = {"libricount": "0_9-9-9.wav", "esc50": "5-999-A.wav"}.get(name, "1099_IEO_ANG_XX.wav")
    shutil.copy(second.path, second.path.with_name(more))
    if name in ("libricount", "crema-d", "crema-d-speakers"):
        with pytest.raises(BenchError, match=f"{count + 1} clips in .*, the release has {count}"):
            load_dataset(name)
    elif name == "esc50":
        assert sum("is in no list" in fault.text for fault in verify(name)) == 1


def test_speech_commands_are_split_as_hear_preprocess_splits_them(
    tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    speech_commands(tmp_path)
    cards("speech-commands", 25)
    monkeypatch.setenv("LDMBENCH_SPEECH_COMMANDS", str(tmp_path))
    clips = {clip.id.partition("/")[2]: clip for clip in load_dataset("speech-commands").clips}
    assert Counter((clip.split, clip.label) for clip in clips.values()) == Counter(
        {
            ("train", "yes"): 2, ("train", "no"): 4, ("train", "_unknown_"): 3, ("train", "_silence_"): 5,
            ("valid", "yes"): 1, ("valid", "_unknown_"): 1, ("valid", "_silence_"): 5,
            ("test", "yes"): 1, ("test", "no"): 1, ("test", "_unknown_"): 1, ("test", "_silence_"): 1,
        }
    )  # fmt: skip
    assert "train/yes_02a_nohash_0" not in clips
    assert clips["test/yes_03a_nohash_0"].path != clips["train/yes_03a_nohash_0"].path
    taps = [clip for clip in clips.values() if clip.split == "valid" and clip.label == "_silence_"]
    assert sorted((clip.start, clip.end) for clip in taps) == [(0, 1), (0.5, 1.5), (1, 2), (1.5, 2.5), (2, 3)]
    assert "valid/_silence__running_tap-32000" in clips
    # A word that is shorter than a second is padded at its end.
    short = clips["train/no_00a_nohash_0"].audio.samples[0]
    assert (len(short), int(np.count_nonzero(short))) == (16_000, 11_200)
    (tmp_path / "speech_commands_v0.02" / "validation_list.txt").unlink()
    with pytest.raises(BenchError, match=r"no .*validation_list\.txt"):
        load_dataset("speech-commands")


def test_hours_do_not_cap_a_split_that_stays_whole(
    tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    speech_commands(tmp_path)
    cards("speech-commands-5h", 13)
    path = tmp_path / "cards" / "speech-commands-5h" / "card.toml"
    # Eight clips to learn from, one to choose by, and the test split's four.
    path.write_text(path.read_text().replace("hours = 5", f"hours = {9 / 3600}"))
    monkeypatch.setenv("LDMBENCH_SPEECH_COMMANDS", str(tmp_path))
    assert Counter(clip.split for clip in load_dataset("speech-commands-5h").clips) == {
        "train": 8, "valid": 1, "test": 4,
    }  # fmt: skip


def stems(path: Path, seconds: float, count: int = 5) -> None:
    """A song of MUSDB18: tones of 100, 200 ... Hz as AAC, one a stream."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * 44_100)) / 44_100
    with av.open(str(path), "w", format="mp4") as container:
        tracks = [container.add_stream("aac", rate=44_100, layout="stereo") for _ in range(count)]
        for number, track in enumerate(tracks):
            tone = (0.3 * np.sin(2 * np.pi * 100 * (number + 1) * time)).astype(np.float32)
            for start in range(0, len(tone), 1024):
                part = tone[start : start + 1024]
                frame = av.AudioFrame.from_ndarray(np.stack([part, part]), format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = 44_100, start
                container.mux(track.encode(frame))
            container.mux(track.encode(None))


def test_stems_are_streams_of_a_song(
    tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "musdb18-stems-test"
    stems(tmp_path / "test" / "A - B.stem.mp4", 3.0)
    cards(name, 1)
    path = tmp_path / "cards" / name / "card.toml"
    path.write_text(path.read_text().replace("start = 30\nend = 40", "start = 1\nend = 2.5"))
    monkeypatch.setenv("LDMBENCH_MUSDB18_STEMS", str(tmp_path))
    dataset = load_dataset(name)
    assert [clip.id.rpartition("/")[2] for clip in dataset.clips] == ["mixture", "drums", "bass", "other", "vocals"]
    for number, clip in enumerate(dataset.clips):
        sounding = clip.audio
        assert (sounding.channels, sounding.length, sounding.notes) == (2, 66_150, ())
        peak = np.abs(np.fft.rfft(sounding.samples[0])).argmax() / 1.5
        assert peak == pytest.approx(100 * (number + 1), abs=1)
    assert not list(verify(name))
    # Too short for its place, and a song that lacks its vocals.
    stems(tmp_path / "test" / "A - B.stem.mp4", 2.0, 4)
    faults = [fault.text for fault in verify(name)]
    assert sum("its clip ends at 2.5 s" in text for text in faults) == 4
    assert "stream 4 is asked for, it holds 4" in faults[-1]
    with pytest.raises(BenchError, match="lacks an audio stream"):
        load_dataset(name).clips[4].load()


def test_a_release_of_another_size_is_refused(
    tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    esc50(tmp_path / "release")
    cards("esc50", 2000)
    monkeypatch.setenv("LDMBENCH_ESC50", str(tmp_path / "release"))
    with pytest.raises(BenchError, match=r"20 clips in .*, the release has 2000"):
        load_dataset("esc50")


def test_hours_are_capped_as_hear_preprocess_caps_them(
    tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn here with the seeds as numbers and pandas' sampling in place of what the code does."""
    import pandas as pd

    nsynth(tmp_path / "release")
    cards("nsynth-5h", 3)
    path = tmp_path / "cards" / "nsynth-5h" / "card.toml"
    # One clip of each split: 4 s of every 8 of train's share.
    path.write_text(path.read_text().replace("hours = 5", f"hours = {90 * 4.5 / 10 / 3600}"))
    monkeypatch.setenv("LDMBENCH_NSYNTH", str(tmp_path / "release"))
    with pytest.raises(BenchError, match="4 clips in"):
        load_dataset("nsynth-5h")
    path.write_text(path.read_text().replace("count = 3", "count = 4"))
    chosen = [clip.id.rpartition("/")[2] for clip in load_dataset("nsynth-5h").clips]
    stems = pd.Series(["bass_001-021-050", "bass_002-022-050"])
    drawn = {seed: stems.sample(frac=1, random_state=seed).iloc[0] for seed in (3511819133, 2920447107)}
    assert chosen[2:] == list(drawn.values())


def test_folds_are_those_of_hear_preprocess() -> None:
    keys = [f"{n:03d}" for n in range(23)]
    labels = ["a" if n % 3 else "b" for n in range(23)]
    folds = new_folds(keys, labels, 5)
    order = list(keys)
    random.Random("split_k_folds").shuffle(order)
    assert [folds[key] for key in order[:5]] == ["fold00"] * 5
    assert Counter(folds.values()) == {"fold00": 5, "fold01": 5, "fold02": 5, "fold03": 4, "fold04": 4}
    with pytest.raises(ValueError, match="no drawing"):
        new_folds(keys, ["b", *["a"] * 22], 5)


def test_dev_clean_has_its_transcripts(
    tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    folder = tmp_path / "dev-clean" / "1272" / "128104"
    folder.mkdir(parents=True)
    for n in range(2):
        soundfile.write(folder / f"1272-128104-000{n}.flac", np.full(1600, 0.1), 16_000)
    (folder / "1272-128104.trans.txt").write_text("1272-128104-0000 MISTER QUILTER\n1272-128104-0001 NOR IS HE\n")
    cards("librispeech-dev-clean", 2)
    monkeypatch.setenv("LDMBENCH_LIBRISPEECH", str(tmp_path))
    clips = load_dataset("librispeech-dev-clean").clips
    assert [(clip.text, clip.group) for clip in clips] == [("MISTER QUILTER", "1272"), ("NOR IS HE", "1272")]


def test_the_authors_evaluation_set_is_whatever_was_unpacked(
    tmp_path: Path, cards: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound(tmp_path / "sounds" / "speech" / "1.wav", 1.0)
    cards("semanticodec-eval", 0)
    monkeypatch.setenv("LDMBENCH_SEMANTICODEC_EVAL", str(tmp_path / "sounds"))
    dataset = load_dataset("semanticodec-eval")
    assert [(clip.id, clip.group) for clip in dataset.clips] == [("semanticodec-eval/speech/1", "speech")]
    assert "the release's list is not pinned" in dataset.notes[0]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An address, and the folder that lies there."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}", folder
        serving.shutdown()


def test_archives_are_fetched_by_their_checksums(
    tmp_path: Path, cards: Callable[[str, int], None], server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served = server
    for variable in ("CACHE", "DATA"):
        monkeypatch.setenv(f"LDMBENCH_{variable}", str(tmp_path / variable))
    libricount(tmp_path / "release")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for path in sorted((tmp_path / "release").rglob("*.wav")):
            packed.write(path, path.relative_to(tmp_path / "release"))
    (served / "LibriCount10-0dB.zip").write_bytes(content.getvalue())
    cards("libricount", 40)
    card = tmp_path / "cards" / "libricount" / "card.toml"
    text = card.read_text().replace("https://zenodo.org/records/1216072/files", address)
    card.write_text(text)
    done = CliRunner().invoke(cli, ["fetch", "libricount"])
    assert done.exit_code == 2
    assert "MD5" in done.output
    assert "expected 30c8f844dc59fa65d216d53db9dc37e2" in done.output
    digest = hashlib.md5(content.getvalue()).hexdigest()
    card.write_text(text.replace("30c8f844dc59fa65d216d53db9dc37e2", digest))
    done = CliRunner().invoke(cli, ["fetch", "libricount"])
    assert done.exit_code == 0, done.output
    assert len(load_dataset("libricount").clips) == 40
    # It is there: nothing is asked for again.
    (served / "LibriCount10-0dB.zip").unlink()
    assert CliRunner().invoke(cli, ["fetch", "libricount"]).exit_code == 0


def test_what_does_not_fit_on_the_disk_is_refused_before_its_first_byte(
    tmp_path: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served = server
    (served / "large.zip").write_bytes(b"1" * 1000)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=999))
    with pytest.raises(BenchError, match=r"large\.zip\.part does not fit on the disk"):
        download(f"{address}/large.zip", tmp_path / "large.zip", hashlib.sha256(b"1" * 1000).hexdigest())
    assert not list(tmp_path.glob("large.zip*"))


@pytest.mark.parametrize("name", [path.parent.name for path in sorted(CARDS.glob("*/card.toml"))])
def test_every_card_says_where_it_is_from(name: str) -> None:
    card = load_dataset_card(name)
    assert card.licence
    if card.source.kind != "builtin":
        assert card.citation or card.note
        assert not card.url or card.url.startswith("https://")
    for archive in card.source.archives:
        assert len(archive.sha256) == 64 or len(archive.md5) == 32
