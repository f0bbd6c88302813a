"""AudioLDM, AudioLDM 2 and Tango from their folders: runs, resuming, seeds, settings, and folders that are wrong."""

from __future__ import annotations

import gc
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ldmbench.audio import sound as audio
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.clips.folder import load_folder
from ldmbench.errors import BenchError
from ldmbench.runs.carry_out import carry_out
from ldmbench.runs.generate import generate
from ldmbench.runs.plan import Plan, make_plan
from ldmbench.runs.request import Options
from ldmbench.runs.results import open_run
from ldmbench.suite import Suite
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Prepares
from ldmbench.system.registry import load_system, resolve

RATE = 16_000
NAMES = ("audioldm", "audioldm2", "tango")

#: Rounding between batch sizes, of outputs that peak near 0.3: measured 6.3e-7.
TOLERANCE = 2e-6

Asked = Callable[..., SystemSpec]
Build = Callable[..., Any]


@pytest.fixture(scope="module")
def folders(request: pytest.FixtureRequest) -> dict[str, Path]:
    return {name: request.getfixturevalue(f"{name}_folder") for name in NAMES}


@pytest.fixture(scope="module")
def build(asked: Asked, folders: dict[str, Path]) -> Build:
    """A tiny system by name, each built once: ``build("tango", "cfg=1")``."""
    made: dict[str, Any] = {}

    def make(name: str, more: str = "") -> Any:
        full = f"{name}:{_merged(name, more)}"
        if full not in made:
            made[full] = load_system(asked(full, folders[name]))
        return made[full]

    return make


def _merged(name: str, more: str) -> str:
    settings = {"steps": "2", "seconds": "0.32"}
    settings |= {"candidates": "1"} if name == "audioldm2" else {}
    settings |= dict(item.split("=") for item in more.split(",") if item)
    return ",".join(f"{key}={value}" for key, value in settings.items())


def clip(text: str | None = "a dog barks", seed: int = 1, **more: Any) -> Clip:
    return Clip(id=f"x/{seed}", dataset="x", text=text, seed=seed, **more)


def sound(system: Any, *clips: Clip) -> Any:
    outputs = [output.audio.samples for output in system.process(clips)]
    return outputs[0] if len(clips) == 1 else outputs


def plan_for(name: str, folder: Path, dataset: Any, root: Path, asked: Asked, metrics: tuple[str, ...]) -> Plan:
    suite = Suite(name="tiny", title="Tiny", task="generate", datasets=(dataset.name,), metrics=metrics)
    return make_plan(suite, [dataset], [asked(f"{name}:{_merged(name.partition('@')[0], '')}", folder)], root)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_run_score_and_resume(
    name: str, folders: dict[str, Path], captioned: Path, tmp_path: Path, asked: Asked
) -> None:
    plan = plan_for(name, folders[name], load_folder(captioned), tmp_path, asked, ("rtf", "lsd_ssr_eval"))
    (whole,) = carry_out(plan, Options(weights=folders[name], quiet=True))
    assert [row.status for row in whole.outputs.values()] == ["ok"] * 4
    assert {(row.rate, row.seconds_audio) for row in whole.outputs.values()} == {(RATE, 0.32)}
    assert all(row.status == "ok" and row.value is not None for row in whole.scores.values())
    assert len(whole.scores) == 8
    digests = {key: row.digest for key, row in whole.outputs.items()}
    # Two of the rows are lost, as after a kill: only they are made again, and come out as they were.
    journal = plan.paths[0] / "outputs.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-2]))
    kept = [plan.paths[0] / row.audio for row in list(whole.outputs.values())[:2]]
    before = [path.stat().st_mtime_ns for path in kept]
    (again,) = carry_out(plan, Options(weights=folders[name], quiet=True))
    assert {key: row.digest for key, row in again.outputs.items()} == digests
    assert [path.stat().st_mtime_ns for path in kept] == before


