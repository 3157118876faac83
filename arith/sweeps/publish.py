"""Published results that stay when some curves of a recipe are trained anew."""

import dataclasses
from collections.abc import Collection
from pathlib import Path

from arith.config.recipe import Recipe
from arith.errors import UsageError
from arith.evaluation.session import _publishable, made_as_asked
from arith.experiment.provenance import results_folder
from arith.figures.report import draw_report
from arith.process.progress import say
from arith.results.curves import PUBLISHED_SEEDS
from arith.results.schema import Cell, Results


def kept(recipe: Recipe, planned: Collection[str], path: Path) -> Results | None:
    """The part of published results that belongs to curves not trained now; None if every curve is.

    What is kept was made by an earlier commit, which `about` names for each run. Cells have to be of the same task,
    format, encoding, trained lengths, steps, samples and tests as the recipe asks for now.

    Args:
        recipe: with the tests of publication (`Recipe.for_publication`).
        planned: labels of the curves that are trained now.
        path: of the results as they are published.

    Raises:
        UsageError: a curve that is not trained has no such results of enough seeds.
    """
    missing = [label for label in recipe.labels() if label not in planned]
    if not missing:
        return None
    there = Results.load(path) if path.is_file() else None
    cells = {label: [cell for cell in there.cells if cell.label == label] if there else [] for label in missing}
    stale = [label for label, own in cells.items() if not _publishable(recipe.config(label), own)]
    if stale or there is None:
        raise UsageError(
            f"{path} has no results of {', '.join(stale)} as the recipe is now, of {PUBLISHED_SEEDS} seeds or more: "
            "train them too, or leave --only out"
        )
    runs = {f"{cell.label}-{cell.model_seed}" for cell in there.cells if cell.label in missing}
    return Results(
        tuple(cell for cell in there.cells if cell.label in missing),
        {**there.about, "runs": {name: own for name, own in there.about["runs"].items() if name in runs}},
        language=tuple(row for row in there.language if row.label in missing),
    )


def together(recipe: Recipe, published: Results, trained: Results) -> Results:
    """Both in the order of the recipe, with the command that makes all of them again."""
    order = recipe.labels()
    return dataclasses.replace(
        trained,
        cells=tuple(sorted((*published.cells, *trained.cells), key=lambda cell: order.index(cell.label))),
        about={
            **trained.about,
            "command": published.about["command"],
            "runs": {**published.about["runs"], **trained.about["runs"]},
        },
        language=tuple(sorted((*published.language, *trained.language), key=lambda row: order.index(row.label))),
    )


def committed_cells(recipe: Recipe, planned: set[str]) -> tuple[Cell, ...]:
    """Published cells of the curves that are not trained here, if they are of the recipe as it is now."""
    path = results_folder() / f"{recipe.name}.json"
    missing = [label for label in recipe.labels() if label not in planned]
    if not missing:
        return ()
    if not path.is_file():
        say(f"{path} is not there, so the figure has only the curves that are trained here (--all trains every one)")
        return ()
    found: list[Cell] = []
    for label in missing:
        own = [cell for cell in Results.load(path).cells if cell.label == label]
        if own and made_as_asked(recipe.config(label), own):
            found += own
        else:
            say(f"{path} has no results of '{label}' as the recipe is now, so it is not drawn (--all trains it)")
    return tuple(found)


def published(recipe: Recipe, results: Results) -> list[Path]:
    """Results and figure in results/."""
    folder = results_folder()
    folder.mkdir(exist_ok=True)
    path = folder / f"{recipe.name}.json"
    results.save(path)
    _, files = draw_report(results, folder / recipe.name, recipe.title, plan=recipe.figure_plan)
    return [path, *files]
