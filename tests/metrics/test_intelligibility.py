from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.extractors.whisper import CHECKPOINTS, Recogniser, load_whisper
from ldmbench.metrics._base import DeviceMetric, load_metric
from ldmbench.metrics.intelligibility import Errors, character_errors, normalise, word_errors
from ldmbench.system.protocol import Output
from ldmbench.weights.record import CheckpointError

whisper = pytest.importorskip("whisper", reason="the extra 'models' is not installed")
import torch  # noqa: E402
from whisper.model import ModelDimensions, Whisper  # noqa: E402

NAME = "wer_whisper_tiny:official=false"


def levenshtein(first: Sequence[object], second: Sequence[object]) -> int:
    """Textbook edit distance, to compare with."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


# ---- arithmetic


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("the cat sat on the mat", "the cat sat on the mat", Errors(0, 6)),
        ("the cat sat on the mat", "the cat sat on mat", Errors(1, 6)),
        ("the cat sat on the mat", "the hat sat on the mat", Errors(1, 6)),
        ("the cat sat on the mat", "the cat sat down on the mat", Errors(1, 6)),
        ("the cat sat on the mat", "", Errors(6, 6)),
        ("yes", "no no no", Errors(3, 1)),
        ("", "no reference", Errors(2, 0)),
        ("", "", Errors(0, 0)),
    ],
)
def test_word_errors_of_known_edits(reference: str, hypothesis: str, expected: Errors) -> None:
    assert word_errors(reference, hypothesis) == expected


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("cat", "cat", Errors(0, 3)),
        ("cat", "cart", Errors(1, 3)),
        ("a cat", "acat", Errors(1, 5)),
        ("cat", "", Errors(3, 3)),
        ("", "cat", Errors(3, 0)),
    ],
)
def test_character_errors_of_known_edits(reference: str, hypothesis: str, expected: Errors) -> None:
    assert character_errors(reference, hypothesis) == expected


_words = st.lists(st.sampled_from(["a", "b", "cc", "dd"]), min_size=1, max_size=12)


@given(_words, st.lists(st.sampled_from(["a", "b", "cc", "dd"]), max_size=12))
def test_errors_are_the_edit_distance(reference: list[str], hypothesis: list[str]) -> None:
    first, second = " ".join(reference), " ".join(hypothesis)
    assert word_errors(first, second) == (levenshtein(reference, hypothesis), len(reference))
    assert character_errors(first, second) == (levenshtein(first, second), len(first))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Smith's colour isn't grey!", "mister smith is color is not gray"),
        ("It was twenty-three dollars, um, I think.", "it was $23 i think"),
        ("Can't  stop (laughter) WON'T stop", "can not stop will not stop"),
        ("(laughter)", ""),
    ],
)
def test_normalisation_is_whispers(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_checkpoints_are_the_official_ones() -> None:
    models = {name: url for name, url in whisper._MODELS.items() if name not in ("large", "turbo")}
    assert {f"{name}.pt": url for name, url in models.items()} == {
        name: url for checkpoint in CHECKPOINTS.values() for name, url in checkpoint.urls.items()
    }
    for checkpoint in CHECKPOINTS.values():
        assert checkpoint.files[checkpoint.file] in checkpoint.urls[checkpoint.file]
        assert checkpoint.name == f"whisper-{checkpoint.file.removesuffix('.pt')}"


def test_every_size_has_both_metrics_in_percent() -> None:
    for size in CHECKPOINTS:
        for name in (f"wer_whisper_{size}", f"cer_whisper_{size}"):
            facts = load_metric(name).facts
            assert (facts.name, facts.unit, facts.better, facts.kind) == (name, "%", "lower", "ratio")
            assert facts.device
            assert not facts.applies_to("music")


# ---- the metric, with a recogniser that says what it is told


class Told(Recogniser):
    """Hears the text that belongs to a sound's first sample; fails on batches that hold a bad one."""

    def __init__(self, texts: dict[float, str]) -> None:
        self.texts = texts

    def transcribe(self, sounds: Sequence[Audio]) -> list[str]:
        if any(sound.samples[0, 0] == 0 for sound in sounds):
            raise RuntimeError("out of memory")
        return [self.texts[float(sound.samples[0, 0])] for sound in sounds]


def clip_of(text: str | None, language: str = "en") -> Clip:
    return Clip("test/clip", "test", content="speech", text=text, language=language)


