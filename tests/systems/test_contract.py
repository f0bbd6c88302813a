"""What every system must do, whatever it is: one output per clip, the right length, the same samples again."""

from __future__ import annotations

import importlib
import inspect
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.system.protocol import Checks, Embeds, Learned, Output, Prepares, System, parameters_of
from ldmbench.system.registry import list_systems, load_adapter, load_system, load_system_card, resolve

#: Systems that take longer than the rest of this file together.
SLOW = {"kmeans-mel"}


def _weightless() -> list[str]:
    cards = [load_system_card(name) for name in list_systems()]
    return [card.name for card in cards if card.tasks != ("generate",) and not card.weights and not card.command]


def _params(labels: list[str]) -> list[object]:
    return [
        pytest.param(label, marks=pytest.mark.slow) if label.partition("@")[0] in SLOW else label for label in labels
    ]


SYSTEMS = _params(_weightless())
VARIANTS = _params([f"{name}@{variant}" for name in _weightless() for variant in load_system_card(name).variants])


@pytest.fixture(scope="module")
def clips(speech_like: Callable[..., Audio]) -> list[Clip]:
    """Three clips of unlike rates, lengths and channels."""
    return [
        Clip("test/a", "test", loaded=speech_like(48000, 0.61, seed=1), seed=11),
        Clip("test/b", "test", loaded=speech_like(16000, 0.5, seed=2), seed=12),
        Clip("test/c", "test", loaded=speech_like(44100, 0.33, seed=3, channels=2), seed=13),
    ]


def _same(first: Output, second: Output) -> bool:
    assert first.audio is not None
    assert second.audio is not None
    return first.audio.digest() == second.audio.digest() and first.bits == second.bits


def test_the_systems_of_this_version_are_all_here() -> None:
    expected = {
        "opus", "mp3", "aac", "amr-nb", "g722", "g726", "codec2", "speex", "vorbis",
        "lowpass", "reference", "noise", "resample", "kmeans-mel",
    }  # fmt: skip
    assert expected <= set(_weightless())


@pytest.mark.parametrize("name", list_systems())
def test_card(name: str) -> None:
    card = load_system_card(name)
    assert card.name == name
    assert list_systems()[name].stem == name.replace("-", "_")
    assert card.title
    assert card.licence
    if card.variants:
        assert card.default in card.variants
    for variant, settings in card.variants.items():
        assert settings.keys() <= card.settings.keys(), variant
        for key, value in settings.items():
            assert type(value) is type(card.settings[key]), (variant, key)
    if not card.command:
        assert card.module.startswith("ldmbench.systems.")


@pytest.mark.parametrize("name", list_systems())
def test_an_adapter_says_in_the_same_way_what_it_needs_and_offers(name: str) -> None:
    """Looked at without building: the class has ``process``; what it offers beyond is what the protocols know."""
    adapter = load_adapter(load_system_card(name))
    if isinstance(adapter, Checks):
        assert isinstance(adapter.available(), str)
    if not isinstance(adapter, type):
        pytest.skip(f"{name} is built by a function")
    assert callable(getattr(adapter, "process", None))
    for protocol, method in ((Prepares, "setup"), (Embeds, "embed"), (System, "process")):
        if hasattr(adapter, method):
            own, asked = (list(inspect.signature(getattr(kind, method)).parameters) for kind in (adapter, protocol))
            assert own == asked, method
    module = importlib.import_module(adapter.__module__)
    assert not hasattr(module, "available"), "the preflight asks the class"


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_a_system_offers(name: str, clips: list[Clip], build: Callable[[str], System]) -> None:
    system = build(name)
    assert isinstance(system, System)
    if isinstance(system, Prepares):
        system.setup(clips)
    count = parameters_of(system)
    assert isinstance(system, Learned) is (count is not None)
    assert count is None or count > 0
    if isinstance(system, Embeds):
        embeddings = list(system.embed(clips))
        assert len(embeddings) == len(clips)
        assert len({tuple((layer, row.shape, row.dtype) for layer, row in item.items()) for item in embeddings}) == 1
        assert all(row.ndim == 1 and row.dtype == np.float32 for row in embeddings[0].values())


@pytest.mark.parametrize("name", SYSTEMS)
def test_contract(name: str, clips: list[Clip], build: Callable[[str], System]) -> None:
    system = build(name)
    outputs = list(system.process(clips))
    assert len(outputs) == len(clips)
    for clip, output in zip(clips, outputs, strict=True):
        audio = output.audio
        assert audio is not None
        assert audio.samples.dtype == np.float32
        assert np.isfinite(audio.samples).all()
        assert audio.rate == (system.card.rate or clip.audio.rate)
        assert audio.length == round(clip.audio.duration * audio.rate)
        assert audio.channels == (clip.audio.channels if clip.audio.channels in system.card.channels else 1)
        assert output.bits is None or output.bits > 0
        assert (output.tokens is None) or output.tokens.dtype == np.int64
        assert "downmix" in output.details or audio.channels == clip.audio.channels

    again = list(build(name).process(clips[::-1]))[::-1]
    alone = [next(iter(system.process([clip]))) for clip in clips]
    for output, second, third in zip(outputs, again, alone, strict=True):
        assert _same(output, second), "order or a new instance changed the output"
        assert _same(output, third), "the batch changed the output"


@pytest.mark.parametrize("name", SYSTEMS)
def test_outputs_follow_their_clips(name: str, clips: list[Clip], build: Callable[[str], System]) -> None:
    outputs = list(build(name).process([clips[1], clips[0]]))
    durations = [output.audio.duration for output in outputs if output.audio]
    assert durations == pytest.approx([clips[1].audio.duration, clips[0].audio.duration], abs=1e-4)


@pytest.mark.parametrize("name", SYSTEMS)
def test_spec_crosses_processes(name: str, clips: list[Clip], build: Callable[[str], System]) -> None:
    system = build(name)
    copy = load_system(pickle.loads(pickle.dumps(resolve(name))))
    assert _same(next(iter(system.process(clips[:1]))), next(iter(copy.process(clips[:1]))))


@pytest.mark.parametrize("label", VARIANTS)
def test_every_variant_runs(label: str, speech_like: Callable[..., Audio], through: Callable[..., Output]) -> None:
    audio = speech_like(48000, 0.25)
    output = through(label, audio)
    assert output.audio is not None
    assert np.isfinite(output.audio.samples).all()
    assert output.audio.length == round(0.25 * output.audio.rate)
    level = math.sqrt(float(np.mean(output.audio.samples.astype(float) ** 2)))
    assert 0.03 < level < 0.3, "the output is silent or far louder than the clip"
