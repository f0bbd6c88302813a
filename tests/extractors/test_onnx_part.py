"""Parts of an ONNX file: what they compute beside the whole, and what cannot be cut out."""

from __future__ import annotations

import numpy as np
import pytest

from ldmbench.extractors import plcmos
from ldmbench.extractors.onnx import load_network
from ldmbench.extractors.onnx_part import part
from ldmbench.weights.packaged import packaged


def test_both_parts_of_a_network_give_what_the_whole_gives() -> None:
    """PLCMOS, whose sound is heard once for all raters: the same digits as with the whole network for each."""
    draw = np.random.default_rng(0)
    signal = (0.1 * draw.standard_normal(8000)).astype(np.float32)
    whole = load_network(packaged("speechmos", plcmos._FILE, plcmos._SHA256))
    heard = plcmos.log_power(signal)[None, None]
    raters = np.random.RandomState(3).normal(size=(plcmos.RATERS, 1, 64)).astype(np.float32)
    each = [float(whole({"degraded_audio": heard, "rater_embed": rater})[0].ravel()[0]) for rater in raters]
    assert plcmos.plcmos(signal, seed=3)["plcmos"] == sum(each) / plcmos.RATERS
    assert np.std(each) > 0.01


def test_a_part_that_lacks_an_input_is_refused() -> None:
    model = packaged("speechmos", plcmos._FILE, plcmos._SHA256).read_bytes()
    with pytest.raises(ValueError, match="also needs \\['rater_embed'\\]"):
        part(model, ["degraded_audio"], ["plcmos"])
    small = part(model, plcmos._RATERS[0], plcmos._RATERS[1])
    assert len(small) + len(part(model, *plcmos._EAR)) == pytest.approx(len(model), rel=0.01)
