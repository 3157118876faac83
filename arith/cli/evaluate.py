"""arith evaluate"""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arith.cli.evaluate_text import evaluate_by_text
from arith.cli.framework import click
from arith.cli.options import import_option, json_option, read_assignment
from arith.cli.text_options import TextOptions, text_options
from arith.config.requested import RequestedTests
from arith.errors import UsageError

if TYPE_CHECKING:
    from arith.evaluation.requested import Outputs
    from arith.results.predictions import Prediction
    from arith.results.schema import Anatomy, Results

SHOWN = 16  # cells of a grid that are listed; more are shown as a map


@click.command(
    "evaluate",
    epilog="Examples: arith evaluate runs/addition-rope-0 --test-digits 1-10 --suites random,chain; "
    "arith evaluate runs/addition-rope-0 --grid 1-15 --samples 100; "
    "arith evaluate --hf models/gpt2 --test-digits 1-5 --shots 4; "
    "arith evaluate --endpoint http://localhost:8000/v1 --model NAME --grid 1-5; "
    "arith evaluate --prompts ask.jsonl --test-digits 1-5; arith evaluate --replies answered.jsonl",
)
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--task", help="Of the tests: arith list tasks.  [default: the run's]")
@click.option("--format", "format_name", help="Of the tests: arith list formats.  [default: the run's]")
@click.option("--test-digits", help="Digits of operands, such as 1-6,10,20.  [default: the run's]")
@click.option("--suites", help="Names with commas between: arith list suites.  [default: the run's and all others]")
@click.option("--grid", help="Every pair of these operand lengths, such as 1-15 or 1-15x1-3; alone, or with the above.")
@click.option("--samples", type=int, help="Problems a test set, or a cell of the grid.  [default: the run's]")
@click.option("--seed", type=int, help="Of the test problems.  [default: the run's]")
@click.option("--sharpen", help="Factor on attention's scores: a number, or log-n.  [default: the run's]")
@click.option("--loops", type=click.IntRange(1), help="How often the layers in loops run.  [default: the run's]")
@click.option("--failures", type=click.IntRange(0), default=0, help="Failures shown of each suite and length.")
@click.option("--anatomy", is_flag=True, help="Say why answers are wrong, and keep it in the results for arith plot.")
@click.option("--predictions", type=click.Path(path_type=Path), help="File for every problem, answer and margin.")
@click.option("--out", type=click.Path(path_type=Path), help="Results file.  [default: RUN/evaluation.json]")
@click.option("--device", default="auto", help="auto, cpu or cuda.")
@click.option("--dry-run", is_flag=True, help="Print the test sets and about how long they take, and stop.")
@text_options
@import_option
@json_option
def command(
    run: Path | None,
    task: str | None,
    format_name: str | None,
    test_digits: str | None,
    suites: str | None,
    grid: str | None,
    samples: int | None,
    seed: int | None,
    sharpen: str | None,
    loops: int | None,
    failures: int,
    anatomy: bool,
    predictions: Path | None,
    out: Path | None,
    device: str,
    dry_run: bool,
    as_json: bool,
    **by_text: Any,
) -> None:
    """Test a model: exact match by digit length and by operand lengths, with intervals.

    RUN is a run, a folder that arith export wrote, or a name of `arith list shipped`. Without it, --hf tests a local
    model of Hugging Face by text, --endpoint one behind HTTP, and --prompts and --replies any other. What the results
    file holds of the same model and test is not measured again, so an interrupted command resumes.
    """
    factor = None if sharpen is None else read_assignment(f"sharpen={sharpen}")[1]
    tests = RequestedTests(task, format_name, test_digits, suites, grid, samples, seed, factor, loops)
    records = {"--failures": failures, "--anatomy": anatomy, "--predictions": predictions}
    if run is None:
        changed = {"--sharpen": factor is not None, "--loops": loops is not None}
        _refuse(changed, "is for runs of arith: other models are tested as they are")
        _refuse(records, "is for runs of arith. Replies of other models are kept by --prompts FILE")
        evaluate_by_text(tests, out, device, dry_run, as_json, TextOptions(**by_text))
        return
    texts = {f"--{name.replace('_', '-')}": value is not None for name, value in by_text.items()}
    _refuse(texts, "is for models that are tested by text: leave RUN or it out")
    from arith.evaluation.requested import Outputs, request
    from arith.experiment.exported import open_model
    from arith.experiment.shipped import results_place
    from arith.performance.estimate import test_seconds
    from arith.process.hints import command_line
    from arith.process.signals import Interrupted
    from arith.training.environment import find_device

    trained = open_model(run, pretrained=not any(records.values()))
    outputs = Outputs(out or results_place(run), predictions, failures, anatomy)
    requested = request(trained, tests, outputs, own_file=out is None)
    if dry_run:
        click.echo("\n".join(map(str, requested.sets)))
        click.echo(f"about {test_seconds(requested.experiment, requested.sets):.3g} s")
        return
    try:
        results, gathered = requested.evaluate(find_device(device))
    except KeyboardInterrupt:
        raise Interrupted(command_line(*sys.argv[1:])) from None
    failed = [row for rows in gathered.failures.values() for row in rows] if gathered else []
    _echo_results(results, failed, outputs, grid is not None, as_json)


def _refuse(options: Mapping[str, Any], why: str) -> None:
    given = next((name for name, value in options.items() if value), None)
    if given is not None:
        raise UsageError(f"{given} {why}")


def _echo_results(
    results: "Results", failed: "Sequence[Prediction]", outputs: "Outputs", grid: bool, as_json: bool
) -> None:
    if as_json:
        parts: dict[str, Sequence[Any]] = {"cells": results.cells, "anatomy": results.anatomy, "failures": failed}
        click.echo(json.dumps({name: [dataclasses.asdict(row) for row in rows] for name, rows in parts.items()}))
        return
    _echo_cells(results, grid)
    _echo_failures(results.anatomy if outputs.anatomy else None, failed if outputs.failures else None)
    click.echo(f"results  {outputs.path}")
    if outputs.predictions is not None:
        click.echo(f"predictions  {outputs.predictions}")


def _echo_cells(results: "Results", grid: bool) -> None:
    """A table of the cells; the cells of a large grid as a map."""
    from arith.results.schema import GRID
    from arith.results.tables import interval_table

    apart = grid and sum(cell.suite == GRID for cell in results.cells) > SHOWN
    listed = [cell for cell in results.cells if not (apart and cell.suite == GRID)]
    if listed:
        click.echo(interval_table(listed))
    if apart:
        from arith.figures.terminal import grid_text
        from arith.results.grids import grids, summary

        for one in grids(results.cells):
            click.echo(f"{grid_text(one)}\n{summary(one)}")


def _echo_failures(anatomy: "Sequence[Anatomy] | None", failed: "Sequence[Prediction] | None") -> None:
    from arith.evaluation.failures import anatomy_table, failure_table

    if anatomy is not None:
        click.echo(f"\n{anatomy_table(anatomy)}")
    if failed is not None:
        click.echo(f"\n{failure_table(failed)}\n")
