"""arith generate"""

import json
from typing import Any

from arith.cli.framework import click
from arith.cli.options import import_option, json_option
from arith.config.reading import digit_range


@click.command(
    "generate", epilog="Example: arith generate addition --format reversed --digits 1-20 --samples 1000 --out -"
)
@click.argument("task")
@click.option("--format", "format_name", default="plain", help="How digits are written: arith list formats.")
@click.option("--digits", default="1-4", help="Digits of operands.")
@click.option(
    "--uniform",
    type=click.Choice(["lengths", "values", "covering"]),
    default="lengths",
    help="What is drawn uniformly.",
)
@click.option("--samples", type=click.IntRange(1), default=10, help="Number of problems.")
@click.option("--carry-mix", type=click.FloatRange(0, 1), default=0.0, help="Share of carry-heavy problems.")
@click.option(
    "--mix", multiple=True, metavar="TEXT", help="A share of the samples: --mix '50% addition 1-5 plain+detailed'."
)
@click.option("--seed", type=click.IntRange(0), default=0, help="The same seed gives the same bytes.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="train", help="Disjoint streams.")
@click.option("--suite", help="A test suite instead, of one length: arith list suites. It is of the test split.")
@click.option("--out", default="-", help="File ending in .jsonl, .txt or .parquet, or - for JSON lines on stdout.")
@import_option
@json_option
def command(
    task: str,
    format_name: str,
    digits: str,
    uniform: Any,
    samples: int,
    carry_mix: float,
    mix: tuple[str, ...],
    seed: int,
    split: Any,
    suite: str | None,
    out: str,
    as_json: bool,
) -> None:
    """Write problems: prompt, answer, operands, result, task, format, digits."""
    from arith.catalogue.named import format_named
    from arith.config.schema import DataConfig
    from arith.data import export
    from arith.data.problems import shares, suite_problems, training_problems
    from arith.errors import UsageError
    from arith.process.progress import track

    if as_json and out == "-":
        raise UsageError("lines on stdout are JSON already: leave --json out, or name a file by --out")
    # The same functions as in training draw the problems: what is written is what a run with these settings would see.
    form, data = format_named(format_name), DataConfig(digit_range(digits), uniform, carry_mix, mix=mix, seed=seed)
    tasks = shares(task, data)
    # Formats refuse what they cannot write, such as numbers too long for their width. Before the first line is written,
    # as a pipe cannot take it back.
    try:
        for share in tasks:
            (share.form or form).longest(share.task, share.digits[1])
    except ValueError as error:
        raise UsageError(str(error)) from error
    problems = training_problems(task, data, split) if suite is None else suite_problems(task, suite, data)
    rows = export.rows(problems, form, [share.name for share in tasks], samples)
    # Rows that are printed show well enough how far it is.
    export.write(rows if out == "-" else track(rows, "generate", samples), out)
    if as_json:
        click.echo(json.dumps({"file": out, "samples": samples}))
