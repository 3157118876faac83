"""arith compare"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import UsageError


@click.command("compare", epilog="Example: arith compare runs/addition-rope-0 runs/addition-t5-0 --test-digits 4,5")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--test-digits", help="Digits of operands, such as 1-6,10,20.  [default: the first run's]")
@click.option("--suites", help="Names with commas between: arith list suites.  [default: the first run's]")
@click.option("--samples", type=int, help="Problems a test set.  [default: the first run's]")
@click.option("--seed", type=int, help="Of the test problems.  [default: the first run's]")
@click.option("--device", default="auto", help="auto, cpu or cuda.")
@json_option
def command(
    runs: tuple[Path, ...],
    test_digits: str | None,
    suites: str | None,
    samples: int | None,
    seed: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Compare runs with the first one on the same problems, each in its own format.

    RUNS are run folders, or files of predictions that arith evaluate wrote, for which no model is needed.
    """
    from arith.evaluation.compare import answers_of_file, answers_of_run, compare, comparison_table
    from arith.experiment.experiment import Experiment
    from arith.experiment.exported import open_model
    from arith.training.environment import find_device

    if len(runs) < 2:
        raise UsageError("compare takes two runs or more, or two files of predictions or more; got one")
    names = [str(path) for path in runs]
    places = [path.resolve() for path in runs]  # runs/a and runs/../runs/a are one run
    twice = next((name for name, place in zip(names, places, strict=True) if places.count(place) > 1), None)
    if any(path.is_file() for path in runs) and not all(path.is_file() for path in runs):
        raise UsageError("compare takes run folders or files of predictions, not both at once")
    if twice is not None:
        raise UsageError(f"{twice} is there twice, and is no better than itself. Leave one out")
    given = {"test-digits": test_digits, "suites": suites, "samples": samples, "seed": seed}
    if all(path.is_file() for path in runs):
        option = next((name for name, value in given.items() if value is not None), None)
        if option is not None:
            raise UsageError(f"what predictions are of is decided when they are made: leave out --{option}")
        answers = [answers_of_file(path) for path in runs]
    else:
        trained = [open_model(path) for path in runs]
        # All runs are tested as the first one was, whatever they were tested on themselves.
        base = trained[0].config
        own = base.evaluation
        test: dict[str, Any] = {
            "task": base.tested_task,
            "seed": own.seed if seed is None else seed,
            "digits": own.digits if test_digits is None else test_digits,
            "suites": own.suites if suites is None else suites,
            "samples": own.samples,
            "long_samples": own.long_samples,
            "sizes": own.sizes,
            **({} if samples is None else own.sized(samples)),
        }
        tests = [Experiment.of(run.config.with_values({"evaluation": test})) for run in trained]
        where = find_device(device)
        answers = [answers_of_run(run, own, where) for run, own in zip(trained, tests, strict=True)]
    rows = compare(names, answers)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows]))
        return
    click.echo(comparison_table(rows))
