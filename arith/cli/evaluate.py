"""arith evaluate"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import UsageError


@click.command(
    "evaluate",
    epilog="Examples: arith evaluate runs/addition-rope-0 --test-digits 1-10 --suites random,chain; "
    "arith evaluate runs/addition-rope-0 --grid 1-15 --samples 100",
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--task", help="Of the tests: arith list tasks.  [default: the run's]")
@click.option("--format", "format_name", help="Of the tests: arith list formats.  [default: the run's]")
@click.option("--test-digits", help="Digits of operands, such as 1-6,10,20.  [default: the run's]")
@click.option("--suites", help="Names with commas between: arith list suites.  [default: the run's and all others]")
@click.option("--grid", help="Every pair of these operand lengths, such as 1-15 or 1-15x1-3; alone, or with the above.")
@click.option("--samples", type=int, help="Problems a test set, or a cell of the grid.  [default: the run's]")
@click.option("--seed", type=int, help="Of the test problems.  [default: the run's]")
@click.option("--out", type=click.Path(path_type=Path), help="Results file.  [default: RUN/evaluation.json]")
@click.option("--device", default="auto", help="auto, cpu or cuda.")
@click.option("--dry-run", is_flag=True, help="Print the test sets and about how long they take, and stop.")
@json_option
def command(
    run: Path,
    task: str | None,
    format_name: str | None,
    test_digits: str | None,
    suites: str | None,
    grid: str | None,
    samples: int | None,
    seed: int | None,
    out: Path | None,
    device: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Test a trained run: exact match by digit length and by operand lengths, with intervals.

    What the results file holds of the same model and test is not measured again, so an interrupted command goes on.
    """
    from arith import measuring
    from arith.assembly import Assembly, device_named
    from arith.commands import command_line
    from arith.config import digit_list
    from arith.estimate import test_seconds
    from arith.evaluate import conditions, every_suite, grid_conditions
    from arith.interrupt import Interrupted
    from arith.longer import model_for
    from arith.runs import Run
    from arith.tables import interval_table

    trained = Run.open(run)
    changes: dict[str, Any] = {
        name: value
        for name, value in (("task", task), ("format", format_name), ("suites", suites), ("seed", seed))
        if value is not None
    }
    if samples is not None:
        changes |= {"samples": samples, "long_samples": samples}
    if test_digits is not None:
        changes["digits"] = test_digits
    elif grid is not None:
        changes["digits"] = [max(digit_list(grid.replace("x", ",")))]
    tested = Assembly.of(trained.config.with_values({"evaluation": changes}))
    if suites is None:
        tested = Assembly.of(tested.config.with_values({"evaluation": {"suites": every_suite(tested)}}))
    sets = conditions(tested) if grid is None or test_digits is not None or suites is not None else []
    if grid is not None:
        sets += grid_conditions(tested, grid, tested.config.evaluation.samples)
    path = out or run / "evaluation.json"
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
    model, step = model_for(trained, tested, sets)
    if dry_run:
        for test in sets:
            lengths = "" if test.operand_lengths is None else f", {' and '.join(map(str, test.operand_lengths))}"
            click.echo(f"{test.suite} {test.digits} digits{lengths}, {test.n} problems")
        click.echo(f"about {test_seconds(tested, sets):.3g} s")
        return
    try:
        results = measuring.measured(
            trained, tested, model.to(device_named(device)), step, trained.config.encoding, path, sets=sets
        )
    except KeyboardInterrupt:
        raise Interrupted(command_line(*sys.argv[1:])) from None
    measuring.saved(results, path, keep_others=True)
    if as_json:
        click.echo(json.dumps({"cells": [dataclasses.asdict(cell) for cell in results.cells]}))
        return
    click.echo(interval_table(results.cells))
    click.echo(f"results  {path}")
