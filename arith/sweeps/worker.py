"""One run of a sweep, in a process of whichever executor."""

import contextlib
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from arith.config.schema import RunConfig
from arith.errors import RunError, UsageError
from arith.evaluation.session import measured, saved
from arith.experiment.experiment import Experiment
from arith.experiment.inventory import FAILED
from arith.experiment.run import Run
from arith.process.files import disk_errors
from arith.process.hints import command_line
from arith.process.lock import lock_folder
from arith.process.progress import QUIET
from arith.process.signals import Interrupted
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
        folder: of the run.
        label: of its curve.
        config: nested tables.
        threads: for torch on a CPU.
    """

    folder: str
    label: str
    config: dict[str, Any]
    threads: int

    def __call__(self) -> Outcome:
        """Train and test it, from where it is."""
        return work(self)

    def checkpoint(self) -> Any:
        """What submitit does when a job is preempted: hand it in again, and it goes on from its checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def work(order: RunOrder) -> Outcome:
    """Train and test a run. Whatever goes wrong is told, and kept in its folder: other runs go on."""
    os.environ[QUIET] = "1"
    torch.set_num_threads(order.threads)
    folder = Path(order.folder)
    try:
        with lock_folder(folder), _told(folder / FAILED):
            config = RunConfig.of(order.config)
            run = Run.begin(folder, config, "resume" if (folder / "run.json").is_file() else "refuse")
            run_and_test(run, Experiment.of(config), order.label)
    except (Interrupted, KeyboardInterrupt):
        return Outcome("interrupted")
    except Exception as error:
        return Outcome("failed", _reason(error))
    return Outcome("finished")


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Keep the reason of a failure in a file. To be interrupted is none."""
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
    """Train a run from where it is to its end, and test it; of several processes the first one."""
    model = train(run, experiment, world)
    hint = command_line("train", "--resume", "--out", str(run.folder))
    try:
        with explain_out_of_memory(run.config.training, experiment.tokens):
            results = measured(run, experiment, model, run.config.training.steps, label, run.results)
    except KeyboardInterrupt:
        raise Interrupted(hint) from None
    with disk_errors("the results", hint):
        saved(results, run.results)
    return results