@pytest.mark.parametrize("tag", ["en", "EN", "en-GB", "en_us", "eng", "English", "english (US)"])
def test_names_of_english(tag: str) -> None:
    from ldmbench.metrics.intelligibility import _pair

    assert _pair(clip_of("hello there", tag), Output(Audio.of(np.ones(100), 16_000)))[0] == "hello there"


def sound_of(first: float) -> Output:
    return Output(Audio.of([first, 0.0], 16_000))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    recogniser = Told({0.25: "It is a gray colour.", 0.5: "Hello", 0.75: ""})
    monkeypatch.setattr("ldmbench.extractors.whisper.load_whisper", lambda *arguments: recogniser)


def with_model(name: str) -> DeviceMetric:
    metric = load_metric(name)
    assert isinstance(metric, DeviceMetric)
    return metric


@pytest.mark.usefixtures("told")
def test_word_error_rate_is_a_corpus_rate_in_percent() -> None:
    metric = with_model("wer_whisper_large_v3")
    clips = [clip_of("It's a GREY color!"), clip_of("hello world", "en-GB"), clip_of("say it again", "")]
    values = metric.measure_batch(clips, [sound_of(0.25), sound_of(0.5), sound_of(0.75)])
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    assert [list(value) for value in arrays] == [[0, 5], [100, 2], [300, 3]]
    estimate = metric.aggregate(arrays)
    assert estimate.value == pytest.approx(100 * 4 / 10)
    assert estimate.n == 3


@pytest.mark.usefixtures("told")
def test_character_error_rate() -> None:
    value = load_metric("cer_whisper_base_en").measure(clip_of("Hallo?"), sound_of(0.5))
    assert np.array_equal(value, [100, 5])


@pytest.mark.usefixtures("told")
def test_clips_without_english_text_are_unscored_and_the_rest_goes_on() -> None:
    clips = [
        clip_of("Guten Tag", "de"),
        clip_of(None),
        clip_of("... (laughter)"),
        clip_of("hello"),
        clip_of("hello"),
        clip_of("hello"),
    ]
    outputs = [*(sound_of(0.5) for _ in range(4)), sound_of(0.0), Output()]
    values = with_model("wer_whisper_tiny").measure_batch(clips, outputs)
    assert [type(value) for value in values[:3]] == [Unscored] * 3
    assert [str(value) for value in values[:3]] == [
        "the transcript is in 'de', and the normaliser is for English",
        "the clip has no transcript",
        "the transcript holds no words after normalisation",
    ]
    assert isinstance(values[3], np.ndarray)
    assert list(values[3]) == [0, 1]
    assert str(values[4]) == "the recogniser failed: out of memory"
    assert "no output audio" in str(values[5])


# ---- the recogniser, with a small random checkpoint in the official layout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tiny.pt``: the official layout, random weights, far fewer of them."""
    dims = ModelDimensions(80, 1500, 32, 2, 1, 51865, 448, 32, 2, 1)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Whisper(dims)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save({"dims": asdict(dims), "model_state_dict": model.state_dict()}, path)
    return path.parent


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """No recogniser of one test is left for the next."""
    load_whisper.cache_clear()
    yield
    load_whisper.cache_clear()


def noises(count: int) -> list[Audio]:
    rng = np.random.default_rng(0)
    return [Audio.of(rng.standard_normal(8_000 * (i + 1)) * 0.1, 16_000) for i in range(count)]


def test_a_checkpoint_loads_and_its_error_rate_is_finite_and_repeats(folder: Path) -> None:
    def run() -> np.ndarray:
        load_whisper.cache_clear()
        metric = with_model(NAME)
        metric.configure(device="cpu", weights=folder)
        assert metric.problem() == ""
        values = metric.measure_batch([clip_of("say one thing")] * 2, [Output(sound) for sound in noises(2)])
        return np.array(values)

    first = run()
    assert np.isfinite(first).all()
    assert (first[:, 0] > 0).all()
    assert (first[:, 1] == 3).all()
    np.testing.assert_array_equal(run(), first)


def test_a_batch_hears_what_single_sounds_say(folder: Path) -> None:
    loaded = load_whisper("tiny", weights=folder, official=False)
    recogniser, alone = (Recogniser(loaded.model, sample_len=24) for _ in range(2))
    sounds = noises(4)
    together = recogniser.transcribe(sounds)
    assert together == [text for sound in sounds for text in alone.transcribe([sound])]
    assert len(set(together)) > 1
    assert recogniser.transcribe(sounds[::-1]) == together[::-1]


