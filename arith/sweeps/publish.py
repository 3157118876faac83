"""Published results, by curve and seed: a finished run is added to results/NAME.json, and not run again.

A recipe of many core-hours is published piece by piece: `runs/` may be gone by then. Curves of fewer than
`PUBLISHED_SEEDS` seeds are stored and drawn too, as development figures.
"""

import dataclasses
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from arith.config.recipe import Recipe, names
from arith.errors import UsageError
from arith.evaluation.exact_match import cell_keys
from arith.evaluation.session import find_finished
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import provenance_of, results_folder
from arith.figures.report import draw_report
from arith.process.hints import current_command
from arith.process.progress import say
from arith.results.cell_key import CellKey
from arith.results.curves import PUBLISHED_SEEDS
from arith.results.measurement import Language
from arith.results.schema import Cell, Condition, Results
from arith.sweeps.worker import Planned, plan_run


def published_path(recipe: Recipe) -> Path:
    """The file in which a recipe's results are published."""
    return results_folder() / f"{recipe.name}.json"


def load_published(recipe: Recipe) -> Results:
    """The published results of a recipe; none, if nothing is published yet."""
    path = published_path(recipe)
    return Results.load(path) if path.is_file() else Results(())


def find_published(published: Results, run: Planned) -> Results | None:
    """The published results of a run, if they are those of the recipe as it is now."""
    # Without its record in `about` nothing says on which commit and machine a run was made: it is trained again.
    results = find_finished(published, run.experiment, run.label)
    runs = published.about.get("runs", {})
    if results is None or run.name not in runs:
        return None
    series = tuple(row for row in results.series if row.run == run.name)
    return dataclasses.replace(results, about={**results.about, "runs": {run.name: runs[run.name]}}, series=series)


def check_published(recipe: Recipe, published: Results, plan: Sequence[Planned]) -> None:
    """Refuse to add runs to results of another state of the recipe: one figure is of one recipe.

    Raises:
        UsageError: results of a curve or seed that is not planned are not those of the recipe as it is now.
    """
    # A run is known by curve and seed, not by its folder: `runs/` may be gone, and folders are named by the user.
    planned = {(run.label, run.seed) for run in plan}
    stale: dict[str, None] = {}
    for label, seed in dict.fromkeys((cell.label, cell.model_seed) for cell in published.cells):
        if (label, seed) in planned:
            continue  # replaced by what is trained now
        known = label in recipe.labels
        if not known or find_published(published, plan_run(recipe, label, seed, Path())) is None:
            stale.setdefault(label)
    if stale:
        raise UsageError(
            f"{published_path(recipe)} has no results of {', '.join(stale)} as the recipe is now, but some of another "
            "state of it: train these too, with all their seeds, or remove the file"
        )


def publish(recipe: Recipe, published: Results, finished: Iterable[Results]) -> Results:
    """Add finished runs to the published ones, in the order of the recipe, and save them.

    Args:
        recipe: the recipe that is published.
        published: what is in the file; a run that finished again takes the place of its earlier results.
        finished: the results of each run to add.
    """
    # Whole runs are replaced, not cells: what is left of an earlier run of the same curve and seed, such as a length
    # that is no longer tested, would be of another model.
    parts = list(finished)
    again = {(cell.label, cell.model_seed) for part in parts for cell in part.cells}
    cells = [cell for cell in published.cells if (cell.label, cell.model_seed) not in again]
    language = [row for row in published.language if (row.label, row.model_seed) not in again]
    names = {f"{label}-{seed}" for label, seed in again}
    series = [row for row in published.series if row.run not in names]
    runs = dict(published.about.get("runs", {}))
    for part in parts:
        cells += part.cells
        series += part.series
        language += part.language
        runs |= provenance_of([part])
    labels, seeds = recipe.labels, list(recipe.seeds)

    def place(row: Cell | Language) -> tuple[int, int]:
        seed = row.model_seed
        # In the order of the recipe, whatever finished first: the file's diff then shows what was added. Seeds that the
        # recipe no longer names come last.
        return labels.index(row.label), seeds.index(seed) if seed in seeds else len(seeds)

    order = [f"{label}-{seed}" for label in labels for seed in seeds]
    results = Results(
        tuple(sorted(cells, key=place)),
        {"recipe": recipe.name, "command": command_of(recipe, cells), "runs": runs},
        language=tuple(sorted(language, key=place)),
        series=tuple(sorted(series, key=lambda row: order.index(row.run) if row.run in order else len(order))),
    )
    results_folder().mkdir(exist_ok=True)
    results.save(published_path(recipe))
    return results


