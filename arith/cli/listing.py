"""arith list"""

import dataclasses
import json
from pathlib import Path

from arith.catalogue.entries import ALIASES, DECORATIONS, ENCODINGS, SCHEMES, STUDIES, TASKS, WORKINGS
from arith.cli.framework import click
from arith.cli.options import import_option, json_option
from arith.config import recipe
from arith.config.presets import PRESETS
from arith.config.schema import ModelConfig
from arith.experiment import shipped
from arith.model.cost import block_parameters

KINDS = ("encodings", "schemes", "formats", "tasks", "models", "suites", "recipes", "studies", "shipped")
SORTS = ("name", "newest", "state")
RUNS = "runs"  # not among KINDS: `arith list` shows what comes with arith, and reads no folder of the user's


@click.command(
    "list", epilog="Examples: arith list encodings --match rope; arith list runs --sort newest --match finished"
)
@click.argument("kind", type=click.Choice([*KINDS, RUNS]), required=False)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("runs"), help="Where runs are looked for.")
@click.option("--match", default="", metavar="TEXT", help="Only lines with this text: a name, a state, an encoding.")
@click.option("--sort", type=click.Choice(SORTS), default="name", help="The order of runs.")
@import_option
@json_option
def command(kind: str | None, folder: Path, match: str, sort: str, as_json: bool) -> None:
    """What there is: encodings, schemes, formats, tasks, models, suites, recipes, studies, shipped models, runs."""
    if kind == RUNS:
        _list_runs(folder, match, sort, as_json)
        return
    every = {name: entries(name) for name in ([kind] if kind else KINDS)}
    found = {kind: {n: line for n, line in own.items() if match in f"{n} {line}"} for kind, own in every.items()}
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for name, lines in found.items():
        if not lines:
            continue  # nothing of this kind matches
        click.echo(click.style(name, bold=True))
        width = max(map(len, lines), default=0)
        for entry, line in lines.items():
            click.echo(f"  {entry:{width}}  {line}")


def _list_runs(folder: Path, match: str, sort: str, as_json: bool) -> None:
    # Imports inside functions, here and in the other commands: `arith list` and --help must not wait for torch, nor for
    # what a branch not taken needs.
    from arith.experiment.inventory import runs
    from arith.results.tables import align_columns

    found = [run for run in runs(folder) if match in f"{run.folder} {run.state} {run.claim}"]
    if sort == "newest":
        # Of the folder itself: a file is added to it, or replaced, whenever a run goes on.
        found.sort(key=lambda run: run.folder.stat().st_mtime, reverse=True)
    elif sort == "state":
        found.sort(key=lambda run: run.state)
    if as_json:
        click.echo(json.dumps([{**dataclasses.asdict(run), "folder": str(run.folder)} for run in found], indent=1))
        return
    header = ["run", "state", "step", "claim"]
    click.echo(align_columns([header, *([str(r.folder), r.state, f"{r.step}/{r.steps}", r.claim] for r in found)]))


def entries(kind: str) -> dict[str, str]:
    """The names of one kind, each with a one-line description.

    Args:
        kind: one of KINDS.
    """
    match kind:
        case "encodings":
            aliases = {name: f"{meaning} = {text}" for name, (text, meaning) in ALIASES.items()}
            return dict(sorted((aliases | {name: ENCODINGS.line(name) for name in ENCODINGS.names()}).items()))
        case "schemes":
            # With the sign by which an encoding is put on it: rope@coupled.
            return {f"@{name}": SCHEMES.line(name) for name in SCHEMES.names()}
        case "formats":
            from arith.tasks.addition import Addition
            from arith.tasks.formats import NAMED

            # An example says how a format looks. Unequal lengths, or padding would not show.
            parts = {f"+{name}": known.line(name) for known in (DECORATIONS, WORKINGS) for name in known.names()}
            return {name: form.text(Addition(), 12, 345) for name, form in NAMED.items()} | parts
        case "tasks":
            return {name: TASKS.line(name) for name in TASKS.names()}
        case "models":
            shape = "{layers} x width {width}, {heads} heads, {activation} of {hidden}, {parameters:,} parameters"
            return {n: shape.format(**p, parameters=block_parameters(ModelConfig(**p))) for n, p in PRESETS.items()}
        case "suites":
            from arith.tasks.suites import SUITES

            return {str(name): line for name, line in SUITES.items()}
        case "studies":
            return {name: STUDIES.line(name) for name in STUDIES.names()}
        case "shipped":
            return {name: shipped.line(name) for name in shipped.names()}
        case _:
            return {name: recipe.description(name) for name in recipe.names()}
