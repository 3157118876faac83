"""A recipe's study run for its curves and seeds, drawn, and published: what `reproduce` does for trainings."""

import dataclasses
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from arith.catalogue.entries import STUDIES
from arith.catalogue.registry import import_file
from arith.config.reading import differences, merge_tables, read_settings
from arith.config.recipe import Recipe
from arith.errors import UsageError
from arith.experiment.provenance import provenance, provenance_of
from arith.process.files import disk_errors
from arith.process.hints import command_line, current_command
from arith.process.lock import lock_folder
from arith.process.progress import say
from arith.process.signals import sigterm_as_ctrl_c
from arith.results.schema import Results
from arith.results.tables import measurement_table
from arith.sweeps.publish import describe_missing, load_published, published_path
from arith.sweeps.reproduce import Outcome


class Study(Protocol):
    """A small experiment: a frozen dataclass of settings, each with a default, as `arith.studies` has them."""

    def run(self, label: str, seed: int) -> Results:
        """Measure; rows bear the label and the seed, and series the run `LABEL-SEED`."""
        ...

    def draw(self, results: Results, path: Path, title: str) -> list[Path]:
        """Draw results of several labels and seeds; `path` is without an ending."""
        ...


@dataclass(frozen=True)
class PlannedStudy:
    """A study with its settings and seed, under the label of a curve."""

    label: str
    seed: int
    study: Study

    @property
    def name(self) -> str:
        """What results call it."""
        return f"{self.label}-{self.seed}"

    @property
    def settings(self) -> dict[str, Any]:
        return dataclasses.asdict(self.study)  # type: ignore[call-overload, no-any-return]

    def find_results(self, results: Results) -> Results | None:
        """The part of some results that is this run's, if it was made with these settings."""
        record = results.about.get("runs", {}).get(self.name)
        if record is None or self.changes(record):
            return None
        return keep_runs(results, {self.name})

    def changes(self, record: Mapping[str, Any]) -> list[str]:
        """How the settings differ from those that a record of the run has."""
        # Lists, as a JSON file has no tuples.
        now = {name: list(value) if isinstance(value, tuple) else value for name, value in self.settings.items()}
        return differences(record.get("settings", {}), now)

    def measure(self) -> Results:
        """Its results, with what they were made by and where."""
        found = self.study.run(self.label, self.seed)
        made = provenance_of([Results((), {"runs": {self.name: provenance(())}})])[self.name]
        return dataclasses.replace(found, about={"runs": {self.name: {**made, "settings": self.settings}}})


def plan_study(recipe: Recipe, labels: Iterable[str], seeds: Iterable[int]) -> list[PlannedStudy]:
    """The runs of a recipe's study: every label with every seed.

    Raises:
        UsageError: there is no such study, or a setting is wrong.
    """
    name = str(recipe.study)
    values = dict(recipe.values)
    for path in values.pop("imports", ()):
        import_file(path)
    make: Any = STUDIES.load(name)
    curves, studies = dict(recipe.curves), {}
    for label in labels:
        settings = merge_tables(values, curves.get(label, {}))
        studies[label] = read_settings(make, settings, f"study '{name}'")
    return [PlannedStudy(label, seed, study) for label, study in studies.items() for seed in seeds]