@pytest.mark.slow
def test_command_line_runs_reports_and_resumes_all_three(
    folders: dict[str, Path], captioned: Path, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from ldmbench.cli import cli

    def words(*parts: object) -> str:
        result = CliRunner().invoke(cli, [str(part) for part in (*parts, "--out", tmp_path / "runs")])
        assert result.exit_code == 0, result.output
        return result.stdout

    home = tmp_path / "home"
    for name, place in (("audioldm", "audioldm/s-full-v2"), ("audioldm2", "audioldm2/base"), ("tango", "tango/full")):
        shutil.copytree(folders[name], home / place)
    suite = tmp_path / "tiny.toml"
    suite.write_text(
        'name = "tiny"\ntitle = "Tiny"\ntask = "generate"\ndatasets = []\nmetrics = ["lsd_ssr_eval", "parameters"]\n'
    )
    systems = [f"{name}:steps=1,seconds=0.32" for name in ("audioldm", "audioldm2", "tango@full")]
    asked = ["run", suite, "--audio", captioned, "--weights", home, "--jobs", 1, "--batch", 2, "--quiet"]
    asked += [part for name in (*systems, "shuffled") for part in ("-s", name)]
    first = words(*asked)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    assert words(*asked) == first
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    table = words("report", "tiny+captioned", "--to", "csv")
    for name in ("audioldm@s-full-v2", "audioldm2@base", "tango@full", "shuffled"):
        assert name in table


def test_missing_caption_is_a_failed_row(
    folders: dict[str, Path], captioned: Path, tmp_path: Path, asked: Asked
) -> None:
    dataset = load_folder(captioned)
    clips = (dataset.clips[0], replace(dataset.clips[1], text=None), replace(dataset.clips[2], text="  "))
    plan = plan_for("audioldm", folders["audioldm"], replace(dataset, clips=clips), tmp_path, asked, ("rtf",))
    generate(plan, Options(batch=3, quiet=True))
    rows = list(open_run(plan.paths[0]).outputs.values())
    assert [row.status for row in rows] == ["ok", "failed", "failed"]
    assert rows[1].message.startswith("captioned/dog has no caption")


@pytest.mark.parametrize("name", NAMES)
def test_same_prompt_and_seed_alone_and_in_a_batch(name: str, build: Build) -> None:
    system = build(name)
    # Prompts of different length: their padding must not reach the shorter ones.
    clips = [clip("a dog barks", 1), clip("rain falls on a roof of tin in the very early morning", 2), clip("x", 3)]
    together = sound(system, *clips)
    for one, waves in zip(clips, together, strict=True):
        alone = sound(system, one)
        assert np.abs(alone).max() > 0.05
        np.testing.assert_allclose(alone, waves, atol=TOLERANCE)
        np.testing.assert_array_equal(alone, sound(system, one))
    for waves, again in zip(together, sound(system, *clips[::-1])[::-1], strict=True):
        np.testing.assert_array_equal(waves, again)


@pytest.mark.parametrize("name", NAMES)
def test_seed_and_prompt_matter(name: str, build: Build) -> None:
    system = build(name)
    base = sound(system, clip())
    for other in (clip(seed=2), clip("a very different sound")):
        assert np.abs(base - sound(system, other)).max() > 1e-4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("more", ["steps=4", "cfg=1", "cfg=4.5", "negative=low_quality", "eta=0.5"])
def test_settings_matter(name: str, more: str, build: Build) -> None:
    if name == "tango" and more.startswith("eta"):
        pytest.skip("Tango samples by DDPM, which has no eta")
    assert np.abs(sound(build(name), clip()) - sound(build(name, more), clip())).max() > 1e-4


def test_negative_prompts_are_told_apart_and_spelled_with_underscores(build: Build) -> None:
    assert build("audioldm", "negative=low_quality").negative == "low quality"
    first, second = (build("audioldm", f"negative={text}") for text in ("low_quality", "speech"))
    assert np.abs(sound(first, clip()) - sound(second, clip())).max() > 1e-5
    # Without guidance nothing is subtracted, and a negative prompt changes nothing.
    np.testing.assert_array_equal(
        sound(build("audioldm", "cfg=1"), clip()), sound(build("audioldm", "cfg=1,negative=speech"), clip())
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [0.255, 0.3, 0.4])
def test_length_is_exact(name: str, seconds: float, build: Build) -> None:
    (output,) = build(name, f"seconds={seconds}").process([clip()])
    assert output.audio.length == round(seconds * RATE)
    assert output.audio.rate == RATE


def test_length_of_the_reference(build: Build) -> None:
    system = build("audioldm", "seconds=0")
    lengths = (5000, 6400, 5000, 5121)
    clips = [clip(seed=n, loaded=Audio.of(np.zeros(length), RATE)) for n, length in enumerate(lengths)]
    outputs = list(system.process(clips))
    assert [output.audio.length for output in outputs] == list(lengths)
    for one, output in zip(clips, outputs, strict=True):
        np.testing.assert_allclose(sound(system, one), output.audio.samples, atol=TOLERANCE)
    with pytest.raises(BenchError, match="x/1 has no reference audio"):
        list(system.process([clip()]))


def test_first_candidate_is_the_single_one_and_the_best_is_chosen(build: Build) -> None:
    single, several = build("audioldm2"), build("audioldm2", "candidates=4")
    clips = [clip(seed=1), clip("rain on a roof", seed=2)]
    outputs = list(several.process(clips))
    for one, output in zip(clips, outputs, strict=True):
        scores = output.details["clap"]
        assert len(set(scores)) == 4
        assert output.details["chosen"] == int(np.argmax(scores))
        # CLAP says the same of the same sound, and the first candidate is what a single one is, to the rounding
        # between batch sizes: above 8 kHz it hears what the resampler leaves near the floor of its decibels.
        first = several.rank(one.text, sound(single, one))
        assert first[0] == pytest.approx(scores[0], abs=2e-4)
        assert several.rank(one.text, output.audio.samples)[0] == pytest.approx(max(scores), abs=2e-4)
        (alone,) = several.process([one])
        assert alone.details["chosen"] == output.details["chosen"]
        np.testing.assert_allclose(alone.audio.samples, output.audio.samples, atol=TOLERANCE)
    # Seeds in which some candidate beats the first one: the ranking decides.
    chosen = [next(several.process([clip(seed=seed)])).details["chosen"] for seed in range(4)]
    assert len(set(chosen)) > 1


def test_ranking_of_a_long_sound_is_repeatable(build: Build) -> None:
    system = build("audioldm2", "candidates=4")
    # Longer than CLAP's window of 10 s: transformers' extractor would cut at random.
    waves = 0.1 * np.random.default_rng(0).standard_normal((2, 11 * RATE)).astype(np.float32)
    assert system.rank("a dog", waves) == system.rank("a dog", waves)
    # Its last second is not heard. (0.1 s of it is: the resampler looks ahead.)
    np.testing.assert_allclose(system.rank("a dog", waves[:, : 10 * RATE + 1600]), system.rank("a dog", waves))


@pytest.mark.parametrize("name", NAMES)
def test_half_precision(name: str, build: Build) -> None:
    exact, rounded = sound(build(name), clip()), sound(build(name, "precision=bfloat16"), clip())
    assert np.isfinite(rounded).all()
    assert 0 < np.abs(exact - rounded).max() < 0.25


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("audioldm:steps=0", "steps of audioldm@s-full-v2:steps=0 must be 1 to 1000: 0"),
        ("audioldm:cfg=-1.0", "cfg .* must be 0 or more"),
        ("audioldm:seconds=-3.0", "seconds .* must be 0 or more"),
        ("audioldm:eta=2.0", "eta .* must be 0 to 1"),
        ("audioldm2:precision=int8", "precision .* must be one of float32, float16, bfloat16: 'int8'"),
        ("audioldm2:candidates=0", "candidates .* must be 1 or more"),
        ("tango:steps=1001", "steps .* must be 1 to 1000"),
    ],
)
def test_impossible_settings(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=message):
        load_system(resolve(name, weights=tmp_path))


