"""Perceptual quality models: ViSQOL v3 (audio and speech) and PESQ (wide and narrow band)."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ldmbench.audio.arrays import Signal
from ldmbench.clips.clip import Clip
from ldmbench.errors import BenchError, Unscored
from ldmbench.metrics._base import BaseMetric, MetricFacts, metric, register
from ldmbench.metrics._pair import mix, refuse_silence
from ldmbench.names import Name, Setting
from ldmbench.system.protocol import Output

Mapper = Literal["svr", "lattice", "exponential"]
Mode = Literal["audio", "speech"]

#: visqol-python's own tolerance in seconds: beyond it, it only logs a warning and compares what overlaps.
LENGTH_DIFFERENCE = 1.0

#: Frames that one patch and its lead-in need: audio 30 + 15, speech 20 + 9. The hop is 20 ms.
_FEWEST_FRAMES = {"svr": 45, "lattice": 29, "exponential": 29}

#: The P.862 code keeps 50 utterances and writes beyond its arrays when there are more. Utterances and the pauses
#: between them last at least 50 and 47 windows of 4 ms, so that below this many seconds there cannot be more.
LONGEST_PESQ = 19.0

#: What the P.862 code asks for.
SHORTEST_PESQ = 0.25


@dataclass
class Visqol(BaseMetric):
    """MOS-LQO of ViSQOL v3 as visqol-python computes it, on mono mixes at ``facts.rate``.

    Reference and output keep their own lengths; ViSQOL aligns them itself (a lag of up to half the reference),
    scales the output to the reference's level, and searches 60 patches to each side.
    """

    facts: MetricFacts
    mapping: Mapper

    def measure(self, clip: Clip, output: Output) -> float:
        """The clip's MOS-LQO.

        Raises:
            Unscored: If one of the two is silent or too short, or ViSQOL finds nothing to compare.
            BenchError: If the durations differ by more than ``LENGTH_DIFFERENCE``, or ViSQOL cannot run.
        """
        if output.audio is None:
            raise BenchError(f"{clip.id} has no output audio", fix="use a metric that does not need audio")
        reference, estimate = clip.audio, output.audio
        if abs(reference.duration - estimate.duration) > LENGTH_DIFFERENCE:
            raise BenchError(
                f"{clip.id}: reference and output differ in length",
                f"{reference.duration:.3f} s and {estimate.duration:.3f} s",
                "trim the output to the reference",
            )
        rate = self.facts.rate
        first, second = mix(reference, "the reference").at(rate), mix(estimate, "the output").at(rate)
        return visqol(first.samples[0], second.samples[0], rate, mapping=self.mapping)


def visqol(reference: Signal, estimate: Signal, rate: int, *, mapping: Mapper) -> float:
    """MOS-LQO of two mono signals ``[time]`` at ``rate`` Hz, between 1 and 5.

    Args:
        reference: The undistorted signal.
        estimate: The signal to judge; may differ in length.
        rate: 48000 for ``svr``, 16000 for the speech mappings. Nothing is resampled here.
        mapping: ``svr`` is the audio mode. ``lattice`` and ``exponential`` are two mappings of the speech mode:
            Google's command line defaults to the lattice, its Python recipe (audiotools, VERSA) to the
            exponential fit, which reaches 5.0 where the lattice ends at 4.5.

    Raises:
        Unscored: If one of the two is silent or too short, or ViSQOL finds nothing to compare.
        BenchError: If the lattice's runtime is missing.

    Source: Chinen et al., ViSQOL v3: An Open Source Production Ready Objective Speech and Audio Metric, QoMEX
    2020; visqol-python 3.8.0, ``VisqolApi.measure_from_arrays``, to which the value is equal.
    """
    lattice = _lattice() if mapping == "lattice" else None
    if not reference.any():
        raise Unscored("the reference is silent")
    if not estimate.any():
        raise Unscored("the output is silent")
    window, hop = round(0.08 * rate), round(0.02 * rate)
    fewest = window + (_FEWEST_FRAMES[mapping] - 1) * hop
    for name, signal in (("reference", reference), ("output", estimate)):
        if len(signal) < fewest:
            raise Unscored(f"the {name} has {len(signal) / rate:.2f} s, ViSQOL needs {fewest / rate:.2f} s")
    mode: Mode = "audio" if mapping == "svr" else "speech"
    similarity = _similarity(mode, reference, estimate, rate)
    if lattice is not None:
        from visqol.visqol_core import alter_for_similarity_extremes

        features = (similarity.fvnsim, similarity.fvnsim10, similarity.fstdnsim, similarity.fvdegenergy)
        moslqo = alter_for_similarity_extremes(similarity.vnsim, lattice.predict_quality(*features))
    else:
        moslqo = similarity.moslqo
    if not math.isfinite(moslqo):
        raise BenchError("ViSQOL returned no number", repr(moslqo), "report this clip to ldmbench")
    return float(moslqo)


_last: dict[Mode, tuple[bytes, Any]] = {}


def _similarity(mode: Mode, reference: Signal, estimate: Signal, rate: int) -> Any:
    """ViSQOL's result; the last one of a mode is kept, because both speech mappings start from it.

    Raises:
        Unscored: If ViSQOL finds nothing to compare.
    """
    from visqol.audio_utils import AudioSignal

    manager = _manager(mode)
    pair = hashlib.sha256(np.ascontiguousarray(reference).data)
    pair.update(f"{rate} {len(reference)} {reference.dtype} {estimate.dtype}".encode())
    pair.update(np.ascontiguousarray(estimate).data)
    if mode not in _last or _last[mode][0] != pair.digest():
        try:
            result = manager.run_from_signals(AudioSignal(reference, rate), AudioSignal(estimate, rate))
        except ValueError as error:
            raise Unscored(f"ViSQOL cannot align the output with the reference: {error}") from error
        _last[mode] = (pair.digest(), result)
    return _last[mode][1]


@cache
def _manager(mode: Mode) -> Any:
    """One ViSQOL per process and mode, with its filter bank replaced by the equal and faster one."""
    try:
        import visqol as package
        from visqol.visqol_manager import VisqolManager

        from ldmbench.metrics._gammatone import RememberingBuilder, VectorVad
    except RuntimeError as error:  # numba: "cannot cache function ...: no locator available"
        raise BenchError("ViSQOL's compiled filters cannot be stored", str(error), "set NUMBA_CACHE_DIR") from error
    # Its warnings (length, patches dropped) would interleave with the progress bar; what matters raises here.
    logging.getLogger("visqol").setLevel(logging.ERROR)
    manager: Any = VisqolManager()
    speech = mode == "speech"
    manager.init(
        model_path=str(Path(package.__file__).parent / "model" / "libsvm_nu_svr_model.txt"),
        use_speech_mode=speech,
        use_lattice_model=False,
    )
    bank = manager.spect_builder.filter_bank
    manager.spect_builder = RememberingBuilder(bank.num_bands, bank.min_freq, speech)
    if speech:
        manager.patch_creator = VectorVad(manager.patch_creator.patch_size)
    return manager


@cache
def _lattice() -> Any:
    """The lattice network, as visqol-python sets it up."""
    from visqol.visqol_manager import VisqolManager

    manager: Any = VisqolManager()
    try:
        with _quiet_stderr():
            manager.init(use_speech_mode=True, use_lattice_model=True)
    except ImportError as error:
        raise BenchError(
            "visqol_speech_lattice needs the lattice's runtime", str(error), "pip install 'visqol-python[lattice]'"
        ) from error
    return manager.quality_mapper


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """TensorFlow Lite announces its delegate on file descriptor 2, past ``sys.stderr`` and any setting."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _register_visqol(name: str, mapping: Mapper, **facts: Any) -> None:
    def build(asked: Name, settings: Mapping[str, Setting]) -> Visqol:
        return Visqol(
            MetricFacts(name=str(asked), unit="MOS", better="higher", digits=2, low=1.0, high=5.0, **facts), mapping
        )

    register(name, build)


