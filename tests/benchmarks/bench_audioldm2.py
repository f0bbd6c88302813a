"""AudioLDM 2 in full size, from its authors' checkpoint layout: every stage against arrays of their code.

Run: ``python tests/benchmarks/bench_audioldm2.py FOLDER [--work FOLDER] [--threads 2]``
     ``... FOLDER --peer CHECKOUT --peer-python PYTHON``: also one trajectory from the prompt to the waveform
     ``... FOLDER --audioldm CHECKOUT --peer-python PYTHON``: only the U-Nets of AudioLDM, in its three sizes

FOLDER holds ``name_seeded.py`` (the rule that draws weights from names) and ``audioldm2/`` (keys.json, tokens.json,
arrays.json, *.npz), made by haoheliu/AudioLDM2 b5786c5 with those weights, FLAN-T5 with 4 layers. The weights are
written to ``--work`` (3.4 GB) as ``audioldm2-full.pth`` and loaded from there as a user's would be. CHECKOUT is a
clone of that repository and PYTHON one that has torch and einops: it runs their U-Net, sampler, autoencoder and
vocoder on the states that their encoders gave. Allowed is ten times what another implementation differed by, 1e-5 of
an array's largest value at least; in the waveform 1e-5 of its largest value.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _parity import name_seeded

#: Ten times what diffusers and transformers were observed to differ by from these arrays.
OBSERVED = {
    "small/unet_base": 4.1e-5, "small/unet_large": 6e-5, "small/gpt_13": 4.8e-5, "small/gpt_5": 4.8e-5,
    "unet/base": 6.5e-5, "conditioning/p1_gpt": 4.6e-5, "conditioning/p2_gpt": 4.6e-5, "vae_vocoder/mel": 3.3e-5,
    "vae_vocoder/mean": 1.4e-5, "scoring/audio": 3.1e-5, "scoring/sim": 1e-5,
}  # fmt: skip

STEPS, SCALE, FRAMES = 4, 3.5, 256


class Table:
    """What was compared with the stored arrays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[tuple[str, float, float]] = []

    def stored(self, name: str) -> np.ndarray:
        """An array of the authors'."""
        group, _, key = name.partition("/")
        array: np.ndarray = np.load(self.folder / f"{group}.npz")[key]
        return array

    def check(self, name: str, value: Any, wanted: np.ndarray | None = None, allowed: float = 0.0) -> None:
        """Compare ``value`` with the stored array of that name, or with ``wanted``."""
        array = self.stored(name) if wanted is None else wanted
        made = np.asarray(value, np.float64).reshape(array.shape)
        far = float(np.abs(made - array).max())
        allowed = allowed or max(OBSERVED.get(name, 0.0), 1e-5 * float(np.abs(array).max()))
        self.rows.append((name, far, allowed))
        print(f"{name}: {far:.1e} of {allowed:.1e}", flush=True)

    def show(self) -> list[str]:
        """Print all in Markdown; names of what is outside its tolerance."""
        print("\n| stage | largest difference | allowed |\n|---|---|---|")
        for name, far, allowed in self.rows:
            print(f"| {name} | {far:.1e} | {allowed:.1e} |")
        return [name for name, far, allowed in self.rows if not far <= allowed]


def drawn(seeded: Any, shapes: Mapping[str, list[int]]) -> dict[str, Any]:
    """Tensors by the rule; FLAN-T5 is drawn under the prefix ``t5.``, its embedding under one of its two names."""
    import torch

    state = {}
    for key, shape in shapes.items():
        name = key.replace("cond_stage_models.1.", "t5.").replace("encoder.embed_tokens", "shared")
        state[key] = torch.from_numpy(seeded.tensor(name, shape))
    return state


def write_folder(parity: Path, folder: Path) -> None:
    """The checkpoint in its authors' layout, and tokenizers of bytes and characters."""
    import torch

    from ldmbench.extractors.clap_weights import BASE, OfficialLayout, build, front_end
    from ldmbench.systems.latent.configs import AUDIOLDM_SCHEDULER
    from ldmbench.systems.latent.parts import alphas

    state = drawn(name_seeded(parity), json.loads((parity / "audioldm2/keys.json").read_text())["full"])
    for key, value in OfficialLayout(build(BASE)).state_dict().items():
        # Not drawn: tables of positions, statistics of batch normalisation, and the temperature.
        if not value.is_floating_point():
            state[f"clap.model.{key}"] = value.clone()
        elif "running_" in key or key.startswith("logit_scale"):
            state[f"clap.model.{key}"] = torch.ones_like(value) if "var" in key else torch.zeros_like(value)
    state |= {f"clap.model.{key}": value for key, value in front_end().items()}
    state["alphas_cumprod"] = torch.tensor(alphas(AUDIOLDM_SCHEDULER))
    state["scale_factor"] = torch.tensor(0.4110932946205139)
    torch.save({"state_dict": state}, folder / "audioldm2-full.pth")
    write_tokenizers(folder)


