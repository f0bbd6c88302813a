"""Writes ``audioldm2/``: what the authors' code makes of small U-Nets and samplers filled with weights drawn by a rule.

Run: ``python tests/golden/make_audioldm2.py FOLDER AUDIOLDM2 AUDIOLDM`` with the folder of ``small.npz`` (states of
GPT-2, and U-Nets) and ``scoring.npz`` (CLAP's front end), made by haoheliu/AudioLDM2 b5786c5 in float32 on a CPU, and
clones of github.com/haoheliu/AudioLDM2 at b5786c5 and github.com/haoheliu/AudioLDM at 4054cb4; their imports need
einops. Of the U-Net's output every third value is kept. The trajectories are theirs from noise to waveform: U-Net,
``DDIMSampler``, autoencoder, vocoder. The sizes are small, the code and the names of the tensors theirs.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from make_audioldm_autoencoder import CHANNELS, DDCONFIG
from name_drawn import drawn, noise

UNET = {
    "image_size": 64, "in_channels": 8, "out_channels": 8, "model_channels": 32, "num_head_channels": 8,
    "attention_resolutions": [8, 4, 2], "num_res_blocks": 2, "channel_mult": [1, 2, 3, 5],
    "use_spatial_transformer": True,
}  # fmt: skip
TEXTS = {"context_dim": [768, 1024], "transformer_depth": 1}
FILM = {"extra_film_condition_dim": 512, "extra_film_use_concat": True}

#: Factor of the latents, as of the official checkpoints: the official value is another.
SCALE = 0.5


class Model:
    """What ``DDIMSampler`` asks of a latent diffusion model."""

    parameterization = "eps"
    num_timesteps = 1000

    def __init__(self, unet: Any, call: Any, betas: Any) -> None:
        import torch

        self.unet, self.apply_model = unet, call
        self.device = torch.device("cpu")
        alphas = np.cumprod(1 - betas)
        self.betas = torch.tensor(betas, dtype=torch.float32)
        self.alphas_cumprod = torch.tensor(alphas, dtype=torch.float32)
        self.alphas_cumprod_prev = torch.tensor(np.append(1.0, alphas[:-1]), dtype=torch.float32)


def filled(module: Any, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Fill a module with drawn weights; its keys and shapes."""
    import torch

    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    module.load_state_dict({key: torch.from_numpy(drawn(prefix + key, shape)) for key, shape in shapes.items()})
    module.eval()
    return shapes


def load(package: str, clone: Path, *modules: str) -> list[Any]:
    """Modules of a clone, without the faces of its packages, which import requirements of 2023."""
    for name in (package, f"{package}.latent_diffusion"):
        face = types.ModuleType(name)
        face.__path__ = [str(clone / name.replace(".", "/"))]
        sys.modules[name] = face
    sys.modules.setdefault("progressbar", types.ModuleType("progressbar"))
    return [importlib.import_module(f"{package}.{name}") for name in modules]


def sampled(ddim: Any, model: Model, tag: str, shape: tuple[int, ...], steps: int, scale: float, *told: Any) -> Any:
    """Latents after ``steps`` of their sampler, told by ``told[0]`` against ``told[1]``."""
    import torch

    drawn_steps: Iterator[int] = count(1)
    ddim.noise_like = lambda size, *_: torch.from_numpy(noise(tag, next(drawn_steps), tuple(size)))
    sampler = ddim.DDIMSampler(model) if tag == "film" else ddim.DDIMSampler(model, device=model.device)
    sampler.register_buffer = lambda name, value: setattr(sampler, name, value)
    latents, _ = sampler.sample(
        steps, 1, shape, told[0], eta=1.0, verbose=False, x_T=torch.from_numpy(noise(tag, 0, (1, *shape))),
        unconditional_guidance_scale=scale, unconditional_conditioning=told[1],
    )  # fmt: skip
    return latents


def main(folder: Path, second: Path, first: Path) -> None:
    """Build, fill, run, write."""
    import torch

    torch.set_grad_enabled(False)
    unets2, ddim2, util = load(
        "audioldm2", second, "latent_diffusion.modules.diffusionmodules.openaimodel", "latent_diffusion.models.ddim",
        "latent_diffusion.modules.diffusionmodules.util",
    )  # fmt: skip
    unets1, ddim1 = load("audioldm", first, "latent_diffusion.openaimodel", "latent_diffusion.ddim")
    (utilities, autoencoder) = load("audioldm", first, "hifigan.utilities", "variational_autoencoder.autoencoder")
    utilities.HIFIGAN_16K_64["upsample_initial_channel"] = CHANNELS
    vae: Any = autoencoder.AutoencoderKL(ddconfig=DDCONFIG, embed_dim=8)
    keys = {"first_stage_model." + key: shape for key, shape in filled(vae).items()}
    betas = util.make_beta_schedule("linear", 1000, 0.0015, 0.0195)
    stored = dict(np.load(folder / "small.npz"))
    arrays = {"unet_base": stored["unet_base"].ravel()[::3], "gpt_13": stored["gpt_13"], "gpt_5": stored["gpt_5"]}
    arrays["logmel"] = np.load(folder / "scoring.npz")["logmel"]

    def finish(latents: Any, name: str) -> None:
        mel = vae.decode(latents / SCALE)
        arrays[f"{name}_latent"] = latents.numpy()
        arrays[f"{name}_wave"] = vae.vocoder(mel.squeeze(1).permute(0, 2, 1)).numpy()[0, 0, ::3]

    unet: Any = unets2.UNetModel(**UNET, **TEXTS)
    keys |= {"texts." + key: shape for key, shape in filled(unet, "model.diffusion_model.").items()}
    told = [
        torch.from_numpy(noise("texts_ctx", index, shape)) for index, shape in enumerate(((1, 8, 768), (1, 13, 1024)))
    ]
    # Their unconditional branch: eight zeros, and one token of FLAN-T5.
    untold = [torch.zeros(1, 8, 768), torch.from_numpy(noise("texts_ctx", 2, (1, 1, 1024)))]
    pair = [{"states": states, "masks": [torch.ones(value.shape[:2]) for value in states]} for states in (told, untold)]

    def call(x: Any, t: Any, c: Any) -> Any:
        return unet(x, t, context_list=c["states"], context_attn_mask_list=c["masks"])

    for scale in (3.5, 0.5):
        latents = sampled(ddim2, Model(unet, call, betas), "texts", (8, 16, 16), 4, scale, *pair)
        finish(latents, f"texts_{scale}")

    film: Any = unets1.UNetModel(**UNET, **FILM)
    keys |= {"film." + key: shape for key, shape in filled(film, "model.diffusion_model.").items()}
    labels = [torch.from_numpy(noise("film_y", index, (1, 512))) for index in range(2)]
    model = Model(film, lambda x, t, c: film(x, t, y=c), betas)
    finish(sampled(ddim1, model, "film", (8, 16, 16), 4, 2.5, *labels), "film_2.5")
    place = Path(__file__).with_name("audioldm2")
    place.mkdir(exist_ok=True)
    np.savez_compressed(place / "small.npz", **arrays)
    (place / "keys.txt").write_text(
        "\n".join(f"{key} {'x'.join(map(str, shape))}" for key, shape in keys.items()) + "\n"
    )
    print({name: (value.shape, float(np.abs(value).max())) for name, value in arrays.items()})


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:]))