_register_visqol(
    "visqol_audio",
    "svr",
    title="ViSQOL",
    rate=48000,
    source="Chinen et al., QoMEX 2020, audio mode with support vector regression; visqol-python 3.8.0",
)
_register_visqol(
    "visqol_speech_lattice",
    "lattice",
    title="ViSQOL-S lattice",
    rate=16000,
    content=("speech",),
    source="Chinen et al., QoMEX 2020, speech mode with the lattice network; visqol-python 3.8.0",
)
_register_visqol(
    "visqol_speech_exponential",
    "exponential",
    title="ViSQOL-S exp",
    rate=16000,
    content=("speech",),
    source="Chinen et al., QoMEX 2020, speech mode with the exponential fit, scaled to 5; visqol-python 3.8.0",
)


@metric(
    "pesq_wb",
    title="PESQ-WB",
    unit="MOS",
    rate=16000,
    content=("speech",),
    digits=2,
    # The ends of the logistic curve that maps to MOS-LQO.
    low=0.999,
    high=4.999,
    source="ITU-T P.862.2 (2007), MOS-LQO; PyPI pesq 0.0.4, pesq(16000, ref, deg, 'wb')",
)
def pesq_wb(reference: Signal, estimate: Signal, rate: int) -> float:
    """Wide-band PESQ (P.862.2 MOS-LQO, at most 4.64) at 16 kHz.

    Raises:
        Unscored: If one of the two is silent, too short, or longer than the P.862 code can hold.
    """
    return _pesq(reference, estimate, rate, "wb")


