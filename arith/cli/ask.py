"""arith ask"""

import json
from pathlib import Path

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import UsageError


@click.command(
    "ask", epilog="Examples: arith ask 123+456; arith ask runs/extrapolation/coupled-window-301 123+456 99999+1"
)
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.argument("problems", nargs=-1)
@json_option
def command(model: Path | None, problems: tuple[str, ...], as_json: bool) -> None:
    """Let a trained model answer problems such as 123+456, and say whether it is right.

    MODEL is a run, a folder that arith export wrote, or a name of `arith list shipped`. Without one, a shipped model
    answers that knows the problem's sign.
    """
    from arith.evaluation.answers import ask
    from arith.experiment import shipped

    if model is None:
        raise UsageError("what is to be asked? Write for example: arith ask 123+456")
    # `arith ask 123+456`: click takes the first argument for the model. A file of that name is one, though.
    if not model.exists() and _is_problem(str(model)):
        problems = (str(model), *problems)
        found = shipped.for_problem(problems[0])
        if found is None:
            raise UsageError(
                f"no shipped model answers '{problems[0]}'. Shipped: {', '.join(shipped.names()) or 'none'}. "
                "Name a run of yours first: arith ask RUN PROBLEM"
            )
        model = Path(found)
    if not problems:
        if not model.exists() and str(model) not in shipped.names():
            raise UsageError(
                f"'{model}' is no problem, such as 123+456, and no model: a run, a folder that arith export wrote, or "
                f"one that comes with arith ({', '.join(shipped.names()) or 'none'})"
            )
        raise UsageError(f"what is to be asked? Write for example: arith ask {model} 123+456")
    for reply in ask(model, problems):
        if as_json:
            click.echo(json.dumps(reply.as_dict()))
        else:
            verdict = "right" if reply.right else f"wrong: it is {reply.result}"
            answer = reply.answer if reply.answer is not None else "no number"
            # The right digits can still be written wrong, without an end mark for example.
            written = "" if reply.right else f", written {reply.written!r}"
            click.echo(f"{reply.problem} = {answer}   {verdict}{written}")


def _is_problem(text: str) -> bool:
    """Whether it is digits and signs, not a name or a path."""
    return any(own.isdigit() for own in text) and all(own.isdigit() or own in "+-*= " for own in text)
