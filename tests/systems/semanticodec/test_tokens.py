from __future__ import annotations

import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ldmbench.systems.semanticodec import audiomae as audiomae
from ldmbench.systems.semanticodec import tokens as coding


def test_counts_equal_the_reference_at_every_length(official: SimpleNamespace) -> None:
    rows = json.loads((official.folder / "geometry.json").read_text())
    assert len(rows) > 20
    for row in rows:
        shape = coding.Geometry(100 // row["rate"])
        count = shape.tokens(row["samples"])
        assert count == row["tokens"], row
        assert coding.windows(row["samples"]) * 1024 == row["fbank_frames"], row
        assert [end - start for start, end in shape.spans(count)] == row["decode_windows"], row


@pytest.mark.parametrize("stack", [1, 2, 4])
def test_windows_overlap_by_0_64_s_and_cover_every_token(stack: int) -> None:
    shape = coding.Geometry(stack)
    for count in [1, shape.length, shape.length + 1, 3 * shape.length, 5 * shape.length + 7]:
        spans = shape.spans(count)
        assert set().union(*(range(start, end) for start, end in spans)) == set(range(count))
        for (_, end), (start, _) in itertools.pairwise(spans):
            assert (end - start) * 0.02 * stack == pytest.approx(0.64)


def test_filterbank_and_its_last_frame_equal_the_reference(official: SimpleNamespace) -> None:
    banks = coding.banks(torch.from_numpy(official.golden["input"] / np.float32(32768)))
    assert banks.shape == (1, 1024, 128)
    np.testing.assert_allclose(banks[0, ::8].numpy(), official.golden["fbank"], atol=1e-5)
    assert coding.active_frames(banks[0]) == official.golden["active_frames"][0] == 255
    for stack, cut in ((1, 128), (2, 64), (4, 32)):
        assert math.ceil(512 // stack * 255 / 1024) == cut


def test_frames_of_silence_are_no_sound() -> None:
    silence = coding.banks(torch.zeros(4000))[0]
    assert coding.active_frames(silence) == 0
    one, two, full = (torch.zeros(1024, 128) for _ in range(3))
    one[300, 5] = two[300, 5] = two[100, 3] = 1.0
    full[:, 0] = 1.0
    # One frame counts as none, as in the reference.
    assert (coding.active_frames(one), coding.active_frames(two), coding.active_frames(full)) == (0, 301, 1024)
    # The rounding of a float32 mean must not make a constant frame into sound.
    assert coding.active_frames(torch.full((1024, 128), -1.2751079797744751)) == 0


def test_position_tables_equal_the_reference(official: SimpleNamespace) -> None:
    np.testing.assert_allclose(audiomae.positions()[0, ::16, ::8], official.golden["pos_embed"], atol=1e-6)
    np.testing.assert_allclose(coding.position_table(64), official.golden["context_pe"], atol=1e-6)


@pytest.mark.parametrize("stack", [1, 2, 4])
def test_patches_are_stacked_over_bands_first(stack: int) -> None:
    features = torch.arange(512).repeat_interleave(768).view(1, 512, 768).float()
    tokens = coding.stacked(features, stack)[0].view(512 // stack, stack, 768)[:, :, 0].int().tolist()
    if stack == 1:
        assert tokens == [[patch] for patch in range(512)]
    elif stack == 2:
        assert tokens[:5] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    else:
        # (t0, f0), (t0, f1), (t1, f0), (t1, f1), where a patch is t * 8 + f.
        assert tokens[:5] == [[0, 1, 8, 9], [2, 3, 10, 11], [4, 5, 12, 13], [6, 7, 14, 15], [16, 17, 24, 25]]


def test_nearest_is_the_nearest_and_the_first_of_equals() -> None:
    generator = torch.Generator().manual_seed(0)
    codebook = torch.randn(300, 12, generator=generator)
    codebook[200] = codebook[100]
    points = torch.cat([torch.randn(2500, 12, generator=generator), codebook[[200, 7]]])
    found = coding.nearest(points, codebook, codebook.square().sum(dim=1))
    distances = (points.double()[:, None] - codebook.double()[None]).square().sum(dim=2)
    best = distances.min(dim=1).values
    torch.testing.assert_close(distances[torch.arange(len(points)), found], best, atol=1e-5, rtol=0)
    assert found[-2:].tolist() == [100, 7]


def test_condition_holds_acoustic_then_semantic_then_positions(shrunk: None) -> None:
    with torch.device("meta"):
        coder = coding.Coder(4, 16)
    coder.semantic = torch.nn.Parameter(torch.randn(16, 192))
    coder.acoustic = torch.nn.Parameter(torch.randn(8192, 192))
    tokens = torch.tensor([[3, 8000], [15, 0]])
    with torch.inference_mode():
        context, without = coder.condition([tokens, tokens[:1]])
    assert context.shape == without.shape == (2, 128, 2 * 192 + 192)
    torch.testing.assert_close(context[0, 1, :192], coder.acoustic[0].data)
    torch.testing.assert_close(context[0, 1, 192:384], coder.semantic[15].data)
    assert (context[0, 2:, :384] == -1).all()
    assert (context[1, 1:, :384] == -1).all()
    assert (without[:, :, :384] == 0).all()
    torch.testing.assert_close(context[:, :, 384:], without[:, :, 384:])
    torch.testing.assert_close(without[1, :, 384:], coding.position_table(128))


@pytest.mark.slow
def test_audiomae_and_tokens_equal_the_reference_in_full_size(official: SimpleNamespace) -> None:
    shapes = official.encoder(1)
    with torch.device("meta"):
        coder = coding.Coder(1, 4096)
    names = {"encoder.": "lstm.", "encoder_output_linear.": "project.", "audiomae.model.": "audiomae."}
    state = {"semantic": official.drawn("centroids", (4096, 768)), "audiomae.pos_embed": audiomae.positions()}
    state["acoustic"] = official.drawn("quantizer._codebook.embed", (1, 8192, 768))[0]
    for key, shape in shapes.items():
        name = next((new + key.removeprefix(old) for old, new in names.items() if key.startswith(old)), key)
        if name in dict(coder.named_parameters()) and name not in state:
            state[name] = official.drawn(key, shape)
    coder.load_state_dict({key: torch.as_tensor(value) for key, value in state.items()}, assign=True)
    bank = coding.banks(torch.from_numpy(official.golden["input"] / np.float32(32768)))
    with torch.inference_mode():
        features = coder.audiomae(bank)[0]
        np.testing.assert_allclose(features[::16, ::16], official.golden["audiomae"], atol=2e-4)
        (tokens,), (kept,) = coder(bank, [152])
    assert kept.shape == (152, 768)
    for layer, kind, margin in ((0, "semantic", 2e-2), (1, "acoustic", 3e-3)):
        clear = official.golden[f"{kind}_margin_100"] > margin
        assert clear.sum() > 145
        np.testing.assert_array_equal(tokens[clear, layer], official.golden["tokens_100"][clear, layer])
