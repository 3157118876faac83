"""arith rescore"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arith.cli.framework import click
from arith.cli.options import json_option


@click.command(
    "rescore", epilog="Example: arith evaluate RUN --predictions p.jsonl; arith rescore p.jsonl --failures 3"
)
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option("--failures", type=click.IntRange(0), default=0, help="Failures shown of each suite and length.")
@json_option
def command(predictions: Path, failures: int, as_json: bool) -> None:
    """Score a predictions file anew, without the model: every right answer is computed again."""
    from arith.evaluation.failures import anatomy_table, failure_table
    from arith.evaluation.rescore import rescore, score_table

    scores, gathered = rescore(predictions, failures)
    shown = [row for rows in gathered.failures.values() for row in rows]
    if as_json:
        parts: dict[str, Sequence[Any]] = {"scores": scores, "anatomy": gathered.anatomy(), "failures": shown}
        click.echo(json.dumps({name: [dataclasses.asdict(row) for row in rows] for name, rows in parts.items()}))
        return
    click.echo(score_table(scores))
    click.echo(f"\n{anatomy_table(gathered.anatomy())}")
    if shown:
        click.echo(f"\n{failure_table(shown)}")
