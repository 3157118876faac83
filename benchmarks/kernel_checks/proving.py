"""All cases of the proof, in several processes, within a time: what is wrong, what died, and what was not reached."""

import itertools
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from kernel_checks import proof
from kernel_checks.cases import Case, cases, long_cases
from kernel_checks.machine import cuda_tools, use_one_stage

from arith.kernels.routing import Backend

KEEP_SECONDS = 5.0  # between two times that results so far are handed on
ERRORS = 9  # status of compute-sanitizer where it finds something
SANITIZED = """
import torch
from kernel_checks import proof
from kernel_checks.cases import Case
terms = ("table", "ids", "id-window")
for case in (Case(17, 17, terms=terms), *(Case(n, n, terms=terms, dtype=torch.bfloat16, batch=1) for n in (70, 140))):
    assert all(finding.right for finding in proof.findings(case, torch.device("cuda")))
"""


@dataclass
class Proof:
    """What came of the cases. One that was not reached, or not finished in time, says nothing about the kernels."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    sanitizer: str = "not asked for"

    @property
    def faults(self) -> list[str]:
        """What is wrong, whoever found it."""
        found = self.sanitizer.startswith("errors")
        return self.wrong + ([f"compute-sanitizer: {self.sanitizer}"] if found else [])

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def all_cases() -> list[Case]:
    """All that a GPU runs; the sizes of models first, as time may run out."""
    every = itertools.chain(cases(small=False), long_cases(small=False))
    return sorted(every, key=lambda case: case.heads != 12 and case.keys < 1000)


def faults_of(case: Case, device: torch.device, runs: int = 2) -> list[str]:
    """What is wrong with one case in some runs; nothing where it is right."""
    backend: Backend = "triton" if device.type == "cuda" else "auto"
    try:
        return [f"{case}: {own}" for own in proof.findings(case, device, backend, runs) if not own.right]
    except Exception as error:
        return [f"{case}: {type(error).__name__}: {str(error)[:200]}"]


def serve(pipe: Any, device: str) -> None:
    """In a process of its own: answer one case after another, until the device can run no more."""
    use_one_stage()
    usable = True
    while usable:
        try:
            case = pipe.recv()
        except EOFError:
            return
        faults = faults_of(case, torch.device(device))
        proof.drawn.cache_clear()
        if device == "cuda":
            try:
                torch.cuda.synchronize()
                torch.cuda.empty_cache()  # other processes need the memory too
            except RuntimeError:  # after an illegal access, which later cases are not to be blamed for
                usable = False
        pipe.send((faults, usable))


class Worker:
    """A process that checks cases, and this side of its pipe."""

    def __init__(self, device: torch.device) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, device.type), daemon=True)
        self.process.start()
        theirs.close()
        self.usable = True

    def ask(self, case: Case, deadline: float) -> list[str] | None:
        """What is wrong with a case; None: not finished in time."""
        try:
            self.pipe.send(case)
            if not self.pipe.poll(max(0.0, deadline - time.monotonic())):
                return None
            faults, self.usable = self.pipe.recv()
        except (EOFError, OSError):
            self.end()
            return [f"{case}: its process died, exit {self.process.exitcode}"]
        return list(faults)

    def end(self) -> None:
        self.usable = False
        self.process.kill()
        self.process.join()


def proven(
    cases: Sequence[Case],
    device: torch.device,
    seconds: float,
    workers: int,
    keep: Callable[[Proof], None] = lambda found: None,
) -> Proof:
    """Check cases in `workers` processes, and beside them what compute-sanitizer says of some.

    Args:
        keep: is given what was found so far, again and again.
    """
    deadline = time.monotonic() + seconds
    waiting, found = deque(cases), Proof()

    def work() -> None:
        worker = Worker(device)
        while time.monotonic() < deadline:
            try:
                case = waiting.popleft()
            except IndexError:
                break
            if not worker.usable:
                worker.end()
                worker = Worker(device)
            faults = worker.ask(case, deadline)
            if faults is None:
                found.unfinished.append(str(case))
                break
            found.wrong += faults
            found.right += not faults
        worker.end()

    def sanitize() -> None:
        found.sanitizer = sanitized(seconds) if device.type == "cuda" else "needs a GPU"

    threads = [threading.Thread(target=target) for target in [sanitize, *[work] * workers]]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(KEEP_SECONDS)
            keep(found)
    found.unfinished += map(str, waiting)
    keep(found)
    return found


def sanitized(seconds: float, environment: Mapping[str, str] = os.environ) -> str:
    """What compute-sanitizer finds in a few small cases, where it is installed; what it finds begins with `errors`."""
    installed = cuda_tools("compute-sanitizer")
    if not installed:
        return "compute-sanitizer is not installed"
    command = [str(installed[0]), "--tool", "memcheck", "--error-exitcode", str(ERRORS)]
    environment = {**environment, "PYTHONPATH": os.pathsep.join(sys.path)}  # `-c` does not look beside this file
    command += [sys.executable, "-c", SANITIZED]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"not finished in {seconds:.0f} s"
    if done.returncode == 0:
        return "no errors"
    # It refuses some machines; then the program below it fails for want of a device, and that is no finding.
    kind = "errors" if done.returncode == ERRORS else f"could not run, exit {done.returncode}"
    return f"{kind}: {(done.stdout + done.stderr)[-500:]}"
