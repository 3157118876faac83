"""arith reproduce"""

import json
import sys
from pathlib import Path

from arith.cli.framework import click
from arith.cli.options import json_option
from arith.errors import UsageError


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
    help="Write results/RECIPE.json and its figure, of 5 seeds or more; curves that --only leaves out stay.",
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

    Runs that are finished are not trained again, so an interrupted command goes on where it stopped.
    """
    from arith.config import recipe
    from arith.errors import did_you_mean
    from arith.experiment.experiment import Experiment
    from arith.performance import estimate
    from arith.process.hints import command_line
    from arith.process.signals import Interrupted
    from arith.results.curves import PUBLISHED_SEEDS
    from arith.sweeps import reproduce
    from arith.training.environment import device_named

    loaded = recipe.load(recipe_name, scale)
    unknown = [label for label in only if label not in loaded.labels()]
    if unknown:
        raise UsageError(
            f"recipe '{loaded.name}' has no curve '{unknown[0]}'.{did_you_mean(unknown[0], loaded.labels())} "
            f"Curves: {', '.join(loaded.labels())}"
        )
    if seeds > len(loaded.seeds):
        raise UsageError(f"recipe '{loaded.name}' names {len(loaded.seeds)} seeds, got --seeds {seeds}")
    if everything and only:
        raise UsageError("--all trains every curve and --only some of them: give one of them")
    if publish and seeds < PUBLISHED_SEEDS:
        raise UsageError(f"--publish takes {PUBLISHED_SEEDS} seeds or more: give --seeds {PUBLISHED_SEEDS}")
    if publish:
        loaded = loaded.for_publication()
    labels = only or (loaded.labels() if everything or publish else loaded.live or loaded.labels())
    plan = [(label, seed) for label in labels for seed in loaded.seeds[:seeds]]
    # Every mistake in the recipe is found before the first run starts.
    experiments = [Experiment.of(reproduce.seeded(loaded.config(label), seed)) for label, seed in plan]
    for experiment in experiments:
        device_named(experiment.config.training.device)
    if dry_run and as_json:
        reports = [json.loads(estimate.report(experiment, as_json=True)) for experiment in experiments]
        click.echo(
            json.dumps([{"label": label, "seed": seed, **r} for (label, seed), r in zip(plan, reports, strict=True)])
        )
        return
    if dry_run:
        for (label, seed), experiment in zip(plan, experiments, strict=True):
            click.echo(f"{label}, seed {seed}\n{estimate.report(experiment)}\n")
        return
    try:
        outcome = reproduce.reproduce(loaded, plan, out or Path("runs") / loaded.name, overwrite, publish, jobs)
    except Interrupted as interrupted:
        again = [argument for argument in sys.argv[1:] if argument != "--overwrite"]
        raise Interrupted(command_line(*again)) from interrupted
    click.echo(outcome.results_path.read_text() if as_json else outcome.report)
