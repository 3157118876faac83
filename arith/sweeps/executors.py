"""Where the runs of a sweep go: processes of this machine, Slurm, or Ray. Each is a thin use of an existing engine."""

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Literal

import torch

from arith.errors import RunError, UsageError
from arith.process.hints import command_line
from arith.process.progress import progress
from arith.process.signals import STOP, Interrupted, leave_to_parent, sigterm_as_ctrl_c
from arith.sweeps.worker import Outcome, RunOrder

Executor = Literal["local", "slurm", "ray"]
Done = Iterator[tuple[RunOrder, Outcome]]
# How often a run whose process was killed is given to a new one. It resumes from its checkpoint, so a machine that was
# short of memory for a moment costs little; a run that is killed every time must not block the sweep.
RETRIES = 2
KILLED = Outcome("failed", "its process was killed")


def run_all(
    orders: Sequence[RunOrder], executor: Executor, jobs: int, logs: Path, title: str, again: Sequence[str]
) -> None:
    """Carry out all orders, `jobs` at a time, with a progress line.

    Args:
        orders: the runs to train and test.
        executor: where their processes run.
        jobs: the number of runs at a time.
        logs: the folder for what Slurm writes.
        title: the head of the progress line.
        again: the arguments of the command that resumes.

    Raises:
        RunError: some failed, each named with its reason.
        Interrupted: a signal came; all is saved.
    """
    if not orders:
        return
    failed: list[str] = []
    # Both signals become a KeyboardInterrupt, which unwinds the executor: its `finally` asks the children to save.
    with sigterm_as_ctrl_c(), progress(title, len(orders)) as shown:
        try:
            done = {"local": local, "slurm": slurm, "ray": ray}[executor](orders, jobs, logs)
            for number, (order, outcome) in enumerate(done, 1):
                # One run was asked to stop. Without it there is no table, so the others stop too.
                if outcome.state == "interrupted":
                    raise KeyboardInterrupt
                if outcome.state == "failed":
                    failed.append(f"{order.folder}: {outcome.reason}")
                shown.update(number, order.label)
        except KeyboardInterrupt:
            raise Interrupted(command_line(*again)) from None
    if failed:
        raise failure(failed, len(orders))


def failure(failed: Sequence[str], of: int) -> RunError:
    """What ends a command some of whose runs failed, each named with its reason."""
    listed = "\n  ".join(failed)
    return RunError(f"{len(failed)} of {of} runs failed:\n  {listed}\nGive the command again to retry them")


def threads_of(jobs: int) -> int:
    """The share of the cores that each of `jobs` runs gets.

    >>> threads_of(jobs=1_000_000)
    1
    """
    return max((os.cpu_count() or 1) // jobs, 1)


class Lane:
    """A process that is kept from run to run, so that torch is imported once, and replaced when it is killed."""

    def __init__(self, gpu: str | None) -> None:
        self._gpu = gpu
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        # Spawned: a fork would copy CUDA's state and torch's thread pools, and neither survives that. A pool for each
        # lane: when its only process dies, that pool is broken, and the other lanes are not.
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (self._gpu,))

    def give(self, order: RunOrder) -> Future[Outcome]:
        """Submit an order, to a new process if the last one was killed."""
        try:
            return self._pool.submit(order)
        except BrokenProcessPool:
            self._pool = self._new()
            return self._pool.submit(order)

    def close(self) -> None:
        self._pool.shutdown()


def local(orders: Sequence[RunOrder], jobs: int, logs: Path) -> Done:
    """Processes of this machine, which share out its GPUs."""
    # Each lane has one order at a time, and takes the next when it is done: runs differ in length, so none is dealt out
    # beforehand.
    waiting, kills = deque(orders), dict.fromkeys((order.folder for order in orders), 0)
    gpus = visible_gpus()
    lanes = [Lane(gpus[place % len(gpus)] if gpus else None) for place in range(min(jobs, len(orders)))]
    at_work = {lane.give(order): (lane, order) for lane, order in zip(lanes, _take(waiting, len(lanes)), strict=True)}
    try:
        while at_work:
            for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                lane, order = at_work.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    kills[order.folder] += 1  # back to the end of the queue, so that others come first
                    if kills[order.folder] <= RETRIES:
                        waiting.append(order)
                        outcome = None
                    else:
                        outcome = KILLED
                for following in _take(waiting, 1):
                    at_work[lane.give(following)] = lane, following
                if outcome is not None:
                    yield order, outcome
    finally:
        # Whoever is still at work was not waited for: a signal came. A terminal sends Ctrl-C to the children too, but
        # they ignore it and SIGTERM (see `leave_to_parent`) and heed STOP alone: a second Ctrl-C in a run ends it
        # before it has saved. STOP is sent every second until all have ended, as one that comes before a run heeds it
        # stops nothing.
        while wait(at_work, timeout=1).not_done:
            for child in multiprocessing.active_children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid or 0, STOP)
        for lane in lanes:
            lane.close()


