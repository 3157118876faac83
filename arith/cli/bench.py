"""arith bench"""

import json
from typing import Any

from arith.cli.framework import click
from arith.cli.options import config_from, json_option, run_options


@click.group("bench")
def command() -> None:
    """Measure training: its speed on this machine."""


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
    from arith.performance.throughput import measure_throughput
    from arith.performance.throughput_report import as_json as row
    from arith.performance.throughput_report import comparison, describe

    config = config_from(options)
    # An estimate that compilation does not pay is no reason not to measure it: "on", not "auto".
    ways = ("off", "on") if compare else (config.training.compile,)
    found = [
        measure_throughput(Experiment.of(config.with_values({"training": {"compile": way}})), steps=timed, parts=True)
        for way in ways
    ]
    # Numbers as they are for programs; people get units, and a ratio where there are two.
    if as_json:
        click.echo(json.dumps([row(measured) for measured in found], indent=1))
        return
    click.echo("\n\n".join([*map(describe, found), comparison(found)]).strip())
