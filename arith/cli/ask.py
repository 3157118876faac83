"""arith ask"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import UsageError

# Digits and what people type between them; `x` for a product only between digits, as `experiment` holds one too.
_PROBLEM = re.compile(r"[-+]?[0-9][0-9,_' ]*(?:[-+*/=\u00d7\u00b7\u22c5x\u2212\u2013 ]+[0-9,_' ]*)*")
_PIECE = re.compile(r"(?:^[-+*/=\u00d7\u00b7\u22c5x\u2212\u2013])|(?:[-+*/\u00d7\u00b7\u22c5x\u2212\u2013]$)")


@click.command(
    "ask",
    # A problem such as -12+5 is no option; what is, is told below.
    context_settings={"ignore_unknown_options": True},
    epilog="Examples: arith ask 123+456; arith ask runs/extrapolation/coupled-window-301 123+456 99999+1",
)
@click.argument("model", required=False)
@click.argument("problems", nargs=-1)
@json_option
def command(model: str | None, problems: tuple[str, ...], as_json: bool) -> None:
    """Let a trained model answer problems such as 123+456 or 12*34, and say whether it is right.

    MODEL is a run, a folder that arith export wrote, or a name of `arith list shipped`. Without one, a shipped model
    answers that knows the problem's sign.
    """
    from arith.data.typed import plain_text
    from arith.evaluation.answers import ask
    from arith.experiment import shipped
    from arith.process.progress import say

    if model is None:
        raise UsageError("what is to be asked? Write for example: arith ask 123+456")
    for given in (model, *problems):
        if re.match(r"--?[a-z]", given):
            raise UsageError(f"no such option: {given}. See arith ask --help")
    # `arith ask 123+456`: click takes the first argument for the model. A folder of that name is one, though; a problem
    # of many digits is no name that a file system takes, and asking for it would fail.
    if _PROBLEM.fullmatch(model) and (len(model) > 100 or not Path(model).exists()):
        problems = (model, *problems)
        found = shipped.for_problem(plain_text("".join(problems)))
        if found is None:
            raise UsageError(
                f"no shipped model answers '{' '.join(problems):.80}'. Shipped: "
                f"{', '.join(shipped.names()) or 'none'}. Name a run of yours first: arith ask RUN PROBLEM"
            )
        model = found
        say(f"{model} answers")
    if not problems:
        if model not in shipped.names() and not Path(model).exists():
            raise UsageError(
                f"'{model}' is no problem, such as 123+456, and no model: a run, a folder that arith export wrote, or "
                f"one that comes with arith ({', '.join(shipped.names()) or 'none'})"
            )
        raise UsageError(f"what is to be asked? Write for example: arith ask {model} 123+456")
    for reply in ask(Path(model), _join_pieces(problems)):
        if as_json:
            click.echo(json.dumps(reply.as_dict()))
        else:
            verdict = "right" if reply.right else f"wrong: it is {reply.result}"
            answer = reply.answer if reply.answer is not None else "no number"
            # The right digits can still be written wrong, without an end mark for example.
            written = "" if reply.right else f", written {reply.written!r}"
            click.echo(f"{reply.problem} = {answer}   {verdict}{written}")


def _join_pieces(texts: Sequence[str]) -> list[str]:
    """Problems, where spaces of a problem have made several arguments of it: a piece begins or ends with a sign.

    >>> _join_pieces(["123", "+", "456"]), _join_pieces(["12+", "34"]), _join_pieces(["1+2", "3+4"])
    (['123 + 456'], ['12+ 34'], ['1+2', '3+4'])
    """
    return [" ".join(texts)] if len(texts) > 1 and any(map(_PIECE.search, texts)) else list(texts)
