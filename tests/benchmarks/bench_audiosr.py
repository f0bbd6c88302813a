"""AudioSR in full size: equality with the reference implementation on rule-drawn weights, and time and memory by stage.

Run: ``python tests/benchmarks/bench_audiosr.py --parity FOLDER [--weights FOLDER]`` where the first holds
``name_seeded.py`` and ``audiosr/``, and the second is kept for the official file filled by that rule (2.7 GB); or
``python tests/benchmarks/bench_audiosr.py --time [--steps 2] [--batch 1] [--seconds 5.12]`` on random weights.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def fill(folder: Path, rule: Any, keys: Path) -> None:
    """Write the official file with the official keys; copies share their storage, as views of one tensor."""
    import torch

    shapes = json.loads(keys.read_text())["pytorch_model.bin[state_dict]"]
    made: dict[str, Any] = {}
    alphas = schedule()
    for key, shape in shapes.items():
        name = rule.canonical(key)
        if name not in made:
            value = rule.tensor(name, shape) if rule.is_seeded(name) else np.zeros(shape, np.float32)
            made[name] = torch.from_numpy(np.asarray(value, np.float32).reshape(shape))
    state = {key: made[rule.canonical(key)] for key in shapes}
    state["alphas_cumprod"] = torch.from_numpy(alphas.astype(np.float32))
    state["scale_factor"] = torch.tensor(0.4)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 0, "global_step": 0, "state_dict": state}, folder / "pytorch_model.bin")


def schedule() -> np.ndarray:
    """The cosine schedule of the fixtures, in double precision."""
    left = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - (1 - left[1:] / left[:-1]))


class Parity:
    """Differences from stored arrays, beside what the reference differs from itself."""

    def __init__(self, folder: Path) -> None:
        self.about = json.loads((folder / "arrays.json").read_text())
        self.stored = {name: dict(np.load(folder / f"{name}.npz")) for name in self.about}
        self.failed: list[str] = []

    def check(self, group: str, name: str, value: Any) -> None:
        """Print the difference of one array; allowed is ten times the reference's own, at least 1e-5 of its peak."""
        about, wanted = self.about[group][name], self.stored[group][name]
        whole = np.asarray(value, np.float64).reshape(about["full_shape"])
        places = (slice(*(int(n) if n else None for n in part.split(":"))) if ":" in part else int(part)
                  for part in (about["stored_slice"] or "").replace(" ", "").split(",") if part)  # fmt: skip
        found = whole[tuple(places)]
        difference = float(np.abs(found - wanted).max())
        allowed = max(10 * about["observed_diff"], 1e-5 * float(np.abs(wanted).max()))
        if "log_mel" in name or "lowpass_mel" in name or "replaced_mel" in name or name == "mel_replaced":
            allowed = 5e-3
        good = difference <= allowed and found.shape == wanted.shape
        print(
            f"{group + '/' + name:34s} {difference:9.2e}  allowed {allowed:8.1e}  {'ok' if good else 'DIFFERS'}",
            flush=True,
        )
        if not good:
            self.failed.append(name)


