"""``ldmbench export``: scores and outputs of runs as tables, for loggers, and for model cards."""

from __future__ import annotations

from pathlib import Path

import click

from ldmbench.commands import complete, options


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="SUITE|RUN...", shell_complete=complete.suites)
@click.option(
    "--to",
    "kind",
    type=click.Choice(["parquet", "csv", "tensorboard", "wandb", "model-card", "versa", "codec-superb"]),
    default="parquet",
    show_default=True,
)
@click.option(
    "-o", "--output", type=options.folder, default=Path("export"), show_default=True, help="Folder to write to."
)
@options.systems
@options.runs
@options.as_json
def export(
    targets: tuple[str, ...], kind: str, output: Path, systems: tuple[str, ...], out: Path, as_json: bool
) -> None:
    """Write runs for other programs.

    parquet and csv hold every score and output; tensorboard and wandb the scores of each training over its steps, with
    intervals, and of other systems at step 0 (wandb writes offline runs and sends nothing); model-card a file for each
    system, with the evaluation results that Hugging Face reads and a table; versa a JSONL of clips for each system, and
    codec-superb a JSON of means, as those tools write them.
    """
    import json

    from ldmbench.runs.prepare import open_runs

    runs = open_runs(targets, out, systems)
    if kind in ("parquet", "csv"):
        from ldmbench.runs.export import export as export_runs

        files = export_runs(runs, output, "csv" if kind == "csv" else "parquet")
    elif kind == "tensorboard":
        from ldmbench.reports.exports import tensorboard

        files = tensorboard.write(runs, output)
    elif kind == "wandb":
        from ldmbench.reports.exports import wandb_offline

        files = wandb_offline.write(runs, output)
    elif kind in ("versa", "codec-superb"):
        from ldmbench.reports import peers

        files = peers.write_versa(runs, output) if kind == "versa" else peers.write_codec_superb(runs, output)
    else:
        from ldmbench.reports.exports import model_card

        files = model_card.write(runs, output)
    click.echo(json.dumps([str(path) for path in files]) if as_json else "\n".join(f"wrote {path}" for path in files))
    if kind in ("tensorboard", "wandb") and not as_json:
        see = f"tensorboard --logdir {output}" if kind == "tensorboard" else f"wandb sync {output}/wandb/offline-run-*"
        click.echo(f"see them with: {see}", err=True)
