"""Systems that are not Python objects here: a program in another environment or language, or a folder of outputs.

The contract with a program, version 1. The card's ``command`` is started once for each batch of clips, in the
current folder, with two placeholders filled in: ``{input}`` is the path of a JSON job file, ``{output}`` an empty
folder. ``{here}``, ``{python}`` and ``{environment}`` are those of ``ldmbench.system.environment``. It may print what
it likes. The job file::

    {"schema": 1, "system": "gain@6dB", "task": "codec", "rate": 16000, "device": "cpu", "untrained": false,
     "weights": null, "settings": {"gain_db": 6.0},
     "clips": [{"id": "set/clip", "audio": "/tmp/x/0.wav", "text": null, "seed": 1234}]}

``audio`` is a float32 WAV of what the system works on: for ``codec`` the clip, at the card's rate and mixed to
mono where the card has no other layout; for ``enhance`` the degraded input as it is; null for ``generate``, which
has ``text``. ``weights`` is the folder of the official files where the card lists any, or the checkpoint that was named
with ``:weights=``. Every random choice comes from ``seed``. With ``untrained``, seeded random weights are used.

The program writes one float32 WAV for each clip into ``{output}``, and ``results.json`` beside them::

    {"schema": 1,
     "clips": [{"id": "set/clip", "audio": "0.wav", "bits": 5120, "tokens": [[1, 2], [3, 4]], "codebooks": [1024, 1024],
                "side_bits": 0, "nominal_kbps": 5.0, "details": {}}]}

``audio`` is relative to the folder, and inside it. All else may be left out: ``bits`` as packed, side information
included, ``tokens`` (``[layers, frames]``), how many codes each layer has (``codebooks``), the bits that are no tokens,
the bitrate claimed, and ``details``. A clip that could not be done has ``error``, one line, instead of ``audio``: the
others count. An exit code other than 0 discards the batch, and the last line of standard error is shown. The setting
``timeout_s`` in the card ends a program that takes longer for one batch. What the program leaves running is ended with
it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from ldmbench.audio import sound as audio_io
from ldmbench.audio.sound import Audio
from ldmbench.cards import Card
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, describe
from ldmbench.host.orphans import end_tree
from ldmbench.system.card import SystemSpec
from ldmbench.system.codec import adapted
from ldmbench.system.protocol import Output

#: Version of the contract with programs.
SCHEMA = 1


class Result(Card):
    """What a program says of one clip."""

    id: str
    audio: str = ""
    error: str = ""
    bits: int | None = None
    tokens: list[list[int]] | None = None
    codebooks: tuple[int, ...] = ()
    side_bits: int = Field(0, ge=0)
    nominal_kbps: float | None = None
    details: dict[str, Any] = {}


class Results(Card):
    """``results.json``."""

    version: int = Field(alias="schema")
    clips: list[Result]


class ExternalSystem:
    """A system run by the command of its card; see the contract above.

    Raises:
        BenchError: If the command lacks one of its placeholders.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        self.card = spec.card
        self.task = spec.card.tasks[0]
        for placeholder in ("{input}", "{output}"):
            if not any(placeholder in part for part in self.card.command):
                raise BenchError(
                    f"the command of {self.card.name} lacks {placeholder}",
                    " ".join(self.card.command),
                    "add it where the program takes it",
                )

    def process(self, clips: Sequence[Clip]) -> Iterator[Output]:
        """Yield one output per clip; raise at the first that the program could not do.

        Raises:
            BenchError: If the program cannot be started, fails, takes too long, or breaks the contract.
        """
        with tempfile.TemporaryDirectory(prefix="ldmbench-", ignore_cleanup_errors=True) as work:
            given, made = Path(work, "input"), Path(work, "output")
            given.mkdir()
            made.mkdir()
            changes = self._write_job(given, clips)
            last_line = self._start(given / "job.json", made)
            results = self._read_results(made / "results.json", clips, last_line)
            for clip, changed in zip(clips, changes, strict=True):
                yield self._output(clip, results.get(clip.id), changed, made, last_line)

    def _write_job(self, folder: Path, clips: Sequence[Clip]) -> list[dict[str, Any]]:
        """Write the job; return what was changed about each clip's audio on the way."""
        entries, changes = [], []
        for index, clip in enumerate(clips):
            sound, changed = self._source(clip)
            file = folder / f"{index}.wav"
            if sound is not None:
                audio_io.write(file, sound)
            entries.append(
                {"id": clip.id, "audio": None if sound is None else str(file), "text": clip.text, "seed": clip.seed}
            )
            changes.append(changed)
        job = {
            "schema": SCHEMA,
            "system": self.spec.label,
            "task": self.task,
            "rate": self.card.rate,
            "device": self.spec.device,
            "untrained": self.spec.untrained,
            "weights": self._weights(),
            "settings": dict(self.spec.settings),
            "clips": entries,
        }
        (folder / "job.json").write_text(json.dumps(job, indent=1), encoding="utf-8")
        return changes

    def _source(self, clip: Clip) -> tuple[Audio | None, dict[str, Any]]:
        if self.task == "generate":
            return None, {}
        if self.task == "enhance":
            return clip.input, {}
        return adapted(clip.input, self.card.rate, self.card.channels)

    def _weights(self) -> str | None:
        if self.card.weights and not self.spec.untrained:
            return str(self.spec.weights_folder())
        return str(self.spec.weights) if self.spec.own_weights else None

    def _start(self, job: Path, output: Path) -> str:
        """Run the program to its end; return the last line of its standard error."""
        words = self.card.command_line
        command = [part.replace("{input}", str(job)).replace("{output}", str(output)) for part in words]
        limit = float(self.spec.settings.get("timeout_s", 0)) or None
        messages = job.with_name("stderr.txt")
        with messages.open("wb") as handle:
            try:
                # A session of its own, so that what the program started ends with it.
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=handle, start_new_session=True
                )
            except OSError as error:
                raise BenchError(
                    f"{self.spec.label}: cannot start {command[0]}",
                    error.strerror or str(error),
                    "install it, or correct the command in the card",
                ) from None
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                raise BenchError(
                    f"{self.spec.label}: {command[0]} took longer than {limit:g} s",
                    _last_line(messages),
                    "raise timeout_s",
                ) from None
            finally:
                _end(process)
        last_line = _last_line(messages)
        if code != 0:
            reason = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
            raise BenchError(f"{self.spec.label}: {command[0]} failed with {reason}", last_line)
        return last_line

    def _read_results(self, path: Path, clips: Sequence[Clip], last_line: str) -> dict[str, Result]:
        """The program's results by clip id."""
        fix = "write results.json as the contract in bench/system/external.py says"
        if not path.is_file():  # Reading a pipe would wait for ever.
            raise BenchError(f"{self.spec.label} wrote no results.json", last_line, fix)
        try:
            results = Results.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:3])
            raise BenchError(f"{self.spec.label}: results.json is not valid", faults, fix) from None
        except (ValueError, RecursionError) as error:
            raise BenchError(f"{self.spec.label}: results.json is not JSON", str(error), fix) from None
        if results.version != SCHEMA:
            raise BenchError(f"{self.spec.label}: results.json has schema {results.version}, not {SCHEMA}", fix=fix)
        found = {result.id: result for result in results.clips}
        if len(found) < len(results.clips) or not found.keys() <= {clip.id for clip in clips}:
            names = ", ".join(result.id for result in results.clips[:4])
            raise BenchError(f"{self.spec.label}: results.json has clips twice or unasked for", names, fix)
        return found

    def _output(
        self, clip: Clip, result: Result | None, changed: Mapping[str, Any], folder: Path, last_line: str
    ) -> Output:
        """The output of one clip, read from the program's folder."""
        if result is None:
            raise BenchError(f"{self.spec.label} says nothing of {clip.id}", last_line)
        if result.error or not result.audio:
            raise BenchError(f"{self.spec.label} failed on {clip.id}", result.error or last_line or "no reason given")
        try:
            path = (folder / result.audio).resolve()
            written = path.is_file()
        except (OSError, ValueError, RuntimeError) as error:
            raise BenchError(f"{self.spec.label} names no file for {clip.id}", describe(error)) from None
        if not path.is_relative_to(folder.resolve()):
            raise BenchError(f"{self.spec.label} names a file outside its folder for {clip.id}", result.audio)
        if not written:
            raise BenchError(f"{self.spec.label} did not write {result.audio} for {clip.id}", last_line)
        sound = audio_io.read(path)
        if self.card.rate and sound.rate != self.card.rate:
            raise BenchError(f"{self.spec.label} returned {sound.rate} Hz for {clip.id}", f"its card: {self.card.rate}")
        tokens = None
        if result.tokens is not None:
            if len({len(layer) for layer in result.tokens}) > 1:
                raise BenchError(f"{self.spec.label}: the token layers of {clip.id} differ in length")
            try:
                tokens = np.array(result.tokens, np.int64)
            except OverflowError:
                raise BenchError(f"{self.spec.label}: a token of {clip.id} has more than 63 bits") from None
        facts = result.bits, tokens, result.codebooks, result.side_bits, result.nominal_kbps
        return Output(sound, *facts, details={**changed, **result.details})


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that is still running, and what it started and left behind."""
    if process.poll() is None:
        end_tree(process.pid)
        process.wait()
    elif hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _last_line(path: Path) -> str:
    """The last line of a file that says something."""
    if not path.is_file():  # Removed by the program itself.
        return ""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - 8192))
        lines = [line.strip() for line in handle.read().decode("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")
