"""arith doctor"""

import dataclasses
import json

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import RunError


@click.command("doctor", epilog="Example: arith doctor")
@json_option
def command(as_json: bool) -> None:
    """What this machine has for arith and what it lacks: versions, cores, compilers, GPU, and which kernels run."""
    from arith.performance.doctor import examine, render

    findings = examine()
    click.echo(json.dumps([dataclasses.asdict(one) for one in findings], indent=1) if as_json else render(findings))
    if lacking := [finding.name for finding in findings if finding.needed]:
        raise RunError(f"arith needs {', '.join(lacking)}: see MISSING above")
