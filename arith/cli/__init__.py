"""The command line. Commands import torch only when they run, so that help is there at once."""

import os
import sys
from typing import Any

from arith import __version__
from arith.cli import (
    ask,
    bench,
    compare,
    eject,
    evaluate,
    export,
    generate,
    listing,
    plot,
    probe,
    reproduce,
    rescore,
    show,
    sweep,
    train,
)
from arith.cli.framework import click
from arith.errors import RunError, UsageError
from arith.process.signals import Interrupted

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130  # as click and shells have them: 130 is 128 + SIGINT


# RichGroup only exists where rich-click is installed; see `arith.cli.framework`.
class ArithGroup(click.RichGroup if hasattr(click, "RichGroup") else click.Group):  # type: ignore[misc]
    """Turns a user's mistake into a message and an exit status; any other error, a bug, keeps its traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UsageError as error:
            self._end(context, f"{_rank()}Error: {error}", EXIT_USAGE)
        except RunError as error:
            self._end(context, f"{_rank()}Error: {error}", EXIT_FAILED)
        except Interrupted as interrupted:
            self._end(context, f"{_rank()}Interrupted and saved. Go on with: {interrupted.hint}", EXIT_INTERRUPTED)
        except KeyboardInterrupt:
            self._end(context, "Interrupted.", EXIT_INTERRUPTED)

    @staticmethod
    def _end(context: click.Context, message: str, status: int) -> None:
        click.echo(message, err=True)
        context.exit(status)


def _rank() -> str:
    """A prefix that says which of torchrun's processes a message comes from."""
    # Read from the environment: asking torch would import it, for a message that may be about its absence.
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return f"[rank {os.environ.get('RANK', 0)}] " if several else ""


@click.group(
    cls=ArithGroup,
    context_settings={
        "auto_envvar_prefix": "ARITH",
        "show_default": True,
        "max_content_width": 100,
        "help_option_names": ["-h", "--help"],
    },
    epilog="Start with: arith reproduce extrapolation",
)
@click.version_option(__version__, prog_name="arith")
def cli() -> None:
    """Say which problem, how its digits are written and how positions are encoded; train, test far beyond, draw."""


# In the order in which the help lists them: train and test, then look, then take along.
for module in (
    train,
    evaluate,
    rescore,
    compare,
    probe,
    reproduce,
    sweep,
    bench,
    ask,
    plot,
    show,
    listing,
    generate,
    eject,
    export,
):
    cli.add_command(module.command)


def main() -> None:
    """The entry point of the `arith` command."""
    cli(prog_name="arith", args=sys.argv[1:])