def test_language_model_continues_as_a_loop_without_a_cache_does(build: Build, folders: dict[str, Path]) -> None:
    import torch
    from transformers import GPT2Model

    model, system = GPT2Model.from_pretrained(folders["audioldm2"] / "language_model"), build("audioldm2")
    generator = torch.Generator().manual_seed(0)
    clap, t5 = torch.randn((1, 1, 32), generator=generator), torch.randn((1, 9, 32), generator=generator)
    project = system.models["projection_model"]
    with torch.inference_mode():
        made = system.continued(clap, t5, torch.ones(1, 9, dtype=torch.long))
        longer = torch.cat(
            [
                project.sos_embed[None, None], project.projection(clap), project.eos_embed[None, None],
                project.sos_embed_1[None, None], project.projection_1(t5), project.eos_embed_1[None, None],
            ], 1
        )  # fmt: skip
        for _ in range(4):
            last = model(inputs_embeds=longer, use_cache=False).last_hidden_state[:, -1:]
            longer = torch.cat([longer, last], 1)
    np.testing.assert_allclose(made.numpy(), longer[:, -4:].numpy(), atol=2e-6)
    assert system.new_tokens == 4


def stock_pipeline(name: str, folder: Path) -> Any:
    """The pipeline of diffusers on a folder, as diffusers loads it but for a language model with a head."""
    from diffusers import AudioLDM2Pipeline, AudioLDMPipeline
    from transformers import GPT2LMHeadModel

    if name == "audioldm":
        return AudioLDMPipeline.from_pretrained(folder, local_files_only=True)
    # The index says GPT2Model, which lacks what the pipeline calls (huggingface/diffusers issue 12630).
    language = GPT2LMHeadModel.from_pretrained(folder / "language_model")
    return AudioLDM2Pipeline.from_pretrained(folder, local_files_only=True, language_model=language)


