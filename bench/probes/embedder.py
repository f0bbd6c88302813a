"""Systems as probes see them: embeddings of clips by layer, computed once for each sound and kept in the cache home."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ldmbench.audio.arrays import Features
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError
from ldmbench.extractors import cache
from ldmbench.extractors.cache import Arrays
from ldmbench.names import Name, parse, show, unknown
from ldmbench.probes.features import log_mel
from ldmbench.probes.steadiness import key, steadiness
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import Codec
from ldmbench.system.protocol import Embeds, Output, Prepares, System
from ldmbench.system.registry import load_system, resolve

#: Setting of every system that is probed: the layer of its representation.
LAYER = "layer"

#: The layer that is probed where none is named: what the decoder gets.
ALL = "all"

#: The layer that every codec has: mean and deviation of the log-mel spectrogram of the decoded sound.
LOG_MEL = "log-mel"

#: Where a row says in which entry of the cache its embedding is: ``[fingerprint, key]``.
CACHED = "cached"

#: Where a row says whether codes stay when the sound is changed.
STEADINESS = "steadiness"

#: Begins the names of layers in an entry of the cache.
_PREFIX = "layer/"


def resolve_probed(
    name: str | Name, device: str = "cpu", untrained: bool = False, weights: Path | None = None
) -> SystemSpec:
    """``NAME[@VARIANT][:layer=LAYER,...]``: a system with the layer that is probed among its settings.

    Raises:
        BenchError: As ``resolve``, or if the system has a setting of that name itself.
    """
    asked = name if isinstance(name, Name) else parse(name)
    settings = dict(asked.settings)
    layer = settings.pop(LAYER, None)
    spec = resolve(Name(asked.name, asked.variant, settings), device, untrained, weights)
    if LAYER in spec.settings:
        raise BenchError(f"{spec.card.name} cannot be probed", f"it has a setting {LAYER} of its own", "rename that")
    shown = {} if layer is None else {LAYER: show(layer)}
    label = replace(spec.name, settings={**spec.name.settings, **shown})
    return replace(spec, name=label, settings={**spec.settings, LAYER: shown.get(LAYER, ALL)})


def is_probed(spec: SystemSpec) -> bool:
    """Whether a spec comes from ``resolve_probed``."""
    return LAYER in spec.settings


def without_layer(spec: SystemSpec) -> SystemSpec:
    """The system whatever layer of it is probed."""
    rest = {key: value for key, value in spec.settings.items() if key != LAYER}
    name = replace(spec.name, settings={key: value for key, value in spec.name.settings.items() if key != LAYER})
    return replace(spec, name=name, settings=rest)


def why_not_probed(spec: SystemSpec) -> str:
    """Why a system has no layer as asked for, as far as its card tells; or empty."""
    if spec.settings[LAYER] == LOG_MEL:
        return "" if "codec" in spec.card.tasks else f"{LAYER}={LOG_MEL} is of decoded sound, and it is no codec"
    if "embed" in spec.card.tasks:
        return ""
    return f"it offers no embeddings; {LAYER}={LOG_MEL} probes what it decodes" if "codec" in spec.card.tasks else "-"


class Embedder:
    """A system that yields embeddings in place of sound; built only when a sound is not in the cache.

    Args:
        spec: From ``resolve_probed``.
        fingerprint: Hash of all that changes the embeddings of a sound.
        changes: What is also done to every sound, to see whether its codes stay.
    """

    def __init__(self, spec: SystemSpec, fingerprint: str, changes: Sequence[tuple[str, float]] = ()) -> None:
        self.spec, self.card = spec, spec.card
        self.layer = str(spec.settings[LAYER])
        self.changes = tuple(changes)
        # What is decoded may be long; it is not made where only embeddings are asked for, nor the other way round.
        self.fingerprint = hashlib.sha256(f"{fingerprint} {self.layer == LOG_MEL}".encode()).hexdigest()
        self._system: System | None = None
        self._clips: Sequence[Clip] = ()

    def setup(self, clips: Sequence[Clip]) -> None:
        """Look at the first sound that can be read: a layer that is not there is no failure of each clip."""
        self._clips = clips
        for clip in clips:
            try:
                ready = clip.load()
            except BenchError:
                continue
            list(self.process([ready]))
            return

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """One output with an embedding for each clip, in order.

        Raises:
            BenchError: If the system has no such layer, or yields what is no embedding.
        """
        keys = [clip.audio.digest() for clip in clips]
        kept = [cache.get(self.fingerprint, key) for key in keys]
        made = self._made([clip for clip, entry in zip(clips, kept, strict=True) if entry is None])
        for clip, digest, entry in zip(clips, keys, kept, strict=True):
            arrays = entry
            if arrays is None:
                arrays = next(made, None)
                if arrays is None:
                    raise BenchError(f"{self.card.name} returned fewer embeddings than there are clips")
                cache.put(self.fingerprint, digest, arrays)
            layers = layers_of(arrays)
            if self.layer not in layers:
                raise unknown(f"layer of {self.spec.label}", self.layer, layers)
            details: dict[str, Any] = {CACHED: [self.fingerprint, digest]}
            if self.changes:
                system = self._ready()
                details[STEADINESS] = (
                    steadiness(system, clip.audio, self.changes, clip.seed)
                    if isinstance(system, Codec)
                    else {key(*change): "it is no codec" for change in self.changes}
                )
            yield _output(arrays, layers, details)

    def _made(self, clips: Sequence[Clip]) -> Iterator[Arrays]:
        if not clips:
            return
        system = self._ready()
        if self.layer == LOG_MEL:
            for output in system.process(clips):
                if output.audio is None:
                    raise BenchError(f"{self.card.name} returned no audio")
                yield _entry(self.card.name, {LOG_MEL: log_mel(output.audio)}, output)
            return
        if not isinstance(system, Embeds):
            raise BenchError(f"{self.card.name} has no embed(clips)", "its card says that it does", "correct the card")
        for clip, layers in zip(clips, system.embed(clips), strict=False):
            coded = Output()
            if isinstance(system, Codec):
                stream = system.encode(system.adapt(clip.audio)[0])
                sizes, side, nominal = stream.codebooks, stream.side_bits, stream.nominal_kbps
                coded = Output(None, stream.bits, stream.tokens, sizes, side, nominal)
            yield _entry(self.card.name, layers, coded)

    def _ready(self) -> System:
        if self._system is None:
            system = load_system(without_layer(self.spec))
            if isinstance(system, Prepares):
                system.setup(self._clips)
            self._system = system
        return self._system


def build_embedder(fingerprints: Mapping[str, str], changes: Sequence[tuple[str, float]], spec: SystemSpec) -> System:
    """The ``Embedder`` of a spec, whose fingerprint goes by its label."""
    return Embedder(spec, fingerprints[spec.label], changes)


def layers_of(arrays: Arrays) -> dict[str, Features]:
    """Layer -> embedding, of an entry of the cache."""
    return {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}


def embedding_digest(layers: Mapping[str, Features]) -> str:
    """SHA-256 (hex) over names, shapes and values of all layers."""
    total = hashlib.sha256()
    for name in sorted(layers):
        array = np.ascontiguousarray(layers[name], "<f4")
        total.update(f"{name} {array.shape} ".encode() + array.tobytes())
    return total.hexdigest()


def cached_layer(place: Sequence[str], layer: str) -> Features | None:
    """The embedding that a row says is in the cache, or None where it is not there any more."""
    entry = cache.get(*place)
    return None if entry is None else layers_of(entry).get(layer)


def is_lost(details: Mapping[str, Any], changes: Sequence[tuple[str, float]] = ()) -> bool:
    """Whether an output was an embedding, and is not in the cache any more, or was not asked for these changes."""
    if CACHED not in details:
        return False
    asked = {key(*change) for change in changes}
    return not cache.holds(*details[CACHED]) or not asked <= set(details.get(STEADINESS, ()))


def _entry(owner: str, layers: Mapping[str, Features], coded: Output) -> dict[str, NDArray[Any]]:
    """What the cache keeps of a sound: its layers, and what they cost to transmit."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, layer in layers.items():
        array = np.asarray(layer, np.float32)
        if array.ndim != 1 or not array.size or not np.isfinite(array).all():
            raise BenchError(
                f"{owner} returned a layer {name} that is no embedding",
                f"shape {array.shape}" if array.ndim != 1 or not array.size else "NaN or Inf",
                "embed yields finite vectors [dim], averaged over time",
            )
        arrays[_PREFIX + str(name)] = array
    if coded.bits is not None:
        nominal = np.nan if coded.nominal_kbps is None else coded.nominal_kbps
        arrays["bits"] = np.array([coded.bits, coded.side_bits], np.int64)
        arrays["nominal"] = np.array(nominal, np.float64)
    if coded.tokens is not None:
        arrays["tokens"] = np.asarray(coded.tokens)
        arrays["codebooks"] = np.array(coded.codebooks, np.int64)
    return arrays


def _output(arrays: Arrays, layers: Mapping[str, Features], details: Mapping[str, Any]) -> Output:
    """What ``_entry`` kept, as an output."""
    bits, side, nominal = None, 0, np.nan
    if "bits" in arrays:
        (bits, side), nominal = map(int, arrays["bits"]), float(arrays["nominal"])
    return Output(
        bits=bits,
        tokens=arrays.get("tokens"),
        codebooks=tuple(map(int, arrays.get("codebooks", ()))),
        side_bits=side,
        nominal_kbps=None if np.isnan(nominal) else nominal,
        details=details,
        embedding=layers,
    )
