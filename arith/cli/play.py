"""arith play"""

import os
import threading
from pathlib import Path

from arith.cli.framework import click


@click.command(
    "play",
    epilog="Examples: arith play; arith play runs/extrapolation/coupled-window-301 addition --port 8000",
)
@click.argument("models", nargs=-1, metavar="[MODEL|RUN]...", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any that is free",
    help="Where the page is, on this machine alone.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def command(models: tuple[Path, ...], port: int, no_browser: bool) -> None:
    """Open a page that takes a problem such as 123+456 through a model, step by step.

    Tokens, the ids of each position scheme, the answer token by token with probabilities, the bias and the attention of
    each head, and what changes when a digit is edited. MODEL is a name of `arith list shipped`, a run, or a folder that
    arith export wrote; the shipped ones can always be chosen. The page is on the loopback: no other machine reaches
    it, and no file can be read through it. Ctrl-C ends it.
    """
    import webbrowser

    from arith.play.server import PlayServer
    from arith.play.session import Session, collect_places
    from arith.process.signals import sigterm_as_ctrl_c

    session = Session(collect_places(models))
    with PlayServer(session, port) as server:
        click.echo(f"{server.url}   Ctrl-C ends it")
        # Both aside: torch takes seconds to import, and a browser may take as long to start.
        threading.Thread(target=session.warm, daemon=True).start()
        if not no_browser and _has_screen():
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        try:
            with sigterm_as_ctrl_c():
                server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended", err=True)  # how it is meant to end: no failure
            # Not by Python's own end, which would cut off a thread in the middle of torch's C++, and abort.
            os._exit(0)


def _has_screen() -> bool:
    """Whether a browser would have a window: one in the terminal would take the terminal."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
