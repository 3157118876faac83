"""arith evaluate"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arith.cli.evaluate_text import tested_by_text, text_options
from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import UsageError

SHOWN = 16  # cells of a grid that are listed; more are shown as a map


@click.command(
    "evaluate",
    epilog="Examples: arith evaluate runs/addition-rope-0 --test-digits 1-10 --suites random,chain; "
    "arith evaluate runs/addition-rope-0 --grid 1-15 --samples 100; "
    "arith evaluate --hf models/gpt2 --test-digits 1-5 --shots 4; "
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
@click.option("--failures", type=click.IntRange(0), default=0, help="Failures shown of each suite and length.")
@click.option("--anatomy", is_flag=True, help="Say why answers are wrong, and keep it in the results for arith plot.")
@click.option("--predictions", type=click.Path(path_type=Path), help="File for every problem, answer and margin.")
@click.option("--out", type=click.Path(path_type=Path), help="Results file.  [default: RUN/evaluation.json]")
@click.option("--device", default="auto", help="auto, cpu or cuda.")
@click.option("--dry-run", is_flag=True, help="Print the test sets and about how long they take, and stop.")
@text_options
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
    model of Hugging Face by text, and --prompts and --replies any other. What the results file holds of the same model
    and test is not measured again, so an interrupted command goes on.
    """
    if run is None:
        refused = {"--failures": failures, "--anatomy": anatomy, "--predictions": predictions}
        given = next((name for name, value in refused.items() if value), None)
        if given is not None:
            raise UsageError(f"{given} is for runs of arith. Replies of other models are kept by --prompts FILE")
        tests: dict[str, Any] = {
            "task": task,
            "format": format_name,
            "test_digits": test_digits,
            "suites": suites,
            "grid": grid,
        }
        tests |= {"samples": samples, "seed": seed}
        tested_by_text(tests, out, device, dry_run, as_json, **by_text)
        return
    given = next((name for name, value in by_text.items() if value is not None), None)
    if given is not None:
        raise UsageError(f"--{given.replace('_', '-')} is for models that are tested by text: leave RUN or it out")
    from arith.config.reading import grid_lengths
    from arith.evaluation import session as measuring
    from arith.evaluation.exact_match import conditions, every_suite, grid_conditions
    from arith.evaluation.failures import Gathered, Recording, anatomy_table, failure_table
    from arith.evaluation.requested import model_for
    from arith.experiment.experiment import Experiment
    from arith.experiment.exported import opened
    from arith.experiment.shipped import results_place
    from arith.performance.estimate import test_seconds
    from arith.process.hints import command_line
    from arith.process.signals import Interrupted
    from arith.results.predictions import PredictionHeader, Writer
    from arith.results.schema import GRID, Results
    from arith.results.tables import interval_table
    from arith.training.environment import device_named

    trained = opened(run, pretrained=not (failures or anatomy or predictions))
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
        changes["digits"] = [max(max(pair) for pair in grid_lengths(grid))]
    if grid is not None:
        changes["grid"] = None  # it is tested instead of the run's
    tested = Experiment.of(trained.config.with_values({"evaluation": changes}))
    if suites is None:
        tested = Experiment.of(tested.config.with_values({"evaluation": {"suites": every_suite(tested)}}))
    sets = conditions(tested) if grid is None or test_digits is not None or suites is not None else []
    if grid is not None:
        sets += grid_conditions(tested, grid, tested.config.evaluation.samples)
    path = out or results_place(run)
    for file in (path, predictions or path):
        if not file.parent.is_dir():
            raise UsageError(f"{file} cannot be written: there is no folder {file.parent}")
        if file.is_dir():
            raise UsageError(f"{file} is a folder. Name a file in it")
    if predictions is not None and predictions.resolve() == path.resolve():
        raise UsageError(f"{path} cannot hold both results and predictions. Choose another --predictions")
    if path.name == "results.json" and (path.parent / "run.json").exists():
        raise UsageError(f"{path} holds what the training reached. Choose another --out")
    if path.exists():
        try:
            held = Results.load(path).cells
        except UsageError as error:
            raise UsageError(f"{error}. It is left alone: choose another --out, or remove it") from error
        measuring.check_same_test(held, tested, path, any_weights=out is None)
    model, step = model_for(trained, tested, sets)
    if dry_run:
        for test in sets:
            lengths = "" if test.operand_lengths is None else f", {' and '.join(map(str, test.operand_lengths))}"
            click.echo(f"{test.suite} {test.digits} digits{lengths}, {test.n} problems")
        click.echo(f"about {test_seconds(tested, sets):.3g} s")
        return
    model, label = model.to(device_named(device)), trained.config.encoding
    saved = measuring.SavedCells(measuring.fingerprint(model), path).cells()
    before = measuring.find_cells(saved, tested, label, step)
    gathered, writer, recording = None, None, None
    if failures or anatomy or predictions is not None:
        config = tested.config
        what = PredictionHeader(
            label,
            config.tested_task,
            config.tested_format,
            config.encoding,
            tested.train_lengths(),
            config.model.seed,
            config.data.seed,
            config.evaluation.seed,
            step,
            measuring.fingerprint(model),
            config.imports,
        )
        gathered = Gathered(what, tested.tested_task, failures)
        writer = Writer(predictions, what, before) if predictions else None
        recording = Recording(model, gathered, writer)
        for test, rows in writer.kept.items() if writer else ():
            if test in sets:
                gathered.add(rows)
        # Without a file that holds them, what was answered is not known of what was measured before.
        before = {test: cell for test, cell in before.items() if writer is not None and test in writer.kept}
    try:
        results = measuring.measured(
            trained, tested, model, step, label, path, sets=sets, record=recording, before=before
        )
    except KeyboardInterrupt:
        raise Interrupted(command_line(*sys.argv[1:])) from None
    if gathered is not None and anatomy:
        results = dataclasses.replace(results, anatomy=tuple(gathered.anatomy()))
    measuring.saved(results, path, keep_others=True)
    if as_json:
        shown = [row for rows in gathered.failures.values() for row in rows] if gathered else []
        parts: dict[str, Sequence[Any]] = {"cells": results.cells, "anatomy": results.anatomy, "failures": shown}
        click.echo(json.dumps({name: [dataclasses.asdict(row) for row in rows] for name, rows in parts.items()}))
        return
    apart = grid is not None and sum(cell.suite == GRID for cell in results.cells) > SHOWN
    listed = [cell for cell in results.cells if not (apart and cell.suite == GRID)]
    if listed:
        click.echo(interval_table(listed))
    if apart:
        from arith.figures.terminal import grid_text
        from arith.results.grids import grids, summary

        for own in grids(results.cells):
            click.echo(f"{grid_text(own)}\n{summary(own)}")
    if gathered is not None and anatomy:
        click.echo(f"\n{anatomy_table(gathered.anatomy())}")
    if gathered is not None and failures:
        click.echo(f"\n{failure_table([row for rows in gathered.failures.values() for row in rows])}\n")
    click.echo(f"results  {path}")
    if predictions is not None:
        click.echo(f"predictions  {predictions}")
