"""arith plot"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from arith.results.schema import Results

KINDS = ("accuracy", "grid", "anatomy", "training", "loops", "probes", "against")


@click.command(
    "plot",
    epilog="Examples: arith plot runs/addition-rope-0 runs/addition-t5-0 --out rope-and-t5; "
    "arith plot runs/addition-rope-0 --kind training --out training; "
    "arith plot loops-8.json loops-16.json --kind loops; arith plot probes.json --kind probes",
)
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="accuracy",
    help="Accuracy by digit length; a grid of operand lengths; why answers are wrong; training; reach by loop; probes; "
    "measures against the number in which labels end.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The figure, without ending.  [default: the kind]")
@click.option("--suite", default="random", help="Which test problems: arith list suites, or grid.")
@click.option("--axis", default="", help="What that number is, for --kind against, such as 'examples a call'.")
@click.option("--title", default="", help="Above the figure.")
@click.option("--claims", help="A published table beside the grids, such as gpt4-2023: recalled numbers, unchecked.")
@click.option("--terminal", is_flag=True, help="Draw it as text instead, and write no file.")
@json_option
def command(
    results: tuple[Path, ...],
    kind: str,
    out: Path | None,
    suite: str,
    axis: str,
    title: str,
    claims: str | None,
    terminal: bool,
    as_json: bool,
) -> None:
    """Draw from results files, run folders or names of `arith list shipped`: png, pdf, svg and csv.

    Of a run folder, accuracy is drawn from results.json, what arith evaluate adds from evaluation.json, and training
    curves from metrics.jsonl.
    """
    from arith.experiment.shipped import find_model, names
    from arith.results.schema import GRID, Results
    from arith.tasks.suites import SUITES

    # A grid's accuracy is drawn by --kind grid; its wrong answers are classified as any suite's are.
    known = (*SUITES, GRID) if kind == "anatomy" else (*SUITES,)
    if suite not in known:
        raise UsageError(f"no suite is called '{suite}'.{did_you_mean(suite, known)} Suites: {', '.join(known)}")
    if terminal and kind not in ("accuracy", "grid"):
        raise UsageError(f"--terminal draws accuracy and grids, and not {kind}. Leave it out, or choose another --kind")
    if claims is not None and kind != "grid":
        raise UsageError("--claims is a table by the digits of both operands: give --kind grid")
    if axis and kind != "against":
        raise UsageError("--axis is the number in which labels end: give --kind against")
    # Into the working folder, not beside the results: several files may be drawn together, and belong to none of them.
    path = out or Path(kind)
    text = ""
    if kind == "training":
        from arith.figures.training import draw_training, read_training

        files = draw_training([read_training(run) for run in results], path, title)
    else:
        # A run's own tests are in results.json; what `arith evaluate` measured afterwards is in evaluation.json.
        name = "results.json" if kind in ("accuracy", "against") else "evaluation.json"
        # A name such as `addition` is a shipped model, unless there is a file or folder of that name.
        folders = [find_model(place) if str(place) in names() and not place.exists() else place for place in results]
        paths = [_results_of(place, name) if place.is_dir() else place for place in folders]
        loaded, there = [Results.load(place) for place in paths], ", ".join(map(str, paths))
        if kind == "anatomy":
            files = _draw_anatomy(loaded, there, suite, path, title)
        elif kind == "loops":
            files = _draw_loops(loaded, there, suite, path, title)
        elif kind == "probes":
            files = _draw_probes(loaded, there, path, title)
        elif kind == "against":
            files = _draw_numbered(loaded, there, suite, path, axis, title)
        elif kind == "grid":
            text, files = _draw_grids(loaded, there, path, title, terminal, claims)
        else:
            text, files = _draw_accuracy(loaded, there, suite, path, title, terminal)
    if as_json:
        click.echo(json.dumps({"files": [str(file) for file in files]} | ({"text": text} if terminal else {})))
    else:
        click.echo("\n".join(filter(None, [text, *(f"figure   {file}" for file in files)])))


def _results_of(folder: Path, name: str) -> Path:
    """The results file in a run's folder; if there is none, the error says what makes it."""
    from arith.experiment.run import Run
    from arith.process.hints import command_line

    path = folder / name
    if not path.is_file():
        run = Run.open(folder)
        makes = command_line("evaluate", str(folder)) if name == "evaluation.json" else run.resume_hint
        raise UsageError(f"{folder} has no {name} yet: {makes} writes it")
    return path


@contextlib.contextmanager
def _naming(there: str) -> Iterator[None]:
    """Begin errors with the files: the room of results does not know them."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{there}: {error}") from error


def _draw_anatomy(loaded: Sequence["Results"], there: str, suite: str, path: Path, title: str) -> list[Path]:
    from arith.figures.error_classes import draw_anatomy
    from arith.results.error_classes import pool_anatomies

    with _naming(there):
        pooled = pool_anatomies([part for results in loaded for part in results.anatomy], suite)
    return draw_anatomy(pooled, path, title)


def _draw_loops(loaded: Sequence["Results"], there: str, suite: str, path: Path, title: str) -> list[Path]:
    from arith.figures.against.loops import draw_loops, find_reaches

    with _naming(there):
        reaches = find_reaches([cell for results in loaded for cell in results.cells], suite)
    return draw_loops(reaches, path, title)


def _draw_probes(loaded: Sequence["Results"], there: str, path: Path, title: str) -> list[Path]:
    from arith.figures.against.probes import draw_probes

    with _naming(there):
        return draw_probes([row for results in loaded for row in results.measurements], path, title)


def _draw_numbered(
    loaded: Sequence["Results"], there: str, suite: str, path: Path, axis: str, title: str
) -> list[Path]:
    from arith.figures.against.numbers import numbered_panels
    from arith.figures.quantities import draw_quantities

    cells = [cell for results in loaded for cell in results.cells]
    panels = numbered_panels(cells, axis or "number in the label", suite)
    if not panels:
        raise UsageError(f"{there}: no label ends in a number, as in tuned-30: there is nothing to draw it against")
    return draw_quantities(panels, path, title)


def _draw_grids(
    loaded: Sequence["Results"], there: str, path: Path, title: str, terminal: bool, claims: str | None
) -> tuple[str, list[Path]]:
    """What to print, and the files; none on a terminal."""
    from arith.figures.grid import draw_grids
    from arith.figures.terminal import grid_text
    from arith.results.grids import claimed_grid, grids, summary

    cells = [cell for results in loaded for cell in results.cells]
    with _naming(there):
        maps = [*grids(cells), *([] if claims is None else [claimed_grid(claims, cells)])]
    if terminal:
        return "\n\n".join(map(grid_text, maps)), []
    files = draw_grids(maps, path, title)
    return "\n".join(map(summary, maps)), files


def _draw_accuracy(
    loaded: Sequence["Results"], there: str, suite: str, path: Path, title: str, terminal: bool
) -> tuple[str, list[Path]]:
    """What to print, and the files; none on a terminal."""
    from arith.figures.accuracy import draw_accuracy
    from arith.figures.terminal import accuracy_text
    from arith.results.curves import curves
    from arith.results.tables import accuracy_table

    cells = [cell for results in loaded for cell in results.cells]
    lines = curves(cells, suite)
    if not lines:
        suites = ", ".join(sorted({cell.suite for cell in cells})) or "none"
        raise UsageError(f"no results on suite '{suite}' in {there}. Suites there: {suites}")
    if terminal:
        return accuracy_text(lines), []
    files = draw_accuracy(lines, path, title)
    return accuracy_table(lines), files
