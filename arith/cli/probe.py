"""arith probe"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from arith.cli.framework import click
from arith.cli.options import json_option


@click.command("probe", epilog="Example: arith probe runs/addition-rope-0 --digits 3 --samples 200")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--digits", type=int, help="Of the problems.  [default: the longest of training]")
@click.option("--samples", type=int, default=400, help="Problems.")
@click.option("--seed", type=int, help="Of the test problems.  [default: the run's]")
@click.option("--device", default="auto", help="auto, cpu or cuda.")
@json_option
def command(run: Path, digits: int | None, samples: int, seed: int | None, device: str, as_json: bool) -> None:
    """What answers depend on: the same problems moved on, filled with zeros, and with operands swapped."""
    from arith.evaluation.perturb import MOVES, probe_table, probes
    from arith.evaluation.requested import model_for
    from arith.experiment.experiment import Experiment
    from arith.experiment.exported import open_model
    from arith.results.schema import Condition
    from arith.training.environment import find_device

    trained = open_model(run)
    length = digits if digits is not None else trained.config.data.digits[1]
    changes: dict[str, Any] = {"digits": [length]} | ({} if seed is None else {"seed": seed})
    tested = Experiment.of(trained.config.with_values({"evaluation": changes}))
    # Problems that are moved, or filled with zeros, take places beyond their own length, for which tables of positions
    # need rows: twice the largest move is enough for all of them.
    longer = Experiment.of(trained.config.with_values({"evaluation": changes | {"digits": [length + 2 * max(MOVES)]}}))
    try:
        model, _ = model_for(trained, longer, [Condition("random", length + 2 * max(MOVES), samples)])
    except ValueError:  # the encoding cannot be longer: it stays as trained, and the table says what lies beyond it
        model, _ = model_for(trained, tested, [Condition("random", length, samples)])
    found = probes(tested, model.to(find_device(device)), length, samples)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in found]))
        return
    click.echo(probe_table(found))
