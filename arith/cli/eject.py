"""arith eject"""

import json
from pathlib import Path

from arith.cli.framework import click
from arith.cli.options import import_option, json_option


@click.command(
    "eject",
    epilog="Examples: arith eject coupled-window > positional.py; "
    "arith eject t5:buckets=8@coupled --kernel --out positional.py",
)
@click.argument("encoding")
@click.option("--kernel", is_flag=True, help="With the Triton kernels, for an NVIDIA GPU; the file then needs triton.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [default: print it]")
@import_option
@json_option
def command(encoding: str, kernel: bool, out: Path | None, as_json: bool) -> None:
    """Print an encoding as one readable file: its code, its scheme's, and attention's, on torch alone."""
    from arith.eject.file import eject
    from arith.errors import UsageError
    from arith.process.files import write_errors, write_whole

    # The whole text before any file is opened: a refusal must not leave half a module behind.
    file = eject(encoding, kernel)
    if out is None:
        click.echo(json.dumps({"encoding": encoding, "code": file}) if as_json else file, nl=as_json)
        return
    # Never over a file: people edit what they ejected.
    if out.exists():
        raise UsageError(f"{out} exists. Choose another --out, or remove it")
    with write_errors(out):
        write_whole(out, file)
    click.echo(json.dumps({"encoding": encoding, "file": str(out)}) if as_json else f"file     {out}")