def write_tokenizers(folder: Path) -> None:
    """Tokenizers of bytes and characters, filled up to the encoders' vocabularies with what no prompt holds."""
    from transformers import T5Tokenizer

    from ldmbench.systems.latent.tokenizers import byte_tokenizer, character_tokenizer

    words = byte_tokenizer().get_vocab()
    words |= {f"<filler {index}>": index for index in range(len(words), 50_265)}
    (folder / "roberta-base").mkdir()
    (folder / "roberta-base/vocab.json").write_text(json.dumps(words))
    (folder / "roberta-base/merges.txt").write_text("#version: 0.2\n")
    letters = sorted(character_tokenizer().get_vocab().items(), key=lambda item: item[1])
    pieces = [(piece, 0.0 if index < 3 else -2.0 if piece == "▁" else -3.0) for piece, index in letters]
    pieces += [(f"<filler {index}>", -99.0) for index in range(len(pieces), 32_128)]
    T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=128).save_pretrained(folder / "flan-t5-large")


def check_small(parity: Path, table: Table) -> None:
    """U-Nets of both sizes with fewer channels, under their official names."""
    import torch

    from ldmbench.systems.audioldm.original import unet_shape
    from ldmbench.systems.latent.keys import load_unet

    seeded = name_seeded(parity)
    shapes = json.loads((parity / "audioldm2/keys.json").read_text())
    noise = [seeded.noise("audioldm2/small_ctx", 0, (2, 8, 768)), seeded.noise("audioldm2/small_ctx", 1, (2, 13, 1024))]
    states, t5 = map(torch.from_numpy, noise)
    mask = torch.ones(2, 13, dtype=torch.long)
    mask[1, 5:] = 0
    x = torch.from_numpy(seeded.noise("audioldm2/small_x", 0, (2, 8, 16, 16)))
    for size in ("base", "large"):
        official = drawn(seeded, shapes[f"small_unet_{size}"])
        state = {key.removeprefix("model.diffusion_model."): value for key, value in official.items()}
        unet = load_unet(state, unet_shape(state, 8), parity)
        told = {"encoder_hidden_states": states, "encoder_hidden_states_1": t5, "encoder_attention_mask_1": mask}
        table.check(f"small/unet_{size}", unet(x, 501, **told).sample)


def check_stages(parity: Path, table: Table, system: Any) -> None:
    """Encoders, U-Net, autoencoder and vocoder."""
    import torch

    seeded = name_seeded(parity)

    def noise(tag: str, index: int, shape: tuple[int, ...]) -> Any:
        return torch.from_numpy(seeded.noise(f"audioldm2/{tag}", index, shape))

    prompts = json.loads((parity / "audioldm2/tokens.json").read_text())["prompts"]
    for number, prompt in enumerate(prompts, start=1):
        clap = system.clap(prompt)
        table.check(f"conditioning/p{number}_clap", clap)
        states, t5, _ = system.told(prompt, clap)
        stored = table.stored(f"conditioning/p{number}_t5")
        table.check(f"conditioning/p{number}_t5", t5[:, : stored.shape[1]])
        table.check(f"conditioning/p{number}_gpt", states)
    states, t5, _ = system.untold()
    table.check("conditioning/u_t5", t5)
    table.check("unconditional states", states, np.zeros((1, 8, 768)))
    told = {
        "encoder_hidden_states": noise("unet_ctx", 0, (2, 8, 768)),
        "encoder_hidden_states_1": noise("unet_ctx", 1, (2, 13, 1024)),
        "encoder_attention_mask_1": (torch.arange(13) < torch.tensor([[13], [5]])).long(),
    }
    table.check("unet/base", system.models["unet"](noise("unet_x", 0, (2, 8, 64, 16)), 501, **told).sample)
    vae, vocoder = system.models["vae"], system.models["vocoder"]
    mel = vae.decode(noise("vae_z", 0, (1, 8, 64, 16))).sample
    table.check("vae_vocoder/mel", mel)
    table.check("vae_vocoder/wav", vocoder(mel.squeeze(1)))
    posterior = vae.encode(2 * noise("vae_mel", 0, (1, 1, 128, 64)) - 5).latent_dist
    table.check("vae_vocoder/mean", posterior.mean)


def check_ranking(parity: Path, table: Table, system: Any) -> None:
    """CLAP on three signals."""
    import torch
    import torchaudio

    from ldmbench.extractors.clap_input import LENGTH, filters, log_mel
    from ldmbench.systems.audioldm.clap import embed_sounds

    count = 163_872
    time = np.arange(count) / 16_000
    signals = [
        0.1 * np.random.default_rng(0).standard_normal(count),
        0.3 * np.sin(2 * np.pi * (300 * time + 200 * time**2)),
        0.2 * np.sign(np.sin(2 * np.pi * 110 * time)) * np.exp(-4 * (time % 1)),
    ]
    waves = np.array(signals, np.float32)
    heard = torchaudio.functional.resample(torch.from_numpy(waves), 16_000, 48_000)
    table.check("scoring/w48", heard[:, 10_000:12_000])
    bands = filters()
    # As powers: decibels near the floor are the rounding of a sum that is a million times larger.
    mels = np.stack([log_mel(wave, bands)[::50] for wave in heard[:, :LENGTH].numpy()])
    table.check("scoring/logmel, as powers", 10 ** (mels / 10), 10 ** (table.stored("scoring/logmel") / 10))
    prompt = json.loads((parity / "audioldm2/tokens.json").read_text())["prompts"][0]
    table.check("scoring/audio", embed_sounds(system.models["text_encoder"], waves, 16_000))
    table.check("scoring/text", system.clap(prompt))
    table.check("scoring/sim", system.rank(prompt, waves))


