"""Train the runs of a recipe, test them, and draw one figure from all."""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arith
from arith.advantage import advantages
from arith.advantage_figure import draw_advantages
from arith.assembly import Assembly
from arith.commands import command_line, current_command
from arith.config import RunConfig
from arith.curves import Curve, curves
from arith.evaluate import conditions
from arith.executors import threads_of, work_off
from arith.figures import draw_accuracy
from arith.files import disk_errors
from arith.heatmap import draw_grids, grids
from arith.interrupt import Interrupted
from arith.language import language_table
from arith.language_figure import draw_language
from arith.lock import locked
from arith.look import PLAIN, Look
from arith.measuring import condition_of, measured, saved
from arith.memory import enough_memory
from arith.progress import say
from arith.publishing import kept, made_as_asked, together
from arith.recipe import Recipe
from arith.results import GRID, Cell, Results
from arith.runs import Run, emptied
from arith.tables import accuracy_table
from arith.train import train
from arith.worker import Order
from arith.world import ALONE, World


@dataclass(frozen=True)
class Outcome:
    """What a reproduction wrote, and what it says of it."""

    results_path: Path
    report: str


def run_and_test(run: Run, assembly: Assembly, label: str, world: World = ALONE) -> Results:
    """Train a run from where it is to its end, and test it; of several processes the first one."""
    model = train(run, assembly, world)
    hint = command_line("train", "--resume", "--out", str(run.folder))
    try:
        with enough_memory(run.config.training, assembly.tokens):
            results = measured(run, assembly, model, run.config.training.steps, label, run.results)
    except KeyboardInterrupt:
        raise Interrupted(hint) from None
    with disk_errors("the results", hint):
        saved(results, run.results)
    return results


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
                with locked(run_folder(out, label, seed)):
                    emptied(run_folder(out, label, seed))
    if jobs > 1:
        work_side_by_side(recipe, plan, out, jobs)
    committed = staying.cells if staying else committed_cells(recipe, labels)
    found: list[Results] = []
    for number, (label, seed) in enumerate(plan, 1):
        assembly = Assembly.of(seeded(recipe.config(label), seed))
        folder = run_folder(out, label, seed)
        done = finished_results(folder, assembly, label)
        say(f"[{number}/{len(plan)}] {label}, seed {seed}" + (": finished earlier" if done else ""))
        if done is None:
            with locked(folder):
                run = Run.begin(folder, assembly.config, "resume" if (folder / "run.json").is_file() else "refuse")
                done = run_and_test(run, assembly, label)
        found.append(done)
        results = joined(recipe, found)
        results.save(out / "results.json")
        everything = dataclasses.replace(results, cells=(*results.cells, *committed))
        notes = _notes(results.cells, committed)
        drawn, files = drawn_and_saved(
            everything, out / "figures" / recipe.name, recipe.title, notes, recipe.labels(), recipe.look
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
        if finished_results(folder, Assembly.of(config), label) is None:
            orders.append(Order(str(folder), label, config.as_dict(), threads_of(jobs)))
    work_off(orders, "local", jobs, out / "logs", recipe.name, sys.argv[1:])


def joined(recipe: Recipe, parts: Sequence[Results]) -> Results:
    """Results of several runs, with this command, which gives them again, and where and when each was made."""
    about = {"recipe": recipe.name, "command": current_command(), "runs": made(parts)}
    cells = tuple(cell for part in parts for cell in part.cells)
    return Results(cells, about, language=tuple(row for part in parts for row in part.language))


def made(parts: Iterable[Results]) -> dict[str, Any]:
    """Where and when each of several runs was made, and by which code."""
    return {
        name: {key: own[key] for key in ("created", "commit", "device", "versions")}
        for part in parts
        for name, own in part.about["runs"].items()
    }


def drawn_and_saved(
    results: Results,
    path: Path,
    title: str,
    notes: dict[str, str] | None = None,
    order: Sequence[str] = (),
    look: Look = PLAIN,
) -> tuple[list[Curve], list[Path]]:
    """Curves of every suite for the table, and the files of the figure, which shows the first suite.

    Grids of operand lengths, advantages against scale, and what was measured of language, have figures of their own
    beside it.
    """
    suites = list(dict.fromkeys(cell.suite for cell in results.cells if cell.suite != GRID))
    by_suite = {suite: curves(results.cells, suite) for suite in suites}
    for found in by_suite.values():
        found.sort(key=lambda curve: order.index(curve.label) if curve.label in order else len(order))
    files = draw_accuracy(by_suite[suites[0]], path, title, notes, look)
    if any(cell.suite == GRID for cell in results.cells):
        files += draw_grids(grids(results.cells), path.with_name(f"{path.name}-grid"), title)
    if leads := advantages(results.cells, look.contests):
        files += draw_advantages(leads, path.with_name(f"{path.name}-advantage"), title)
    if results.language:
        files += draw_language(results.language, path.with_name(f"{path.name}-language"), title)
    return [curve for suite in suites for curve in by_suite[suite]], files


def finished_results(folder: Path, assembly: Assembly, label: str) -> Results | None:
    """The results in a run's folder, if they are those of this very configuration after its last step."""
    if not (folder / "run.json").is_file():
        return None
    run = Run.open(folder)
    run.check_same(assembly.config)
    if not run.results.is_file():
        return None
    results = Results.load(run.results)
    seed, steps = assembly.config.evaluation.seed, assembly.config.training.steps
    wanted = [(label, steps, seed, test) for test in conditions(assembly)]
    there = [(cell.label, cell.step, cell.test_seed, condition_of(cell)) for cell in results.cells]
    return results if there == wanted else None


def results_folder() -> Path:
    """Committed results, which only a checkout has."""
    return Path(arith.__file__).parent.parent / "results"


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
    _, files = drawn_and_saved(results, folder / recipe.name, recipe.title, look=recipe.look)
    return [path, *files]


def _notes(trained: Sequence[Cell], committed: Sequence[Cell]) -> dict[str, str]:
    """Where each curve comes from, if they do not all come from here."""
    if not committed:
        return {}
    return {cell.label: "committed" for cell in committed} | {cell.label: "trained now" for cell in trained}
