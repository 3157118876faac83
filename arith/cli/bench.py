"""arith bench"""

import json
from pathlib import Path
from typing import Any

from arith.cli.framework import click
from arith.cli.options import config_from, json_option, run_options
from arith.errors import UsageError


@click.group("bench")
def command() -> None:
    """Measure training: its speed on this machine, and what it takes as digits, parameters and batch grow."""


@command.command(
    "train",
    epilog="Examples: arith bench train --recipe coupled-window; arith bench train --recipe encodings:t5 --compare",
)
@click.argument("task", required=False)
@run_options
@click.option("--timed", type=click.IntRange(1), default=50, help="Steps that are timed.")
@click.option("--compare", is_flag=True, help="Time the eager step and the compiled one.")
@json_option
def train(timed: int, compare: bool, as_json: bool, **options: Any) -> None:
    """Time some training steps of a run: tokens per second, MFU, memory, and where a step's time goes.

    Nothing is written. MFU is told for bfloat16 on GPUs whose peak is known.
    """
    from arith.experiment.experiment import Experiment
    from arith.performance.throughput import throughput
    from arith.performance.throughput_report import as_json as row
    from arith.performance.throughput_report import comparison, described

    config = config_from(options)
    ways = ("off", "on") if compare else (config.training.compile,)
    found = [
        throughput(Experiment.of(config.with_values({"training": {"compile": way}})), steps=timed, parts=True)
        for way in ways
    ]
    if as_json:
        click.echo(json.dumps([row(own) for own in found], indent=1))
        return
    click.echo("\n\n".join([*map(described, found), comparison(found)]).strip())


@command.command("scaling", epilog="Example: arith bench scaling --quick")
@click.option("--quick", is_flag=True, help="A few small sizes, in under a minute.")
@click.option("--threads", type=click.IntRange(1), help="For torch; of one, CPU time is told.  [default: cores]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("scaling"), help="The figure, without its ending.")
@click.option("--publish", is_flag=True, help="Write results/scaling.json and its figure.")
@json_option
def scaling(quick: bool, threads: int | None, out: Path, publish: bool, as_json: bool) -> None:
    """Time and memory of a training step and of an evaluation against digits, parameters and batch, on this CPU.

    Fits what was measured, and foretells steps on H100s from the FLOPs and bytes counted.
    """
    import os

    from arith.performance import scaling_report

    if publish and quick:
        raise UsageError("what is published is measured whole: give --publish without --quick")
    found = scaling_report.scaling(quick, threads or os.cpu_count() or 1, lambda line: click.echo(line, err=True))
    path = scaling_report.published(found) if publish else out
    files = scaling_report.drawn(found, path)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(scaling_report.described(found))
    click.echo("\n".join(f"figure   {file}" for file in files))
