"""LaDiffCodec in full size: every stage against arrays of the authors' code, and time and memory by stage.

Run: ``python tests/benchmarks/bench_ladiffcodec.py --parity FOLDER [--work FOLDER]``
     ``python tests/benchmarks/bench_ladiffcodec.py --time 1.5kbps-released [--tau 10] [--seconds 3.2] [--batch 1]``

FOLDER holds ``name_seeded.py`` (the rule that draws the weights from names) and ``ladiffcodec/`` (keys.json,
arrays.json, *.npz, input.wav), all made by the authors' code with those weights. The weights are written to ``--work``
in the official layout and loaded from there; the U-Net 32 channels wide, and 256 as it was released.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _parity import THREADS, Parity, name_seeded
from _side_by_side import Stages

#: A code may differ where the two nearest entries are nearer than this.
MARGIN = 1e-4

SETTINGS = "width={width},tau={tau}"


def write_folder(parity: Path, folder: Path, width: int) -> None:
    """Official files at both bitrates, filled by the rule."""
    import torch

    from ldmbench.systems.ladiffcodec.sampling import betas

    seeded = name_seeded(parity)
    shapes = json.loads((parity / "ladiffcodec/keys.json").read_text())
    names = {
        "codec_1.5kbps": "EnCodec_libri_1_5kb", "codec_3.0kbps": "EnCodec_libri_3kb",
        f"ladiff_dim{width}": "Ladiff_1_5kb_8",
    }  # fmt: skip
    for kind, name in names.items():
        state: dict[str, Any] = {}
        for key, shape in shapes[kind].items():
            if seeded.is_seeded(key):
                value = seeded.tensor(key, shape)
            elif key == "diffusion.alphas_cumprod":
                value = np.cumprod(1 - betas("cosine")).astype(np.float32)
            else:
                value = np.zeros(shape, np.float32)
            state[key] = torch.from_numpy(value)
        (folder / name).mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / name / "model_best.amlt")


def check_codec(store: Parity, folder: Path, wave: Any) -> None:
    """The discrete codec at both bitrates."""
    import torch

    from ldmbench.systems.ladiffcodec import files as files

    for books, name in ((3, "kbps1p5"), (6, "kbps3p0")):
        shape = files.Shape(books, (8,), 256, causal=True)
        codec = files.read_codec(folder / shape.files[0], shape)
        check, stored = partial(store.check, "codec"), store.stored["codec"]
        latent = codec.encode(wave)
        check("encoder_out", latent)
        codes = codec.quantise(latent)[0].numpy()
        clear = np.logical_and.accumulate(stored[f"{name}_margin"] > MARGIN, axis=0)
        wrong = codes != stored[f"{name}_codes"]
        text = f"{name}: {int(wrong.sum())} of {wrong.size} codes differ, {int((wrong & clear).sum())} are no near-tie"
        store.expect(not (wrong & clear).any(), text)
        # From the stored codes on, so that a flipped near-tie does not hide what follows.
        words = codec.sums(torch.from_numpy(stored[f"{name}_codes"].astype(np.int64))[None])
        check(f"{name}_condition", words)
        check(f"{name}_decoded_wav", codec.decode(words))


def check_latent(parity: Path, store: Parity, system: Any, wave: Any, width: int) -> None:
    """The continuous autoencoder, the U-Net, and the released samplers."""
    import torch

    from ldmbench.systems.ladiffcodec.sampling import Draws, Steps, midway_infilling, released_infilling

    group, seeded, models = f"dim{width}", name_seeded(parity), system.models
    check, stored = partial(store.check, group), store.stored[group]

    def noise(tag: str, index: int, shape: tuple[int, ...]) -> Any:
        return torch.from_numpy(seeded.noise(f"ladiffcodec/{tag}", index, (1, *shape))[0])

    def predict(x: Any, when: int, seen: Any) -> Any:
        return models.unet(x, torch.full((len(x),), when), seen)

    codes = torch.from_numpy(store.stored["codec"]["kbps1p5_codes"].astype(np.int64))[None]
    words = models.codec.sums(codes)
    condition = system.condition(words)
    check("condition_up", condition)
    if "cont_latent" in stored:
        latent = models.continuous.encode(wave)
        check("cont_latent", latent)
        check("cont_decoded_wav", models.continuous.decode(latent))
        check("condition_up_raw", models.unet.upsampled(words))
        check("alphas_cumprod", system.steps.alphas)
    x = noise("unet_x", 0, (128, 3200))[None]
    check("unet_out", predict(x, 50, condition))
    steps, fresh = Steps.of("cosine", "ddpm", 501), noise("p_sample", 0, (128, 3200))[None]
    guess = predict(0.5 * x, 500, condition)
    check("p_sample_t500_x0", steps.clean(500, 0.5 * x, guess))
    check("p_sample_t500", steps.step(0, 0.5 * x, guess, lambda: fresh))
    few = Steps.of("cosine", "ddpm", 4)
    halfway = Draws(lambda shape: fresh[0], partial(noise, "unused"), partial(noise, "halfway"))
    latent = midway_infilling(predict, few, condition, [halfway], 1.0)
    check("halfway4_latent", latent)
    check("halfway4_wav", system._levelled(models.continuous.decode(latent)[0]))
    infilling = Draws(
        lambda shape: torch.from_numpy(seeded.uniform("ladiffcodec/infilling", 0, (1, *shape))[0]),
        lambda index, shape: noise("infilling", (1, 4, 6)[index], shape),
        lambda index, shape: noise("infilling", (3, 5, 7)[index], shape),
    )
    check("infilling4_latent", released_infilling(predict, few, condition, [infilling], 0.3))
    if "halfway100_latent" in stored:
        whole = Draws(lambda shape: fresh[0], partial(noise, "unused"), partial(noise, "halfway100"))
        check("halfway100_latent", midway_infilling(predict, Steps.of("cosine", "ddpm", 100), condition, [whole], 1.0))


def run_parity(parity: Path, work: Path | None) -> list[str]:
    """All checks, with one and with two threads; those that failed."""
    import torch

    from ldmbench.audio.sound import read
    from ldmbench.system.registry import load_system, resolve

    store = Parity(parity / "ladiffcodec", {})
    wave = torch.from_numpy(read(parity / "ladiffcodec/input.wav").samples.copy())
    for width in (32, 256):
        with tempfile.TemporaryDirectory(dir=work) as scratch:
            folder = Path(scratch)
            write_folder(parity, folder, width)
            name = f"ladiffcodec@1.5kbps-released:{SETTINGS.format(width=width, tau=100)}"
            system = load_system(resolve(name, weights=folder))
            for count in THREADS:
                with store.with_threads(count), torch.inference_mode():
                    if width == 256:
                        check_codec(store, folder, wave)
                    check_latent(parity, store, system, wave, width)
    store.table()
    return store.failed


def run_timing(name: str, tau: int, seconds: float, batch: int, device: str, threads: int) -> None:
    """Seconds and memory by stage, untrained."""
    import torch

    from ldmbench.audio.sound import Audio
    from ldmbench.clips.clip import Clip
    from ldmbench.host.memory import peak_memory
    from ldmbench.system.registry import load_system, resolve

    torch.set_num_threads(threads)
    start = time.perf_counter()
    system: Any = load_system(resolve(f"ladiffcodec@{name}:tau={tau}", device, untrained=True))
    print(f"{name}: {system.parameters / 1e6:.1f} M parameters, built in {time.perf_counter() - start:.1f} s")
    noise = np.random.default_rng(0).standard_normal((batch, round(seconds * 16_000))) * 0.1
    clips = [Clip(f"x/{n}", "x", loaded=Audio.of(row, 16_000), seed=n) for n, row in enumerate(noise)]
    stages = Stages(torch.cuda.synchronize if device.startswith("cuda") else lambda: None)
    stages.watch(system.models.codec.encoder, "forward", "encoder")
    stages.watch(system.models.unet, "forward", "U-Net")
    stages.watch(system.models.codec.decoder, "forward", "codec decoder")
    stages.watch(system.models.continuous.decoder, "forward", "decoder")
    with peak_memory(device) as peak:
        start = time.perf_counter()
        for _ in system.process(clips):
            pass
        total = time.perf_counter() - start
    print(f"{batch} x {seconds:.2f} s in {total:.1f} s, {torch.get_num_threads()} threads, {device}")
    for label, (wall, cores) in stages.spent.items():
        each = f" ({wall / tau:.3f} s a step)" if label == "U-Net" else ""
        print(f"  {label:13s} {wall:6.2f} s, {cores:6.2f} s of processor{each}")
    print(f"  peak {(peak() or 0) / 2**30:.2f} GiB")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parity", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--time", help="variant, such as 1.5kbps-released")
    parser.add_argument("--tau", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.time:
        run_timing(options.time, options.tau, options.seconds, options.batch, options.device, options.threads)
    if options.parity and (failed := run_parity(options.parity, options.work)):
        raise SystemExit(f"differ: {', '.join(failed)}")


if __name__ == "__main__":
    main()
