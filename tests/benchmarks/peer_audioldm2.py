"""AudioLDM's authors' code for bench_audioldm2.py: a trajectory of AudioLDM 2, or the U-Nets of AudioLDM.

Run by the peers' Python: ``python peer_audioldm2.py CHECKOUT PARITY FOLDER STEPS SCALE FRAMES``. FOLDER holds
``audioldm2-full.pth`` and is given ``theirs.npz``: from the states of their encoders to the waveform. Or
``python peer_audioldm2.py CHECKOUT PARITY FOLDER SIZE`` with AudioLDM's checkout and ``s``, ``m`` or ``l``: its keys
and one evaluation. Their modules run as they are; weights and noise come by name, and the faces of their packages, with
imports of 2023, are left out.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from _parity import name_seeded

UNET = {
    "image_size": 64, "context_dim": [768, 1024], "in_channels": 8, "out_channels": 8, "model_channels": 128,
    "attention_resolutions": [8, 4, 2], "num_res_blocks": 2, "channel_mult": [1, 2, 3, 5], "num_head_channels": 32,
    "use_spatial_transformer": True, "transformer_depth": 1,
}  # fmt: skip
VAE = {
    "double_z": True, "mel_bins": 64, "z_channels": 8, "resolution": 256, "downsample_time": False, "in_channels": 1,
    "out_ch": 1, "ch": 128, "ch_mult": [1, 2, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0,
}  # fmt: skip


#: AudioLDM's U-Net: channels, and those of a head. Source: haoheliu/AudioLDM, ``default_audioldm_config``.
FIRST = {"s": (128, 32), "m": (192, 32), "l": (256, 64)}


def modules(checkout: Path, package: str, *names: str) -> list[Any]:
    """Modules of the checkout."""
    for part in (package, f"{package}.utilities", f"{package}.latent_diffusion"):
        face = types.ModuleType(part)
        face.__path__ = [str(checkout / part.replace(".", "/"))]
        sys.modules[part] = face
    sys.modules.setdefault("progressbar", types.ModuleType("progressbar"))
    return [importlib.import_module(f"{package}.{name}") for name in names]


def first_unet(checkout: Path, parity: Path, folder: Path, size: str) -> None:
    """AudioLDM's U-Net of one size, filled by name: its keys and shapes, and one evaluation."""
    import torch

    torch.set_grad_enabled(False)
    (openaimodel,) = modules(checkout, "audioldm", "latent_diffusion.openaimodel")
    channels, head = FIRST[size]
    shape = {key: value for key, value in UNET.items() if key not in ("context_dim", "transformer_depth")}
    shape |= {"model_channels": channels, "num_head_channels": head}
    unet = openaimodel.UNetModel(**shape, extra_film_condition_dim=512, extra_film_use_concat=True).eval()
    seeded = name_seeded(parity)
    shapes = {key: tuple(value.shape) for key, value in unet.state_dict().items()}
    for key, value in unet.state_dict().items():
        value.copy_(torch.from_numpy(seeded.tensor(f"model.diffusion_model.{key}", tuple(value.shape))))
    x, y = (seeded.noise(f"audioldm/{tag}", 0, dims) for tag, dims in (("x", (2, 8, 16, 16)), ("y", (2, 512))))
    made = unet(torch.from_numpy(x), torch.tensor([501, 501]), y=torch.from_numpy(y))
    (folder / f"{size}.json").write_text(json.dumps(shapes))
    np.save(folder / f"{size}.npy", made.numpy())


def below(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The part of a checkpoint below ``prefix``."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def main(checkout: Path, parity: Path, folder: Path, steps: int, scale: float, frames: int) -> None:
    """Sample, decode, write."""
    import torch

    torch.set_grad_enabled(False)
    openaimodel, ddim, diffusion, encoders, utilities = modules(
        checkout, "audioldm2", "latent_diffusion.modules.diffusionmodules.openaimodel", "latent_diffusion.models.ddim",
        "latent_diffusion.modules.diffusionmodules.util", "latent_diffusion.modules.diffusionmodules.model",
        "utilities.model",
    )  # fmt: skip
    state = torch.load(folder / "audioldm2-full.pth", map_location="cpu", mmap=True, weights_only=True)["state_dict"]
    unet = openaimodel.UNetModel(**UNET).eval()
    unet.load_state_dict(below(state, "model.diffusion_model."))
    stored = dict(np.load(parity / "audioldm2/conditioning.npz"))
    told, untold = (
        {"states": states, "masks": [torch.ones(value.shape[:2]) for value in states]}
        for states in (
            [torch.from_numpy(stored[key]) for key in ("p1_gpt", "p1_t5")],
            [torch.zeros(1, 8, 768), torch.from_numpy(stored["u_t5"])],
        )
    )
    betas = diffusion.make_beta_schedule("linear", 1000, 0.0015, 0.0195)
    alphas = np.cumprod(1 - betas)

    class Model:
        parameterization, num_timesteps, device = "eps", 1000, torch.device("cpu")
        betas = torch.tensor(1 - np.exp(np.diff(np.log(np.append(1.0, alphas)))), dtype=torch.float32)
        alphas_cumprod = torch.tensor(alphas, dtype=torch.float32)
        alphas_cumprod_prev = torch.tensor(np.append(1.0, alphas[:-1]), dtype=torch.float32)

        def apply_model(self, x: Any, t: Any, c: Any) -> Any:
            return unet(x, t, context_list=c["states"], context_attn_mask_list=c["masks"])

    seeded, draws = name_seeded(parity), count(1)

    def noise(index: int, shape: tuple[int, ...]) -> Any:
        return torch.from_numpy(seeded.noise("audioldm2/steps", index, shape))

    ddim.noise_like = lambda shape, *_: noise(next(draws), tuple(shape))
    sampler = ddim.DDIMSampler(Model(), device=Model.device)
    latents, _ = sampler.sample(
        steps, 1, (8, frames, 16), told, eta=1.0, verbose=False, x_T=noise(0, (1, 8, frames, 16)),
        unconditional_guidance_scale=scale, unconditional_conditioning=untold,
    )  # fmt: skip
    # Of their autoencoder the decoder and its first convolution: its class asks for what only training needs.
    first = below(state, "first_stage_model.")
    decoder, quant = encoders.Decoder(**VAE).eval(), torch.nn.Conv2d(8, 8, 1)
    decoder.load_state_dict(below(first, "decoder."))
    quant.load_state_dict(below(first, "post_quant_conv."))
    vocoder = utilities.get_vocoder(None, "cpu", 64)
    vocoder.load_state_dict(below(first, "vocoder."))
    mel = decoder(quant(latents / state["scale_factor"]))
    wave = vocoder.eval()(mel.squeeze(1).permute(0, 2, 1))
    np.savez(folder / "theirs.npz", latent=latents.numpy(), wave=wave.numpy()[:, 0])


if __name__ == "__main__":
    place, fixtures, target = map(Path, sys.argv[1:4])
    if len(sys.argv) == 5:
        first_unet(place, fixtures, target, sys.argv[4])
    else:
        main(place, fixtures, target, int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
