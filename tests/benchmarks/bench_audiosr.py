"""AudioSR in full size: equality with the reference implementation on rule-drawn weights, and time and memory by stage.

Run: ``python tests/benchmarks/bench_audiosr.py --parity FOLDER [--weights FOLDER]`` where the first holds
``name_seeded.py`` and ``audiosr/``, and the second is kept for the official file filled by that rule (2.7 GB): all is
computed with one and with two threads; or
``python tests/benchmarks/bench_audiosr.py --time [--steps 2] [--batch 1] [--seconds 5.12]`` on random weights; or
``... --time --peer CHECKOUT --peer-python PYTHON [--turns 2] [--weights FOLDER]`` beside the reference implementation
(haoheliu/versatile_audio_super_resolution, and a Python that can import it). Both sides then load the same file, which
the peer makes if the folder of ``--weights`` has none (5.4 GB, as the official one without CLAP), and get the same
clip, noise and low-pass.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _parity import THREADS, Parity, cosine_schedule, name_seeded
from _side_by_side import Stages, by_turns, difference, measured, process, table

#: Tolerances of their own: cells of a log-mel near its floor of 1e-5 amplify rounding.
OWN = dict.fromkeys(("log_mel", "lowpass_mel", "replaced_mel", "mel_replaced"), 5e-3)


def fill(folder: Path, rule: Any, keys: Path) -> None:
    """Write the official file with the official keys; copies share their storage, as views of one tensor."""
    import torch

    shapes = json.loads(keys.read_text())["pytorch_model.bin[state_dict]"]
    made: dict[str, Any] = {}
    for key, shape in shapes.items():
        name = rule.canonical(key)
        if name not in made:
            value = rule.tensor(name, shape) if rule.is_seeded(name) else np.zeros(shape, np.float32)
            made[name] = torch.from_numpy(np.asarray(value, np.float32).reshape(shape))
    state = {key: made[rule.canonical(key)] for key in shapes}
    state["alphas_cumprod"] = torch.from_numpy(cosine_schedule())
    state["scale_factor"] = torch.tensor(0.4)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 0, "global_step": 0, "state_dict": state}, folder / "pytorch_model.bin")


def parity(folder: Path, weights: Path) -> list[str]:
    """Every stage against the stored arrays, with one and with two threads; those that differ."""
    import torch

    from ldmbench.systems.audiosr import models as models

    rule = name_seeded(folder)
    store = Parity(folder / "audiosr", OWN)
    if not (weights / models.FILE).exists():
        fill(weights, rule, folder / "audiosr" / "keys.json")
    system = models.load(weights)
    system.to("cpu", "float32")
    for threads in THREADS:
        with store.with_threads(threads), torch.inference_mode():
            prepared = check_signal(store, rule, folder / "audiosr")
            check_models(store, rule, system)
            check_whole(store, rule, system, prepared)
    store.table()
    return store.failed


def check_signal(store: Parity, rule: Any, folder: Path) -> Any:
    """Preparation and replacement of the low band, of all inputs; the prepared one called speech."""
    import soundfile
    import torch

    from ldmbench.systems.audiosr import signal as signal

    replaced_mel = torch.from_numpy(rule.noise("audiosr/replace_mel", 0, (512, 256)) - 5)
    replaced_wave = 0.1 * rule.noise("audiosr/replace_wav", 0, (245776,))
    prepared: dict[str, signal.Prepared] = {}
    for name in ("noise4k", "speech", "music"):
        samples, rate = soundfile.read(folder / f"input_{name}.wav", dtype="float32", always_2d=True)
        wave = signal.resampled(np.ascontiguousarray(samples[:, 0]), rate)
        padded, _, _ = signal.normalised(wave)
        mel, magnitudes = signal.spectrogram(padded)
        found = signal.prepare(wave, "cheby1")
        assert found is not None
        prepared[name] = found
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
    return prepared["speech"]


def drawn(rule: Any, tag: str, index: int, *shape: int) -> Any:
    """A draw of the fixtures' noise."""
    import torch

    return torch.from_numpy(rule.noise(f"audiosr/{tag}", index, shape))


