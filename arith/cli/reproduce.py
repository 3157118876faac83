"""arith reproduce"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from arith.config.recipe import Recipe
    from arith.sweeps.worker import Planned


@click.command(
    "reproduce",
    epilog="Examples: arith reproduce extrapolation; arith reproduce addition --scale paper --dry-run; "
    "arith reproduce extrapolation --all --seeds 5 --publish",
)
@click.argument("recipe_name", metavar="RECIPE", default="extrapolation")
@click.option("--scale", help="Of recipes that have several, such as laptop and paper.  [default: the first]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the runs.  [default: runs/RECIPE]")
@click.option("--seeds", type=click.IntRange(1), default=1, help="How many of the recipe's seeds are trained.")
@click.option("--all", "everything", is_flag=True, help="Train every curve here, draw none from committed results.")
@click.option("--only", multiple=True, metavar="LABEL", help="Only these curves.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Runs at a time, each on its share of the cores.")
@click.option("--overwrite", is_flag=True, help="Train anew what is there already.")
@click.option(
    "--publish",
    is_flag=True,
    help="Add finished runs to results/RECIPE.json, and draw its figure; what is published already stays.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be trained, its time and memory, and stop.")
@json_option
def command(
    recipe_name: str,
    scale: str | None,
    out: Path | None,
    seeds: int,
    everything: bool,
    only: tuple[str, ...],
    jobs: int,
    overwrite: bool,
    publish: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train the runs of a recipe, test them far beyond their training lengths, and draw the figure.

    A recipe may name a study in their place: a small experiment without a transformer. It takes no --jobs.
    Runs that are finished are not trained again, so an interrupted command resumes where it stopped. With --publish
    each is added to results/ as it finishes, and published ones need no run folder.
    """
    if everything and only:
        raise UsageError("--all trains every curve and --only some of them: give one of them")
    from arith.config import recipe
    from arith.experiment.starting import check_start
    from arith.sweeps import reproduce
    from arith.sweeps.worker import plan_run
    from arith.training.environment import find_device

    loaded = recipe.load(recipe_name, scale)
    # Published results have more test problems than a demonstration, and so other settings.
    if publish:
        loaded = loaded.for_publication()
    labels = loaded.in_order(_labels(loaded, only, everything or publish))
    if seeds > len(loaded.seeds):
        raise UsageError(f"recipe '{loaded.name}' names {len(loaded.seeds)} seeds, got --seeds {seeds}")
    folder = out or Path("runs") / loaded.name
    if loaded.study is not None:
        _reproduce_study(loaded, labels, seeds, folder, jobs, publish, overwrite, dry_run, as_json)
        return
    # Every mistake in the recipe is found before the first run starts.
    plan = [plan_run(loaded, label, seed, folder) for label in labels for seed in loaded.seeds[:seeds]]
    for run in plan:  # a GPU that is not there, too
        find_device(run.experiment.config.training.device)
        if loaded.start_of(run.label) is None:  # else it is trained first
            check_start(run.experiment)
    if dry_run:
        _echo_estimates(plan, as_json)
        return
    with _resumable():
        outcome = reproduce.reproduce(loaded, plan, folder, publishes=publish, overwrite=overwrite, jobs=jobs)
    click.echo(outcome.results_path.read_text(encoding="utf-8") if as_json else outcome.report)


@contextmanager
def _resumable() -> Iterator[None]:
    """Within, a signal ends the command with the words that resume it."""
    from arith.process.hints import command_line
    from arith.process.signals import Interrupted

    try:
        yield
    except (Interrupted, KeyboardInterrupt) as interrupted:
        # With --overwrite it would begin anew, and lose what has just been saved.
        again = [argument for argument in sys.argv[1:] if argument != "--overwrite"]
        raise Interrupted(command_line(*again)) from interrupted


def _reproduce_study(
    recipe: "Recipe",
    labels: Sequence[str],
    seeds: int,
    folder: Path,
    jobs: int,
    publishes: bool,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    from arith.sweeps.study import plan_study, reproduce_study

    if jobs > 1:
        raise UsageError(f"a study runs in this process alone: got --jobs {jobs}. Leave it out")
    plan = plan_study(recipe, labels, recipe.seeds[:seeds])
    if dry_run:
        rows = [{"label": run.label, "seed": run.seed, "study": recipe.study, **run.settings} for run in plan]
        texts = [
            f"{run.label}, seed {run.seed}\nstudy       {recipe.study}, which trains no transformer\n"
            + "".join(f"{name:11} {value}\n" for name, value in run.settings.items())
            for run in plan
        ]
        click.echo(json.dumps(rows) if as_json else "\n".join(texts))
        return
    with _resumable():
        outcome = reproduce_study(recipe, plan, folder, publishes=publishes, overwrite=overwrite)
    click.echo(outcome.results_path.read_text(encoding="utf-8") if as_json else outcome.report)


def _labels(recipe: "Recipe", only: tuple[str, ...], everything: bool) -> Sequence[str]:
    """The curves that are trained here; without --only and --all, the recipe's `live` ones."""
    unknown = [label for label in only if label not in recipe.labels]
    if unknown:
        raise UsageError(
            f"recipe '{recipe.name}' has no curve '{unknown[0]}'.{did_you_mean(unknown[0], recipe.labels)} "
            f"Curves: {', '.join(recipe.labels)}"
        )
    return only or (recipe.labels if everything else recipe.live or recipe.labels)


def _echo_estimates(plan: Sequence["Planned"], as_json: bool) -> None:
    from arith.performance import estimate

    if as_json:
        reports = [json.loads(estimate.report(run.experiment, as_json=True)) for run in plan]
        rows = [{"label": run.label, "seed": run.seed, **report} for run, report in zip(plan, reports, strict=True)]
        click.echo(json.dumps(rows))
        return
    if len({run.label for run in plan}) == 1:
        click.echo(f"{estimate.report(plan[0].experiment)}\n")
    click.echo(estimate.plan_table([(run.label, run.experiment) for run in plan]))
    if len({run.label for run in plan}) > 1:
        click.echo("The settings of one curve: --only CURVE --dry-run; of all, with bytes and FLOPs: --dry-run --json.")