def reproduce_study(
    recipe: Recipe, plan: Sequence[PlannedStudy], out: Path, *, publishes: bool = False, overwrite: bool = False
) -> Outcome:
    """Run what is planned, and draw one figure from all.

    Args:
        recipe: where the plan comes from.
        plan: what is run, unless it is finished already.
        out: the folder of results.json and figures/.
        publishes: add each finished run to results/NAME.json at once, and take up runs that are published already.
        overwrite: run anew what is finished or published.

    Raises:
        UsageError: earlier results are of other settings.
        KeyboardInterrupt: a signal came; what did finish is kept.
    """
    path, about = out / "results.json", {"recipe": recipe.name, "command": current_command()}
    with lock_folder(out), sigterm_as_ctrl_c(), disk_errors("the results", command_line(*sys.argv[1:])):
        held = Results.load(path) if path.is_file() else Results(())
        published = load_published(recipe) if publishes else Results(())
        if publishes:
            check_published_study(recipe, published, plan)
        if not overwrite:
            _check_settings(held, plan, path)
        for number, run in enumerate(plan, 1):
            known = None if overwrite else run.find_results(held) or run.find_results(published)
            say(f"[{number}/{len(plan)}] {run.label}, seed {run.seed}{': finished earlier' if known else ''}")
            found = known or run.measure()
            # At once: a command that is stopped before its last run has kept and published the others.
            held = _add(recipe, held, found, about)
            held.save(path)
            if publishes:
                published = _add(recipe, published, found, about)
                published_path(recipe).parent.mkdir(exist_ok=True)
                published.save(published_path(recipe))
        shown, draw = keep_runs(held, {run.name for run in plan}), plan[0].study.draw
        files = draw(shown, out / "figures" / recipe.name, recipe.title)
        lines = [measurement_table(shown.measurements), f"results  {path}", *(f"figure   {file}" for file in files)]
        if publishes:
            missing = describe_missing(recipe, published)
            title = recipe.title + " (development)" * bool(missing)
            files = draw(published, published_path(recipe).with_suffix(""), title)
            lines += [*(f"published {file}" for file in (published_path(recipe), *files)), *missing]
    return Outcome(path, "\n".join(lines))


def check_published_study(recipe: Recipe, published: Results, plan: Sequence[PlannedStudy]) -> None:
    """Refuse to add runs to results of another state of the recipe: one figure is of one recipe.

    Raises:
        UsageError: published results that are not planned have other settings than the recipe has now.
    """
    planned, now = {run.name for run in plan}, {}
    for run in plan_study(recipe, recipe.labels, {row.seed for row in published.measurements}):
        now[run.name] = run
    for name, record in published.about.get("runs", {}).items():
        if name not in planned and (name not in now or now[name].changes(record)):
            raise UsageError(
                f"{published_path(recipe)} has results of {name} that are not of the recipe as it is now: "
                "run these too, with all their seeds, or remove the file"
            )


def _check_settings(held: Results, plan: Sequence[PlannedStudy], path: Path) -> None:
    """Refuse to replace a run of other settings without --overwrite."""
    for run in plan:
        record = held.about.get("runs", {}).get(run.name)
        if record is not None and (changes := run.changes(record)):
            listed = "\n  ".join(changes)
            raise UsageError(
                f"{path} has results of {run.name} with other settings:\n  {listed}\n"
                "Replace them by --overwrite, or choose another --out"
            )


def keep_runs(results: Results, names: Collection[str]) -> Results:
    """The part of results that is of these runs, each called `LABEL-SEED`."""
    about = {**results.about, "runs": {name: record for name, record in results.about["runs"].items() if name in names}}
    return dataclasses.replace(
        results,
        about=about,
        series=tuple(row for row in results.series if row.run in names),
        measurements=tuple(row for row in results.measurements if f"{row.label}-{row.seed}" in names),
    )


def _add(recipe: Recipe, held: Results, found: Results, about: Mapping[str, Any]) -> Results:
    """Results with those of one more run, in the order of the recipe, in place of earlier ones of the same run."""
    runs = held.about.get("runs", {})
    others = keep_runs(held, runs.keys() - found.about["runs"].keys()) if runs else held
    order = [f"{label}-{seed}" for label in recipe.labels for seed in recipe.seeds]

    def place(name: str) -> int:
        # Seeds that the recipe no longer names come last.
        return order.index(name) if name in order else len(order)

    return Results(
        (),
        {**about, "runs": {**others.about.get("runs", {}), **found.about["runs"]}},
        series=tuple(sorted((*others.series, *found.series), key=lambda row: place(row.run))),
        measurements=tuple(
            sorted((*others.measurements, *found.measurements), key=lambda row: place(f"{row.label}-{row.seed}"))
        ),
    )
