from __future__ import annotations

import gc
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.system.protocol import Output
from ldmbench.system.registry import load_system, load_system_card, resolve
from ldmbench.systems.semanticodec import files as files
from ldmbench.systems.semanticodec.adapter import SemantiCodec
from tests.present import present

pytestmark = pytest.mark.usefixtures("shrunk")

FAST = "steps=2"


@pytest.fixture
def system(tiny_folder: Path) -> SemantiCodec:
    built = load_system(resolve(f"semanticodec@1.25kbps:{FAST}", weights=tiny_folder))
    assert isinstance(built, SemantiCodec)
    return built


def digests(outputs: list[Output]) -> list[str]:
    return [output.audio.digest() for output in outputs if output.audio is not None]


def test_parameters_count_what_the_files_hold(system: SemantiCodec, tiny_folder: Path) -> None:
    coder, decoder = files.read_coder(tiny_folder, 1, 4096), files.read_decoder(tiny_folder, 1, 4096)
    parts = (coder, decoder.unet, decoder.vae, decoder.vocoder)
    assert system.parameters == sum(value.numel() for part in parts for value in part.parameters())


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
@pytest.mark.usefixtures("shrunk", "system")
@pytest.mark.slow
def test_no_file_is_read_while_it_codes(tiny_folder: Path) -> None:
    """Everything was when it was loaded: pages that are read at their first use would count as time of a clip."""
    gc.collect()
    assert str(tiny_folder) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(3.0, 16_000, 1), (10.24, 48_000, 2), (25.0, 16_000, 1)])
def test_clips_of_any_length_rate_and_channels(
    seconds: float, rate: int, channels: int, system: SemantiCodec, speech_like: Callable[..., Audio]
) -> None:
    sound = speech_like(rate, seconds, channels=channels)
    (output,) = system.process([Clip("t/a", "t", loaded=sound, seed=1)])
    assert output.audio is not None
    assert output.tokens is not None
    assert (output.audio.rate, output.audio.channels) == (16_000, 1)
    assert output.audio.length == round(seconds * 16_000)
    count = {3.0: 152, 10.24: 520, 25.0: 1256}[seconds]
    assert output.tokens.shape == (2, count)
    assert output.bits == count * 25
    assert (output.tokens >= 0).all()
    assert (output.tokens.max(axis=1) < (4096, 8192)).all()
    assert len(set(output.tokens[1])) > 10
    assert np.isfinite(output.audio.samples).all()
    assert output.audio.samples.std() > 1e-3
    # Every window sounds, the last one too.
    assert output.audio.samples[0, -1600:].std() > 1e-4
    changed = {"downmix": "mean of 2 channels", "resampled_from": 48_000} if channels == 2 else {}
    assert output.details == changed


def test_the_shortest_sounds_and_silence(system: SemantiCodec) -> None:
    for samples in (np.zeros(800), np.zeros(1), np.random.default_rng(0).standard_normal(800) * 0.1):
        (output,) = system.process([Clip("t/a", "t", loaded=Audio.of(samples, 16_000))])
        assert output.audio is not None
        assert output.audio.length == len(samples)
        assert np.isfinite(output.audio.samples).all()


@pytest.mark.slow
def test_alone_and_repeated_is_bit_equal_and_in_a_batch_nearly(
    system: SemantiCodec, speech_like: Callable[..., Audio]
) -> None:
    clips = [
        Clip(f"t/{n}", "t", loaded=speech_like(16_000, seconds, seed=n), seed=n)
        for n, seconds in enumerate((1.0, 11.0, 0.3))
    ]
    together, alone = list(system.process(clips)), [next(system.process([clip])) for clip in clips]
    assert digests(alone) == digests([next(system.process([clip])) for clip in reversed(clips)])[::-1]
    assert digests(together) == digests(list(system.process(clips)))
    for one, other in zip(together, alone, strict=True):
        assert one.audio is not None
        assert other.audio is not None
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.audio.samples, other.audio.samples, atol=1e-4)


def test_decoding_depends_on_tokens_and_seed_alone(system: SemantiCodec, speech_like: Callable[..., Audio]) -> None:
    stream = system.encode(speech_like(16_000, 1.0))
    first = system.decode(stream, seed=3)
    assert first.length == system.samples(57) == 18_240
    assert first.digest() == system.decode(stream, seed=3).digest()
    assert first.digest() != system.decode(stream, seed=4).digest()
    clip = Clip("t/a", "t", loaded=speech_like(16_000, 1.0), seed=3)
    (output,) = system.process([clip])
    assert output.audio is not None
    np.testing.assert_allclose(output.audio.samples, first.samples[:, :16_000], atol=1e-5)


