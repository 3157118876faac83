"""The command line. Commands import torch only when they run, so that help is there at once."""

import io
import os
import sys
from typing import Any

from arith import __version__
from arith.cli import (
    ask,
    bench,
    compare,
    completion,
    doctor,
    eject,
    evaluate,
    export,
    generate,
    listing,
    play,
    plot,
    probe,
    report,
    reproduce,
    rescore,
    show,
    sweep,
    train,
)
from arith.cli.framework import click
from arith.errors import RunError, UsageError
from arith.process.cores import yield_idle_cores
from arith.process.files import is_misnamed
from arith.process.signals import Interrupted

LONG = 60  # characters of a name that a message shows
EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130  # as click and shells have them: 130 is 128 + SIGINT


# RichGroup only exists where rich-click is installed; see `arith.cli.framework`.
class ArithGroup(click.RichGroup if hasattr(click, "RichGroup") else click.Group):  # type: ignore[misc]
    """Turns a user's mistake into a message and an exit status; any other error, a bug, keeps its traceback."""

    def main(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            # A terminal of another encoding shows a replacement for what it lacks: better than no output at all.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        return super().main(*args, **options)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UsageError as error:
            self._end(context, f"{_rank()}Error: {error}", EXIT_USAGE)
        except RunError as error:
            self._end(context, f"{_rank()}Error: {error}", EXIT_FAILED)
        except Interrupted as interrupted:
            self._end(context, f"{_rank()}Interrupted and saved. Resume with: {interrupted.hint}", EXIT_INTERRUPTED)
        except KeyboardInterrupt:
            self._end(context, "Interrupted.", EXIT_INTERRUPTED)
        except BrokenPipeError:
            raise  # click ends quietly when whoever reads the output, such as `head`, has gone
        except ValueError as error:
            # Python's own refusals of a name with a null character, of half a character, and of a number of thousands
            # of digits. Any place that handles names or numbers may raise them.
            if not any(sign in str(error) for sign in ("embedded null", "surrogates not allowed", "Exceeds the limit")):
                raise
            self._end(context, f"{_rank()}Error: a name, text or number cannot be used: {error}", EXIT_USAGE)
        except OSError as error:
            # What the system refuses is no bug: a name that is too long, a folder in place of a file, a full disk.
            self._end(
                context, f"{_rank()}Error: {_about_file(error)}", EXIT_USAGE if is_misnamed(error) else EXIT_FAILED
            )

    @staticmethod
    def _end(context: click.Context, message: str, status: int) -> None:
        click.echo(message, err=True)
        context.exit(status)


def _about_file(error: OSError) -> str:
    """What could not be read or written, and why."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    shown = [name if len(name) <= LONG else f"{name[:LONG]}..." for name in names]
    return f"{' and '.join(shown)}: {error.strerror or error}".removeprefix(": ")


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
    play,
    plot,
    report,
    show,
    listing,
    generate,
    eject,
    export,
    doctor,
    completion,
):
    cli.add_command(module.command)


def main() -> None:
    """The entry point of the `arith` command."""
    yield_idle_cores()
    cli(prog_name="arith", args=sys.argv[1:])
