"""Outputs on their way from a system to the journal of its run."""

from __future__ import annotations

from collections.abc import Sequence

from ldmbench.errors import BenchError, describe
from ldmbench.runs.produce import Made
from ldmbench.runs.records import OutputRow
from ldmbench.runs.writer import RunWriter
from ldmbench.system.card import SystemSpec


def keep(writer: RunWriter, spec: SystemSpec, made: Sequence[Made]) -> list[OutputRow]:
    """Store rows with their sounds; what no file or record can hold is the clip's failure.

    Returns:
        The rows as they are stored.
    """
    try:
        return writer.add_outputs(made)
    except Exception as error:
        if len(made) > 1:  # Nothing of them is in the journal: what comes before the one to blame is to be there.
            return [row for one in made for row in keep(writer, spec, [one])]
        if isinstance(error, BenchError):
            raise
        message = f"{spec.card.name} returned an output that cannot be stored: {describe(error)}"
        return [writer.add_output(OutputRow(made[0].row.clip, "failed", message))]


def held(made: Made) -> int:
    """Bytes that an output holds until it is stored."""
    sound = 0 if made.sound is None else made.sound.samples.nbytes
    return sound + (0 if made.tokens is None else made.tokens.nbytes)