def test_embeddings_are_means_of_codewords(system: SemantiCodec, speech_like: Callable[..., Audio]) -> None:
    clip = Clip("t/a", "t", loaded=speech_like(16_000, 1.0))
    (layers,) = system.embed([clip])
    assert {name: layer.shape for name, layer in layers.items()} == {"all": (96,), "first": (48,), "audiomae": (48,)}
    tokens = system.encode(clip.audio).payload
    first = system.coder.semantic[torch.from_numpy(tokens[0])].mean(dim=0).numpy()
    acoustic = system.coder.acoustic[torch.from_numpy(tokens[1])].mean(dim=0).numpy()
    np.testing.assert_allclose(layers["first"], first, atol=1e-6)
    np.testing.assert_allclose(layers["all"], np.concatenate([acoustic, first]), atol=1e-6)


def test_keys_and_values_of_the_condition_are_those_of_diffusers(system: SemantiCodec) -> None:
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0

    unet = system.decoder.unet
    assert len(present(system.decoder._kept)) == 16
    x, context = torch.randn(2, 8, 64, 16), torch.randn(2, 512, 2 * 48 + 192)
    with torch.inference_mode():
        first = unet(x, 501, encoder_hidden_states=context).sample
        again = unet(x, 501, encoder_hidden_states=context).sample
        other = unet(x, 501, encoder_hidden_states=context + 1).sample
        for module in unet.modules():
            if isinstance(module, Attention):
                module.set_processor(AttnProcessor2_0())  # type: ignore[arg-type]  # annotated for one kind
        stock = unet(x, 501, encoder_hidden_states=context).sample
        stock_other = unet(x, 501, encoder_hidden_states=context + 1).sample
    torch.testing.assert_close(first, stock, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(again, stock, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(other, stock_other, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(other, first, atol=1e-3)


@pytest.mark.slow
def test_a_run_goes_from_folder_to_journal_and_resumes(
    tiny_folder: Path, tmp_path: Path, speech_like: Callable[..., Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ldmbench.audio import sound as audio
    from ldmbench.clips.folder import load_folder
    from ldmbench.runs.generate import generate
    from ldmbench.runs.plan import make_plan
    from ldmbench.runs.request import Options
    from ldmbench.runs.results import open_run
    from ldmbench.suite import Suite

    monkeypatch.setenv("LDMBENCH_CACHE", str(tmp_path / "cache"))
    sounds = {"a": (3.0, 16_000, 1), "b": (10.24, 48_000, 2), "c": (25.0, 16_000, 1)}
    for name, (seconds, rate, channels) in sounds.items():
        audio.write(tmp_path / "clips" / f"{name}.wav", speech_like(rate, seconds, channels=channels))
    dataset = load_folder(tmp_path / "clips")
    suite = Suite(name="tiny", title="Tiny", task="codec", datasets=(dataset.name,), metrics=())
    spec = resolve(f"semanticodec@0.31kbps:{FAST}", weights=tiny_folder)

    def digests_of(root: Path, batch: int) -> list[str]:
        plan = make_plan(suite, [dataset], [spec], root)
        assert generate(plan, Options(batch=batch, quiet=True)) == []
        run = open_run(plan.paths[0])
        assert [row.status for row in run.outputs.values()] == ["ok"] * 3
        assert [row.bits for row in run.outputs.values()] == [25 * count for count in (38, 130, 314)]
        paths = [run.audio_path(row.clip) for row in run.outputs.values()]
        made = [audio.read(path) for path in paths if path is not None]
        assert [sound.length for sound in made] == [48_000, 163_840, 400_000]
        return [sound.digest() for sound in made]

    whole = digests_of(tmp_path / "one", 1)
    plan = make_plan(suite, [dataset], [spec], tmp_path / "two")
    generate(plan, Options(batch=1, quiet=True))
    journal = plan.paths[0] / "outputs.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    # As a process that was killed leaves it: one clip whole, one line torn.
    journal.write_text(lines[0] + lines[1][:30])
    assert digests_of(tmp_path / "two", 1) == whole
    assert len(digests_of(tmp_path / "three", 3)) == 3


@pytest.mark.parametrize("cause", ["truncated", "code", "array with code", "other variant", "missing", "one key"])
def test_wrong_files_are_refused_in_one_line(cause: str, tiny_folder: Path, tiny_states: Any, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(tiny_folder, folder)
    place = folder / "semanticodec_tokenrate_25"
    encoder, table = place / "encoder.ckpt", folder / "codebook_idx/combine_128_audioset_dominate/codebook_2048_0.npy"
    words = ""
    if cause == "truncated":
        encoder.write_bytes(encoder.read_bytes()[:100_000])
        words = "encoder.ckpt cannot be read as tensors"
    elif cause == "code":
        encoder.write_bytes(pickle.dumps({"x": _Trap(str(tmp_path / "harm"))}))
        words = "encoder.ckpt cannot be read as tensors"
    elif cause == "array with code":
        np.save(table, np.array([_Trap(str(tmp_path / "harm"))], dtype=object))
        words = "codebook_2048_0.npy cannot be read as an array"
    elif cause == "other variant":
        shutil.copy(tiny_folder / "semanticodec_tokenrate_100/encoder.ckpt", encoder)
        words = "of another shape"
    elif cause == "missing":
        encoder.unlink()
        words = r"missing semanticodec_tokenrate_25/encoder\.ckpt.*ldmbench fetch semanticodec@0\.31kbps"
    else:
        state = tiny_states(4)[1]
        state["model.diffusion_model.extra"] = torch.zeros(1)
        del state["scale_factor"]
        torch.save(state, place / "decoder.ckpt")
        words = "missing.*scale_factor"
    with pytest.raises(BenchError, match=words) as caught:
        load_system(resolve("semanticodec@0.31kbps", weights=folder))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_a_codebook_of_another_vocabulary_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(tiny_folder, folder)
    books = folder / "codebook_idx/combine_128_audioset_dominate"
    shutil.copy(books / "codebook_2048_0.npy", books / "codebook_4096_0.npy")
    with pytest.raises(BenchError, match=r"codebook_4096_0.npy is not the codebook of this variant.*not 8192 x 192"):
        load_system(resolve("semanticodec@0.33kbps", weights=folder))


def test_older_checkpoints_store_the_flag_as_a_vector(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(tiny_folder, folder)
    path = folder / "semanticodec_tokenrate_25/encoder.ckpt"
    state = torch.load(path, weights_only=True)
    assert state["quantizer._codebook.initted"].shape == ()
    state["quantizer._codebook.initted"] = torch.tensor([1.0])
    torch.save(state, path)
    load_system(resolve("semanticodec@0.31kbps", weights=folder))


@pytest.mark.parametrize("name", load_system_card("semanticodec").variants)
def test_variants_are_named_by_their_bits(name: str) -> None:
    card = load_system_card("semanticodec")
    rate, vocab = card.variants[name]["tokens_per_second"], card.variants[name]["vocab"]
    kbps = int(rate) / 2 * (np.log2(int(vocab)) + 13) / 1000
    assert abs(float(name.removesuffix("kbps")) - kbps) <= 0.005 + 1e-9
    assert len(card.variants) == 12
    (weights,) = card.weights_of(name).values()
    width = 5.12 * int(rate)
    assert {str(Path(file).parent) for file in weights.files} == {
        f"semanticodec_tokenrate_{rate}", f"codebook_idx/combine_{int(width)}_audioset_dominate",
    }  # fmt: skip
    assert f"codebook_idx/combine_{int(width)}_audioset_dominate/codebook_{int(vocab) // 2}_0.npy" in weights.files


@pytest.mark.parametrize("setting", ["cfg=-1", "eta=1.5", "vocab=5000", "tokens_per_second=30", "precision=int8"])
def test_wrong_settings_are_refused(setting: str) -> None:
    with pytest.raises(BenchError, match="must be"):
        load_system(resolve(f"semanticodec@1.25kbps:{setting}", untrained=True))
    with pytest.raises(BenchError, match="cannot take 3 steps"):
        load_system(resolve("semanticodec@1.25kbps:steps=3", untrained=True))


def test_untrained_sounds_and_its_tokens_vary(speech_like: Callable[..., Audio]) -> None:
    clip = Clip("t/a", "t", loaded=speech_like(16_000, 1.0), seed=1)
    systems = [load_system(resolve(f"semanticodec@0.70kbps:{FAST}", untrained=True)) for _ in range(2)]
    outputs = [next(system.process([clip])) for system in systems]
    assert digests(outputs)[0] == digests(outputs)[1]
    tokens, sound = outputs[0].tokens, outputs[0].audio
    assert tokens is not None
    assert sound is not None
    assert len(set(tokens[0])) > 5
    assert len(set(tokens[1])) > 5
    assert sound.samples.std() > 1e-3


def test_official_names_load_without_one_too_many(official: SimpleNamespace) -> None:
    from ldmbench.systems.latent import keys as keys

    names = {keys.unet_name(key, 2) for key in official.unet((64, 128, 192, 320), 1728)}
    assert len(names) == 1104
    assert "up_blocks.2.attentions.5.transformer_blocks.0.attn2.to_k.weight" in names
    assert {keys.vae_name(key, 3) for key in official.vae((128, 256, 512))} >= {
        "decoder.up_blocks.0.resnets.2.conv1.weight", "encoder.down_blocks.0.downsamplers.0.conv.weight",
        "decoder.mid_block.attentions.0.to_out.0.bias",
    }  # fmt: skip


class _Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)
