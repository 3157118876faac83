"""Published results that stay when some curves of a recipe are trained anew."""

import dataclasses
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from arith.assembly import Assembly
from arith.config import RunConfig
from arith.curves import PUBLISHED_SEEDS
from arith.errors import UsageError
from arith.evaluate import conditions
from arith.measuring import condition_of
from arith.recipe import Recipe
from arith.results import Cell, Results


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


def made_as_asked(config: RunConfig, cells: Collection[Cell]) -> bool:
    """Whether cells are of the task, format, encoding, trained lengths, steps and samples of a run as it is now."""
    steps = config.training.steps
    lengths = Assembly.of(config).train_lengths()
    asked = (config.tested_task, config.tested_format, config.encoding, lengths, steps, config.samples_at(steps))
    return all((c.task, c.format, c.encoding, c.train_lengths, c.step, c.samples) == asked for c in cells)


def _publishable(config: RunConfig, cells: Collection[Cell]) -> bool:
    by_seed: dict[int, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_seed[cell.model_seed].append(cell)
    tests = [(config.evaluation.seed, test) for test in conditions(Assembly.of(config))]
    return (
        made_as_asked(config, cells)
        and len(by_seed) >= PUBLISHED_SEEDS
        and all([(cell.test_seed, condition_of(cell)) for cell in own] == tests for own in by_seed.values())
    )
