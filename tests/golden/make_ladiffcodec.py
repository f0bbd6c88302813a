"""Cut the goldens of LaDiffCodec out of the reference implementation's arrays.

Run: ``python tests/golden/make_ladiffcodec.py FOLDER`` with the folder that ``bench_ladiffcodec.py --parity`` takes.
The arrays were made by haiciyang/LaDiffCodec 1e2d6a0 with weights drawn by rule from tensor names; the U-Net's first
level is 32 channels wide.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile

HERE = Path(__file__).resolve().parent / "ladiffcodec"


def main(parity: Path) -> None:
    """Write ``stages.npz``."""
    source = parity / "ladiffcodec"
    codec, latent = np.load(source / "codec.npz"), np.load(source / "dim32.npz")
    kept = {
        "input": soundfile.read(source / "input.wav", dtype="int16")[0],
        "encoder_out": codec["encoder_out"][::4],
        "alphas_cumprod": latent["alphas_cumprod"],
    }
    for rate in ("kbps1p5", "kbps3p0"):
        kept |= {f"{rate}_{name}": codec[f"{rate}_{name}"] for name in ("codes", "margin")}
        kept |= {f"{rate}_condition": codec[f"{rate}_condition"][::8]}
        kept |= {f"{rate}_decoded_wav": codec[f"{rate}_decoded_wav"][::8]}
    # Stored ::2, ::4 or ::4, ::4; kept of the whole array: ::16, ::16.
    for name in ("cont_latent", "condition_up"):
        kept[name] = latent[name][::4, ::4]
    for name in ("unet_out", "p_sample_t500", "p_sample_t500_x0", "halfway4_latent", "infilling4_latent"):
        kept[name] = latent[name][::8, ::4]
    kept["halfway100_latent"] = latent["halfway100_latent"][::8, ::4]
    kept |= {name: latent[name][::8] for name in ("cont_decoded_wav", "halfway4_wav")}
    HERE.mkdir(exist_ok=True)
    np.savez_compressed(HERE / "stages.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