def command_of(recipe: Recipe, cells: Iterable[Cell]) -> str:
    """The command that makes published results again: all of them, not what the last command added."""
    if recipe.name not in names():
        return current_command()  # of the user's own recipe, whose path is known to the command alone
    seeds: dict[str, set[int]] = {}
    for cell in cells:
        seeds.setdefault(cell.label, set()).add(cell.model_seed)
    chosen = [] if seeds.keys() == set(recipe.labels) else [part for label in seeds for part in ("--only", label)]
    count = max(map(len, seeds.values()), default=1)
    return shlex.join(["arith", "reproduce", recipe.name, *chosen, "--seeds", str(count), "--publish"])


def leave_out(published: Results, plan: Sequence[Planned]) -> Results:
    """The published results without those of planned runs."""
    planned = {(run.label, run.seed) for run in plan}
    return dataclasses.replace(
        published,
        cells=tuple(cell for cell in published.cells if (cell.label, cell.model_seed) not in planned),
        language=tuple(row for row in published.language if (row.label, row.model_seed) not in planned),
        series=tuple(row for row in published.series if row.run not in {run.name for run in plan}),
    )


def withdraw(recipe: Recipe, published: Results, plan: Sequence[Planned]) -> Results:
    """Take planned runs out of the published results, so that they are trained anew.

    At once and in the file: a command that is interrupted and given again without --overwrite must not find old runs.
    """
    left = leave_out(published, plan)
    if len(left.cells) < len(published.cells):  # a file that nothing leaves keeps its bytes
        left.save(published_path(recipe))
    return left


def draw_published(recipe: Recipe, published: Results) -> list[Path]:
    """The figure beside the published results. Curves of too few seeds for a claim say so."""
    # How many they have, the figure says itself.
    notes = {
        label: "development" for label, seeds in count_seeds(recipe, published).items() if 0 < seeds < PUBLISHED_SEEDS
    }
    _, files = draw_report(published, results_folder() / recipe.name, recipe.title, notes, plan=recipe.figure_plan)
    return files


def count_seeds(recipe: Recipe, published: Results) -> dict[str, int]:
    """How many seeds of each of a recipe's curves are published."""
    seeds = {(cell.label, cell.model_seed) for cell in published.cells}
    seeds |= {(row.label, row.seed) for row in published.measurements}
    return {label: sum(published_label == label for published_label, _ in seeds) for label in recipe.labels}


def describe_missing(recipe: Recipe, published: Results) -> list[str]:
    """A line that says which curves lack seeds for a claim; none if none does."""
    lacking = {label: seeds for label, seeds in count_seeds(recipe, published).items() if seeds < PUBLISHED_SEEDS}
    listed = ", ".join(f"{label} ({seeds} of {PUBLISHED_SEEDS} seeds)" for label, seeds in lacking.items())
    return [f"missing  {listed}: drawn as development figures until then"] if lacking else []


def committed_cells(recipe: Recipe, planned: set[str]) -> tuple[Cell, ...]:
    """Published cells of the curves that are not trained here, if they are of the recipe as it is now."""
    # Whole curves only: a curve with some seeds from here and some from there would mix two states of the code.
    missing = [label for label in recipe.labels if label not in planned]
    if not missing:
        return ()
    path = published_path(recipe)
    if not path.is_file():
        say(f"{path} is not there, so the figure has only the curves that are trained here (--all trains every one)")
        return ()
    published = Results.load(path)
    committed: list[Cell] = []
    for label in missing:
        cells = [cell for cell in published.cells if cell.label == label]
        if cells and _same_training(Experiment.of(recipe.config(label)), cells, label):
            committed += cells
        else:
            say(f"{path} has no results of '{label}' as the recipe is now, so it is not drawn (--all trains it)")
    return tuple(committed)


def _same_training(experiment: Experiment, cells: Sequence[Cell], label: str) -> bool:
    """Whether cells are of models trained as this experiment is, seeds apart.

    Their tests may be of other sizes: published results have more problems than a demonstration's.
    """
    # A key has a part that is the test's and one that is the training's; any test serves to compare the second.
    (wanted,) = cell_keys(experiment, label, experiment.config.training.steps, [Condition.of(cells[0])])
    return {CellKey.of(cell).training for cell in cells} == {wanted.training}
