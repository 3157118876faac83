"""arith plot"""

from pathlib import Path

from arith.cli.framework import click
from arith.errors import UsageError, did_you_mean


@click.command("plot", epilog="Example: arith plot runs/addition-rope-0 runs/addition-t5-0 --out rope-and-t5")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("accuracy"), help="The figure, without ending.")
@click.option("--suite", default="random", help="Which test problems: arith list suites.")
@click.option("--title", default="", help="Above the figure.")
def command(results: tuple[Path, ...], out: Path, suite: str, title: str) -> None:
    """Draw accuracy against digit length from results files or run folders: png, pdf, svg and csv."""
    from arith.tasks.suites import SUITES

    if suite not in SUITES:
        raise UsageError(f"no suite is called '{suite}'.{did_you_mean(suite, SUITES)} Suites: {', '.join(SUITES)}")

    from arith.curves import curves
    from arith.figures import draw_accuracy
    from arith.results import Results
    from arith.tables import accuracy_table

    paths = [path / "results.json" if path.is_dir() else path for path in results]
    cells = [cell for path in paths for cell in Results.load(path).cells]
    drawn = curves(cells, suite)
    if not drawn:
        there = ", ".join(sorted({cell.suite for cell in cells})) or "none"
        raise UsageError(f"no results on suite '{suite}' in {', '.join(map(str, paths))}. Suites there: {there}")
    files = draw_accuracy(drawn, out, title)
    click.echo(accuracy_table(drawn))
    click.echo("\n".join(f"figure   {file}" for file in files))