#: Settings by which an adapter does what the pipeline of diffusers does.
AS_DIFFUSERS = {
    "audioldm": "head_channels=0,roberta_eps=0,spacing=diffusers",
    "audioldm2": "head_channels=0,roberta_eps=0,spacing=diffusers,unconditional=diffusers",
}


@pytest.mark.parametrize("name", AS_DIFFUSERS)
@pytest.mark.parametrize("more", ["", ",steps=3", ",negative=low_quality"])
def test_by_its_settings_it_is_the_pipeline_of_diffusers(
    name: str, more: str, build: Build, folders: dict[str, Path]
) -> None:
    import torch

    system = build(name, AS_DIFFUSERS[name] + more)
    plain = stock_pipeline(name, folders[name])(
        prompt=["a dog barks"],
        negative_prompt=["low quality"] if "negative" in more else None,
        audio_length_in_s=0.32,
        num_inference_steps=system.steps,
        guidance_scale=system.cfg,
        eta=system.eta,
        generator=[torch.Generator().manual_seed(1)],
    ).audios
    np.testing.assert_allclose(sound(system, clip()), np.asarray(plain)[:, :5120], atol=5e-6)
    if "steps" not in more:
        assert np.abs(sound(system, clip()) - sound(build(name, more[1:]), clip())).max() > 1e-4


def test_parameters_are_those_of_all_parts(build: Build) -> None:
    for name in NAMES:
        system = build(name)
        count = sum(value.numel() for model in system.models.values() for value in model.parameters())
        assert system.parameters == count
    assert build("audioldm2").parameters > build("audioldm2").models["unet"].num_parameters()


def test_cut_prompt_is_recorded(build: Build) -> None:
    for name in NAMES:
        (output,) = build(name).process([clip("a long story " * 40)])
        assert "prompt_cut" in output.details
        (short,) = build(name).process([clip("short")])
        assert "prompt_cut" not in short.details


# --- folders that are not what they should be ---------------------------------------------------------------


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(folders[name], tmp_path / name))