def check_models(store: Parity, rule: Any, system: Any) -> None:
    """Each model alone."""
    import torch

    posterior = system.vae.encode(2 * drawn(rule, "vae_mel", 0, 1, 1, 128, 256) - 5).latent_dist
    store.check("model", "vae_mean", posterior.mean)
    store.check("model", "vae_logvar", posterior.logvar)
    mel = system.decode(drawn(rule, "vae_z", 0, 1, 16, 16, 32) * system.scale)
    store.check("model", "vae_mel", mel)
    store.check("model", "vocoder_wav", system.vocode(mel[:, :64]))
    x, condition = (drawn(rule, tag, 0, 1, 16, 64, 32) for tag in ("unet_x", "unet_cond"))
    at = torch.tensor([501])
    for name, given in (("unet_out", condition), ("unet_out_uncond", torch.full_like(condition, -11.4981))):
        store.check("model", name, system.velocity(x, system.scale * given, at))


def check_whole(store: Parity, rule: Any, system: Any, prepared: Any) -> None:
    """From the prepared input to the sound, stage by stage, each on the output of the one before."""
    import torch

    from ldmbench.systems.audiosr import signal as signal

    seen: list[tuple[int, Any, Any]] = []
    noises = [lambda index, shape: drawn(rule, "generate", index, 1, *shape)[0]]
    latent = system.encode(prepared.low_mel[None], noises)
    store.check("end_to_end", "cond_latent", latent)
    sampled = system.sample(latent, noises, 2, 3.5, 1.0, lambda *step: seen.append(step))
    store.check("end_to_end", "ddim_t", [step[0] for step in seen])
    store.check("end_to_end", "ddim_x", torch.cat([step[1] for step in seen]))
    store.check("end_to_end", "ddim_pred_x0", torch.cat([step[2] for step in seen]))
    mel = system.decode(sampled)[0]
    store.check("end_to_end", "mel", mel)
    mel, _ = signal.replace_mel(mel, prepared.low_mel)
    store.check("end_to_end", "mel_replaced", mel)
    wave = system.vocode(mel[None])[0].numpy()
    store.check("end_to_end", "vocoder_wav", wave)
    wave, _, _ = signal.replace_band(wave, prepared.lowpassed)
    store.check("end_to_end", "post_wav", wave)
    store.check("end_to_end", "output_wav", signal.peak_normalised(wave))


def narrow(seconds: float) -> Any:
    """Noise below 4 kHz."""
    from ldmbench.audio.filters import lowpass
    from ldmbench.audio.sound import Audio

    white = np.random.default_rng(0).standard_normal(round(48_000 * seconds)).astype(np.float32) * 0.1
    return lowpass(Audio.of(white, 48_000), 4000.0)


def watch(system: Any, stages: Stages) -> None:
    """Count seconds by stage."""
    from ldmbench.systems.audiosr import adapter as audiosr

    stages.watch(audiosr, "prepare", "preparation")
    stages.watch(system.models, "encode", "VAE encode")
    stages.watch(system.models, "sample", "U-Net steps")
    stages.watch(system.models, "decode", "VAE decode")
    stages.watch(system.models, "vocode", "vocoder")
    for name in ("replace_mel", "replace_band", "peak_normalised"):
        stages.watch(audiosr, name, "post-processing")