def check_trajectory(options: argparse.Namespace, table: Table, system: Any, folder: Path) -> None:
    """From the first prompt to the waveform, beside their code on the same noise."""
    import torch

    from ldmbench.systems.audioldm.clap import Dropout

    script = Path(__file__).with_name("peer_audioldm2.py")
    words = [options.peer_python, script, options.peer, options.parity, folder, STEPS, SCALE, FRAMES // 4]
    subprocess.run([str(word) for word in words], check=True)
    theirs = np.load(folder / "theirs.npz")
    seeded, index = name_seeded(options.parity), iter(range(1 + STEPS))
    system.noise = lambda _, shape: torch.from_numpy(seeded.noise("audioldm2/steps", next(index), (1, *shape)))
    system.candidates = 1
    prompt = json.loads((options.parity / "audioldm2/tokens.json").read_text())["prompts"][0]
    predict = system.guided([prompt], [Dropout(0.0, 0)])
    latents = system.sampled(predict, system.start([None], FRAMES), [None])
    table.check("trajectory, latent", latents, theirs["latent"])
    table.check("trajectory, waveform", system.sounds(latents), theirs["wave"])


def check_first(options: argparse.Namespace, table: Table, folder: Path) -> None:
    """AudioLDM's U-Nets beside its authors' code, and with the 8 heads that diffusers gives them."""
    import torch
    from diffusers import UNet2DConditionModel

    from ldmbench.system.registry import resolve
    from ldmbench.systems.latent.configs import audioldm_unet, heads
    from ldmbench.systems.latent.keys import unet_name
    from ldmbench.weights.tensors import fitted

    seeded = name_seeded(options.parity)
    noise = [seeded.noise(f"audioldm/{tag}", 0, dims) for tag, dims in (("x", (2, 8, 16, 16)), ("y", (2, 512)))]
    x, y = map(torch.from_numpy, noise)
    script = Path(__file__).with_name("peer_audioldm2.py")
    for size in ("s", "m", "l"):
        words = [options.peer_python, script, options.audioldm, options.parity, folder, size]
        subprocess.run([str(word) for word in words], check=True)
        theirs = np.load(folder / f"{size}.npy")
        official = {
            f"model.diffusion_model.{key}": dims
            for key, dims in json.loads((folder / f"{size}.json").read_text()).items()
        }
        state = {
            unet_name(key.removeprefix("model.diffusion_model."), 2, 1): value
            for key, value in drawn(seeded, official).items()
        }
        config = audioldm_unet(size)
        each = int(resolve(f"audioldm@{size}-full").settings["head_channels"])
        trained = heads(config["block_out_channels"], each)
        for name, count in ((f"AudioLDM {size}, heads {trained}", trained), (f"AudioLDM {size}, 8 heads", 8)):
            build = partial(UNet2DConditionModel, **{**config, "attention_head_dim": count})
            unet: Any = fitted(build, state, folder)
            made = unet(x, 501, None, class_labels=y).sample
            if count == 8:
                print(f"{name}: {np.abs(made.numpy() - theirs).max():.2g} off", flush=True)
            else:
                table.check(name, made, theirs, allowed=max(5e-5, 1e-5 * float(np.abs(theirs).max())))
        del state, unet


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parity", type=Path)
    parser.add_argument("--work", type=Path, help="where the weights are written")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", type=Path, help="checkout of the authors' code")
    parser.add_argument("--audioldm", type=Path, help="checkout of AudioLDM's code: its U-Nets, and nothing else")
    parser.add_argument("--peer-python", type=Path, default=sys.executable)
    options = parser.parse_args()
    import torch

    from ldmbench.system.registry import load_system, resolve

    torch.set_num_threads(options.threads)
    table = Table(options.parity / "audioldm2")
    with tempfile.TemporaryDirectory(dir=options.work) as scratch, torch.inference_mode():
        folder = Path(scratch)
        if options.audioldm:
            check_first(options, table, folder)
        else:
            check_small(options.parity, table)
            write_folder(options.parity, folder)
            system: Any = load_system(resolve(f"audioldm2@base-original:steps={STEPS},cfg={SCALE}", weights=folder))
            print(f"{system.parameters / 1e6:.1f} M parameters", flush=True)
            check_stages(options.parity, table, system)
            check_ranking(options.parity, table, system)
            if options.peer:
                check_trajectory(options, table, system, folder)
    if outside := table.show():
        raise SystemExit(f"differ: {', '.join(outside)}")


if __name__ == "__main__":
    main()