def refused(asked: Asked, name: str, folder: Path) -> str:
    with pytest.raises(BenchError) as caught:
        load_system(asked(name, folder))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_folder_of_another_system(asked: Asked, folders: dict[str, Path], tmp_path: Path) -> None:
    assert "its model_index.json says AudioLDM2Pipeline" in refused(asked, "audioldm@l-full", folders["audioldm2"])
    assert "its model_index.json says AudioLDMPipeline" in refused(asked, "audioldm2", folders["audioldm"])
    assert "no model_index.json" in refused(asked, "audioldm2", folders["tango"])
    assert "missing main_config.json, pytorch_model_main.bin" in refused(asked, "tango", folders["audioldm"])
    (tmp_path / "empty").mkdir()
    assert "ldmbench fetch audioldm@s-full-v2" in refused(asked, "audioldm", tmp_path / "empty")
    assert "weights of audioldm2@large are not in" in refused(asked, "audioldm2@large", tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "lost", "message"),
    [
        ("audioldm@s-full", "vae/config.json", "lacks vae: no config.json"),
        ("audioldm@s-full", "unet/diffusion_pytorch_model.safetensors", "unet in .* cannot be loaded"),
        ("audioldm@s-full", "scheduler/scheduler_config.json", "lacks scheduler: no scheduler_config.json"),
        ("audioldm@s-full", "tokenizer/tokenizer.json", "lacks tokenizer: .* holds none of tokenizer.json"),
        ("audioldm2", "unet/config.json", "lacks unet: no config.json"),
        ("audioldm2", "language_model/model.safetensors", "language_model in .* cannot be loaded"),
        ("tango", "pytorch_model_vae.bin", "missing pytorch_model_vae.bin"),
        ("tango", "tokenizer.json", "missing tokenizer.json"),
    ],
)
def test_missing_file(name: str, lost: str, message: str, asked: Asked, copy: Callable[[str], Path]) -> None:
    import re

    folder = copy(name.partition("@")[0])
    (folder / lost).unlink()
    assert re.search(message, refused(asked, name, folder))


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a state dictionary on disk."""
    import torch
    from safetensors.torch import load_file, save_file

    if path.suffix == ".bin":
        state = torch.load(path, weights_only=True)
        change(state)
        torch.save(state, path)
    else:
        state = load_file(path)
        change(state)
        save_file(state, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("name", "file", "key"),
    [
        ("audioldm@s-full", "unet/diffusion_pytorch_model.safetensors", "conv_in.weight"),
        ("audioldm@s-full", "vae/diffusion_pytorch_model.safetensors", "decoder.conv_in.bias"),
        ("audioldm@s-full", "text_encoder/model.safetensors", "text_projection.linear1.weight"),
        ("audioldm@s-full", "vocoder/model.safetensors", "conv_pre.weight"),
        ("audioldm2", "language_model/model.safetensors", "h.0.mlp.c_fc.weight"),
        ("audioldm2", "projection_model/diffusion_pytorch_model.safetensors", "sos_embed"),
        ("tango", "pytorch_model_main.bin", "unet.conv_in.weight"),
        ("tango", "pytorch_model_main.bin", "text_encoder.encoder.final_layer_norm.weight"),
        ("tango", "pytorch_model_vae.bin", "decoder.mid.attn_1.q.weight"),
        ("tango", "pytorch_model_vae.bin", "vocoder.conv_post.bias"),
    ],
)
def test_missing_superfluous_and_misshapen_keys_are_named(
    name: str, file: str, key: str, asked: Asked, copy: Callable[[str], Path]
) -> None:
    import torch

    folder = copy(name.partition("@")[0])
    kept = (folder / file).read_bytes()
    own = key.split(".")[-2:][0]
    edit(folder / file, lambda state: state.pop(key))
    text = refused(asked, name, folder)
    assert "1 missing" in text
    assert own in text
    (folder / file).write_bytes(kept)
    prefix = f"{key.split('.')[0]}." if name == "tango" else ""
    edit(folder / file, lambda state: state.update({f"{prefix}strange.weight": torch.zeros(2)}))
    text = refused(asked, name, folder)
    assert "strange.weight" in text
    (folder / file).write_bytes(kept)
    edit(folder / file, lambda state: state.update({key: torch.zeros((3, *state[key].shape))}))
    assert own in refused(asked, name, folder)


def test_damaged_and_dangerous_files(asked: Asked, copy: Callable[[str], Path], tmp_path: Path) -> None:
    import pickle

    folder = copy("audioldm")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"\x00" * 100)
    assert "unet in" in refused(asked, "audioldm@m-full", folder)
    folder = copy("tango")
    witness = tmp_path / "witness"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (witness,))

    (folder / "pytorch_model_main.bin").write_bytes(pickle.dumps({"unet.x": Evil()}, protocol=2))
    assert "cannot be read as tensors" in refused(asked, "tango", folder)
    assert not witness.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
@pytest.mark.parametrize("name", ["audioldm", "audioldm2", "tango"])
def test_no_weight_stays_in_a_mapped_file(name: str, asked: Asked, copy: Callable[[str], Path]) -> None:
    """What is read at first use would count as time of a clip, and a file that changes would change the model.

    (Transformers itself keeps two buffers of a vocoder's file alive, so that the file may stay mapped.)
    """
    folder = copy(name)
    system = load_system(asked(f"{name}:steps=1,seconds=0.32", folder))
    gc.collect()
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]
    mapped = [[int(edge, 16) for edge in line.split()[0].split("-")] for line in lines]
    for part, model in system.models.items():  # type: ignore[attr-defined]
        for key, value in (*model.named_parameters(), *model.named_buffers()):
            assert not any(start <= value.data_ptr() < end for start, end in mapped), f"{part}.{key}"


def test_tokenizer_that_does_not_know_the_vocabulary(asked: Asked, copy: Callable[[str], Path]) -> None:
    from transformers import RobertaTokenizer

    folder = copy("audioldm")
    # What transformers 5 builds where it finds nothing: a tokenizer of five tokens.
    RobertaTokenizer(vocab={"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}, merges=[]).save_pretrained(
        folder / "tokenizer"
    )
    assert "it knows 5 tokens, the encoder 261" in refused(asked, "audioldm", folder)


def test_attention_names_of_2023_are_understood(asked: Asked, copy: Callable[[str], Path], build: Build) -> None:
    """cvssp/audioldm-s-full-v2 holds the VAE's attention under the names diffusers used when it was converted."""
    folder = copy("audioldm")

    def older(state: dict[str, Any]) -> None:
        for side in ("encoder", "decoder"):
            place = f"{side}.mid_block.attentions.0."
            for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
                for end in ("weight", "bias"):
                    state[f"{place}{old}.{end}"] = state.pop(f"{place}{new}.{end}")

    edit(folder / "vae" / "diffusion_pytorch_model.safetensors", older)
    system = load_system(asked("audioldm:steps=2,seconds=0.32", folder))
    np.testing.assert_array_equal(sound(system, clip()), sound(build("audioldm"), clip()))


def test_weights_folder_laid_out_like_the_home(asked: Asked, folders: dict[str, Path], tmp_path: Path) -> None:
    home = tmp_path / "home" / "audioldm" / "s-full-v2"
    shutil.copytree(folders["audioldm"], home)
    system = load_system(asked("audioldm:steps=1,seconds=0.32", tmp_path / "home"))
    assert sound(system, clip()).shape == (1, 5120)
    # The zero-shot card uses the same files.
    load_system(asked("audioldm-zero-shot:steps=1", tmp_path / "home"))


def test_other_weights_make_another_run(
    asked: Asked, copy: Callable[[str], Path], captioned: Path, tmp_path: Path
) -> None:
    dataset = load_folder(captioned)
    folder = copy("audioldm2")
    first = plan_for("audioldm2@music", folder, dataset, tmp_path, asked, ("rtf",)).runs[0].id
    assert first == plan_for("audioldm2@music", folder, dataset, tmp_path, asked, ("rtf",)).runs[0].id
    edit(
        folder / "unet" / "diffusion_pytorch_model.safetensors",
        lambda state: state.update({"conv_in.bias": state["conv_in.bias"] + 1}),
    )
    assert first != plan_for("audioldm2@music", folder, dataset, tmp_path, asked, ("rtf",)).runs[0].id


# --- Tango's original layout --------------------------------------------------------------------------------


def test_original_autoencoder_becomes_the_stock_one(folders: dict[str, Path], build: Build) -> None:
    import torch

    state = torch.load(folders["tango"] / "pytorch_model_vae.bin", weights_only=True)
    vae, vocoder = (build("tango").models[name] for name in ("vae", "vocoder"))
    for ours, theirs in (
        (vae.encoder.down_blocks[1].downsamplers[0].conv.weight, "encoder.down.1.downsample.conv.weight"),
        (vae.encoder.mid_block.resnets[1].conv1.weight, "encoder.mid.block_2.conv1.weight"),
        (vae.decoder.up_blocks[0].resnets[0].conv1.weight, "decoder.up.2.block.0.conv1.weight"),
        (vae.decoder.up_blocks[1].resnets[0].conv_shortcut.weight, "decoder.up.1.block.0.nin_shortcut.weight"),
        (vae.decoder.up_blocks[1].upsamplers[0].conv.weight, "decoder.up.1.upsample.conv.weight"),
        (vae.decoder.conv_norm_out.weight, "decoder.norm_out.weight"),
        (vocoder.upsampler[3].weight, "vocoder.ups.3.weight"),
        (vocoder.resblocks[7].convs2[1].weight, "vocoder.resblocks.7.convs2.1.weight"),
    ):
        assert torch.equal(ours, state[theirs]), theirs
    q = state["decoder.mid.attn_1.q.weight"][:, :, 0, 0]
    assert torch.equal(vae.decoder.mid_block.attentions[0].to_q.weight, q)
    assert vae.config.scaling_factor == 0.9


def test_autoencoder_and_vocoder_are_audioldms_own(tmp_path: Path, rule: Any) -> None:
    """The stock modules, filled under the original names, return what the original modules return."""
    import torch

    from ldmbench.systems.audioldm.vae import read_vae

    golden = Path(__file__).parent.parent.parent / "golden"
    content = json.loads((golden / "audioldm_autoencoder.json").read_text())
    shapes = {key: tuple(shape) for key, shape in content["shapes"].items()}
    path = tmp_path / "pytorch_model_vae.bin"
    torch.save({key: torch.from_numpy(rule.drawn(key, shape)) for key, shape in shapes.items()}, path)
    config = {"ddconfig": content["ddconfig"], "scale_factor": 0.9}
    vae, vocoder = read_vae(path, config, {"sampling_rate": RATE, "n_mel_channels": 64})
    with torch.inference_mode():
        mel = vae.decode(torch.from_numpy(rule.drawn("z", (1, 8, 8, 16)) * 8)).sample
        posterior = vae.encode(torch.from_numpy(rule.drawn("mel", (1, 1, 32, 64)) * 45 - 5)).latent_dist
        wave = vocoder(mel.squeeze(1))
    # Their standard deviations: 0.54 (mel), 1.5 (mean), 0.075 (wave).
    np.testing.assert_allclose(mel.flatten()[::5], content["mel"], atol=1e-5)
    np.testing.assert_allclose(posterior.mean.flatten()[::3], content["mean"], atol=2e-5)
    np.testing.assert_allclose(posterior.std.flatten()[::3], content["std"], rtol=2e-5)
    np.testing.assert_allclose(wave.flatten()[::11], content["wave"], atol=2e-6)


def test_tango_steps_are_those_it_was_released_with(build: Build) -> None:
    scheduler = build("tango").scheduler
    scheduler.set_timesteps(100)
    # Without the offset of later diffusers: from 990 down to 0.
    assert scheduler.timesteps.tolist() == list(range(990, -1, -10))
    assert scheduler.config.prediction_type == "v_prediction"


def test_tango_without_a_configuration_of_its_own_is_the_published_size(
    asked: Asked, copy: Callable[[str], Path]
) -> None:
    folder = copy("tango")
    (folder / "diffusion_model_config.json").unlink()
    text = refused(asked, "tango", folder)
    assert "unet" not in text
    assert "missing" in text
    assert "of another shape" in text


# --- shuffled -----------------------------------------------------------------------------------------------


def shuffled(clips: list[Clip]) -> dict[str, str]:
    system = load_system(resolve("shuffled"))
    assert isinstance(system, Prepares)
    system.setup(clips)
    return {clip.id: output.details["clip"] for clip, output in zip(clips, system.process(clips), strict=True)}


def test_shuffled_gives_every_clip_another_one(captioned: Path) -> None:
    clips = [item.seeded(0) for item in load_folder(captioned).clips]
    partners = shuffled(clips)
    assert set(partners) == set(partners.values())
    assert all(clip != partner for clip, partner in partners.items())
    assert shuffled(clips[::-1]) == partners
    assert any(shuffled([item.seeded(seed) for item in clips]) != partners for seed in range(1, 6))


def test_captions_of_one_recording_never_meet(captioned: Path) -> None:
    clips = [item.seeded(1) for item in load_folder(captioned).clips]
    doubled = [replace(item, id=f"{item.id}/{n}").seeded(1) for item in clips for n in range(5)]
    partners = shuffled(doubled)
    assert all(clip.rsplit("/", 1)[0] != partner.rsplit("/", 1)[0] for clip, partner in partners.items())
    with pytest.raises(BenchError, match="captioned cannot be shuffled: it holds a single recording"):
        shuffled(doubled[:5])


def test_shuffled_run_resumes_to_the_same_partners(captioned: Path, tmp_path: Path) -> None:
    dataset = load_folder(captioned)
    suite = Suite(name="tiny", title="Tiny", task="generate", datasets=(dataset.name,), metrics=("rtf",))
    whole = make_plan(suite, [dataset], [resolve("shuffled")], tmp_path)
    generate(whole, Options(quiet=True))
    done = open_run(whole.paths[0])
    journal = whole.paths[0] / "outputs.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:1]))
    # Three of four are pending now; their partners are chosen among all four.
    generate(whole, Options(quiet=True))
    again = open_run(whole.paths[0])
    assert {key: row.digest for key, row in again.outputs.items()} == {k: r.digest for k, r in done.outputs.items()}
    own = {clip.id: clip.audio.digest() for clip in dataset.clips}
    assert all(row.digest != own[key] for key, row in again.outputs.items())
    assert {row.digest for row in again.outputs.values()} == set(own.values())


# --- without any files --------------------------------------------------------------------------------------


def test_tokenizers_for_systems_without_files() -> None:
    from ldmbench.systems.latent.tokenizers import byte_tokenizer, character_tokenizer

    for tokenizer in (byte_tokenizer(), character_tokenizer()):
        ids = tokenizer("a dog, Über 2").input_ids
        assert len(ids) > 10
        assert ids == tokenizer("a dog, Über 2").input_ids != tokenizer("a cat, Über 2").input_ids
        assert max(ids) < len(tokenizer)
    assert byte_tokenizer().decode(byte_tokenizer()("Über").input_ids, skip_special_tokens=True) == "Über"


def test_weights_of_a_variant() -> None:
    card = resolve("tango@tango2").card
    assert set(card.weights_of("tango2")) == {"flan-t5", "tango2"}
    assert all(entry.repo for entry in card.weights.values())
    for name in ("audioldm", "audioldm2", "audioldm-zero-shot"):
        card = resolve(name).card
        shared = {key for key in card.weights if key not in card.variants}
        assert set(card.variants) == set(card.weights) - shared
        for variant in card.variants:
            own = variant.endswith(("-original", "-text-ft"))
            assert set(card.weights_of(variant)) == {variant} | (shared if own else set())
            assert {entry.folder for entry in card.weights_of(variant).values()} == {
                f"{name.removesuffix('-zero-shot')}/{variant}"
            }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["audioldm@s-full-v2", "audioldm-zero-shot@s-full-v2"])
