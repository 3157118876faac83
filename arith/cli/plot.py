"""arith plot"""

from pathlib import Path

from arith.cli.framework import click
from arith.errors import UsageError, did_you_mean

KINDS = ("accuracy", "grid", "anatomy", "training")


@click.command(
    "plot",
    epilog="Examples: arith plot runs/addition-rope-0 runs/addition-t5-0 --out rope-and-t5; "
    "arith plot runs/addition-rope-0 --kind training --out training",
)
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="accuracy",
    help="Accuracy by digit length; a grid of operand lengths; why answers are wrong; training curves.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The figure, without ending.  [default: the kind]")
@click.option("--suite", default="random", help="Which test problems: arith list suites, or grid.")
@click.option("--title", default="", help="Above the figure.")
@click.option("--terminal", is_flag=True, help="Draw it as text instead, and write no file.")
def command(results: tuple[Path, ...], kind: str, out: Path | None, suite: str, title: str, terminal: bool) -> None:
    """Draw from results files or run folders: png, pdf, svg and csv.

    Of a run folder, accuracy is drawn from results.json, what arith evaluate adds from evaluation.json, and training
    curves from metrics.jsonl.
    """
    from arith.results.schema import GRID
    from arith.tasks.suites import SUITES

    known = (*SUITES, GRID) if kind == "anatomy" else (*SUITES,)
    if suite not in known:
        raise UsageError(f"no suite is called '{suite}'.{did_you_mean(suite, known)} Suites: {', '.join(known)}")
    if terminal and kind in ("anatomy", "training"):
        raise UsageError(f"--terminal draws accuracy and grids, and not {kind}. Leave it out, or choose another --kind")
    path = out or Path(kind)
    if kind == "training":
        from arith.figures.training import draw_training, read_training

        _told(draw_training([read_training(own) for own in results], path, title))
        return

    from arith.results.schema import Results

    name = "results.json" if kind == "accuracy" else "evaluation.json"
    paths = [own / name if own.is_dir() else own for own in results]
    loaded = [Results.load(own) for own in paths]
    cells = [cell for own in loaded for cell in own.cells]
    there = ", ".join(map(str, paths))
    if kind == "anatomy":
        from arith.figures.error_classes import draw_anatomy
        from arith.results.error_classes import pool_anatomies

        try:
            drawn = pool_anatomies([own for part in loaded for own in part.anatomy], suite)
        except UsageError as error:
            raise UsageError(f"{there}: {error}") from error
        _told(draw_anatomy(drawn, path, title))
    elif kind == "grid":
        from arith.figures.grid import draw_grids
        from arith.figures.terminal import grid_text
        from arith.results.grids import grids, summary

        try:
            maps = grids(cells)
        except UsageError as error:
            raise UsageError(f"{there}: {error}") from error
        if terminal:
            click.echo("\n\n".join(map(grid_text, maps)))
            return
        files = draw_grids(maps, path, title)
        click.echo("\n".join(map(summary, maps)))
        _told(files)
    else:
        from arith.figures.accuracy import draw_accuracy
        from arith.figures.terminal import accuracy_text
        from arith.results.curves import curves
        from arith.results.tables import accuracy_table

        lines = curves(cells, suite)
        if not lines:
            suites = ", ".join(sorted({cell.suite for cell in cells})) or "none"
            raise UsageError(f"no results on suite '{suite}' in {there}. Suites there: {suites}")
        if terminal:
            click.echo(accuracy_text(lines))
            return
        files = draw_accuracy(lines, path, title)
        click.echo(accuracy_table(lines))
        _told(files)


def _told(files: list[Path]) -> None:
    click.echo("\n".join(f"figure   {file}" for file in files))
