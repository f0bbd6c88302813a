"""AudioLDM 2's authors' code for bench_audioldm2.py: one trajectory from the states of their encoders to a waveform.

Run by the peers' Python: ``python peer_audioldm2.py CHECKOUT PARITY FOLDER STEPS SCALE FRAMES``. FOLDER holds
``audioldm2-full.pth`` and is given ``theirs.npz``. Their U-Net, ``DDIMSampler``, autoencoder and vocoder run as they
are; the noise of the sampler comes by name, and the faces of their packages, with imports of 2023, are left out.
"""

from __future__ import annotations

import importlib
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


def modules(checkout: Path, *names: str) -> list[Any]:
    """Modules of the checkout."""
    for package in ("audioldm2", "audioldm2.utilities"):
        face = types.ModuleType(package)
        face.__path__ = [str(checkout / package.replace(".", "/"))]
        sys.modules[package] = face
    return [importlib.import_module(f"audioldm2.{name}") for name in names]


def below(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The part of a checkpoint below ``prefix``."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def main(checkout: Path, parity: Path, folder: Path, steps: int, scale: float, frames: int) -> None:
    """Sample, decode, write."""
    import torch

    torch.set_grad_enabled(False)
    openaimodel, ddim, diffusion, encoders, utilities = modules(
        checkout, "latent_diffusion.modules.diffusionmodules.openaimodel", "latent_diffusion.models.ddim",
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
    main(
        Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6])
    )