def _take(waiting: deque[RunOrder], count: int) -> list[RunOrder]:
    return [waiting.popleft() for _ in range(min(count, len(waiting)))]


def visible_gpus() -> list[str]:
    """The names of the GPUs that processes may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu for gpu in named.split(",") if gpu and not gpu.startswith("-")]
    return [str(gpu) for gpu in range(torch.cuda.device_count())]


def _begin(gpu: str | None) -> None:
    """In a new process: choose a GPU before torch looks at them; later the variable has no effect."""
    leave_to_parent()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu


def slurm(orders: Sequence[RunOrder], jobs: int, logs: Path, cluster: str | None = None) -> Done:
    """Slurm jobs through submitit, which hands preempted ones in again. GPUs are counted where the command is given.

    Args:
        orders: the runs.
        jobs: the number of jobs that Slurm runs at a time.
        logs: the folder for what submitit and the jobs write.
        cluster: `local` runs the same jobs on this machine, for tests.
    """
    try:
        import submitit
    except ImportError as error:
        raise UsageError("--executor slurm needs submitit: pip install 'arith-toolkit[slurm]'") from error
    executor = submitit.AutoExecutor(folder=logs, cluster=cluster)
    # A day, which most clusters allow; a job that reaches the limit is handed in again, and resumes.
    settings: dict[str, Any] = {"timeout_min": 24 * 60, "cpus_per_task": orders[0].threads}
    if cluster is None:
        settings |= {"slurm_array_parallelism": jobs, "slurm_gpus_per_task": 1 if visible_gpus() else 0}
    executor.update_parameters(**settings)
    # One array of jobs: the scheduler then holds the limit on how many run at a time.
    with executor.batch():
        submitted = [executor.submit(order) for order in orders]
    by_job = dict(zip(submitted, orders, strict=True))
    try:
        for job in submitit.helpers.as_completed(submitted):
            try:
                outcome: Outcome = job.result()
            except submitit.core.utils.UncompletedJobError:
                outcome = KILLED
            yield by_job[job], outcome
    finally:
        # Jobs outlive this command, unlike processes of this machine.
        for job in submitted:
            if not job.done():
                job.cancel()


def ray(orders: Sequence[RunOrder], jobs: int, logs: Path) -> Done:
    """Tasks of a Ray cluster: the one that RAY_ADDRESS names, or one of this machine. Killed ones are tried again."""
    try:
        import ray as engine
    except ImportError as error:
        raise UsageError("--executor ray needs Ray: pip install 'arith-toolkit[ray]'") from error
    if not engine.is_initialized():
        # A cluster that is there decides for itself; one that is started here gets a core for each job, as the limit.
        cores = None if "RAY_ADDRESS" in os.environ else jobs
        engine.init(num_cpus=cores, log_to_driver=False, include_dashboard=False)
    gpus = 1 if engine.cluster_resources().get("GPU") else 0
    task = engine.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_call)
    waiting = {task.remote(order): order for order in orders}
    while waiting:
        (ready,), _ = engine.wait(list(waiting), num_returns=1)
        order = waiting.pop(ready)
        try:
            outcome: Outcome = engine.get(ready)
        except engine.exceptions.RayError as error:
            outcome = Outcome("failed", f"{type(error).__name__}: {error}".partition("\n")[0])
        yield order, outcome


def _call(order: RunOrder) -> Outcome:
    # Ray takes functions and classes, and no instance with a __call__.
    return order()
