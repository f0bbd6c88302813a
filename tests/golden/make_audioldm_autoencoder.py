"""Writes audioldm_autoencoder.json: what AudioLDM's own autoencoder and vocoder make of weights drawn by a rule.

Run: ``python tests/golden/make_audioldm_autoencoder.py CLONE`` with a clone of github.com/haoheliu/AudioLDM at
4054cb4 (its imports need einops and progressbar). The sizes are small, the code and the names of the tensors theirs.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

from name_drawn import drawn

DDCONFIG = {
    "double_z": True, "z_channels": 8, "resolution": 256, "downsample_time": False, "in_channels": 1, "out_ch": 1,
    "ch": 32, "ch_mult": [1, 2, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
}  # fmt: skip
CHANNELS = 64


def main(clone: Path) -> None:
    """Build, fill, run, write."""
    import torch

    sys.path.insert(0, str(clone))
    # The package's own __init__ imports all of AudioLDM, with requirements of 2023.
    package = types.ModuleType("audioldm")
    package.__path__ = [str(clone / "audioldm")]
    sys.modules["audioldm"] = package
    from audioldm.hifigan import utilities
    from audioldm.variational_autoencoder.autoencoder import AutoencoderKL

    utilities.HIFIGAN_16K_64["upsample_initial_channel"] = CHANNELS
    model: Any = AutoencoderKL(ddconfig=DDCONFIG, embed_dim=8).eval()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict({key: torch.from_numpy(drawn(key, shape)) for key, shape in shapes.items()})
    with torch.no_grad():
        mel = model.decode(torch.from_numpy(drawn("z", (1, 8, 8, 16)) * 8))
        posterior = model.encode(torch.from_numpy(drawn("mel", (1, 1, 32, 64)) * 45 - 5))
        wave = model.vocoder(mel.squeeze(1).permute(0, 2, 1))
    content = {
        "source": "haoheliu/AudioLDM 4054cb4",
        "ddconfig": DDCONFIG,
        "shapes": shapes,
        "mel": mel.flatten()[::5].tolist(),
        "mean": posterior.mean.flatten()[::3].tolist(),
        "std": posterior.std.flatten()[::3].tolist(),
        "wave": wave.flatten()[::11].tolist(),
    }
    path = Path(__file__).with_name("audioldm_autoencoder.json")
    path.write_text(json.dumps(content) + "\n")
    print(path, mel.shape, float(mel.std()), wave.shape, float(wave.std()))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
