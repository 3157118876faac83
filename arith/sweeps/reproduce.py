"""Train the runs of a recipe, test them, and draw one figure from all."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arith.config.recipe import Recipe
from arith.config.schema import RunConfig
from arith.evaluation.session import find_finished_results
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import made, results_folder
from arith.experiment.run import Run, empty
from arith.figures.report import draw_report
from arith.process.hints import current_command
from arith.process.lock import lock_folder
from arith.process.progress import say
from arith.results.schema import Cell, Results
from arith.results.tables import accuracy_table, language_table
from arith.sweeps.executors import run_all, threads_of
from arith.sweeps.publish import committed_cells, kept, published, together
from arith.sweeps.worker import RunOrder, run_and_test


@dataclass(frozen=True)
class Outcome:
    """What a reproduction wrote, and what it says of it."""

    results_path: Path
    report: str


def seeded(config: RunConfig, seed: int) -> RunConfig:
    """The same run with another seed of model and data."""
    return config.with_values({"model": {"seed": seed}, "data": {"seed": seed}})


def run_folder(out: Path, label: str, seed: int) -> Path:
    """Where a reproduction keeps one of its runs."""
    return out / f"{label}-{seed}"


def reproduce(
    recipe: Recipe,
    plan: Sequence[tuple[str, int]],
    out: Path,
    overwrite: bool = False,
    publish: bool = False,
    jobs: int = 1,
) -> Outcome:
    """Train and test the planned (label, seed) pairs, and draw the figure after each.

    Args:
        recipe: where the runs come from. Its curves that are not planned are drawn from committed results.
        plan: what is trained here.
        out: folder of the runs, of results.json and figures/.
        overwrite: train again what is there.
        publish: write results and figure to results/ too, where curves that are not planned stay as they are.
        jobs: runs at a time, each in a process and on its share of the cores.
    """
    labels = {label for label, _ in plan}
    staying = kept(recipe, labels, results_folder() / f"{recipe.name}.json") if publish else None
    if overwrite:
        # All at once: a command that is interrupted and given again without --overwrite must not find old runs.
        for label, seed in plan:
            if (run_folder(out, label, seed) / "run.json").is_file():
                with lock_folder(run_folder(out, label, seed)):
                    empty(run_folder(out, label, seed))
    if jobs > 1:
        work_side_by_side(recipe, plan, out, jobs)
    committed = staying.cells if staying else committed_cells(recipe, labels)
    found: list[Results] = []
    for number, (label, seed) in enumerate(plan, 1):
        experiment = Experiment.of(seeded(recipe.config(label), seed))
        folder = run_folder(out, label, seed)
        done = find_finished_results(folder, experiment, label)
        say(f"[{number}/{len(plan)}] {label}, seed {seed}" + (": finished earlier" if done else ""))
        if done is None:
            with lock_folder(folder):
                run = Run.begin(folder, experiment.config, "resume" if (folder / "run.json").is_file() else "refuse")
                done = run_and_test(run, experiment, label)
        found.append(done)
        results = joined(recipe, found)
        results.save(out / "results.json")
        everything = dataclasses.replace(results, cells=(*results.cells, *committed))
        notes = _notes(results.cells, committed)
        drawn, files = draw_report(
            everything, out / "figures" / recipe.name, recipe.title, notes, recipe.labels(), recipe.figure_plan
        )
    lines = [accuracy_table(drawn)]
    if results.language:
        lines.append(language_table(results.language))
    if committed:
        here = ", ".join(dict.fromkeys(label for label, _ in plan))
        there = ", ".join(dict.fromkeys(cell.label for cell in committed))
        lines.append(f"Trained here: {here}. From committed results: {there}.")
    lines += [f"results  {out / 'results.json'}", *(f"figure   {file}" for file in files)]
    if publish:
        everything = together(recipe, staying, results) if staying else results
        lines += [f"published {path}" for path in published(recipe, everything)]
    return Outcome(out / "results.json", "\n".join(lines))


def work_side_by_side(recipe: Recipe, plan: Sequence[tuple[str, int]], out: Path, jobs: int) -> None:
    """Train and test what is not finished yet, several at a time."""
    orders = []
    for label, seed in plan:
        config, folder = seeded(recipe.config(label), seed), run_folder(out, label, seed)
        if find_finished_results(folder, Experiment.of(config), label) is None:
            orders.append(RunOrder(str(folder), label, config.as_dict(), threads_of(jobs)))
    run_all(orders, "local", jobs, out / "logs", recipe.name, sys.argv[1:])


def joined(recipe: Recipe, parts: Sequence[Results]) -> Results:
    """Results of several runs, with this command, which gives them again, and where and when each was made."""
    about = {"recipe": recipe.name, "command": current_command(), "runs": made(parts)}
    cells = tuple(cell for part in parts for cell in part.cells)
    return Results(cells, about, language=tuple(row for part in parts for row in part.language))


def _notes(trained: Sequence[Cell], committed: Sequence[Cell]) -> dict[str, str]:
    """Where each curve comes from, if they do not all come from here."""
    if not committed:
        return {}
    return {cell.label: "committed" for cell in committed} | {cell.label: "trained now" for cell in trained}
