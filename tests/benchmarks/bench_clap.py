"""LAION-CLAP beside laion_clap itself: embeddings, scores and seconds on ten files, with the same random weights.

Run: ``python tests/benchmarks/bench_clap.py --peer-python PYTHON [--only 630k-audioset-best]``, where PYTHON has
laion-clap 1.1.7, torch, torchaudio, torchvision and transformers (numpy 2 works, against laion-clap's metadata).

The peer writes the checkpoint, in the official layout with all its unused keys, from weights that we drew; both
load it. Nothing of the peer is changed but its dice: where it draws a stretch of a long clip at random, it is made
to draw the one that is taken here. RoBERTa's vocabulary is synthetic, with the official number of tokens. Seconds
are from file to embedding, without loading the model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

CAPTIONS = (
    "A dog barks while rain falls",
    "rain",
    "Ein Hund bellt, während es regnet: naïve café!",
    "a man speaks, then music plays",
    "Wind blows hard and waves crash against a shore " * 20,
    "silence",
    "UPPER CASE, 123 numbers & symbols #@~",
    "two engines rev",
    "a tone",
    "birds chirp in the distance as a train passes by",
)

PEER = r"""
import json, os, sys, time
name, folder = sys.argv[1], sys.argv[2]
os.chdir(folder)
import numpy as np, torch
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
from transformers import RobertaConfig, RobertaModel
if not os.path.exists("roberta-base/config.json"):
    sizes = dict(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
    RobertaModel(RobertaConfig(**sizes)).save_pretrained("roberta-base")
import laion_clap
fusion = "fusion" in name
clap = laion_clap.CLAP_Module(fusion, "cpu", "HTSAT-base" if name.startswith("music") else "HTSAT-tiny")
ours = torch.load(name + ".ours", weights_only=True)
state = clap.model.state_dict()
assert set(ours) <= set(state), set(ours) - set(state)
state.update(ours)
state["text_branch.embeddings.position_ids"] = torch.arange(514)[None]
state = {"module." + key: tensor for key, tensor in state.items()}
torch.save({"epoch": 1, "name": name, "state_dict": state, "lr": np.float64(1e-4)}, name + ".pt")
clap.load_ckpt(name + ".pt", verbose=False)
files = sorted(os.path.join("wav", file) for file in os.listdir("wav"))
captions = json.load(open("captions.json"))
long = [file for file in files if "25s" in file]
dice = np.array([clap.get_audio_embedding_from_filelist(long)[0] for _ in range(4)])
np.random.randint = lambda low, high=None: 0
np.random.choice = lambda values: values[(len(values) - 1) // 2]
clap.get_audio_embedding_from_filelist(files[:1])
start = time.perf_counter()
audio = np.concatenate([clap.get_audio_embedding_from_filelist(files[i:i + 4]) for i in range(0, len(files), 4)])
seconds = [time.perf_counter() - start]
clap.get_text_embedding(captions[:2])
start = time.perf_counter()
text = clap.get_text_embedding(captions)
seconds.append(time.perf_counter() - start)
tokens = [[int(t) for t in clap.tokenize(c, truncation=True, max_length=77)["input_ids"]] for c in captions]
np.savez(name + ".npz", audio=audio, text=text, dice=dice)
print("RESULT" + json.dumps({"seconds": seconds, "tokens": tokens, "unused": len(state) - len(ours)}))
"""


def sounds(folder: Path) -> list[Path]:
    """Ten files: 0.4 s to 25 s, mono and stereo, several rates, silence, and samples beyond full scale."""
    from ldmbench.audio.sound import Audio, write

    random = np.random.default_rng(0)
    cases = [
        ("0.4s", 0.4, 48_000, 1, 0.1), ("3s", 3, 48_000, 1, 0.2), ("3s-stereo-44k", 3, 44_100, 2, 0.2),
        ("10s", 10, 48_000, 1, 0.05), ("10s-16k", 10, 16_000, 1, 0.3), ("10.005s", 10.005, 48_000, 1, 0.1),
        ("10.24s-16k", 10.24, 16_000, 1, 0.1), ("25s-stereo", 25, 48_000, 2, 0.1), ("loud", 10, 48_000, 1, 1.6),
        ("silence", 5, 32_000, 1, 0.0),
    ]  # fmt: skip
    for index, (name, seconds, rate, channels, gain) in enumerate(cases):
        t = np.arange(round(seconds * rate)) / rate
        pitch = 80 * 2 ** (5 * random.random())
        tone = sum(np.sin(2 * np.pi * pitch * k * t * (1 + 0.02 * t)) / k for k in range(1, 9))
        parts = [gain * (tone * (0.6 + 0.4 * np.sin(5 * t)) + 0.1 * random.standard_normal(len(t)))] * 1
        parts += [0.5 * gain * random.standard_normal(len(t)) for _ in range(channels - 1)]
        write(folder / f"{index}-{name}.wav", Audio.of(np.array(parts), rate))
    return sorted(folder.iterdir())


def tokenizer_files(folder: Path) -> None:
    """A synthetic vocabulary of RoBERTa's size: its marks, all bytes, and random merges of what there is."""
    from tokenizers.pre_tokenizers import ByteLevel

    random = np.random.default_rng(0)
    tokens = [*sorted(ByteLevel.alphabet())]
    merges: list[str] = []
    known = set(tokens)
    letters = [letter for letter in tokens if letter.isascii() and letter.islower()] + ["Ġ"]
    while len(known) < 50_265 - 5:
        first, second = (
            letters[i] if random.random() < 0.3 else tokens[min(int(random.exponential(300)), len(tokens) - 1)]
            for i in random.integers(0, len(letters), 2)
        )
        if first + second not in known and len(first + second) < 12:
            known.add(first + second)
            tokens.append(first + second)
            merges.append(f"{first} {second}")
    names = ["<s>", "<pad>", "</s>", "<unk>", *tokens, "<mask>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")


def compare(name: str, folder: Path, peer: str, files: list[Path]) -> dict[str, Any]:
    """Differences and seconds for one checkpoint."""
    import torch

    from ldmbench.audio.sound import read
    from ldmbench.extractors import cache
    from ldmbench.extractors.clap import ARCHITECTURES, load_clap
    from ldmbench.extractors.clap_input import load_tokenizer
    from ldmbench.extractors.clap_weights import random_state

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.save(random_state(ARCHITECTURES[name], seed=1), folder / f"{name}.ours")
    run = subprocess.run([peer, "-c", PEER, name, str(folder)], capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    theirs = json.loads(run.stdout.rpartition("RESULT")[2])
    (folder / f"{name}.ours").unlink()
    arrays = np.load(folder / f"{name}.npz")
    clap = load_clap(name, weights=folder, official=False)
    clap.embed([read(files[0]).fit(1000)])
    clap.embed_text(["warm"])
    cache.forget()
    start = time.perf_counter()
    audio = np.stack([f["embedding"] for f in clap.embed([read(file) for file in files])])
    seconds = [time.perf_counter() - start]
    start = time.perf_counter()
    text = clap.embed_text(CAPTIONS)
    seconds.append(time.perf_counter() - start)
    tokenize, _ = load_tokenizer(folder, official=False)
    (folder / f"{name}.pt").unlink()
    scores, peer_scores = ((a * t).sum(axis=1) for a, t in ((audio, text), (arrays["audio"], arrays["text"])))
    spread = np.linalg.norm(arrays["dice"] - arrays["dice"].mean(axis=0), axis=1).max()
    others = audio @ audio.T
    return {
        "audio": float(np.abs(audio - arrays["audio"]).max()),
        "text": float(np.abs(text - arrays["text"]).max()),
        "scores": float(np.abs(scores - peer_scores).max()),
        "tokens equal": [tokenize(caption) for caption in CAPTIONS] == theirs["tokens"],
        "cosines of different clips": [
            round(float(v), 3) for v in np.quantile(others[~np.eye(10, dtype=bool)], (0, 0.5, 1))
        ],
        "laion_clap's own spread on 25 s": float(spread),
        "seconds a clip": [round(s / len(files), 3) for s in (seconds[0], theirs["seconds"][0])],
        "seconds a caption": [round(s / len(CAPTIONS), 3) for s in (seconds[1], theirs["seconds"][1])],
        "unused keys": theirs["unused"],
    }


def main() -> None:
    """Print one block of numbers for each checkpoint; ours before the peer's."""
    from ldmbench.extractors.clap import CHECKPOINTS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--only", choices=CHECKPOINTS)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        os.environ["LDMBENCH_CACHE"] = str(folder / "cache")
        files = sounds(folder / "wav")
        tokenizer_files(folder / "roberta-base")
        (folder / "captions.json").write_text(json.dumps(CAPTIONS))
        for name in [asked.only] if asked.only else CHECKPOINTS:
            print(name)
            for key, value in compare(name, folder, asked.peer_python, files).items():
                print(f"  {key}: {value}")


if __name__ == "__main__":
    main()
