"""arith probe"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arith.cli.framework import click
from arith.cli.options import json_option

if TYPE_CHECKING:
    from arith.evaluation.perturb import Probe


@click.command(
    "probe",
    epilog="Examples: arith probe runs/addition-rope-0 --digits 3 --samples 200; "
    "arith probe runs/addition-*-0 --out probes.json, then arith plot probes.json --kind probes",
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--digits", type=int, help="Of the problems.  [default: the longest of training]")
@click.option("--samples", type=int, default=400, help="Problems.")
@click.option("--seed", type=int, help="Of the test problems.  [default: the run's]")
@click.option("--device", default="auto", help="auto, cpu or cuda.")
@click.option("--out", type=click.Path(path_type=Path), help="A results file, which arith plot --kind probes draws.")
@json_option
def command(
    runs: tuple[Path, ...],
    digits: int | None,
    samples: int,
    seed: int | None,
    device: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """What answers depend on: the same problems moved on, filled with zeros, and with operands swapped."""
    from arith.evaluation.perturb import measure_probes, probe_table
    from arith.results.schema import Results

    found = {run: _probe(run, digits, samples, seed, device) for run in runs}
    if out is not None:
        Results((), measurements=tuple(measure_probes(run.resolve().name, *own) for run, own in found.items())).save(
            out
        )
    if as_json:
        rows = [{"run": str(run)} | dataclasses.asdict(row) for run, (_, own) in found.items() for row in own]
        click.echo(json.dumps(rows))
        return
    for run, (_, own) in found.items():
        click.echo("\n".join(filter(None, [str(run) if len(runs) > 1 else "", probe_table(own)])))


def _probe(run: Path, digits: int | None, samples: int, seed: int | None, device: str) -> tuple[int, "list[Probe]"]:
    """The digits of the problems, and what was found."""
    from arith.evaluation.perturb import MOVES, probes
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
    return length, probes(tested, model.to(find_device(device)), length, samples)
