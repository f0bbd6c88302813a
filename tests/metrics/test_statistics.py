"""Statistics in place of references: the same distances, other tools' files, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

torch = pytest.importorskip("torch", reason="the extra 'models' is not installed")

from ldmbench.audio.sound import Audio  # noqa: E402
from ldmbench.cli import cli  # noqa: E402
from ldmbench.clips.clip import Clip  # noqa: E402
from ldmbench.errors import BenchError, Unscored  # noqa: E402
from ldmbench.extractors import NetworkExtractor, cache, panns  # noqa: E402
from ldmbench.metrics import _frechet as frechet  # noqa: E402
from ldmbench.metrics import _statistics as statistics  # noqa: E402
from ldmbench.metrics import _swaps as swaps  # noqa: E402
from ldmbench.metrics._base import load_metric  # noqa: E402
from ldmbench.metrics._embedding import SetMetric  # noqa: E402
from ldmbench.runs.reference import against  # noqa: E402
from ldmbench.system.protocol import Output  # noqa: E402
from tests.present import with_interval  # noqa: E402

RATE = 16_000
METRIC = "fd_panns:untrained=true"


def rows(count: int, width: int = 6, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    made: np.ndarray = random.standard_normal((count, width)) @ random.standard_normal((width, width)) + random.normal()
    return made


def sqrtm_distance(x: np.ndarray, y: np.ndarray) -> float:
    """As fadtk and stable-audio-metrics compute it from means and covariances: by the root of their product."""
    from scipy.linalg import sqrtm

    a, b = (np.cov(side, rowvar=False) for side in (x, y))
    shift = x.mean(axis=0) - y.mean(axis=0)
    return float(shift @ shift + np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b)).real)


def moments(x: np.ndarray) -> frechet.Moments:
    return frechet.Moments.of(x.mean(axis=0), np.cov(x, rowvar=False))


@pytest.mark.parametrize(("n", "m"), [(50, 40), (300, 7), (4, 60), (5, 3)])
def test_the_distance_to_moments_is_that_to_the_rows(n: int, m: int) -> None:
    x, y = rows(n, seed=1), rows(m, seed=2)
    owner = np.arange(m) // 2
    own_x = np.arange(n) % (owner.max() + 1)
    whole, alone = frechet.frechet(x, y, (own_x, owner)), frechet.frechet_to(moments(x), y, owner)
    assert alone.value == pytest.approx(whole.value, rel=1e-6)
    if min(n, m) > 6:
        assert alone.value == pytest.approx(sqrtm_distance(x, y), rel=1e-6)
    assert alone.pull.sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(
        frechet.pulls_of_output(moments(x), y), frechet.pulls_of_output(x, y), atol=1e-5 * whole.value
    )


def test_a_pull_is_what_one_more_of_a_row_adds() -> None:
    x, y = rows(80, seed=1), rows(400, seed=2)
    pulls = frechet.frechet_to(moments(x), y, np.arange(len(y))).pull
    values = [frechet.frechet_to(moments(x), np.vstack([y, y[i]]), np.arange(len(y) + 1)).value for i in range(60)]
    moved = np.array(values) - frechet.frechet_to(moments(x), y, np.arange(len(y))).value
    assert np.corrcoef(pulls[:60], moved)[0, 1] > 0.99


def test_extrapolation_and_differences_take_moments_too() -> None:
    x, y, z = (rows(count, seed=count) for count in (90, 120, 121))
    whole, alone = (frechet.frechet_infinity(side, y, steps=5, smallest=40) for side in (x, moments(x)))
    assert alone == pytest.approx(whole, rel=1e-6)
    base, new = list(y[:, None]), list(z[:120, None])
    np.testing.assert_allclose(
        swaps.frechet_differences_to(moments(x), base, new),
        swaps.frechet_differences([x], base, new),
        rtol=1e-5,
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("mean", "covariance", "reason"),
    [
        (np.zeros(3), np.eye(2), "a mean"),
        (np.zeros(2), np.array([[1.0, 2.0], [0.0, 1.0]]), "not symmetric"),
        (np.zeros(2), -np.eye(2), "negative variance"),
        (np.array([0, np.nan]), np.eye(2), "not finite"),
    ],
)
def test_what_are_no_moments_is_refused(mean: np.ndarray, covariance: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        frechet.Moments.of(mean, covariance)


# ---- with a small extractor behind fd_panns


class Toy(NetworkExtractor):
    """Four moments of each thousandth sample, one row for a sound."""

    rate = RATE

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def load(self) -> None:
        pass

    def prepare(self, sound: Audio) -> np.ndarray:
        samples: np.ndarray = sound.samples[0]
        return samples

    def forward(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        return {"embedding": np.stack([(batch**power).mean(axis=1) * 10**power for power in (1, 2, 3, 4)], axis=1)}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CACHE", "DATA", "WEIGHTS"):
        monkeypatch.setenv(f"LDMBENCH_{name}", str(tmp_path / name.lower()))
    cache.forget()
    monkeypatch.setattr(panns, "load_panns", lambda rate, **_: Toy("a" * 64))
    return tmp_path


def sounds(folder: Path, count: int, seed: int) -> list[Audio]:
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    made = []
    for index in range(count):
        samples = (0.05 + 0.1 * random.random()) * random.standard_normal(4000)
        made.append(Audio.of(samples, RATE))
        soundfile.write(folder / f"{index:02}.wav", made[-1].samples[0], RATE, subtype="FLOAT")
    return made


def ask(*words: object) -> Result:
    return CliRunner().invoke(cli, ["statistics", *map(str, words)])


def test_saved_statistics_give_the_distance_without_a_reference(home: Path) -> None:
    references, outputs = sounds(home / "originals", 40, 0), sounds(home / "outputs", 40, 1)
    asked = ask("save", home / "originals", "-m", METRIC, "-o", home / "mine.npz", "--whose", "my recordings")
    assert asked.exit_code == 0, asked.output
    name = asked.stdout.strip().splitlines()[-1]
    assert name.startswith("fd_panns:reference=mine-")
    metric = load_metric(name)
    assert metric.facts.name == name
    assert metric.facts.needs == ("output",)
    assert metric.facts.reference.startswith("statistics of my recordings, 40 clips (mine-")
    clips = [Clip(f"set/{index}", "set") for index in range(40)]
    assert isinstance(metric, SetMetric)
    values = metric.measure_batch(clips, [Output(sound) for sound in outputs])
    low, value, high = with_interval(metric.aggregate(values))  # type: ignore[arg-type]
    whole = load_metric(METRIC)
    assert isinstance(whole, SetMetric)
    pairs = [Clip(f"set/{index}", "set", loaded=sound) for index, sound in enumerate(references)]
    both = whole.measure_batch(pairs, [Output(sound) for sound in outputs])
    assert value == pytest.approx(with_interval(whole.aggregate(both))[1], rel=1e-6)  # type: ignore[arg-type]
    assert low < value < high
    # Two runs against the same statistics are tested clip by clip.
    rows_of = [np.asarray(value) for value in values]
    terms = metric.differences(rows_of, rows_of[::-1])
    assert len(terms) == 40
    assert terms.mean() == pytest.approx(0, abs=1e-9)
    assert np.abs(terms).max() > 0
    assert len(ask("list").stdout.splitlines()) == 1
    assert "my recordings, 40 embeddings of 40 clips, 4 dimensions" in ask("list").stdout
    again = ask("add", home / "mine.npz")
    assert again.stdout.strip() == name


def test_other_content_has_another_name_and_a_changed_file_is_refused(home: Path) -> None:
    sounds(home / "originals", 6, 0)
    first = ask("save", home / "originals", "-m", METRIC).stdout.strip()
    sounds(home / "originals", 6, 7)
    second = ask("save", home / "originals", "-m", METRIC).stdout.strip()
    assert first != second
    name = first.split("reference=")[1].split(",")[0]
    path = statistics.home() / f"{name}.npz"
    other = statistics.home() / f"{second.split('reference=')[1].split(',')[0]}.npz"
    path.write_bytes(other.read_bytes())
    statistics._load.cache_clear()
    with pytest.raises(BenchError, match="is not what its name says"):
        statistics.load(name)


def test_statistics_of_another_extractor_or_width_or_machine_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = sounds(home / "originals", 6, 0)
    name = ask("save", home / "originals", "-m", METRIC).stdout.strip()
    monkeypatch.setattr(panns, "load_panns", lambda rate, **_: Toy("b" * 64))
    metric = load_metric(name)
    assert isinstance(metric, SetMetric)
    assert "the statistics are of other embeddings" in metric.problem()
    with pytest.raises(BenchError, match=r"they are for fd_panns:untrained=true \(aaaaaaaaaaaa\)"):
        metric.measure_batch([Clip("set/a", "set")], [Output(outputs[0])])
    wide = statistics.Statistics(np.zeros(5), np.eye(5), 0, 0, "theirs", METRIC)
    foreign = load_metric(against(METRIC, statistics.keep(wide, "wide")))
    assert isinstance(foreign, SetMetric)
    assert foreign.problem() == ""
    with pytest.raises(BenchError, match="they have 5 dimensions, and these 4"):
        foreign.measure_batch([Clip("set/a", "set")], [Output(outputs[0])])
    elsewhere = load_metric(against(METRIC, "gone-0123456789ab"))
    assert isinstance(elsewhere, SetMetric)
    assert "there are no statistics gone-0123456789ab" in elsewhere.problem()
    assert "which is not here" in elsewhere.facts.reference
    with pytest.raises(Unscored, match="no statistics gone"):
        elsewhere.aggregate([np.array([1.0, 4, 2, *range(8)])] * 2)


def fadtk_folder(path: Path, x: np.ndarray) -> Path:
    folder = path / "stats" / "vggish"
    folder.mkdir(parents=True)
    np.save(folder / "mu.npy", x.mean(axis=0))
    np.save(folder / "cov.npy", np.cov(x, rowvar=False))
    return folder


def fadtk_package(path: Path, x: np.ndarray) -> Path:
    names = {"vggish": x, "clap-2023": rows(9, 4)}
    arrays: dict[str, np.ndarray] = {}
    for name, side in names.items():
        arrays |= {f"{name}.mu": side.mean(axis=0), f"{name}.cov": np.cov(side, rowvar=False)}
    np.savez(path / "fma.npz", allow_pickle=False, **arrays)
    return path / "fma.npz"


def stable_audio(path: Path, x: np.ndarray) -> Path:
    np.savez(path / "audiocaps-test__channels2.npz", mu_ref=x.mean(axis=0), sigma_ref=np.cov(x, rowvar=False))
    return path / "audiocaps-test__channels2.npz"


@pytest.mark.parametrize(
    ("make", "model", "tool"),
    [(fadtk_folder, "", "fadtk's"), (fadtk_package, "vggish", "fadtk's"), (stable_audio, "", "stable-audio-metrics'")],
)
def test_files_of_other_tools_give_the_distance_they_would(
    home: Path, make: Callable[[Path, np.ndarray], Path], model: str, tool: str
) -> None:
    x, y = rows(50, 4, seed=1), rows(40, 4, seed=2)
    words = ["--model", model] if model else []
    asked = ask("add", make(home, x), "-m", METRIC, "--whose", "FMA pop", *words)
    assert asked.exit_code == 0, asked.output
    metric = load_metric(asked.stdout.strip())
    assert f"statistics of FMA pop ({tool} file" in metric.facts.reference
    values = [np.array([1.0, 4.0, 1.0, *row]) for row in y]
    assert with_interval(metric.aggregate(values))[1] == pytest.approx(sqrtm_distance(x, y), rel=1e-6)


def test_what_cannot_be_added_is_one_line(home: Path) -> None:
    package = fadtk_package(home, rows(9, 4))
    np.savez(home / "else.npz", weights=np.zeros(3))
    (home / "text.npz").write_text("no")
    cases = [
        (("add", package, "-m", METRIC), "several models: clap-2023, vggish (fix: name one with --model)"),
        (("add", package, "-m", METRIC, "--model", "mert"), "has no statistics of mert"),
        (("add", home / "else.npz", "-m", METRIC), "holds no statistics: it has weights"),
        (("add", home / "text.npz", "-m", METRIC), "is no .npz file"),
        (("add", package), "say with -m of which metric's embeddings they are"),
        (("add", home, "-m", METRIC), "mu.npy and cov.npy not in it"),
        (("add", package, "-m", "kad_panns"), "kad_panns takes no statistics of references"),
        (("save", home, "-m", "pesq_wb"), "pesq_wb takes no statistics of references"),
        (("save", home / "nothing", "-m", METRIC), "unknown dataset or folder"),
        (("save", home, "-m", METRIC, "-o", home / "a.npy"), "let it end in .npz"),
    ]
    for words, line in cases:
        asked = ask(*words)
        assert asked.exit_code == 2, asked.output
        assert line in asked.output
        assert asked.output.count("\n") == 1
