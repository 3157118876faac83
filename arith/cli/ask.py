"""arith ask"""

import json
from pathlib import Path

from arith.cli.framework import click
from arith.cli.options import json_option


@click.command("ask", epilog="Example: arith ask runs/extrapolation/coupled-window-201 123+456")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("problems", nargs=-1, required=True)
@json_option
def command(run: Path, problems: tuple[str, ...], as_json: bool) -> None:
    """Let a trained run answer problems such as 123+456, and say whether it is right."""
    from arith.asking import ask

    for reply in ask(run, problems):
        if as_json:
            click.echo(json.dumps(reply.as_dict()))
        else:
            verdict = "right" if reply.right else f"wrong: it is {reply.result}"
            answer = reply.answer if reply.answer is not None else "no number"
            # The right digits can still be written wrong, without an end mark for example.
            written = "" if reply.right else f", written {reply.written!r}"
            click.echo(f"{reply.problem} = {answer}   {verdict}{written}")
