"""Systems at work: one is built and prepared, and each of its clips becomes a row with the sound that belongs to it."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, SupportsInt

import numpy as np

from ldmbench.audio.arrays import Tokens
from ldmbench.audio.delay import delay
from ldmbench.audio.sound import Audio
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, describe
from ldmbench.host.interrupt import from_keyboard
from ldmbench.host.memory import free_memory, is_out_of_memory, peak_memory
from ldmbench.metrics._pair import LENGTH_TOLERANCE
from ldmbench.probes.embedder import embedding_digest
from ldmbench.runs.records import OutputRow
from ldmbench.system import beside
from ldmbench.system.card import SystemSpec
from ldmbench.system.protocol import Adapter, Cost, Output, Prepares, System, parameters_of

_log = logging.getLogger(__name__)

#: Channels a WAV can have: its header counts them in 16 bits.
MOST_CHANNELS = 65_535


class Made(NamedTuple):
    """A row, and what is still to be stored of the output: its sound, and its tokens."""

    row: OutputRow
    sound: Audio | None = None
    tokens: Tokens | None = None


class Producer:
    """A system that is ready for clips.

    Args:
        spec: The system.
        build: How a spec becomes a system.
        clips: Every planned clip, for its setup.

    Raises:
        BenchError: If the system cannot be built or set up, with whatever it raised.
    """

    def __init__(self, spec: SystemSpec, build: Adapter, clips: Sequence[Clip]) -> None:
        self.spec = spec
        #: The most clips at once that have not been too many for the memory; None as long as none were.
        self._most: int | None = None
        try:
            self._system = build(spec)
            if isinstance(self._system, Prepares):
                self._system.setup(clips)
            self.parameters = parameters_of(self._system)
        except BaseException as error:
            raise BenchError(_reason(error)) from error

    def process(self, clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
        """Rows for a batch; clips whose input is broken, or on which the system fails alone, become failed rows.

        A batch for which the memory is short is halved until it fits, and no later one is larger.

        Args:
            clips: The batch.
            alone: Measure time and memory; they belong to a clip only in a batch of one.
        """
        ready = []
        for clip in clips:
            try:
                ready.append(clip.load() if clip.path is not None else clip)
            except BenchError as error:
                yield Made(OutputRow(clip.id, "failed", str(error)))
        while ready:
            size = self._most or len(ready)  # It may have shrunk meanwhile.
            batch, ready = ready[:size], ready[size:]
            yield from self._processed(batch, alone)

    def _processed(self, ready: Sequence[Clip], alone: bool) -> Iterator[Made]:
        outputs: list[Output] = []
        stopped, short = "", False
        try:
            # One more than there should be is enough to know; a system that never ends is not waited for.
            for output in islice(self._timed(ready, alone), len(ready) + 1):
                outputs.append(output)
        except BaseException as error:
            stopped, short = _reason(error), is_out_of_memory(error)
        # Outputs belong to clips by their order alone: where one is missing or too many, none can be told apart.
        if not stopped and len(outputs) != len(ready):
            count = len(outputs) if len(outputs) < len(ready) else f"more than {len(ready)}"
            stopped, outputs = f"{self.spec.label} returned {count} outputs for {len(ready)} clips", []
        for clip, output in zip(ready, outputs, strict=False):
            yield self._row(clip, output)
        if stopped and len(ready) == 1:
            yield Made(OutputRow(ready[0].id, "failed", stopped))
            return
        left = ready[len(outputs) :]
        if short:
            self._most = len(ready) // 2
            _log.warning("%s: %d clips at once do not fit the memory, now %d", self.spec.label, len(ready), self._most)
            free_memory()
            yield from self.process(left, alone=False)
            return
        for clip in left:
            yield from self.process([clip], alone=False)

    def _timed(self, clips: Sequence[Clip], alone: bool) -> Iterator[Output]:
        """Outputs of a batch; with the cost of each where it was processed alone."""
        if not alone or len(clips) != 1:
            yield from self._system.process(clips)
            return
        with peak_memory(self.spec.device) as peak:
            start = time.perf_counter()
            outputs = list(islice(self._system.process(clips), 2))
            seconds = time.perf_counter() - start
        for output in outputs:
            cost = Cost(seconds, peak(), self.parameters)
            yield replace(output, cost=cost) if isinstance(output, Output) else output

    def _row(self, clip: Clip, output: Output) -> Made:
        try:
            fault = _fault(self._system, clip, output)
            if not fault:
                return _accepted(clip, output)
        except BaseException as error:
            # An adapter may yield anything; what cannot be stored is its failure, not the end of the run.
            fault = f"{self.spec.card.name} returned an output that cannot be stored: {_reason(error)}"
        return Made(OutputRow(clip.id, "failed", fault))


def _reason(error: BaseException) -> str:
    """One line for a failed row: what was raised, and where in the adapter; Ctrl-C is raised on."""
    if from_keyboard(error):
        raise error
    if isinstance(error, BenchError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return describe(error) + where


def _accepted(clip: Clip, output: Output) -> Made:
    # Through JSON and a plain record: nothing of the adapter's own classes gets further than here.
    details = json.loads(json.dumps(dict(output.details), allow_nan=False))
    json.dumps(details, ensure_ascii=False).encode()
    if output.embedding is not None:
        tokens = None if output.tokens is None else _whole_tokens(output.tokens, output.codebooks)
        return Made(_embedded(clip, output, details), tokens=tokens)
    sound = output.audio
    assert sound is not None, "a sound without audio was refused"
    sound = Audio(np.array(sound.samples, np.float32), _whole("rate", sound.rate))
    tokens = None if output.tokens is None else _whole_tokens(output.tokens, output.codebooks)
    row = OutputRow(
        clip.id,
        "ok",
        audio=str(output.path.resolve()) if output.path else "",
        digest=sound.digest(),
        reference=clip.loaded.digest() if clip.loaded is not None else "",
        rate=sound.rate,
        channels=sound.channels,
        seconds_audio=sound.duration,
        bits=None if output.bits is None else _whole("bits", output.bits),
        tokens=None if tokens is None else int((tokens >= 0).sum()),
        codebooks=[_whole("codebooks", size) for size in output.codebooks],
        side_bits=_whole("side_bits", output.side_bits),
        nominal_kbps=None if output.nominal_kbps is None else float(output.nominal_kbps),
        seconds=output.cost.seconds,
        peak_memory=output.cost.peak_memory,
        details=details,
        delay=delay(clip.loaded, sound) if clip.loaded is not None else 0.0,
        notes=_notes(clip, output),
    )
    return Made(row, None if output.path else sound, tokens)


def _whole_tokens(tokens: Tokens, codebooks: Sequence[int]) -> Tokens:
    """Tokens as they are stored, ``[layers, frames]``.

    Raises:
        ValueError: If they are no such array of whole numbers, or not below the sizes of their codebooks.
    """
    array = np.asarray(tokens)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise ValueError(f"tokens are {array.dtype} {array.shape}, not whole numbers [layers, frames]")
    if codebooks and len(codebooks) != len(array):
        raise ValueError(f"{len(array)} layers of tokens and {len(codebooks)} codebooks")
    if array.size and (array.min() < -1 or any(row.max() >= size for row, size in zip(array, codebooks, strict=False))):
        raise ValueError("tokens lie outside their codebooks")
    return array.astype(np.int64)


def _embedded(clip: Clip, output: Output, details: dict[str, Any]) -> OutputRow:
    """The row of an embedding, which lies in the cache; without a time, since it may have lain there before."""
    assert output.embedding is not None, "a sound is another row"
    return OutputRow(
        clip.id,
        "ok",
        digest=embedding_digest(output.embedding),
        reference=clip.loaded.digest() if clip.loaded is not None else "",
        seconds_audio=clip.loaded.duration if clip.loaded is not None else 0.0,
        bits=None if output.bits is None else _whole("bits", output.bits),
        tokens=None if output.tokens is None else int((output.tokens >= 0).sum()),
        codebooks=[_whole("codebooks", size) for size in output.codebooks],
        side_bits=_whole("side_bits", output.side_bits),
        nominal_kbps=output.nominal_kbps,
        details=details,
        notes=_notes(clip, output),
    )


def _notes(clip: Clip, output: Output) -> list[str]:
    """What a user should hear about the files that were read."""
    read = ((clip.path, clip.loaded), (output.path, output.audio))
    return [f"{path.name} {note}" for path, sound in read if path and sound is not None for note in sound.notes]


def _whole(what: str, value: SupportsInt) -> int:
    """A number of Python that is whole and not negative.

    Raises:
        ValueError: If it is another.
    """
    number = int(value)
    if number != value or number < 0:
        raise ValueError(f"{what} = {value} is no whole number from 0 on")
    if number >= 1 << 63:
        raise ValueError(f"{what} is a number of {len(str(number))} digits, which no table holds")
    return number


def _fault(system: System, clip: Clip, output: Output) -> str:
    """Why an output cannot be accepted, or empty."""
    if not isinstance(output, Output):
        return f"{system.card.name} returned {type(output).__name__}, not an Output"
    if output.embedding is not None:
        return ""
    if output.audio is None:
        return f"{system.card.name} returned no audio"
    if output.audio.samples.size == 0:
        return f"{system.card.name} returned 0 samples"
    if output.audio.channels > MOST_CHANNELS:
        return f"{system.card.name} returned {output.audio.channels} channels, a WAV holds {MOST_CHANNELS}"
    wrong = int((~np.isfinite(output.audio.samples)).sum())
    if wrong:
        return f"{system.card.name} returned NaN or Inf in {wrong} of {output.audio.samples.size} samples"
    if output.path is not None and not output.path.is_file():
        return f"{system.card.name} names a file that is not there: {output.path}"
    if output.path is None and system.card.tasks != ("generate",) and clip.path is not None:
        expected, found = clip.audio.duration, output.audio.duration
        if abs(expected - found) > LENGTH_TOLERANCE:
            return f"{system.card.name} returned {found:.3f} s for a clip of {expected:.3f} s"
    return ""


#: The system of this process, where it is one of its own.
_here: list[Producer] = []


def start(
    spec: SystemSpec, build: Adapter, clips: Sequence[Clip], folders: Sequence[str]
) -> Iterator[tuple[str, int | None]]:
    """In a process of its own: get a system ready; yields why it cannot be, or empty, and its learned parameters.

    Args:
        spec: The system.
        build: How a spec becomes a system; importable.
        clips: Every planned clip.
        folders: Folders of cards, in which modules are looked for.
    """
    _here.clear()
    beside.look_into(folders)
    try:
        _here.append(Producer(spec, build, clips))
    except BenchError as error:
        yield str(error), None
        return
    yield "", _here[0].parameters


def process(clips: Sequence[Clip], alone: bool) -> Iterator[Made]:
    """In a process of its own: ``Producer.process`` of the system that ``start`` made; one by one where alone."""
    for batch in [[clip] for clip in clips] if alone else [clips]:
        yield from _here[0].process(batch, alone)
