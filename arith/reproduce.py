"""Train the runs of a recipe, test them, and draw one figure from all."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arith
from arith.assembly import Assembly
from arith.config import RunConfig
from arith.curves import Curve, curves
from arith.errors import UsageError
from arith.evaluate import conditions, evaluate
from arith.figures import draw_accuracy
from arith.model import Transformer
from arith.progress import progress, say
from arith.recipe import Recipe
from arith.results import Cell, Results
from arith.runs import Run, provenance
from arith.tables import accuracy_table
from arith.train import train


@dataclass(frozen=True)
class Outcome:
    """What a reproduction wrote, and what it says of it."""

    results_path: Path
    report: str


def run_and_test(run: Run, assembly: Assembly, label: str) -> Results:
    """Train a run to its end and test it; what is done already is not done again."""
    model = train(run, assembly)
    results = tested(run, assembly, model, run.config.training.steps, label)
    results.save(run.results)
    return results


def tested(run: Run, assembly: Assembly, model: Transformer, step: int, label: str) -> Results:
    """Test a model on the test sets of its configuration."""
    sets = conditions(assembly)
    cells: list[Cell] = []
    measured = evaluate(assembly, model, sets, label=label, step=step, training_seconds=run.training_seconds())
    with progress(f"test {label}", len(sets)) as shown:
        for cell in measured:
            cells.append(cell)
            shown.update(len(cells), f"{cell.suite} {cell.digits} digits {cell.accuracy:.1%}")
    return Results(tuple(cells), provenance(assembly.config))


def seeded(config: RunConfig, seed: int) -> RunConfig:
    """The same run with another seed of model and data."""
    return config.with_values({"model": {"seed": seed}, "data": {"seed": seed}})


def reproduce(
    recipe: Recipe, plan: Sequence[tuple[str, int]], out: Path, overwrite: bool = False, publish: bool = False
) -> Outcome:
    """Train and test the planned (label, seed) pairs one after the other, and draw the figure after each.

    Args:
        recipe: where the runs come from. Its curves that are not planned are drawn from committed results.
        plan: what is trained here.
        out: folder of the runs, of results.json and figures/.
        overwrite: train again what is there.
        publish: write results and figure to results/ too.
    """
    committed = committed_cells(recipe, {label for label, _ in plan})
    found: list[Results] = []
    about: dict[str, Any] = {}
    for number, (label, seed) in enumerate(plan, 1):
        config = seeded(recipe.config(label), seed)
        assembly = Assembly.of(config)
        folder = out / f"{label}-{seed}"
        done = finished_results(folder, config) if not overwrite else None
        say(f"[{number}/{len(plan)}] {label}, seed {seed}" + (": finished earlier" if done else ""))
        if done is None:
            run = Run.begin(folder, config, "overwrite" if overwrite else "resume" if folder.exists() else "refuse")
            done = run_and_test(run, assembly, label)
        found.append(done)
        about = about or provenance(config)
        results = Results.joined(found, about | {"recipe": recipe.name})
        results.save(out / "results.json")
        drawn, files = drawn_and_saved(
            Results((*results.cells, *committed)),
            out,
            recipe.name,
            recipe.title,
            _notes(results.cells, committed),
            recipe.labels(),
        )
    lines = [accuracy_table(drawn)]
    if committed:
        labels = ", ".join(dict.fromkeys(cell.label for cell in committed))
        lines.append(
            f"Trained here: {', '.join(dict.fromkeys(label for label, _ in plan))}. From committed results: {labels}."
        )
    lines += [f"results  {out / 'results.json'}", *(f"figure   {file}" for file in files)]
    if publish:
        lines += [f"published {path}" for path in published(recipe, results)]
    return Outcome(out / "results.json", "\n".join(lines))


def drawn_and_saved(
    results: Results,
    out: Path,
    name: str,
    title: str,
    notes: dict[str, str] | None = None,
    order: Sequence[str] = (),
) -> tuple[list[Curve], list[Path]]:
    """Curves of every suite for the table, and the files of the figure, which shows the first suite."""
    suites = list(dict.fromkeys(cell.suite for cell in results.cells))
    by_suite = {suite: curves(results.cells, suite) for suite in suites}
    for found in by_suite.values():
        found.sort(key=lambda curve: order.index(curve.label) if curve.label in order else len(order))
    files = draw_accuracy(by_suite[suites[0]], out / "figures" / name, title, notes)
    return [curve for suite in suites for curve in by_suite[suite]], files


def finished_results(folder: Path, config: RunConfig) -> Results | None:
    """The results of a run that was trained and tested with this very configuration."""
    if not (folder / "results.json").is_file() or not (folder / "run.json").is_file():
        return None
    run = Run.open(folder)
    if run.config != config:
        raise UsageError(f"{folder} holds a run of other settings. Give --overwrite to replace it, or another --out")
    return Results.load(run.results)


def results_folder() -> Path:
    """Committed results, which only a checkout has."""
    return Path(arith.__file__).parent.parent / "results"


def committed_cells(recipe: Recipe, planned: set[str]) -> tuple[Cell, ...]:
    """Published cells of the curves that are not trained here."""
    path = results_folder() / f"{recipe.name}.json"
    if set(recipe.labels()) <= planned:
        return ()
    if not path.is_file():
        say(f"{path} is not there, so the figure has only the curves that are trained here (--all trains every one)")
        return ()
    return tuple(
        cell for cell in Results.load(path).cells if cell.label not in planned and cell.label in recipe.labels()
    )


def published(recipe: Recipe, results: Results) -> list[Path]:
    """Results and figure in results/."""
    folder = results_folder()
    path = folder / f"{recipe.name}.json"
    results.save(path)
    suites = [cell.suite for cell in results.cells]
    files = draw_accuracy(curves(results.cells, suites[0]), folder / recipe.name, recipe.title)
    return [path, *files]


def _notes(trained: Sequence[Cell], committed: Sequence[Cell]) -> dict[str, str]:
    """Where each curve comes from, if they do not all come from here."""
    if not committed:
        return {}
    seeds = {
        label: len({cell.model_seed for cell in committed if cell.label == label})
        for label in {cell.label for cell in committed}
    }
    notes = {label: f"committed, {count} seeds" for label, count in seeds.items()}
    return notes | {cell.label: "trained now" for cell in trained}