def time_stages(options: argparse.Namespace) -> None:
    """Seconds of every stage for clips of noise below 4 kHz, with random weights."""
    from ldmbench.clips.clip import Clip
    from ldmbench.system.registry import load_system, resolve

    spec = resolve(f"audiosr@basic:steps={options.steps},precision={options.precision}", options.device, untrained=True)
    start = time.perf_counter()
    system: Any = load_system(spec)
    print(f"{system.parameters / 1e6:.1f} M parameters, built in {time.perf_counter() - start:.1f} s")
    clips = [Clip(f"x/{n}", "x", loaded=narrow(options.seconds), seed=n) for n in range(options.batch)]
    stages = Stages()
    watch(system, stages)
    start = time.perf_counter()
    outputs = list(system.process(clips))
    total = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{options.batch} x {options.seconds:g} s, {options.steps} steps, {options.threads} threads on {spec.device}")
    for name, (wall, cores) in stages.spent.items():
        print(f"{name:15s} {wall:7.2f} s, {cores:7.2f} s of all cores")
    wall, cores = (seconds / options.steps / options.batch for seconds in stages.spent["U-Net steps"])
    print(f"a step with guidance {wall:.2f} s a clip, {cores:.2f} s of all cores")
    print(f"all {total:.1f} s, peak RSS {peak:.2f} GiB, output {outputs[0].audio.duration:.2f} s")


def beside(options: argparse.Namespace) -> None:
    """Ours and the reference implementation by turns, each in a process of its own."""
    from ldmbench.audio.sound import write
    from ldmbench.systems.audiosr.models import FILE, LATENT_CHANNELS, SHRINK
    from ldmbench.systems.audiosr.signal import BLOCK_FRAMES, MELS
    from ldmbench.systems.latent.v_diffusion import seeded_noise

    with tempfile.TemporaryDirectory() as scratch:
        folder, weights = Path(scratch), options.weights or Path(scratch) / "weights"
        peer = [options.peer_python, Path(__file__).with_name("peer_audiosr.py"), options.peer, weights]
        if not (weights / FILE).is_file():
            process([*peer, "--make"], options.threads)
        write(folder / "clip.wav", narrow(options.seconds))
        frames = math.ceil(options.seconds * 100 / BLOCK_FRAMES) * BLOCK_FRAMES
        draw = seeded_noise(0, "audiosr", 0)
        shape = (LATENT_CHANNELS, frames // SHRINK, MELS // SHRINK)
        np.save(folder / "noise.npy", np.stack([draw(index, shape) for index in range(options.steps + 3)]))
        ours = [sys.executable, __file__, "--ours", folder, "--weights", weights, "--steps", options.steps]
        print(f"{options.seconds:g} s, {options.steps} steps, {options.threads} threads")
        commands = {"ours": ours, "peer": [*peer, "--clip", folder, "--steps", options.steps]}
        results = by_turns(commands, options.turns, options.threads)
        order = ("preparation", "VAE encode", "U-Net steps", "VAE decode", "vocoder", "post-processing", "whole")
        table(results, order)
        print(difference(folder, "ours", "peer", "sound"))


def run_ours(options: argparse.Namespace) -> None:
    """Ours alone, as ``beside`` asks for it: one clip, at the level and with the low-pass of the peer."""
    from ldmbench.audio.sound import read
    from ldmbench.clips.clip import Clip
    from ldmbench.system.registry import load_system, resolve

    def run(system: Any, stages: Stages) -> dict[str, Any]:
        watch(system, stages)
        with stages.stage("whole"):
            (output,) = system.process([Clip("x/0", "x", loaded=read(options.ours / "clip.wav"), seed=0)])
        return {"sound": output.audio.samples}

    spec = resolve(f"audiosr@basic:steps={options.steps},lowpass=ellip,level=upstream", weights=options.weights)
    measured(lambda: load_system(spec), run, options.ours, "ours")


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
    parser.add_argument("--peer", type=Path, help="checkout of the reference implementation")
    parser.add_argument("--peer-python", type=Path, default=sys.executable)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]) if options.ours else options.threads)
    if options.ours:
        run_ours(options)
    elif options.peer:
        beside(options)
    elif options.time:
        time_stages(options)
    if options.parity:
        with tempfile.TemporaryDirectory() as scratch:
            if failed := parity(options.parity, options.weights or Path(scratch)):
                raise SystemExit(f"differ: {', '.join(failed)}")


if __name__ == "__main__":
    main()
