"""What is wanted and how it is carried out: each field once, and each reaches generating and scoring alike."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, replace
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.cli import cli
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.metrics import _base as metrics
from ldmbench.metrics._base import BaseMetric, MetricFacts
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.prepare import evaluate, prepare
from ldmbench.runs.request import Options, Request
from ldmbench.runs.results import find_runs
from ldmbench.runs.scoring import forget_metrics
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Output

SUITE = """
name = "tiny"
title = "A probe"
task = "codec"
datasets = []
systems = ["SYSTEM"]
metrics = ["probe", "probe_model"]
"""
CARD = """
name = "probe"
title = "Probe"
tasks = ["codec"]
licence = "MIT"
module = "probe_system_of_a_test:make"
"""


class Probe(BaseMetric):
    """A metric that fails on clip b while ``broken`` is set."""

    facts = MetricFacts("probe", "Probe")
    broken = False

    def measure(self, clip: Clip, output: Output) -> float:
        if self.broken and clip.id.endswith("b"):
            raise RuntimeError("broken metric")
        return 1.0


class ProbeModel(Probe):
    """The same behind a model; remembers where it was to run."""

    facts = MetricFacts("probe_model", "Probe with a model", device=True)

    def __init__(self) -> None:
        self.configured: list[tuple[str, Path | None]] = []

    def configure(self, device: str = "cpu", weights: Path | None = None) -> None:
        self.configured.append((device, weights))

    def problem(self) -> str:
        return ""

    def measure_batch(self, clips: Sequence[Clip], outputs: Sequence[Output]) -> list[float]:
        return [self.measure(clip, output) for clip, output in zip(clips, outputs, strict=True)]


class System:
    """Gives clips back; fails on clip a while ``broken`` is set; remembers its specs and batches."""

    broken = False
    specs: list[SystemSpec]
    batches: list[int]

    def __init__(self, spec: SystemSpec) -> None:
        self.card = spec.card
        self.specs.append(spec)

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        self.batches.append(len(clips))
        for clip in clips:
            if self.broken and clip.id.endswith("a"):
                raise RuntimeError("broken system")
            yield Output(clip.audio)


class Bench:
    """A suite of one system and two metrics that tell what reached them."""

    def __init__(self, folder: Path, model: ProbeModel) -> None:
        self.folder, self.model = folder, model
        (folder / "probe.toml").write_text(CARD)
        (folder / "tiny.toml").write_text(SUITE.replace("SYSTEM", str(folder / "probe.toml")))
        for name in ("a", "b", "c"):
            audio.write(folder / "clips" / f"{name}.wav", Audio.of([0.1, -0.1] * 4000, 16_000))

    def call(self, **options: Any) -> None:
        suite, out = str(self.folder / "tiny.toml"), self.folder / "runs"
        evaluate(suite, audio=self.folder / "clips", out=out, quiet=True, **options)

    def type(self, **options: Any) -> None:
        """The same as a user types it."""
        words = ["run", self.folder / "tiny.toml", "--audio", self.folder / "clips", "--out", self.folder / "runs"]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
        words += ["--jobs", "1", "--quiet", "--allow-failures"]
        done = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output

    def statuses(self) -> dict[str, str]:
        """``output`` and each metric -> the status of clips a, b, c; ``-`` where there is no score."""
        (run,) = find_runs(self.folder / "runs", "tiny+clips")
        clips = [clip.id for clip in run.info.clips]
        rows = {"output": [str(run.outputs[clip].status) for clip in clips]}
        for name in run.info.metrics:
            scores = [run.scores.get((clip, name)) for clip in clips]
            rows[name] = [str(row.status) if row else "-" for row in scores]
        return {name: " ".join(row) for name, row in rows.items()}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> Iterator[Bench]:
    """The bench, with its metrics registered and its system importable."""
    name = "probe_system_of_a_test"
    module = module_from_spec(ModuleSpec(name, None))
    monkeypatch.setattr(module, "make", System, raising=False)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(System, "specs", [], raising=False)
    monkeypatch.setattr(System, "batches", [], raising=False)
    metrics._import_all()
    model = ProbeModel()
    for fake in (Probe(), model):
        monkeypatch.setitem(metrics._registry, fake.facts.name, metrics._Entry(lambda *_, fake=fake: fake, {}, {}))
    forget_metrics()
    yield Bench(tmp_path, model)
    forget_metrics()


both_ways = pytest.mark.parametrize("way", [Bench.call, Bench.type], ids=["evaluate", "command"])


@both_ways
def test_device_weights_and_batch_reach_both_stages(bench: Bench, way: Callable[..., None]) -> None:
    weights = bench.folder / "weights"
    way(bench, device="cuda:1", weights=weights, batch=2)
    assert {(spec.device, spec.weights) for spec in System.specs} == {("cuda:1", weights)}
    assert set(bench.model.configured) == {("cuda:1", weights)}
    assert System.batches == [2, 1]
    assert bench.statuses() == dict.fromkeys(("output", "probe", "probe_model"), "ok ok ok")


@both_ways
def test_what_failed_is_tried_again_in_both_stages_and_only_when_asked(
    bench: Bench, way: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setattr(System, "broken", True)
        context.setattr(Probe, "broken", True)
        way(bench)
    failed = {"output": "failed ok ok", "probe": "- failed ok", "probe_model": "- failed ok"}
    assert bench.statuses() == failed
    way(bench)
    assert bench.statuses() == failed
    way(bench, retry_failed=True)
    assert bench.statuses() == dict.fromkeys(("output", "probe", "probe_model"), "ok ok ok")


def test_scoring_alone_tries_again_when_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(Probe, "broken", True)
        bench.call()
    words = ["score", "tiny+clips", "-m", "probe", "--out", str(bench.folder / "runs"), "--jobs", "1", "--quiet"]
    assert CliRunner().invoke(cli, words).exit_code == 1
    assert bench.statuses()["probe"] == "ok failed ok"
    CliRunner().invoke(cli, [*words, "--retry-failed"], catch_exceptions=False)
    assert bench.statuses() == {"output": "ok ok ok", "probe": "ok ok ok", "probe_model": "ok failed ok"}


@pytest.mark.parametrize("changed", [{"device": "cuda"}, {"weights": Path("elsewhere")}])
def test_a_plan_for_another_device_or_other_weights_is_refused(bench: Bench, changed: dict[str, Any]) -> None:
    request = Request(str(bench.folder / "tiny.toml"), audio=bench.folder / "clips", out=bench.folder / "runs")
    options = Options(quiet=True)
    plan = prepare(request, options).plan
    assert plan is not None
    with pytest.raises(BenchError, match=f"plan and options differ in {next(iter(changed))}"):
        carry_out(plan, replace(options, **changed))
    assert not System.specs


def test_each_field_is_in_one_record_and_is_a_keyword_of_evaluate() -> None:
    """With the same default, so that a keyword left out means the same everywhere."""
    wanted, how = ({item.name: item.default for item in fields(record)} for record in (Request, Options))
    assert not wanted.keys() & how.keys()
    keywords = inspect.signature(evaluate).parameters
    assert list(keywords) == [*wanted, *how]
    for name, default in {**wanted, **how}.items():
        expected = inspect.Parameter.empty if default is MISSING else str(default) if name == "out" else default
        assert keywords[name].default == expected, name


@pytest.mark.parametrize(
    ("record", "name", "value"), [(Request, "limit", 0), (Options, "batch", 0), (Options, "jobs", -1)]
)
def test_counts_below_one_are_refused(record: Any, name: str, value: int) -> None:
    with pytest.raises(BenchError, match=rf"{name} must be 1 or more: {value}"):
        record(**({"suite": "quickstart"} if record is Request else {}), **{name: value})
