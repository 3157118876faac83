"""A sweep from its plan to its figure: search, runs, one table, one figure."""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import provenance_of
from arith.figures.report import draw_report
from arith.performance.estimate import flops_per_step
from arith.process.files import write_whole
from arith.process.hints import current_command
from arith.process.lock import lock_folder
from arith.process.progress import say
from arith.process.reading import read_json
from arith.results.schema import Results
from arith.results.tables import accuracy_table, align_columns
from arith.results.uncertainty import percent
from arith.sweeps.executors import Executor, run_all
from arith.sweeps.plan import Job, Sweep, digest, in_distribution, label_of
from arith.sweeps.worker import Planned
from arith.training.budget import for_minutes

STEPS = "steps.json"


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep's runs are carried out.

    Args:
        folder: the sweep's folder, with the runs' below it.
        executor: where their processes run.
        jobs: the number of runs at a time.
        threads: torch's threads in each run, on a CPU.
    """

    folder: Path
    executor: Executor
    jobs: int
    threads: int


def sweep(plan: Sweep, options: SweepOptions) -> str:
    """Search, train, test, draw; what is finished is not done again. Returns the table and where things are.

    Raises:
        RunError: runs failed, each named with its reason.
        Interrupted: a signal came; all is saved.
    """
    with lock_folder(options.folder):
        return _sweep(equalise(plan, options), options)


def _sweep(plan: Sweep, options: SweepOptions) -> str:
    if plan.searched:
        found = work_through(plan.search_jobs(), options, "search")
        # Planned again with what was chosen: only now are the runs known that are compared.
        plan = plan.with_choice({name: results.cells for name, results in found.items()})
        say(choices_table(plan, found))
    jobs = plan.jobs()
    found = work_through(jobs, options, "sweep")
    cells = tuple(cell for job in jobs for cell in found[job.folder].cells)
    about = {
        "sweep": plan.name,
        "command": current_command(),
        "equal": plan.equal,
        "trials": len(plan.searched),
        "chosen": {label_of(group): label_of(choice) for group, choice in plan.chosen.items()},
        "runs": provenance_of(found.values()),
    }
    results = Results(cells, about)
    results.save(options.folder / "results.json")
    labels = list(dict.fromkeys(job.label for job in jobs))
    notes = {label: f"best of {len(plan.searched)} settings" for label in labels} if plan.searched else {}
    drawn, files = draw_report(results, options.folder / "figures" / plan.name, plan.title or plan.name, notes, labels)
    where = [options.folder / "results.json", *files]
    return "\n".join([accuracy_table(drawn), *(f"{_kind(path)}{path}" for path in where)])


def _kind(path: Path) -> str:
    return "results  " if path.suffix == ".json" else "figure   "


def work_through(jobs: Sequence[Job], options: SweepOptions, title: str) -> dict[str, Results]:
    """The results of each job by its folder, after those that have none yet are run."""
    runs = {job.folder: Planned(job.label, Experiment.of(job.config), options.folder / job.folder) for job in jobs}
    results = {folder: run.find_results() for folder, run in runs.items()}
    left = [run for folder, run in runs.items() if results[folder] is None]
    if len(left) < len(jobs):
        say(f"{title}: {len(jobs) - len(left)} of {len(jobs)} runs are finished already")
    orders = [run.order(options.threads) for run in left]
    run_all(orders, options.executor, options.jobs, options.folder / "logs", title, sys.argv[1:])
    # Read back from their folders: a process sends only its outcome, and a cluster's shares no memory.
    results |= {folder: run.find_results() for folder, run in runs.items() if run in left}
    return {folder: found for folder, found in results.items() if found is not None}


def equalise(plan: Sweep, options: SweepOptions) -> Sweep:
    """The same sweep with as many steps for each run as give all the same samples, FLOPs or seconds."""
    if plan.equal == "steps":
        return plan
    first = plan.configure(plan.points[0])
    if plan.equal == "seconds":
        return dataclasses.replace(plan, steps=_measure_steps(plan.minutes or 0, options))
    # The first curve sets the measure, with its steps as configured; the others follow it.
    cost: Callable[[RunConfig], float] = _samples_per_step if plan.equal == "samples" else _flops_per_step
    wanted = first.training.steps * cost(first)

    def steps(config: RunConfig) -> Mapping[str, Any]:
        return {"training": {"steps": max(round(wanted / cost(config)), 1)}}

    return dataclasses.replace(plan, steps=steps)


def _samples_per_step(config: RunConfig) -> float:
    return config.training.batch


def _flops_per_step(config: RunConfig) -> float:
    return flops_per_step(Experiment.of(config))


def _measure_steps(minutes: float, options: SweepOptions) -> Callable[[RunConfig], Mapping[str, Any]]:
    """Steps that fit into some minutes, measured once for each configuration, whatever its seeds.

    They are stored in the sweep's folder, so that the same command, given again, resumes with the same numbers.
    """
    path = options.folder / STEPS
    kept: dict[str, Any] = read_json(path) if path.is_file() else {}

    def steps(config: RunConfig) -> Mapping[str, Any]:
        # Seeds do not change a step's time, and curves of one configuration must have the same steps for all seeds.
        bare = config.with_values({"model": {"seed": 0}, "data": {"seed": 0}, "evaluation": {"seed": 0}})
        key = f"{minutes:g} minutes, {digest(bare)}"
        if key not in kept:
            torch.set_num_threads(options.threads)  # as the run will have, or its steps would take another time
            timed = for_minutes(bare, minutes)
            names = ("steps", "warmup", "log_every", "evaluate_every", "checkpoint_every")
            training = {name: getattr(timed.training, name) for name in names}
            kept[key] = {"training": training, "data": {"schedule": timed.data.schedule}}
            say(f"{config.encoding}, {config.format}: {timed.training.steps} steps in {minutes:g} minutes")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(kept, indent=1) + "\n")
        found: Mapping[str, Any] = kept[key]
        return found

    return steps


def choices_table(plan: Sweep, found: Mapping[str, Results]) -> str:
    """What was tried, how it did in distribution, and what was chosen."""
    rows = [["tried", "seed", "in distribution", ""]]
    chosen = {label_of((*group, *choice)) for group, choice in plan.chosen.items()}
    # The trials are planned anew: their folders, by which results are found, are those of the plan before the choice.
    for job in dataclasses.replace(plan, chosen={}).search_jobs():
        share = percent(in_distribution(found[job.folder].cells))
        rows.append([job.label, str(job.config.model.seed), share, "chosen" if job.label in chosen else ""])
    return align_columns(rows)
