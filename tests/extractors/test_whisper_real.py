"""Whisper tiny.en with its trained weights, on a recording whose words are known, clean and through codecs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("whisper") is None:
    pytest.skip("openai-whisper is not installed", allow_module_level=True)

from ldmbench.audio.sound import read
from ldmbench.clips.clip import Clip
from ldmbench.extractors.whisper import _dimensions
from ldmbench.metrics._base import DeviceMetric, load_metric
from ldmbench.system.protocol import Output
from ldmbench.system.registry import load_system, resolve
from tests.extractors import ct2
from tests.golden.make_speech_metrics import RECORDING

#: 22 words.
TEXT = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint in OpenAI's layout, of the same float16 numbers."""
    import torch

    folder = tmp_path_factory.mktemp("whisper")
    state = {name: torch.from_numpy(np.array(value)) for name, value in ct2.official(ct2.fetch(folder)).items()}
    torch.save({"dims": _dimensions("tiny_en"), "model_state_dict": state}, folder / "tiny.en.pt")
    return folder


@pytest.mark.slow
def test_words_are_heard_and_codecs_are_put_in_order(weights: Path) -> None:
    """Edits in 22 words: none in the recording and at 24 and 12 kbps, one at 6, four in Codec 2 at 0.7."""
    clip = Clip("set/jfk", "set", "speech", text=TEXT, language="en", loaded=read(RECORDING))
    outputs = [Output(clip.audio)]
    for name in ("opus@24kbps", "opus@12kbps", "opus@6kbps", "codec2@0.7kbps"):
        outputs += load_system(resolve(name)).process([clip])
    metric = load_metric("wer_whisper_tiny_en:official=false")
    assert isinstance(metric, DeviceMetric)
    metric.configure("cpu", weights)
    edits, words = np.array(metric.measure_batch([clip] * len(outputs), outputs)).T
    assert set(words) == {22}
    clean, high, middle, low, lowest = edits / 100
    assert clean == high == middle == 0
    assert 1 <= low < lowest
