"""arith completion"""

from click.shell_completion import get_completion_class

from arith.cli.framework import click

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    epilog='Example: eval "$(arith completion bash)" in ~/.bashrc; fish: arith completion fish | source',
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print what a shell needs to complete commands and options of arith."""
    made = get_completion_class(shell)
    assert made is not None, "click knows these three"
    click.echo(made(context.find_root().command, {}, "arith", "_ARITH_COMPLETE").source())
