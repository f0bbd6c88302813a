"""FD, IS, KL and FAD of two folders: ours beside audioldm_eval and frechet-audio-distance, on the same random weights.

Run: ``python tests/benchmarks/bench_distribution.py [--clips 44] [--seconds 10] [--rate 16000]``, and with the peers
``--peer-python PYTHON --audioldm-eval FOLDER --torchvggish FOLDER`` (see README.md beside this file).

Every measurement is a process of its own: seconds are from its first sound to its last number with the network's
loading and without Python's imports, peak memory is that of the process and, for peers with loader processes, of
the largest of those; cpu seconds are those of all its processes, and mean more than seconds where a machine is shared.
``cold`` starts without a cache, ``reference`` with the references' embeddings cached, ``all`` with everything cached.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

RATES = (16_000, 44_100, 48_000, 22_050, 32_000)
HUB_NAME = "harritaylor_torchvggish"

#: Our metric -> the peer's key.
KEYS = {
    "fd_panns": "frechet_distance",
    "is_panns": "inception_score_mean",
    "is_panns_std": "inception_score_std",
    "kl_softmax_panns": "kullback_leibler_divergence_softmax",
    "kl_sigmoid_panns": "kullback_leibler_divergence_sigmoid",
    "fad_vggish_audioldm_eval": "frechet_audio_distance",
    "fad_vggish_package": "frechet_audio_distance_package",
}

#: What the peers need to run at all today, and nothing that touches a number: modules that they import and do not
#: use here, and audio read by soundfile (torchaudio 2.9 and later read through torchcodec; same float32 samples).
PEER = r"""
import json, os, resource, sys, time, types
import numpy as np
for name in ("ssr_eval", "ssr_eval.metrics", "laion_clap", "encodec"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["ssr_eval.metrics"].AudioMetrics = sys.modules["encodec"].EncodecModel = object
import soundfile, torch, torchaudio
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
def load(path):
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(np.ascontiguousarray(samples.T)), rate
torchaudio.load = load
import librosa
original = librosa.filters.mel
librosa.filters.mel = lambda *args, **kw: original(**dict(zip(("sr", "n_fft", "n_mels", "fmin", "fmax"), args)), **kw)
begun = time.process_time()
peer, rate, generated, reference, device = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]
if peer == "audioldm_eval":
    from audioldm_eval import EvaluationHelper
    start = time.perf_counter()
    numbers = EvaluationHelper(rate, torch.device(device), backbone="cnn14").main(generated, reference)
else:
    from frechet_audio_distance import FrechetAudioDistance
    start = time.perf_counter()
    helper = FrechetAudioDistance(ckpt_dir=torch.hub.get_dir(), model_name="vggish")
    cached = [folder + "_package_cache.npy" for folder in (generated, reference)]
    numbers = {"frechet_audio_distance_package": helper.score(generated, reference, *cached)}