def test_untrained_full_size(name: str, tmp_path: Path, captioned: Path) -> None:
    from ldmbench.clips.condition import Condition

    dataset = load_folder(captioned)
    gap = Condition(kind="gap", start_s=0.12, end_s=0.2) if "zero" in name else None
    dataset = replace(dataset, clips=tuple(replace(item, condition=gap) for item in dataset.clips[:1]))
    more = "" if gap else ",seconds=0.32"
    spec = resolve(f"{name}:steps=1{more}", untrained=True)
    suite = Suite(name="tiny", title="Tiny", task=spec.card.tasks[0], datasets=(dataset.name,), metrics=("rtf",))
    plan = make_plan(suite, [dataset], [spec], tmp_path)
    generate(plan, Options(quiet=True))
    (row,) = open_run(plan.paths[0]).outputs.values()
    assert row.status == "ok", row.message
    assert row.details["tokenizer"] == "bytes, not the official one"
    written = audio.read(plan.paths[0] / row.audio)
    assert written.length == 5120
    # 185.0 M in the U-Net, 125.3 M in CLAP's text half, 55.4 M in the VAE, 55.3 M in the vocoder.
    info = json.loads((plan.paths[0] / "run.json").read_text())
    assert info["untrained"] is True
    assert 4.2e8 < info["parameters"] < 4.3e8
