"""Writes msclap.json: embeddings and tokens by msclap's own branches, in small, with our seeded random weights.

Run with a Python that has msclap 1.3.4, torchlibrosa, torch, torchaudio and transformers:
``PYTHONPATH=. PYTHON tests/golden/make_msclap.py``. The audio branch is msclap's ``HTSAT_Swin_Transformer`` of a few
channels, the text branch its ``TextEncoder`` around a small GPT-2; sounds and captions go through ``CLAPWrapper``.
Where it draws at random, it is made to draw the beginning. Tokens are those of transformers' ``GPT2Tokenizer`` with
msclap's padding, its vocabulary and merges made of the byte pairs in Whisper's package.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np

GOLDEN = Path(__file__).with_name("msclap.json")
SMALL: dict[str, Any] = {
    "width": 16, "depths": (2, 2, 2, 2), "heads": (1, 2, 4, 8), "text_width": 32, "text_layers": 2, "text_heads": 2,
    "vocabulary": 50_257, "joint": 24,
}  # fmt: skip

#: Name -> seconds, rate in Hz, gain. All are mono: msclap puts channels one behind the other.
SOUNDS = {
    "short": (0.4, 44_100, 0.2),
    "seven seconds": (7.0, 44_100, 0.05),
    "loud": (7.5, 16_000, 1.6),
    "long": (20.0, 48_000, 0.1),
    "silence": (5.0, 44_100, 0.0),
}

CAPTIONS = (
    "a dog barks at the rain",
    "Rain!! Stop it ! now",
    'naïve café, 12,345 "quoted"  two  spaces ',
    "it's a man's voice, they'll sing\non the next line",
    "<|endoftext|> in the middle 🎵",
)


def sound(name: str) -> np.ndarray:
    """Samples ``[1, time]`` of one of ``SOUNDS``."""
    seconds, rate, gain = SOUNDS[name]
    noise = np.random.default_rng(len(name)).standard_normal(round(seconds * rate))
    t = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * (200 + 90 * len(name)) * k * t * (1 + 0.02 * t)) / k for k in range(1, 7))
    return np.array(gain * (tone * (0.6 + 0.4 * np.sin(5 * t)) + 0.1 * noise), np.float32)[None]


def tokenizer() -> Any:
    """GPT-2's tokeniser at transformers, its files made of byte pairs."""
    import whisper
    from transformers import GPT2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    path = Path(whisper.__file__).parent / "assets" / "gpt2.tiktoken"
    lines = [line.split() for line in path.read_bytes().splitlines()]
    ranks = {base64.b64decode(pair): int(rank) for pair, rank in lines}
    letters = bytes_to_unicode()

    def written(pair: bytes) -> str:
        return "".join(letters[byte] for byte in pair)

    merges = []
    for pair, rank in ranks.items():
        parts = [bytes([byte]) for byte in pair]
        while len(parts) > 2:
            ranked = [(ranks.get(a + b, rank), i) for i, (a, b) in enumerate(pairwise(parts))]
            lowest, i = min(ranked)
            assert lowest < rank
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges.append((written(parts[0]), written(parts[1])))
    vocabulary = {**{written(pair): rank for pair, rank in ranks.items()}, "<|endoftext|>": 50_256}
    made = cast(Any, GPT2Tokenizer)(vocabulary, merges)
    made.add_special_tokens({"pad_token": "!"})
    return made


def peer() -> tuple[Any, Any]:
    """msclap's wrapper around a small model with our weights, and its tokeniser."""
    import msclap
    import torch
    from msclap.CLAPWrapper import CLAPWrapper
    from msclap.models import clap, config
    from msclap.models.htsat import HTSAT_Swin_Transformer
    from transformers import GPT2Config, GPT2Model

    from ldmbench.extractors.msclap_weights import Architecture, random_state

    small = Architecture(**SMALL)
    gpt2 = GPT2Config(n_embd=small.text_width, n_layer=small.text_layers, n_head=small.text_heads)
    clap.AutoModel = argparse.Namespace(from_pretrained=lambda name: GPT2Model(gpt2))
    wide = 8 * small.width
    model = clap.CLAP("HTSAT", 44_100, 1024, 320, 64, 50, 8000, 527, wide, "gpt2", small.text_width, small.joint)
    model.audio_encoder.base.htsat = HTSAT_Swin_Transformer(
        embed_dim=small.width, depths=small.depths, num_heads=small.heads, config=config
    )
    ours = random_state(small, seed=3)
    assert set(ours) <= set(model.state_dict()), sorted(set(ours) - set(model.state_dict()))
    model.load_state_dict({**model.state_dict(), **ours})
    wrapper = CLAPWrapper.__new__(CLAPWrapper)
    wrapper.args = wrapper.read_config_as_args(str(Path(msclap.__file__).parent / "configs" / "config_2023.yml"))
    wrapper.use_cuda, wrapper.clap, wrapper.token_keys = False, model.eval(), ["input_ids", "attention_mask"]
    wrapper.np_str_obj_array_pattern = re.compile(r"[SaUO]")
    wrapper.tokenizer = tokenizer()
    if not hasattr(wrapper.tokenizer, "encode_plus"):  # transformers 5 calls it __call__
        type(wrapper.tokenizer).encode_plus = lambda self, **how: self(**how)
    # Decoding files is torchcodec's with newer torchaudio: samples instead.
    wrapper.read_audio = lambda name, resample: _resampled(sound(name), SOUNDS[name][1])
    torch.set_num_threads(1)
    return wrapper, wrapper.tokenizer


def _resampled(samples: np.ndarray, rate: int) -> tuple[Any, int]:
    """As ``CLAPWrapper.read_audio`` after the file is decoded."""
    import torch
    from torchaudio.transforms import Resample

    signal = torch.tensor(samples)
    return (signal if rate == 44_100 else Resample(rate, 44_100)(signal)), 44_100


def main() -> None:
    """Compute and write."""
    # Where a long sound is cut is drawn at random there.
    setattr(random, "randrange", lambda stop: 0)  # noqa: B010
    wrapper, words = peer()
    sounds = [wrapper.get_audio_embeddings([name])[0].numpy() for name in SOUNDS]
    captions = wrapper.get_text_embeddings(list(CAPTIONS)).numpy()
    golden = {
        "source": "msclap 1.3.4, CLAPWrapper.get_audio_embeddings and get_text_embeddings; transformers, GPT2Tokenizer",
        "sounds": dict(zip(SOUNDS, _rounded(sounds), strict=True)),
        "captions": _rounded(captions),
        "tokens": [words(f"{caption} <|endoftext|>")["input_ids"] for caption in CAPTIONS],
    }
    text = json.dumps(golden, indent=1)
    GOLDEN.write_text(re.sub(r"\s*\n\s*(?=[-\d\]])", " ", text) + "\n")


def _rounded(rows: Any) -> list[list[float]]:
    return [[round(float(value), 6) for value in row] for row in rows]


if __name__ == "__main__":
    main()
