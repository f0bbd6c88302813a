"""SemantiCodec in full size: every stage against arrays of the reference implementation, and time and memory by stage.

Run: ``python tests/benchmarks/bench_semanticodec.py --parity FOLDER [--rates 100 50 25] [--work FOLDER]``
     ``python tests/benchmarks/bench_semanticodec.py --time 1.25kbps [--steps 10] [--seconds 10] [--weights FOLDER]``
     ``... --time 1.25kbps --peer CHECKOUT --peer-python PYTHON [--seconds 10.2] [--turns 2] [--weights FOLDER]``

FOLDER holds ``name_seeded.py`` (the rule that draws the weights from names) and ``semanticodec/`` (keys.json,
arrays.json, *.npz, geometry.json, input.wav), all made by the reference implementation with those weights. The
weights are written to ``--work`` in the official layout and loaded from there.

CHECKOUT is the reference implementation (haoheliu/SemantiCodec-inference) and PYTHON one that can import it. Both
sides load the same files, which the peer makes if the folder of ``--weights`` has none, and get the same clip and
the same noise. A clip of 10.2 s has 512 tokens, one window of 10.24 s; with 10.24 s it has 520, and both sides
decode a second window for the last 8.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _parity import THREADS, Parity, cosine_schedule, name_seeded
from _side_by_side import Stages, by_turns, difference, measured, process, table

#: Tolerances of their own, of stages whose rounding grows.
OWN = dict.fromkeys(
    ("patch_embed", "block0", "block11", "audiomae", "stacked_feature", "lstm_noise_out", "lstm_noise_linear"), 2e-4
)
#: Tokens must be equal where the second nearest is farther than this (semantic, acoustic).
MARGINS = (2e-2, 3e-3)

VOCAB = 4096
CODEBOOK = "codebook file (vocab 4096)"


def write_folder(parity: Path, folder: Path, rate: int) -> None:
    """Official files of one token rate, filled by the rule; the unused moving average is left out but for one key."""
    import torch

    from ldmbench.systems.semanticodec.audiomae import positions
    from ldmbench.systems.semanticodec.files import checkpoint_files

    seeded = name_seeded(parity)
    shapes = json.loads((parity / "semanticodec/keys.json").read_text())[str(rate)]
    names = checkpoint_files(100 // rate, VOCAB)
    fixed = {
        "audiomae.model.pos_embed": positions().numpy(),
        "audiomae.model.decoder_pos_embed": np.zeros((1, 513, 512), np.float32),
        "quantizer._codebook.initted": np.array(True),
        "alphas_cumprod": cosine_schedule(),
        "scale_factor": np.array(0.5, np.float32),
    }
    for name, kind in zip(names, ("encoder.ckpt", "decoder.ckpt", CODEBOOK), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if kind == CODEBOOK:
            np.save(folder / name, seeded.tensor("centroids", shapes[kind]["centroids"]))
            continue
        state: dict[str, Any] = {}
        for key, shape in shapes[kind].items():
            if key.startswith("model_ema.") and not key.startswith("model_ema.diffusion_modelout"):
                continue
            drawn = seeded.is_seeded(key)
            value = seeded.tensor(key, shape) if drawn else fixed.get(key, np.zeros(shape, np.float32))
            state[key] = torch.from_numpy(np.asarray(value))
        torch.save(state, folder / name)


def check_common(parity: Path, store: Parity, coder: Any, decoder: Any) -> None:
    """Stages that are equal at all rates."""
    import torch

    from ldmbench.systems.semanticodec import tokens as coding

    check, seeded = partial(store.check, "common"), name_seeded(parity)
    bank = coding.banks(sound(parity))
    check("fbank", bank[0])
    check("active_frames", [coding.active_frames(bank[0])])
    mae = coder.audiomae
    check("pos_embed", mae.pos_embed)
    check("patch_embed", mae.patches(bank))
    seen: dict[int, Any] = {}
    hooks = [mae.blocks[n].register_forward_hook(lambda _, __, out, n=n: seen.update({n: out})) for n in (0, 11)]
    check("audiomae", mae(bank))
    for hook in hooks:
        hook.remove()
    check("block0", seen[0])
    check("block11", seen[11])
    check("alphas_cumprod", np.asarray(decoder.alphas_cumprod))
    z = torch.from_numpy(seeded.noise("semanticodec/vae_z", 0, (1, 8, 64, 16)))
    mel = decoder.mel(z * decoder.scale_factor)
    check("vae_mel", mel)
    check("vocoder_wav", decoder.vocoder(mel[:, :128]))


def check_rate(parity: Path, store: Parity, coder: Any, decoder: Any, rate: int) -> None:
    """Stages of one token rate."""
    import torch

    from ldmbench.systems.semanticodec import tokens as coding
    from ldmbench.systems.semanticodec.decoder import overlap_add

    group, shape, seeded = f"rate{rate}", coder.geometry, name_seeded(parity)
    check, stored = partial(store.check, group), store.stored[group]
    wave = sound(parity)
    bank = coding.banks(wave)
    count, cut = shape.tokens(len(wave)), coder.cut(bank[0])
    features = coder.features(bank)
    marked = features.clone()
    marked[:, cut:] = coding.EMPTY
    check("stacked_feature", marked)
    check("lstm_in_cut", [cut])
    nearest = coding.nearest(features[0, : max(count, cut)], coder.semantic, coder.semantic.square().sum(dim=1))
    hidden = coder.residual(features, [nearest[:cut]], shape.length)
    check("lstm_out", hidden)
    check("acoustic_pre_vq", coder.project(hidden))
    noise = torch.from_numpy(seeded.noise("semanticodec/lstm_in", 0, (1, 32, 2 * shape.width)))
    check("lstm_noise_out", coder.lstm(noise)[0])
    check("lstm_noise_linear", coder.project(coder.lstm(noise)[0]))
    tokens = coder(bank, [count])[0][0]
    compare_tokens(store, group, tokens.numpy())
    # From the stored tokens on, so that a flipped near-tie does not hide what follows.
    tokens = torch.from_numpy(stored["tokens"].astype(np.int64))
    context, without = coder.condition([tokens])
    check("context", context)
    check("context_pe", context[0, :, -coding.POSITIONS :])
    x, t = torch.from_numpy(seeded.noise("semanticodec/unet_x", 0, (1, 8, 256, 16))), torch.tensor([501])
    check("unet_out", decoder.unet(x, t, encoder_hidden_states=context).sample)
    check("unet_out_uncond", decoder.unet(x, t, encoder_hidden_states=without).sample)
    steps: list[tuple[int, Any, Any]] = []

    def drawn(index: int, size: tuple[int, ...]) -> Any:
        return torch.from_numpy(seeded.noise("semanticodec/decode", index, (1, *size))[0])

    latents = decoder.latents(context, without, [drawn], 4, 2.0, 1.0, lambda *step: steps.append(step))
    check("ddim_t", [step[0] for step in steps])
    check("ddim_x", torch.stack([step[1] for step in steps]))
    check("ddim_pred_x0", torch.stack([step[2] for step in steps]))
    mel = decoder.mel(latents)
    check("decode_mel", mel)
    length = int(len(tokens) / 8 * 16 * 0.01 * shape.stack * 16_000)
    check("decode_wav", overlap_add([decoder.wave(mel[0], length)], length, 163_872))


def compare_tokens(store: Parity, group: str, found: np.ndarray) -> None:
    """Tokens must be equal wherever the two nearest codewords are far enough apart."""
    stored = store.stored[group]
    for layer, kind, limit in ((0, "semantic", MARGINS[0]), (1, "acoustic", MARGINS[1])):
        wrong = found[:, layer] != stored["tokens"][:, layer]
        clear = stored[f"{kind}_margin"] > limit
        text = f"{int(wrong.sum())} of {len(wrong)} {kind} tokens differ, {int((wrong & clear).sum())} are no near-tie"
        store.expect(found.shape == stored["tokens"].shape and not (wrong & clear).any(), f"{group}: {text}")


def check_geometry(parity: Path, store: Parity) -> None:
    """Counts for many lengths, and the overlap-add."""
    from ldmbench.systems.semanticodec import tokens as coding
    from ldmbench.systems.semanticodec.decoder import overlap_add

    failed = []
    for row in json.loads((parity / "semanticodec/geometry.json").read_text()):
        shape = coding.Geometry(100 // row["rate"])
        count = shape.tokens(row["samples"])
        spans = [end - start for start, end in shape.spans(count)]
        joined = 163_872 + (len(spans) - 1) * (163_872 - 10_240)
        output = int(count / 8 * 16 * 0.01 * shape.stack * 16_000)
        found = (coding.windows(row["samples"]) * 1024, count, spans, joined, output)
        keys = ("fbank_frames", "tokens", "decode_windows", "overlap_added_samples", "output_samples")
        if found != tuple(row[key] for key in keys):
            failed.append(f"geometry {row} found {found}")
    store.expect(not failed, "; ".join(["geometry", *failed]))
    seeded = name_seeded(parity)
    waves = [0.1 * seeded.noise("semanticodec/overlap_add", n, (1, 1, 163_872))[0, 0] for n in range(3)]
    store.check("overlap_add", "overlap_add", overlap_add(waves, 471_136, 163_872))


def sound(parity: Path) -> Any:
    """The input, 16-bit PCM / 32768."""
    import torch

    from ldmbench.audio.sound import read

    return torch.from_numpy(read(parity / "semanticodec/input.wav").samples[0].copy())


def run_parity(parity: Path, rates: list[int], work: Path | None) -> list[str]:
    """All checks, with one and with two threads; those that failed."""
    import torch

    from ldmbench.systems.latent.parts import for_inference
    from ldmbench.systems.semanticodec import files as files

    store = Parity(parity / "semanticodec", OWN)
    for rate in rates:
        with tempfile.TemporaryDirectory(dir=work) as scratch:
            folder = Path(scratch)
            write_folder(parity, folder, rate)
            start = time.perf_counter()
            coder = files.read_coder(folder, 100 // rate, VOCAB)
            for_inference(coder, "cpu")
            decoder = files.read_decoder(folder, 100 // rate, VOCAB)
            decoder.to("cpu", "float32")
            print(f"rate {rate}: loaded in {time.perf_counter() - start:.1f} s", flush=True)
        for threads in THREADS:
            with store.with_threads(threads), torch.inference_mode():
                if rate == rates[0]:
                    check_geometry(parity, store)
                    check_common(parity, store, coder, decoder)
                check_rate(parity, store, coder, decoder, rate)
        del coder, decoder
    store.table()
    return store.failed


def run_timing(name: str, steps: int, seconds: float, device: str, weights: Path | None, batch: int) -> None:
    """Seconds of every stage for clips of noise, and the largest resident set while coding and decoding."""
    import torch

    from ldmbench.audio.sound import Audio
    from ldmbench.clips.clip import Clip
    from ldmbench.host.memory import peak_memory
    from ldmbench.system.registry import load_system, resolve

    spec = resolve(f"semanticodec@{name}:steps={steps}", device, untrained=weights is None, weights=weights)
    start = time.perf_counter()
    system: Any = load_system(spec)
    print(f"{spec.label}: {system.parameters / 1e6:.1f} M parameters, built in {time.perf_counter() - start:.1f} s")
    noise = np.random.default_rng(0).standard_normal((batch, round(seconds * 16_000))) * 0.1
    clips = [Clip(f"x/{n}", "x", loaded=Audio.of(row, 16_000), seed=n) for n, row in enumerate(noise)]
    stages = Stages(torch.cuda.synchronize if device.startswith("cuda") else lambda: None)
    stages.watch(system.coder.audiomae, "forward", "AudioMAE")
    stages.watch(system.coder.lstm, "forward", "LSTM")
    stages.watch(system.decoder.unet, "forward", "U-Net")
    stages.watch(system.decoder, "mel", "VAE")
    stages.watch(system.decoder, "wave", "vocoder")
    with peak_memory(device) as peak:
        start = time.perf_counter()
        outputs = list(system.process(clips))
        total = time.perf_counter() - start
    calls = steps * math.ceil(len(clips) * len(system.geometry.spans(outputs[0].tokens.shape[1])) / 8)
    print(f"{batch} x {seconds:.2f} s in {total:.1f} s, {torch.get_num_threads()} threads, {device}")
    for label, (wall, cores) in stages.spent.items():
        print(
            f"  {label:9s} {wall:6.2f} s, {cores:6.2f} s of processor"
            + (f" ({wall / calls:.3f} s a guided step)" if label == "U-Net" else "")
        )
    print(f"  peak {(peak() or 0) / 2**30:.2f} GiB")


def run_beside(options: argparse.Namespace) -> None:
    """Ours and the reference implementation by turns, each in a process of its own."""
    from ldmbench.audio.sound import Audio, write
    from ldmbench.system.registry import resolve
    from ldmbench.systems.latent.v_diffusion import seeded_noise
    from ldmbench.systems.semanticodec.decoder import LATENT
    from ldmbench.systems.semanticodec.files import checkpoint_files
    from ldmbench.systems.semanticodec.tokens import Geometry

    settings = resolve(f"semanticodec@{options.time}").settings
    rate, vocab = int(settings["tokens_per_second"]), int(settings["vocab"])
    shape = Geometry(100 // rate)
    with tempfile.TemporaryDirectory(dir=options.work) as scratch:
        folder, weights = Path(scratch), options.weights or Path(scratch) / "weights"
        script = Path(__file__).with_name("peer_semanticodec.py")
        peer = [options.peer_python, script, options.peer, weights, rate, vocab]
        if not all((weights / name).is_file() for name in checkpoint_files(100 // rate, vocab)):
            process([*peer, "--make"], options.threads)
        samples = round(options.seconds * 16_000)
        write(folder / "clip.wav", Audio.of(np.random.default_rng(0).standard_normal(samples) * 0.1, 16_000))
        windows = shape.spans(shape.tokens(samples))
        noise = [seeded_noise(0, window)(i, LATENT) for window in range(len(windows)) for i in range(options.steps + 1)]
        np.save(folder / "noise.npy", np.stack(noise))
        ours = [sys.executable, __file__, "--time", options.time, "--ours", folder, "--weights", weights]
        ours += ["--steps", options.steps]
        tokens = f"{shape.tokens(samples)} tokens a layer in windows {windows}"
        print(f"{tokens}, {options.steps} steps, {options.threads} threads", flush=True)
        commands = {"ours": ours, "peer": [*peer, "--clip", folder, "--steps", options.steps]}
        results = by_turns(commands, options.turns, options.threads)
        table(results, ("encode", "U-Net steps", "VAE", "vocoder", "whole decode"))
        print(difference(folder, "ours", "peer", "tokens"), difference(folder, "ours", "peer", "sound"), sep="\n")


def run_ours(options: argparse.Namespace) -> None:
    """Ours alone, as ``run_beside`` asks for it: one clip, coded and decoded."""
    from ldmbench.audio.sound import read
    from ldmbench.system.registry import load_system, resolve

    def run(system: Any, stages: Stages) -> dict[str, Any]:
        stages.watch(system.decoder, "latents", "U-Net steps")
        stages.watch(system.decoder, "mel", "VAE")
        stages.watch(system.decoder, "wave", "vocoder")
        with stages.stage("encode"):
            stream = system.encode(read(options.ours / "clip.wav"))
        with stages.stage("whole decode"):
            audio = system.decode(stream, 0)
        return {"tokens": stream.payload, "sound": audio.samples}

    spec = resolve(f"semanticodec@{options.time}:steps={options.steps}", weights=options.weights)
    measured(lambda: load_system(spec), run, options.ours, "ours")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parity", type=Path)
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 50, 25])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--time")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--threads", type=int, default=2)
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
        run_beside(options)
    elif options.time:
        run_timing(options.time, options.steps, options.seconds, options.device, options.weights, options.batch)
    if options.parity and (failed := run_parity(options.parity, options.rates, options.work)):
        raise SystemExit(f"differ: {', '.join(failed)}")


if __name__ == "__main__":
    main()
