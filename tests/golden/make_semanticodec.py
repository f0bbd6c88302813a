"""Cut the goldens of SemantiCodec out of the reference implementation's arrays.

Run: ``python tests/golden/make_semanticodec.py FOLDER`` with the folder that ``bench_semanticodec.py --parity`` takes.
The arrays were made by haoheliu/SemantiCodec-inference 7c05d42 with weights drawn by rule from tensor names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import soundfile

HERE = Path(__file__).resolve().parent / "semanticodec"


def main(parity: Path) -> None:
    """Write ``geometry.json`` and ``stages.npz``."""
    source = parity / "semanticodec"
    rows = json.loads((source / "geometry.json").read_text())
    (HERE / "geometry.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    common, joined = np.load(source / "common.npz"), np.load(source / "overlap_add.npz")
    kept = {
        "input": soundfile.read(source / "input.wav", dtype="int16")[0],
        "fbank": common["fbank"][::8],
        "active_frames": common["active_frames"],
        "pos_embed": common["pos_embed"],  # [::16, ::8]
        "audiomae": common["audiomae"][::4, ::4],  # [::16, ::16]
        "overlap_add": joined["overlap_add"][::2],  # 148000:328000:18
    }
    for rate in (100, 50, 25):
        stored = np.load(source / f"rate{rate}.npz")
        kept |= {f"{name}_{rate}": stored[name] for name in ("tokens", "semantic_margin", "acoustic_margin")}
    stored = np.load(source / "rate100.npz")
    kept |= {"unet_out": stored["unet_out"][:, :, ::8], "ddim_t": stored["ddim_t"], "context_pe": stored["context_pe"]}
    kept |= {"ddim_x": stored["ddim_x"][:, :, ::16], "decode_wav": stored["decode_wav"][::16]}
    np.savez_compressed(HERE / "stages.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
