"""Train the runs of a recipe, test them, and draw one figure from all."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arith.config.recipe import Recipe
from arith.errors import RunError
from arith.experiment.provenance import provenance_of
from arith.experiment.run import empty
from arith.figures.report import draw_report
from arith.process.hints import current_command
from arith.process.lock import lock_folder
from arith.process.progress import say
from arith.process.signals import Interrupted
from arith.results.curves import Curve
from arith.results.schema import Cell, Results
from arith.results.tables import accuracy_table, fit_table, tables_of_language
from arith.sweeps.executors import failure, run_all, threads_of
from arith.sweeps.publish import (
    check_published,
    committed_cells,
    describe_missing,
    draw_published,
    find_published,
    leave_out,
    load_published,
    publish,
    published_path,
    withdraw,
)
from arith.sweeps.worker import Planned


@dataclass(frozen=True)
class Outcome:
    """What a reproduction wrote: the file of its results, and the report to print."""

    results_path: Path
    report: str


# Over 60 lines: what is kept, published and drawn when a run fails or a signal comes is told in order.
def reproduce(
    recipe: Recipe,
    plan: Sequence[Planned],
    out: Path,
    *,
    publishes: bool = False,
    overwrite: bool = False,
    jobs: int = 1,
) -> Outcome:
    """Train and test the planned runs, and draw one figure from all.

    Args:
        recipe: where the runs come from. Its curves that are not planned are drawn from committed results.
        plan: what is trained here, unless it is finished already.
        out: folder of the runs, of results.json and figures/.
        publishes: add each finished run to results/NAME.json at once, and take up runs that are published already.
        overwrite: train anew what is finished or published.
        jobs: runs at a time, each in a process and on its share of the cores.

    Raises:
        RunError, Interrupted: runs failed, or a signal came; what did finish is kept and drawn.
    """
    published = load_published(recipe) if publishes else Results(())
    if publishes:
        check_published(recipe, published, plan)
    # After the check: a refused command has removed nothing.
    if overwrite:
        empty_runs(plan)
        published = withdraw(recipe, published, plan) if publishes else published
    # What is drawn beside the runs of this command.
    labels = {run.label for run in plan}
    committed = leave_out(published, plan).cells if publishes else committed_cells(recipe, labels)
    out.mkdir(parents=True, exist_ok=True)  # where all is published already, no run makes it
    # With several jobs all runs are trained here, and the loop below only collects what they wrote. Their failure is
    # raised after it, once the runs that did finish are published and drawn.
    stopped = _train_in_processes(recipe.name, plan, published, jobs, out / "logs") if jobs > 1 else None
    found: list[Results] = []
    failed: list[tuple[Planned, str]] = []
    try:
        for number, run in enumerate(plan, 1):
            results, note = _find_results(run, plan, published)
            say(f"[{number}/{len(plan)}] {run.label}, seed {run.seed}{note}")
            if results is None and stopped is not None:
                continue  # it failed, or was not reached
            if results is None:
                results = _train_here(run, failed)
            if results is None:
                continue
            found.append(results)
            join_results(recipe, found).save(out / "results.json")  # after each run: the next may take hours
            if publishes:
                # At once: a session that ends before its last run has published the others.
                published = publish(recipe, published, [results])
    finally:
        # After an interruption too: hours of finished runs are worth a figure.
        if found:
            joint = join_results(recipe, found)
            curves, files = _draw(recipe, joint, committed, out / "figures" / recipe.name)
        if stopped is not None:
            raise stopped
    if failed:
        raise failure([f"{run.folder}: {reason}" for run, reason in failed], len(plan))
    lines = _describe(joint, curves, committed, [out / "results.json", *files])
    if publishes:
        lines += [f"published {path}" for path in (published_path(recipe), *draw_published(recipe, published))]
        lines += describe_missing(recipe, published)
    return Outcome(out / "results.json", "\n".join(lines))


def _train_here(run: Planned, failed: list[tuple[Planned, str]]) -> Results | None:
    """The results of a run, or its reason among those that failed: a rate may be too high for one curve of many."""
    start = next((other for other, _ in failed if run.begins_with(other)), None)
    try:
        if start is not None:
            raise RunError(f"it begins with {start.name}, which failed")
        return run.train_and_test()
    except RunError as error:
        failed.append((run, str(error)))
        return None


def _find_results(run: Planned, plan: Sequence[Planned], published: Results) -> tuple[Results | None, str]:
    """The results of a run that need not be trained, and a note on where they are from."""
    if (results := run.find_results()) is not None:
        return results, ": finished earlier"
    # Published results hold no weights for a run that begins with this one's.
    if any(other.begins_with(run) and _find_results(other, plan, published)[0] is None for other in plan):
        return None, ""
    if published.cells and (results := find_published(published, run)) is not None:
        return results, ": published earlier"
    return None, ""


def _train_in_processes(
    title: str, plan: Sequence[Planned], published: Results, jobs: int, logs: Path
) -> RunError | Interrupted | None:
    """Train the runs that have no results yet, `jobs` at a time; returns what stopped them, if anything did."""
    left = [run for run in plan if _find_results(run, plan, published)[0] is None]
    first = [run for run in left if any(other.begins_with(run) for other in left)]
    try:
        for wave in filter(None, (first, [run for run in left if run not in first])):
            run_all([run.order(threads_of(jobs)) for run in wave], "local", jobs, logs, title, sys.argv[1:])
    except (RunError, Interrupted) as error:
        return error
    return None


def _draw(recipe: Recipe, joint: Results, committed: Sequence[Cell], path: Path) -> tuple[list[Curve], list[Path]]:
    """The figure of what was trained here and of what was not."""
    everything = dataclasses.replace(joint, cells=(*joint.cells, *committed))
    notes = _notes(joint.cells, committed)
    return draw_report(everything, path, recipe.title, notes, recipe.labels, recipe.figure_plan)


def _describe(joint: Results, curves: Sequence[Curve], committed: Sequence[Cell], files: Sequence[Path]) -> list[str]:
    """What was reached, by what was trained here and what was not, and where it is kept: the results, then figures."""
    lines = [accuracy_table(curves)]
    lines += tables_of_language(joint.language)
    if fits := fit_table(joint, [curve.label for curve in curves]):
        lines.append(fits)
    if committed:
        here = ", ".join(dict.fromkeys(cell.label for cell in joint.cells))
        there = ", ".join(dict.fromkeys(cell.label for cell in committed))
        lines.append(f"Trained here: {here}. From committed results: {there}.")
    return [*lines, f"results  {files[0]}", *(f"figure   {file}" for file in files[1:])]


def empty_runs(plan: Sequence[Planned]) -> None:
    """Remove runs that are there, all before the first is trained.

    A command that is interrupted and given again without --overwrite must not find old runs.
    """
    for run in plan:
        if (run.folder / "run.json").is_file():
            with lock_folder(run.folder):  # refuses if another process trains it
                empty(run.folder)


def join_results(recipe: Recipe, parts: Sequence[Results]) -> Results:
    """Results of several runs, with this command, which gives them again, and where and when each was made."""
    cells = tuple(cell for part in parts for cell in part.cells)
    about = {"recipe": recipe.name, "command": current_command(), "runs": provenance_of(parts)}
    language, series = (tuple(row for part in parts for row in getattr(part, name)) for name in ("language", "series"))
    return Results(cells, about, language=language, series=series)


def _notes(trained: Sequence[Cell], committed: Sequence[Cell]) -> dict[str, str]:
    """Where each curve comes from, if they do not all come from here."""
    if not committed:
        return {}
    return {cell.label: "committed" for cell in committed} | {cell.label: "trained now" for cell in trained}
