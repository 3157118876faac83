"""One run of a sweep, in a process of whichever executor."""

import contextlib
import dataclasses
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from arith.config.recipe import Recipe
from arith.config.schema import RunConfig
from arith.config.starting import RUN, place_of
from arith.errors import RunError, UsageError
from arith.evaluation.session import evaluate_run, find_finished_results, save_results
from arith.experiment.experiment import Experiment
from arith.experiment.inventory import FAILED
from arith.experiment.run import Run
from arith.process.files import disk_errors
from arith.process.lock import lock_folder
from arith.process.progress import QUIET
from arith.process.signals import Interrupted, catch_interrupts
from arith.results.schema import Results
from arith.training.distributed import ALONE, World
from arith.training.environment import explain_out_of_memory
from arith.training.loop import train

State = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class Outcome:
    """What became of a run, and why if it failed."""

    state: State
    reason: str = ""


@dataclass(frozen=True)
class RunOrder:
    """What a process needs to know to train a run: plain values, which every executor can send.

    Args:
        folder: the run's folder, absolute, as the process may start in another one.
        label: the curve that it belongs to.
        config: the configuration as nested tables.
        threads: torch's threads on a CPU.
    """

    folder: str
    label: str
    config: dict[str, Any]
    threads: int

    def __call__(self) -> Outcome:
        """Train and test it, from its latest checkpoint if it has one."""
        return work(self)

    def checkpoint(self) -> Any:
        """Called by submitit when a job is preempted: the same order is handed in again, and resumes."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(frozen=True)
class Planned:
    """A run that is to be trained and tested: built once, and handed down.

    Args:
        label: the curve that it belongs to.
        experiment: the configuration, checked and brought to life.
        folder: the run's folder, whether or not it is there yet.
    """

    label: str
    experiment: Experiment
    folder: Path

    @property
    def seed(self) -> int:
        return self.experiment.config.model.seed

    @property
    def name(self) -> str:
        """What results call the run."""
        return f"{self.label}-{self.seed}"

    def begins_with(self, other: "Planned") -> bool:
        """Whether training begins with the weights of another run."""
        init = self.experiment.config.model.init
        return init is not None and init.startswith(RUN) and place_of(init) == other.folder.resolve()

    def find_results(self) -> Results | None:
        """Its results, if it is finished."""
        return find_finished_results(self.folder, self.experiment, self.label)

    def train_and_test(self) -> Results:
        """Train and test the run, from its latest checkpoint if it has one; returns its results."""
        with lock_folder(self.folder):
            run = begin_or_resume(self.folder, self.experiment.config)
            return run_and_test(run, self.experiment, self.label)

    def order(self, threads: int) -> RunOrder:
        """The run as another process takes it, wherever that is."""
        return RunOrder(str(self.folder.resolve()), self.label, self.experiment.config.as_dict(), threads)


def plan_run(recipe: Recipe, label: str, seed: int, out: Path) -> Planned:
    """A run of a recipe, with one seed for model and data, and for the run that it begins with."""
    config, start = recipe.config(label), recipe.start_of(label)
    # Absolute: another process may train it, and start in another folder.
    init = config.model.init if start is None else f"{RUN}{(out / f'{start}-{seed}').resolve()}"
    model, data = dataclasses.replace(config.model, seed=seed, init=init), dataclasses.replace(config.data, seed=seed)
    return Planned(label, Experiment.of(dataclasses.replace(config, model=model, data=data)), out / f"{label}-{seed}")


def begin_or_resume(folder: Path, config: RunConfig) -> Run:
    """The run in a folder, to be resumed, or a new one.

    Raises:
        UsageError: the folder's run has other settings, or the folder holds something else.
    """
    # By run.json: a kill may leave a folder that has only a lock, and no run to resume. "refuse" guards the folder of
    # somebody's other files.
    return Run.begin(folder, config, "resume" if (folder / "run.json").is_file() else "refuse")


def work(order: RunOrder) -> Outcome:
    """Train and test a run in a process of its own. A failure is returned, and recorded in the run's folder.

    Nothing is raised: an exception may not survive the way to another process, and the other runs continue.
    """
    # Several progress lines would overwrite one another; the parent shows one for all.
    os.environ[QUIET] = "1"
    torch.set_num_threads(order.threads)
    folder = Path(order.folder)
    try:
        with lock_folder(folder), _record_failure(folder / FAILED):
            config = RunConfig.of(order.config)
            run_and_test(begin_or_resume(folder, config), Experiment.of(config), order.label)
    except (Interrupted, KeyboardInterrupt):  # the second by a repeated signal, or before training heeds any
        return Outcome("interrupted")
    except Exception as error:
        return Outcome("failed", _reason(error))
    return Outcome("finished")


@contextlib.contextmanager
def _record_failure(path: Path) -> Iterator[None]:
    """Within, the reason of a failure is written to a file. An interruption is no failure."""
    # What is there is about an earlier try.
    path.unlink(missing_ok=True)
    try:
        yield
    except Interrupted:
        raise
    except Exception as error:
        with contextlib.suppress(OSError):  # of a full disk, say
            path.write_text(f"{_reason(error)}\n\n{traceback.format_exc()}", encoding="utf-8")
        raise


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UsageError | RunError) else f"{type(error).__name__}: {error}"


def run_and_test(run: Run, experiment: Experiment, label: str, world: World = ALONE) -> Results:
    """Train a run to its last step, and test it; with several processes, called in the first one.

    Raises:
        Interrupted: a signal came; the run is saved, and can be resumed.
        RunError: training failed, memory ran out, or the results cannot be written.
    """
    # One flag for both: a signal that comes after the last step, before the first test, stops the tests.
    with catch_interrupts() as flag:
        model = train(run, experiment, world)
        try:
            with explain_out_of_memory(run.config.training, experiment.tokens):
                results = evaluate_run(run, experiment, model, run.config.training.steps, label, run.results)
        except KeyboardInterrupt:
            raise Interrupted(run.resume_hint) from None
        with disk_errors("the results", run.resume_hint):
            save_results(results, run.results)
        if flag.raised:
            raise Interrupted(run.resume_hint)
    return results
