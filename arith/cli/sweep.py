"""arith sweep"""

import json
import os
from pathlib import Path
from typing import Any

from arith.cli.framework import click
from arith.cli.options import json_option, read_assignment
from arith.errors import UsageError


@click.command(
    "sweep",
    epilog="Examples: arith sweep grid.toml --jobs 2; "
    "arith sweep extrapolation:coupled-window --ablate data.carry_mix=0.0 --ablate model.norm_after=false --seeds 3",
)
@click.argument("plan", metavar="GRID.toml|RECIPE")
@click.option("--executor", type=click.Choice(["local", "slurm", "ray"]), default="local", help="Where runs go.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time.  [default: GPUs, or cores without any]")
@click.option("--threads", type=click.IntRange(1), help="Of each run on a CPU.  [default: cores / jobs]")
@click.option("--ablate", multiple=True, metavar="NAME=VALUE", help="A field of the recipe to change, one at a time.")
@click.option("--seeds", type=click.IntRange(1), default=1, help="Of each run of --ablate.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the sweep.  [default: runs/sweep-NAME]")
@click.option("--dry-run", is_flag=True, help="List the runs, and stop.")
@json_option
def command(
    plan: str,
    executor: Any,
    jobs: int | None,
    threads: int | None,
    ablate: tuple[str, ...],
    seeds: int,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train the runs of a grid, several at a time, with one table and one figure at the end.

    Finished runs are not done again, failed ones are retried when the command is given again.
    """
    from arith.config import recipe
    from arith.experiment.experiment import Experiment
    from arith.performance import estimate
    from arith.sweeps import grid_file as grid
    from arith.sweeps.executors import threads_of, visible_gpus
    from arith.sweeps.sweep import SweepOptions, equalise, sweep

    if ablate:
        changes = [read_assignment(text) for text in ablate]
        planned = grid.ablation(recipe.load_config(plan), _name(plan), changes, range(seeds))
    elif plan.endswith(".toml"):
        planned = grid.load(Path(plan))
    else:
        raise UsageError(f"a sweep is a TOML file with a [grid], or a recipe with --ablate NAME=VALUE; got '{plan}'")
    # A run each GPU; on a CPU one each core, as small models gain little from a second thread.
    at_once = jobs or len(visible_gpus()) or os.cpu_count() or 1
    options = SweepOptions(
        out or Path("runs") / f"sweep-{planned.name}", executor, at_once, threads or threads_of(at_once)
    )
    for job in (*planned.search_jobs(), *planned.jobs()):
        Experiment.of(job.config)  # every mistake is found before the first run starts
    if dry_run:
        shown = planned if planned.equal == "seconds" else equalise(planned, options)  # seconds would be measured
        jobs_shown = [*shown.search_jobs(), *shown.jobs()]
        if as_json:
            rows = [(job.label, job.config.model.seed, job.config.training.steps) for job in jobs_shown]
            click.echo(json.dumps([dict(zip(("label", "seed", "steps"), row, strict=True)) for row in rows]))
            return
        click.echo(estimate.plan_table([(job.label, Experiment.of(job.config)) for job in jobs_shown]))
        click.echo(f"{at_once} at a time, {options.threads} threads each, in {options.folder}")
        return
    table = sweep(planned, options)
    click.echo(json.dumps({"results": str(options.folder / "results.json")}) if as_json else table)


def _name(plan: str) -> str:
    """The sweep's name, and its folder's: the recipe's name, with its label."""
    # A recipe may be a path, with or without a label after the last colon.
    path, _, label = plan.rpartition(":") if ":" in plan else (plan, "", "")
    return "-".join(part for part in (Path(path).stem, label) if part)
