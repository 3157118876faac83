"""arith generate"""

import json
from typing import Any, TextIO

from arith.cli.framework import click
from arith.cli.options import import_option
from arith.config import digit_range


@click.command(
    "generate", epilog="Example: arith generate addition --format reversed --digits 1-20 --samples 1000 --out -"
)
@click.argument("task")
@click.option("--format", "format_name", default="plain", help="How digits are written: arith list formats.")
@click.option("--digits", default="1-4", help="Digits of operands, both lengths uniform.")
@click.option("--samples", type=click.IntRange(1), default=10, help="Number of problems.")
@click.option("--carry-mix", type=click.FloatRange(0, 1), default=0.0, help="Share of carry-heavy problems.")
@click.option("--seed", type=click.IntRange(0), default=0, help="The same seed gives the same bytes.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="train", help="Disjoint streams.")
@click.option("--out", type=click.File("w", lazy=False, atomic=True), default="-", help="File, or - for stdout.")
@import_option
def command(
    task: str,
    format_name: str,
    digits: str,
    samples: int,
    carry_mix: float,
    seed: int,
    split: Any,
    out: TextIO,
    imports: tuple[str, ...],
) -> None:
    """Write problems as JSON lines: prompt, answer, operands, result, task, format, digits."""
    from arith.catalogue import import_file
    from arith.errors import UsageError
    from arith.naming import format_named, task_named
    from arith.tasks import vocabulary
    from arith.tasks.sampling import Source, Uniform

    for path in imports:
        import_file(path)
    kind, form = task_named(task), format_named(format_name)
    low, high = digit_range(digits)
    try:
        form.longest(kind, high)  # refuses what cannot be written before a line is
        source = Source(kind, Uniform(low, high, carry_mix), seed, split)
    except ValueError as error:
        raise UsageError(str(error)) from error
    chunk = 4096
    for start in range(0, samples, chunk):
        problems = source.problems(start, min(chunk, samples - start))
        written = form.write(kind, problems)
        for row, tokens in enumerate(written.tokens):
            prompt, _, answer = vocabulary.decode(tokens).partition("=")
            line = {
                "prompt": f"{prompt}=",
                "answer": answer,
                "operands": [number.text(row) for number in problems.operands],
                "result": problems.answer.text(row),
                "task": task,
                "format": str(form),
                "digits": int(max(number.lengths[row] for number in problems.operands)),
            }
            out.write(json.dumps(line) + "\n")
