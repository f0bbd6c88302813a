"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from ldmbench.commands import complete

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
runs = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    envvar="LDMBENCH_RUNS",
    help="Folder of all runs.",
)
folder = click.Path(path_type=Path, file_okay=False)
file = click.Path(path_type=Path, dir_okay=False, exists=True)
content = click.option(
    "--content",
    type=click.Choice(["speech", "music", "general"]),
    default="general",
    show_default=True,
    help="What the folder holds; speech metrics need 'speech'.",
)
table = click.option(
    "--csv", "table", type=click.Path(path_type=Path, dir_okay=False), help="CSV with path,text,group for the folder."
)
systems = click.option(
    "-s",
    "--system",
    "systems",
    multiple=True,
    shell_complete=complete.systems,
    help="System to run; repeatable.  [default: the suite's]",
)


def own_metrics(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of metrics, those of one's own files loaded."""
    if not any(".py:" in name for name in names):
        return names
    from ldmbench.metrics._base import own_name

    return tuple(map(own_name, names))


metrics = click.option(
    "-m",
    "--metric",
    "metrics",
    multiple=True,
    shell_complete=complete.metrics,
    callback=own_metrics,
    help="Metric to add, also ./FILE.py:FUNCTION; repeatable.",
)
datasets = click.option(
    "-d",
    "--dataset",
    "datasets",
    multiple=True,
    shell_complete=complete.datasets,
    help="Dataset of the suite; repeatable.  [default: all of them]",
)
device = click.option(
    "--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...; several as cuda:0,cuda:1 work at once."
)
one_device = click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
weights = click.option("--weights", type=folder, help="Folder with official checkpoints.  [default: the weights home]")
untrained = click.option("--untrained", is_flag=True, help="Seeded random weights; every table says UNTRAINED.")
jobs = click.option("--jobs", type=click.IntRange(1), help="Processes for scoring.  [default: the cores]")
retry_failed = click.option("--retry-failed", is_flag=True, help="Try clips and scores again that failed before.")
timeout = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds a clip may take in a system or a metric; then it has failed.",
)
align = click.option(
    "--align", is_flag=True, help="Remove each output's delay before it is compared; the columns say 'aligned'."
)
shard = click.option(
    "--shard",
    metavar="I/N",
    help="Only the I-th of N parts of the clips (1/16 to 16/16), as in a job array; joined by ldmbench merge.",
)
ray = click.option("--ray", default="", metavar="auto|ADDRESS", help="Do the work on a Ray cluster.")
gpus = click.option(
    "--ray-gpus",
    "gpus",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Share of a GPU that a system takes on Ray.",
)
quiet = click.option("--quiet", is_flag=True, help="Show no progress.")
allow = click.option("--allow-failures", is_flag=True, help="Exit 0 although clips failed.")
audio = click.option(
    "--audio", type=folder, help="Folder of audio in place of the suite's datasets, under their input conditions."
)
conditions = click.option(
    "-c",
    "--condition",
    "conditions",
    multiple=True,
    help="Input condition of --audio in place of the suite's: DATASET@CONDITION, or KIND:setting=value,..., such as "
    "lowpass:cutoff_hz=4000,filter=cheby1; repeatable.",
)
prompts = click.option(
    "--prompt",
    "prompts",
    multiple=True,
    help="Text in place of the suite's datasets, for systems that generate; repeatable.",
)
limit = click.option(
    "--limit",
    type=click.IntRange(1),
    help="Clips of each dataset; marks the run PARTIAL.  [default: those of the suite]",
)

Command = TypeVar("Command", bound=Callable[..., Any])


def of_request(command: Command) -> Command:
    """Everything that decides what is run: the fields of ``ldmbench.runs.request.Request``, device and weights."""
    shared = (systems, metrics, datasets, audio, conditions, table, content, prompts, limit, device, weights, untrained)
    return reduce(lambda decorated, option: option(decorated), reversed(shared), command)