def parity(folder: Path, weights: Path) -> list[str]:
    """Every stage against the stored arrays; the names of those that differ."""
    import soundfile
    import torch

    from systems import _audiosr_models as models
    from systems import _audiosr_signal as signal

    place = importlib.util.spec_from_file_location("name_seeded", folder / "name_seeded.py")
    assert place
    assert place.loader
    rule = importlib.util.module_from_spec(place)
    place.loader.exec_module(rule)
    store = Parity(folder / "audiosr")
    replaced_mel = torch.from_numpy(rule.noise("audiosr/replace_mel", 0, (512, 256)) - 5)
    replaced_wave = 0.1 * rule.noise("audiosr/replace_wav", 0, (245776,))
    prepared = {}
    for name in ("noise4k", "speech", "music"):
        samples, rate = soundfile.read(folder / "audiosr" / f"input_{name}.wav", dtype="float32", always_2d=True)
        wave = signal.resampled(np.ascontiguousarray(samples[:, 0]), rate)
        padded, _, _ = signal.normalised(wave)
        mel, magnitudes = signal.spectrogram(padded)
        found = prepared[name] = signal.prepare(wave, "cheby1")
        assert found is not None
        features: dict[str, Any] = {"waveform48k": padded, "log_mel": mel, "stft": magnitudes}
        features |= {"cutoff_bin": [signal.cutoff_bin(magnitudes)], "waveform_lowpass": found.lowpassed}
        for key, value in {**features, "lowpass_mel": found.low_mel}.items():
            store.check("features", f"{name}_{key}", value)
        mel, edge = signal.replace_mel(replaced_mel, found.low_mel)
        store.check("model", f"{name}_replace_mel_bin", [edge])
        store.check("model", f"{name}_replaced_mel", mel)
        wave, edge, _ = signal.replace_band(replaced_wave, found.lowpassed)
        store.check("model", f"{name}_post_bin", [edge])
        store.check("model", f"{name}_post_wav", wave)
    if not (weights / "pytorch_model.bin").exists():
        fill(weights, rule, folder / "audiosr" / "keys.json")
    system = models.load(weights)
    system.to("cpu", "float32")

    def noise(tag: str, i: int, *shape: int) -> Any:
        return torch.from_numpy(rule.noise(f"audiosr/{tag}", i, shape))

    with torch.inference_mode():
        posterior = system.vae.encode(2 * noise("vae_mel", 0, 1, 1, 128, 256) - 5).latent_dist
        store.check("model", "vae_mean", posterior.mean)
        store.check("model", "vae_logvar", posterior.logvar)
        mel = system.decode(noise("vae_z", 0, 1, 16, 16, 32) * system.scale)
        store.check("model", "vae_mel", mel)
        store.check("model", "vocoder_wav", system.vocode(mel[:, :64]))
        x, condition = (noise(tag, 0, 1, 16, 64, 32) for tag in ("unet_x", "unet_cond"))
        at = torch.tensor([501])
        for name, given in (("unet_out", condition), ("unet_out_uncond", torch.full_like(condition, -11.4981))):
            store.check("model", name, system.velocity(x, system.scale * given, at))

        found = prepared["speech"]
        seen: list[tuple[int, Any, Any]] = []
        noises = [lambda index, shape: noise("generate", index, 1, *shape)[0]]
        latent = system.encode(found.low_mel[None], noises)
        store.check("end_to_end", "cond_latent", latent)
        drawn = system.sample(latent, noises, 2, 3.5, 1.0, lambda *step: seen.append(step))
        store.check("end_to_end", "ddim_t", [step[0] for step in seen])
        store.check("end_to_end", "ddim_x", torch.cat([step[1] for step in seen]))
        store.check("end_to_end", "ddim_pred_x0", torch.cat([step[2] for step in seen]))
        mel = system.decode(drawn)[0]
        store.check("end_to_end", "mel", mel)
        mel, _ = signal.replace_mel(mel, found.low_mel)
        store.check("end_to_end", "mel_replaced", mel)
        wave = system.vocode(mel[None])[0].numpy()
        store.check("end_to_end", "vocoder_wav", wave)
        wave, _, _ = signal.replace_band(wave, found.lowpassed)
        store.check("end_to_end", "post_wav", wave)
        store.check("end_to_end", "output_wav", signal.peak_normalised(wave))
    return store.failed


@contextmanager
def timed(owner: Any, name: str, spent: dict[str, tuple[float, float]]) -> Iterator[None]:
    """Add the seconds, by the wall clock and of all cores, that ``owner.name`` takes to ``spent``."""
    before: Callable[..., Any] = getattr(owner, name)

    def measured(*given: Any, **more: Any) -> Any:
        start, busy = time.perf_counter(), time.process_time()
        result = before(*given, **more)
        wall, cores = spent.get(name, (0.0, 0.0))
        spent[name] = (wall + time.perf_counter() - start, cores + time.process_time() - busy)
        return result

    setattr(owner, name, measured)
    try:
        yield
    finally:
        setattr(owner, name, before)


def stages(options: argparse.Namespace) -> None:
    """Seconds of every stage for clips of noise below 4 kHz, with random weights."""
    from bench.audio import Audio
    from bench.dataset import Clip
    from bench.filters import lowpass
    from bench.system import load_system, resolve
    from systems import audiosr

    spec = resolve(f"audiosr@basic:steps={options.steps},precision={options.precision}", options.device, untrained=True)
    start = time.perf_counter()
    system: Any = load_system(spec)
    print(f"{system.parameters / 1e6:.1f} M parameters, built in {time.perf_counter() - start:.1f} s")
    white = np.random.default_rng(0).standard_normal(round(48_000 * options.seconds)).astype(np.float32) * 0.1
    sound = lowpass(Audio.of(white, 48_000), 4000.0)
    clips = [Clip(f"x/{n}", "x", loaded=sound, seed=n) for n in range(options.batch)]
    spent: dict[str, tuple[float, float]] = {}
    with ExitStack() as stack:
        for owner, name in (
            (audiosr, "prepare"), (system.models, "encode"), (system.models, "sample"), (system.models, "decode"),
            (system.models, "vocode"), (audiosr, "replace_band"),
        ):  # fmt: skip
            stack.enter_context(timed(owner, name, spent))
        start = time.perf_counter()
        outputs = list(system.process(clips))
        total = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{options.batch} x {options.seconds:g} s, {options.steps} steps, {options.threads} threads on {spec.device}")
    for name, (wall, cores) in spent.items():
        print(f"{name:12s} {wall:7.2f} s, {cores:7.2f} s of all cores")
    wall, cores = (seconds / options.steps / options.batch for seconds in spent["sample"])
    print(f"a step with guidance {wall:.2f} s a clip, {cores:.2f} s of all cores")
    print(f"all {total:.1f} s, peak RSS {peak:.2f} GiB, output {outputs[0].audio.duration:.2f} s")


def main() -> None:
    """Read the options, print, and exit with 1 where something differs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parity", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.12)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads)
    if options.parity:
        with tempfile.TemporaryDirectory() as scratch:
            if failed := parity(options.parity, options.weights or Path(scratch)):
                raise SystemExit(f"differ: {', '.join(failed)}")
    if options.time:
        stages(options)


if __name__ == "__main__":
    main()
