"""Judges of speech on sounds at the edges of what they were made for: a value, or no value and the reason."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if any(importlib.util.find_spec(name) is None for name in ("distillmos", "torch")):
    pytest.skip("the extras 'speech' and 'models' are not installed", allow_module_level=True)

from ldmbench.audio.sound import Audio, read
from ldmbench.clips.clip import Clip
from ldmbench.errors import Unscored
from ldmbench.metrics._base import load_metric
from ldmbench.system.protocol import Output
from tests.golden.make_speech_metrics import RECORDING

JUDGES = (
    "dnsmos_ovrl", "dnsmos_p808", "plcmos", "distillmos", "nisqa_mos:untrained=true", "zimtohrli", "warpq", "mcd_world",
    "mcd_world_dtw", "f0_rmse", "vuv_error", "f0_rmse@crepe-tiny", "speaker_similarity_ge2e:untrained=true",
    "speaker_similarity_wavlm:untrained=true", "speaker_similarity_ecapa:untrained=true",
    "audiobox_pq:untrained=true", "scoreq_ref:untrained=true",
    "utmosv2@1pass:untrained=true",
)  # fmt: skip


def edges() -> dict[str, Audio]:
    """Three seconds of the recording as they are, and as few people test them."""
    signal = read(RECORDING).samples[0][:48_000]
    return {
        "plain": Audio.of(signal, 16_000),
        "silent": Audio.of(np.zeros(48_000), 16_000),
        "0.1 s": Audio.of(signal[8_000:9_600], 16_000),
        "stereo": Audio.of(np.stack([signal, 0.5 * signal]), 16_000),
        "8 kHz": Audio.of(signal, 16_000).at(8_000),
        "192 kHz": Audio.of(signal, 16_000).at(192_000),
        "loud": Audio.of(3 * signal, 16_000),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", JUDGES)
def test_there_is_a_value_or_a_reason(name: str) -> None:
    metric = load_metric(name)
    values: dict[str, float | str] = {}
    for edge, sound in edges().items():
        clip = Clip(f"set/{edge}", "set", "speech", loaded=sound)
        try:
            values[edge] = float(metric.measure(clip, Output(Audio.of(0.9 * sound.samples, sound.rate))))
        except Unscored as reason:
            values[edge] = str(reason)
    for edge in ("plain", "stereo", "8 kHz", "192 kHz", "loud"):
        assert isinstance(values[edge], float), (edge, values[edge])
        assert np.isfinite(values[edge])
    assert "silent" in str(values["silent"])
    if isinstance(values["0.1 s"], str):
        assert "s" in values["0.1 s"]