seconds = time.perf_counter() - start
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu = sum(item.ru_utime + item.ru_stime for item in usage) - begun
numbers = {key: float(value) for key, value in numbers.items()}
memory = [item.ru_maxrss for item in usage]
result = {"numbers": numbers, "seconds": seconds, "cpu": cpu, "peak": memory[0], "child": memory[1]}
print("RESULT" + json.dumps(result))
"""


def sounds(clips: int, seconds: float, folder: Path) -> tuple[Path, Path]:
    """Two folders of float WAV files of the same names, of mixed rates, channels and lengths, some below a second."""
    from ldmbench.audio.sound import Audio, write

    random = np.random.default_rng(0)
    for index in range(clips):
        rate = RATES[index % len(RATES)]
        length = round(rate * (0.99 if index % 11 == 5 else seconds * (0.5 if index % 7 == 3 else 1.0)))
        channels = 2 if index % 4 == 1 else 1
        t = np.arange(length) / rate
        pitch, colour = 80 * 2 ** random.uniform(0, 4), random.uniform(0.2, 3.0)
        for name, noise in (("reference", 0.02), ("generated", 0.08)):
            parts = []
            for _ in range(channels):
                tone = sum(np.sin(2 * np.pi * pitch * k * t * (1 + noise)) / k**colour for k in range(1, 12))
                beat = np.clip(np.sin(2 * np.pi * random.uniform(0.5, 6.0) * t) + random.uniform(-0.3, 1.0), 0, None)
                parts.append(0.1 * tone * beat + noise * random.standard_normal(length) + 0.01)
            write(folder / name / f"clip{index:03d}.wav", Audio.of(np.array(parts), rate))
    return folder / "generated", folder / "reference"


def checkpoints(home: Path, torchvggish: Path | None) -> None:
    """Seeded random weights in the official layout, where the peers and we look for them."""
    import torch

    from ldmbench.extractors import panns, vggish

    for rate, checkpoint in panns.CHECKPOINTS.items():
        path = home / ".cache" / "audioldm_eval" / "ckpt" / checkpoint.file
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"model": panns.random_state(rate, seed=1)}, path)
        (home / "panns").mkdir(exist_ok=True)
        (home / "panns" / checkpoint.file).symlink_to(path)
    hub = home / "hub"
    (hub / "checkpoints").mkdir(parents=True)
    torch.save(vggish.random_state(seed=1), hub / "checkpoints" / vggish.CHECKPOINT.file)
    torch.save(vggish.random_pca(seed=1), hub / "checkpoints" / vggish.PCA.file)
    (home / "vggish").symlink_to(hub / "checkpoints")
    if torchvggish is not None:
        shutil.copytree(torchvggish, hub / f"{HUB_NAME}_master")
        (hub / "trusted_list").write_text(f"{HUB_NAME}\n")


def metrics(rate: int) -> list[str]:
    """Names of our metrics."""
    variant = "@32khz" if rate == 32_000 else ""
    return [f"{key}{variant if 'panns' in key else ''}:official=false" for key in KEYS]


def ours(names: Sequence[str], generated: Path, reference: Path, weights: Path, device: str) -> dict[str, Any]:
    """Our numbers, as the engine computes them: batches of 16, the longest first."""
    import torch

    from ldmbench.audio.sound import read
    from ldmbench.clips.clip import Clip
    from ldmbench.metrics._base import DeviceMetric, load_metric
    from ldmbench.system.protocol import Output

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    import torchaudio  # noqa: F401 - so that its import is not timed, as the peers' is not

    start, begun = time.perf_counter(), time.process_time()
    loaded = {name: metric for name in names if isinstance(metric := load_metric(name), DeviceMetric)}
    for metric in loaded.values():
        metric.configure(device, weights)
    files = sorted(reference.iterdir())
    order = sorted(files, key=lambda path: path.stat().st_size, reverse=True)
    values: dict[str, dict[str, Any]] = {name: {} for name in names}
    for first in range(0, len(order), 16):
        paths = order[first : first + 16]
        clips = [Clip(path.name, "folder", path=path).load() for path in paths]
        outputs = [Output(read(generated / path.name)) for path in paths]
        for name, metric in loaded.items():
            batch = metric.measure_batch(clips, outputs)
            values[name] |= {path.name: value for path, value in zip(paths, batch, strict=True)}
    numbers, intervals = {}, {}
    for name, metric in loaded.items():
        scored = [values[name][path.name] for path in files]
        faults = [value for value in scored if isinstance(value, Exception)]
        if faults:
            print(f"{name}: {len(faults)} clips without a value: {faults[0]}", file=sys.stderr)
        estimate = metric.aggregate([value for value in scored if not isinstance(value, Exception)])
        numbers[name.partition(":")[0].partition("@")[0]] = estimate.value
        intervals[name] = (estimate.low, estimate.high)
    seconds, cpu = time.perf_counter() - start, time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"numbers": numbers, "intervals": intervals, "seconds": seconds, "cpu": cpu, "peak": peak, "child": 0}


def run(command: Sequence[str], **environment: str) -> dict[str, Any]:
    """A process's RESULT line."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            result: dict[str, Any] = json.loads(line.removeprefix("RESULT"))
            return result
    raise SystemExit(f"{command[:3]} gave no result\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def forget_outputs(generated: Path) -> None:
    """Remove what the peers keep of the generated folder, so that only the references are cached."""
    for path in generated.parent.glob("generated*"):
        if path.is_file():
            path.unlink()


def main() -> None:
    """Print numbers of both and how far they differ, then seconds and peak memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=44)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=int, choices=(16_000, 32_000), default=16_000)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--audioldm-eval", type=Path)
    parser.add_argument("--torchvggish", type=Path)
    parser.add_argument("--skip-package", action="store_true", help="leave frechet-audio-distance out")
    parser.add_argument(
        "--states", nargs="+", default=["cold", "reference", "all"], help="caches to measure with (cold always is)"
    )
    parser.add_argument("--golden", type=Path, help="write the peers' numbers to this file")
    parser.add_argument("--device", default="cpu", help="of ours and of audioldm_eval")
    parser.add_argument("--json", type=Path, help="write seconds and relative differences to this file")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.worker:
        generated, reference, weights = map(Path, options.worker)
        print("RESULT" + json.dumps(ours(metrics(options.rate), generated, reference, weights, options.device)))
        return
    results = measured(options)
    report(options, results)


def measured(options: argparse.Namespace) -> dict[tuple[str, str], dict[str, Any]]:
    """(Who, state of the caches) -> what a process of its own measured."""
    results: dict[tuple[str, str], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        generated, reference = sounds(options.clips, options.seconds, home)
        checkpoints(home, options.torchvggish)
        command = [sys.executable, __file__, f"--rate={options.rate}", f"--device={options.device}", "--worker"]
        caches = {name: str(home / f"cache_{name}") for name in ("cold", "reference")}
        results["ours", "cold"] = run(
            [*command, str(generated), str(reference), str(home)], LDMBENCH_CACHE=caches["cold"]
        )
        # The reference against itself leaves exactly its embeddings in the cache.
        if set(options.states) - {"cold"}:
            run([*command, str(reference), str(reference), str(home)], LDMBENCH_CACHE=caches["reference"])
        for state in [state for state in ("reference", "all") if state in options.states]:
            results["ours", state] = run(
                [*command, str(generated), str(reference), str(home)], LDMBENCH_CACHE=caches["reference"]
            )
        if options.peer_python:
            environment = {"HOME": temporary, "TORCH_HOME": temporary, "PYTHONPATH": str(options.audioldm_eval)}
            for peer in ("audioldm_eval", *(() if options.skip_package else ("frechet_audio_distance",))):
                for state in options.states:
                    if state == "reference":
                        forget_outputs(generated)
                    arguments = [peer, str(options.rate), str(generated), str(reference), options.device]
                    results[peer, state] = run([str(options.peer_python), "-c", PEER, *arguments], **environment)
    return results


def report(options: argparse.Namespace, results: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
    """Write what was asked for and print the two tables."""
    numbers = results["ours", "cold"]["numbers"]
    theirs: dict[str, float] = {}
    for (who, state), result in results.items():
        if who != "ours" and state == "cold":
            theirs |= result["numbers"]
    if options.golden:
        theirs = {key: value for key, value in theirs.items() if key in KEYS.values()}
        settings = {"clips": options.clips, "seconds": options.seconds, "rate": options.rate, "seed": 1}
        options.golden.write_text(json.dumps({**settings, "numbers": theirs}, indent=1) + "\n", encoding="utf-8")
    # Too few clips leave a metric without a value: an inception score is of ten splits.
    pairs = {
        name: (numbers[name], theirs[key]) for name, key in KEYS.items() if key in theirs and numbers[name] is not None
    }
    if options.json:
        seconds = {who: result["seconds"] for (who, state), result in results.items() if state == "cold"}
        differences = {name: abs(ours - peers) / abs(peers) for name, (ours, peers) in pairs.items()}
        content = {"seconds": seconds, "differences": differences}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{'metric':28} {'ours':>14} {'peer':>14} {'relative':>10}")
    for name, key in KEYS.items():
        value, peer_value = numbers[name], theirs.get(key)
        if value is None:
            print(f"{name:28} {'no value':>14}")
            continue
        print(f"{name:28} {value:14.8g}", end="")
        print("" if peer_value is None else f" {peer_value:14.8g} {abs(value - peer_value) / abs(peer_value):10.1e}")
    print(f"\n{'who':24} {'cache':10} {'seconds':>8} {'cpu s':>8} {'peak MB':>8} {'loader MB':>9}")
    for (who, state), result in results.items():
        memory = f"{result['peak'] / 1024:8.0f} {result['child'] / 1024:9.0f}"
        print(f"{who:24} {state:10} {result['seconds']:8.2f} {result['cpu']:8.2f} {memory}")


if __name__ == "__main__":
    main()
