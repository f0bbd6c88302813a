"""The base of extractors and the cache below it: what is computed, how often, together with what."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from ldmbench.audio.sound import Audio
from ldmbench.errors import BenchError
from ldmbench.extractors import Extractor, NetworkExtractor, cache, digest, make_fingerprint


class Moments(NetworkExtractor):
    """Mean and energy of a sound, and a record of every batch."""

    rate = 8000

    def __init__(self, fingerprint: str = "a" * 64, batch: int = 4) -> None:
        self.fingerprint = fingerprint
        self.batch = batch
        self.shapes: list[tuple[int, ...]] = []
        self.loads = 0

    def load(self) -> None:
        self.loads += 1

    def prepare(self, sound: Audio) -> np.ndarray:
        if sound.length < 4:
            raise BenchError("too short")
        samples: np.ndarray = sound.samples[0]
        return samples

    def forward(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        self.shapes.append(batch.shape)
        return {"moments": np.stack([batch.mean(axis=1), (batch**2).mean(axis=1)], axis=1)}


def noise(length: int, seed: int = 0) -> Audio:
    return Audio.of(np.random.default_rng(seed).standard_normal(length), 8000)


def entries(home: Path) -> list[Path]:
    return sorted(home.glob("embeddings/*/*/*.npz"))


def test_it_is_an_extractor_and_keeps_the_order() -> None:
    extractor = Moments()
    assert isinstance(extractor, Extractor)
    sounds = [noise(length, seed) for seed, length in enumerate((50, 20, 50, 30, 20, 50))]
    features = extractor.embed(sounds)
    for sound, found in zip(sounds, features, strict=True):
        np.testing.assert_allclose(found["moments"][0], sound.samples.mean(), atol=1e-6)
        assert found["moments"].dtype == np.float32


def test_only_equal_lengths_share_a_batch_and_none_is_padded() -> None:
    extractor = Moments(batch=2)
    extractor.embed([noise(length, seed) for seed, length in enumerate((50, 20, 50, 30, 20, 50))])
    assert sorted(extractor.shapes) == [(1, 30), (1, 50), (2, 20), (2, 50)]


def test_long_sounds_go_in_smaller_batches() -> None:
    extractor = Moments(batch=8)
    extractor.largest = 100
    extractor.embed([noise(50, seed) for seed in range(5)] + [noise(500)])
    assert sorted(extractor.shapes) == [(1, 50), (1, 500), (2, 50), (2, 50)]


def test_nothing_is_computed_twice_in_a_batch_in_a_process_or_from_disk(home: Path) -> None:
    extractor = Moments()
    first, again = noise(40), noise(40)
    assert (
        extractor.embed([first, again, first])[0]["moments"].tolist() == extractor.embed([again])[0]["moments"].tolist()
    )
    assert extractor.shapes == [(1, 40)]
    assert len(entries(home)) == 1
    cache.forget()
    other = Moments()
    np.testing.assert_array_equal(other.embed([again])[0]["moments"], extractor.embed([first])[0]["moments"])
    assert (other.shapes, other.loads) == ([], 0)


def test_weights_are_loaded_once_and_only_when_needed() -> None:
    extractor = Moments()
    extractor.embed([])
    assert extractor.loads == 0
    extractor.embed([noise(40)])
    extractor.embed([noise(41)])
    assert extractor.loads == 1


def test_another_fingerprint_another_rate_another_sample_are_other_entries(home: Path) -> None:
    sound = noise(40)
    Moments().embed([sound])
    changed = sound.samples.copy()
    changed[0, 3] = np.nextafter(changed[0, 3], 2)
    for other in (Moments("b" * 64), Moments()):
        other.embed([sound])
    Moments().embed([Audio.of(changed, 8000), Audio(sound.samples, 16_000)])
    assert len(entries(home)) == 4


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", None])
def test_a_damaged_entry_is_computed_again(home: Path, damage: bytes | None) -> None:
    extractor, sound = Moments(), noise(40)
    (before,) = extractor.embed([sound])
    (entry,) = entries(home)
    entry.write_bytes(entry.read_bytes()[:-40] if damage is None else damage)
    cache.forget()
    (after,) = extractor.embed([sound])
    np.testing.assert_array_equal(before["moments"], after["moments"])
    assert len(extractor.shapes) == 2
    cache.forget()
    extractor.embed([sound])
    assert len(extractor.shapes) == 2


def test_no_half_written_entry_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: BinaryIO, **arrays: object) -> None:
        handle.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(BenchError, match="No space left"):
        Moments().embed([noise(40)])
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_memory_is_bounded_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGEST", 1000)
    for key in range(20):
        cache.put("f" * 64, f"{key:064d}", {"x": np.zeros(50, np.float32)})
    assert cache._bytes <= 1000
    assert len(cache._memory) == 5
    assert cache.get("f" * 64, f"{0:064d}") is not None


def test_what_is_cached_cannot_be_changed_by_mistake() -> None:
    extractor, sound = Moments(), noise(40)
    (features,) = extractor.embed([sound])
    with pytest.raises(ValueError, match="read-only"):
        features["moments"][0] = 1


def test_a_sound_that_cannot_be_prepared_is_an_error() -> None:
    with pytest.raises(BenchError, match="too short"):
        Moments().embed([noise(40), noise(2)])


def test_features_that_are_not_finite_are_never_cached(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Moments, "forward", lambda self, batch: {"moments": np.full((len(batch), 2), np.nan)})
    with pytest.raises(BenchError, match="not finite"):
        Moments().embed([noise(40)])
    assert entries(home) == []


def test_digest_is_the_sounds_own() -> None:
    sound = noise(40)
    assert digest(sound) == sound.digest() == digest(noise(40))


def test_fingerprints_depend_on_every_part_and_not_on_their_order() -> None:
    assert make_fingerprint(a=1, b=2) == make_fingerprint(b=2, a=1)
    assert len({make_fingerprint(a=a, b=b) for a in (1, 2) for b in (True, "x", None)}) == 6


def test_batches_are_halved_until_they_fit_and_stay_so() -> None:
    class Small(Moments):
        def forward(self, batch: np.ndarray) -> dict[str, np.ndarray]:
            outputs = super().forward(batch)
            if len(batch) > 2:
                raise RuntimeError("CUDA out of memory")
            return outputs

    small, large = Small(batch=8), Moments("b" * 64, batch=8)
    sounds = [noise(30, seed) for seed in range(11)]
    for ours, theirs in zip(small.embed(sounds), large.embed(sounds), strict=True):
        np.testing.assert_array_equal(ours["moments"], theirs["moments"])
    assert [shape[0] for shape in small.shapes] == [8, 4, 2, 2, 2, 2, 2, 1]
    small.embed([noise(40, seed) for seed in range(3)])
    assert [shape[0] for shape in small.shapes[8:]] == [2, 1]


def test_an_input_that_does_not_fit_alone_is_an_error() -> None:
    class None_(Moments):
        def forward(self, batch: np.ndarray) -> dict[str, np.ndarray]:
            self.shapes.append(batch.shape)
            raise RuntimeError("CUDA out of memory")

    extractor = None_(batch=4)
    with pytest.raises(RuntimeError, match="out of memory"):
        extractor.embed([noise(30, seed) for seed in range(4)])
    assert [shape[0] for shape in extractor.shapes] == [4, 2, 1]