@metric(
    "pesq_nb",
    title="PESQ-NB",
    unit="MOS",
    rate=16000,
    content=("speech",),
    digits=2,
    # The ends of the logistic curve that maps to MOS-LQO.
    low=0.999,
    high=4.999,
    variants={"8khz": {"rate": 8000}},
    source="ITU-T P.862 (2001) mapped by P.862.1 (2003) to MOS-LQO; PyPI pesq 0.0.4, pesq(rate, ref, deg, 'nb')",
)
def pesq_nb(reference: Signal, estimate: Signal, rate: int) -> float:
    """Narrow-band PESQ (P.862.1 MOS-LQO, at most 4.55) at 16 kHz, as the package's own tests run it.

    P.862 filters to telephone band inside, so that both 16 and 8 kHz input are narrow band; the numbers differ
    a little. ``pesq_nb@8khz`` is the classical telephone rate.

    Raises:
        Unscored: If one of the two is silent, too short, or longer than the P.862 code can hold.
    """
    return _pesq(reference, estimate, rate, "nb")


def _pesq(reference: Signal, estimate: Signal, rate: int, band: str) -> float:
    """The package's value. The C code keeps its state in globals: never call it from two threads at once."""
    from pesq import NoUtterancesError, pesq

    refuse_silence(reference)
    if not estimate.any():
        raise Unscored("the output is silent")
    longest, shortest = (pick(len(reference), len(estimate)) / rate for pick in (max, min))
    if shortest < SHORTEST_PESQ:
        raise Unscored(f"{shortest:.2f} s are shorter than the {SHORTEST_PESQ} s that PESQ needs")
    if longest > LONGEST_PESQ:
        raise Unscored(
            f"{longest:.1f} s are longer than {LONGEST_PESQ:g} s, beyond which the P.862 code can overrun its "
            "table of 50 utterances"
        )
    try:
        return float(pesq(rate, reference, estimate, band))
    except NoUtterancesError as error:
        raise Unscored("PESQ detects no utterance in the reference") from error
    except ValueError as error:  # the package fails to turn the model's NaN into an integer
        raise Unscored("PESQ has no value: the output vanishes beside the reference") from error
