"""EnCodec and DAC beside their authors' packages, in full size at every rate, on the same seeded weights.

    python tests/benchmarks/bench_neural_codecs.py --seconds 2

The packages run in an environment of their own, which this script makes with uv; ``--peer-python`` names one that is
there. For each model and rate: whether all tokens are equal, the largest difference of the sound, bits against the
claimed rate, and seconds to encode and decode, theirs and ours, each on one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from ldmbench.audio.sound import Audio
from ldmbench.system.codec import Codec
from ldmbench.system.environment import Environment, make_environment
from ldmbench.system.registry import load_system, resolve

PACKAGES = ("encodec==0.1.1", "descript-audio-codec==1.0.0", "torch==2.11.0", "torchaudio==2.11.0")

#: As the peer is asked -> our name.
CASES = {
    **{f"encodec/24khz/{kbps:g}": f"encodec@{kbps:g}kbps" for kbps in (1.5, 3, 6, 12, 24)},
    **{f"encodec/48khz/{kbps:g}": f"encodec@48khz-{kbps:g}kbps" for kbps in (3, 6, 12, 24)},
    "dac/16khz/1": "dac@16khz-0.5kbps", "dac/16khz/12": "dac@16khz-6kbps", "dac/24khz/32": "dac@24khz-24kbps",
    "dac/44khz/9": "dac@44khz-7.75kbps", "dac/44khz-16kbps/18": "dac@44khz-16kbps",
}  # fmt: skip


def row(label: str, name: str, folder: Path) -> str:
    """One line of the table; the peer has run."""
    with np.load(folder / f"{label.replace('/', '_')}.npz") as archive:
        theirs = dict(archive)
    system = load_system(resolve(name, weights=folder))
    assert isinstance(system, Codec)
    audio = Audio(theirs["sound"].astype(np.float32), system.rate)
    start = time.perf_counter()
    stream = system.encode(audio)
    middle = time.perf_counter()
    wave = system.decode(stream).samples
    end = time.perf_counter()
    assert stream.tokens is not None
    equal = int((stream.tokens == theirs["tokens"]).sum()) if stream.tokens.shape == theirs["tokens"].shape else 0
    # DAC's decoder at 16 and 24 kHz gives 8 samples less than the clip has; ours ends with zeros there.
    short = wave.shape[1] - theirs["wave"].shape[1]
    far = np.abs(wave - np.pad(theirs["wave"], ((0, 0), (0, short)))).max()
    rate = stream.bits / audio.duration / 1000
    spent = f"{theirs['spent'][0]:.2f} / {middle - start:.2f} | {theirs['spent'][1]:.2f} / {end - middle:.2f}"
    nominal = stream.nominal_kbps
    return f"| {name} | {equal} of {stream.tokens.size} | {far:.1e} | {nominal:.2f} | {rate:.2f} | {spent} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="Length of the clip.")
    parser.add_argument("--peer-python", default="", help="Python of an environment with both packages.")
    parser.add_argument(
        "cases", nargs="*", default=list(CASES), help="Such as encodec/24khz/6; all where none is named."
    )
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    python = options.peer_python
    if not python:
        environment = Environment(python="3.11", packages=PACKAGES)
        python = str(make_environment("the packages", environment, Path()) / "bin" / "python")
    print("| | tokens equal | sound differs by | kbps claimed | packed | encode s, theirs / ours | decode s |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        for label in options.cases:
            peer = str(Path(__file__).with_name("peer_neural_codecs.py"))
            subprocess.run([python, "-W", "ignore", peer, work, str(options.seconds), "1", label], check=True)
            print(row(label, CASES[label], Path(work)), flush=True)


if __name__ == "__main__":
    main()
