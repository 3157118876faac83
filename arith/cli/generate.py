"""arith generate"""

from typing import Any

from arith.cli.framework import click
from arith.cli.options import import_option
from arith.config import digit_range


@click.command(
    "generate", epilog="Example: arith generate addition --format reversed --digits 1-20 --samples 1000 --out -"
)
@click.argument("task")
@click.option("--format", "format_name", default="plain", help="How digits are written: arith list formats.")
@click.option("--digits", default="1-4", help="Digits of operands.")
@click.option("--uniform", type=click.Choice(["lengths", "values"]), default="lengths", help="What is drawn uniformly.")
@click.option("--samples", type=click.IntRange(1), default=10, help="Number of problems.")
@click.option("--carry-mix", type=click.FloatRange(0, 1), default=0.0, help="Share of carry-heavy problems.")
@click.option("--seed", type=click.IntRange(0), default=0, help="The same seed gives the same bytes.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="train", help="Disjoint streams.")
@click.option("--out", default="-", help="File ending in .jsonl, .txt or .parquet, or - for JSON lines on stdout.")
@import_option
def command(
    task: str,
    format_name: str,
    digits: str,
    uniform: str,
    samples: int,
    carry_mix: float,
    seed: int,
    split: Any,
    out: str,
    imports: tuple[str, ...],
) -> None:
    """Write problems: prompt, answer, operands, result, task, format, digits."""
    from arith import export
    from arith.catalogue import import_file
    from arith.errors import UsageError
    from arith.naming import format_named, sampler_named, task_named
    from arith.tasks.sampling import Source

    for path in imports:
        import_file(path)
    kind, form = task_named(task), format_named(format_name)
    low, high = digit_range(digits)
    try:
        form.longest(kind, high)  # refuses what cannot be written before a line is
        sampler = sampler_named(uniform, (low, high), carry_mix)
        source = Source(kind, sampler, seed, split)
    except ValueError as error:
        raise UsageError(str(error)) from error
    export.write(export.rows(source, form, task, samples), out)