def test_word_and_character_rates_share_one_decoding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    original = Recogniser._decode

    def decode(self: Recogniser, arrays: Any) -> Any:
        decoded.append(len(arrays))
        return original(self, arrays)

    monkeypatch.setattr(Recogniser, "_decode", decode)
    for name in (NAME, NAME.replace("wer", "cer")):
        metric = with_model(name)
        metric.configure("cpu", folder)
        metric.measure_batch([clip_of("a")], [Output(noises(1)[0])])
    assert decoded == [1]


def test_sound_longer_than_a_window_is_heard_to_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recogniser = Recogniser(load_whisper("tiny", weights=folder, official=False).model, sample_len=4)
    windows = []
    original = whisper.model.Whisper.decode

    def decode(self: Whisper, mel: Any, *rest: Any) -> Any:
        windows.append(mel.shape)
        return original(self, mel, *rest)

    monkeypatch.setattr(Whisper, "decode", decode)
    sound = Audio.of(np.random.default_rng(1).standard_normal(16_000 * 32) * 0.1, 16_000)
    text = recogniser.transcribe([sound])
    assert len(windows) >= 2
    assert isinstance(text[0], str)
    assert text == recogniser.transcribe([sound])


def test_untrained_weights_are_seeded_and_leave_torchs_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = load_whisper("tiny", untrained=True).model
    assert torch.equal(torch.random.get_rng_state(), before)
    load_whisper.cache_clear()
    second = load_whisper("tiny", untrained=True).model
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    # Whisper tiny has 37,184,640 weights without the fixed positions of its encoder.
    fixed = first.encoder.positional_embedding.numel()
    assert sum(parameter.numel() for parameter in first.parameters()) in (37_184_640, 37_184_640 - fixed)


def test_another_checkpoint_than_the_official_one_is_refused(folder: Path) -> None:
    metric = with_model("wer_whisper_tiny")
    metric.configure("cpu", folder)
    found = hashlib.sha256((folder / "tiny.pt").read_bytes()).hexdigest()[:12]
    with pytest.raises(
        BenchError, match=f"not the official checkpoint of Whisper tiny: SHA-256 {found}.*ldmbench fetch whisper-tiny"
    ):
        metric.measure(clip_of("a"), Output(noises(1)[0]))


def test_a_missing_checkpoint_names_file_folder_and_command(tmp_path: Path) -> None:
    metric = with_model("wer_whisper_large_v3")
    metric.configure("cpu", tmp_path)
    for part in ("missing large-v3.pt", str(tmp_path), "ldmbench fetch whisper-large-v3", "--weights"):
        assert part in metric.problem()
    with pytest.raises(CheckpointError) as caught:
        load_whisper("large_v3", weights=tmp_path)
    assert metric.problem() == str(caught.value)


class Malicious:
    """Runs code when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    torch.save({"dims": {}, "model_state_dict": Malicious(target)}, tmp_path / "tiny.pt")
    with pytest.raises(BenchError, match="refused: it is damaged or holds code besides tensors"):
        load_whisper("tiny", weights=tmp_path, official=False)
    (tmp_path / "tiny.pt").write_bytes(pickle.dumps(Malicious(target)))
    with pytest.raises(BenchError, match="refused: it is damaged or holds code besides tensors"):
        load_whisper("tiny", weights=tmp_path, official=False)
    assert not target.exists()


def _truncated(source: Path, path: Path) -> None:
    path.write_bytes(source.read_bytes()[: source.stat().st_size // 2])


def _empty(source: Path, path: Path) -> None:
    path.write_bytes(b"")


def _text(source: Path, path: Path) -> None:
    path.write_text("404 not found")


def _other(source: Path, path: Path) -> None:
    torch.save(OrderedDict(weight=torch.zeros(2)), path)


def _tensor(source: Path, path: Path) -> None:
    torch.save(torch.zeros(2), path)


def _mismatched(source: Path, path: Path) -> None:
    content = torch.load(source, weights_only=True)
    content["dims"]["n_text_layer"] = 2
    torch.save(content, path)


@pytest.mark.parametrize("damage", [_truncated, _empty, _text, _other, _tensor, _mismatched])
def test_damaged_checkpoints_are_one_clear_line(
    damage: Callable[[Path, Path], None], folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.pt"
    damage(folder / "tiny.pt", path)
    with pytest.raises(BenchError, match=r"cannot be read|is not a (checkpoint|state dictionary)|do not fit") as caught:
        load_whisper("tiny", weights=tmp_path, official=False)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 250


def test_a_device_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BenchError, match="device 'cuda:0' is not available"):
        load_whisper("tiny", "cuda:0", folder, official=False)
