"""Time and memory of text-to-audio systems in full size with random weights, one clip of 10.24 s in this process.

Run: ``python tests/benchmarks/bench_text_to_audio.py audioldm@s-full-v2:steps=2 [--threads 2] [--batch 1]``
"""

from __future__ import annotations

import argparse
import resource
import time


def main() -> None:
    """Print parameters, seconds to build and to generate, seconds per step, and the largest resident set."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()

    import torch

    from ldmbench.clips.clip import Clip
    from ldmbench.system.registry import load_system, resolve

    torch.set_num_threads(options.threads)
    spec = resolve(options.name, options.device, untrained=True)
    start = time.perf_counter()
    system = load_system(spec)
    built = time.perf_counter() - start
    clips = [Clip(id=f"x/{n}", dataset="x", text="a dog barks", seed=n) for n in range(options.batch)]
    start = time.perf_counter()
    outputs = list(system.process(clips))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    count = getattr(system, "parameters", 0) / 1e6
    sound = outputs[0].audio
    assert sound is not None
    print(f"{spec.label}, batch {options.batch}, {options.threads} threads on {options.device}")
    print(f"{count:.1f} M parameters, built in {built:.1f} s, generated in {seconds:.1f} s, peak RSS {peak:.2f} GiB")
    print(f"{sound.duration:.2f} s at {sound.rate} Hz, standard deviation {sound.samples.std():.4f}")


if __name__ == "__main__":
    main()
