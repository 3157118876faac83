"""Whether compilers make right kernels on this GPU, in a minute; and if not, with which settings they do.

    PYTHONPATH=.:benchmarks python -m first_run.smoke --out FOLDER

Twelve configurations, each in a process of its own, as a fault on a device ends its process: every result against
float64, twenty runs with the same bits, and memory that is not written filled with NaN. Beside them a few small cases
under compute-sanitizer, where it is installed. Where something is wrong all of it is tried again with one stage of
loads, then with every other ptxas there is; each time with a cache of its own, as a cache does not know why it is
asked. The first settings that are right are left for later steps; kernels/README.md says what is known to be wrong.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from first_run.running import ENVIRONMENT
from kernel_checks.cases import Case
from kernel_checks.machine import ONE_STAGE, cuda_tools, describe_machine, use_one_stage
from kernel_checks.proving import faults_of, sanitized

from arith.process.files import write_whole

RUNS = 20
# The sanitizer, which the first attempt waits for, takes longer than the configurations do.
FIRST_SECONDS, RETRY_SECONDS = 45.0, 30.0
PTXAS = "TRITON_PTXAS_PATH"


def configurations(tiny: bool) -> list[Case]:
    """One tile of either size and many tiles, with what models add to scores; and every head width."""
    short, tile, long = (5, 9, 130) if tiny else (64, 128, 640)
    heads = 1 if tiny else 12
    of_model: dict[str, Any] = {"batch": 2 if tiny else 8, "heads": heads, "key_heads": heads, "radius": 64}
    dtype = torch.float32 if tiny else torch.bfloat16
    terms: list[tuple[str, ...]] = [(), ("table",), ("ids", "id-window")]
    cases = [Case(n, n, 64, dtype, own, **of_model) for n in (short, tile, long) for own in terms]
    widths = ((short, 16), (long, 32), (tile, 128))
    cases += [Case(n, n, width, dtype, ("table", "ids"), **of_model) for n, width in widths]
    return cases[::3] if tiny else cases


@dataclass
class Attempt:
    """All configurations with one set of compiler settings.

    Args:
        environment: what makes the settings; None: not set.
    """

    name: str
    environment: dict[str, str | None]
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    sanitizer: str = "not asked for"
    seconds: float = 0.0


def attempts(ptxas: Path | None, caches: Path) -> list[Attempt]:
    """Settings to try, in order: those that come with Triton, slower kernels by the same compiler, other compilers."""
    settings: list[tuple[str, dict[str, str | None]]] = [("as Triton comes", {}), ("one stage", {ONE_STAGE: "1"})]
    settings += [(f"ptxas {path}", {PTXAS: str(path)}) for path in other_ptxas(ptxas)]
    return [
        Attempt(name, {PTXAS: None, ONE_STAGE: None, "TRITON_CACHE_DIR": str(caches / f"triton-{number}"), **own})
        for number, (name, own) in enumerate(settings)
    ]


def other_ptxas(given: Path | None) -> list[Path]:
    """Every ptxas beside Triton's own that can be run: the one asked for, the environment's, an installed CUDA's."""
    named = [Path(path).resolve() for path in (given, os.environ.get(PTXAS)) if path and os.access(path, os.X_OK)]
    return list(dict.fromkeys([*named, *cuda_tools("ptxas")]))


def try_all(
    attempt: Attempt, names: Sequence[str], options: Sequence[str], seconds: float, sanitize: bool = False
) -> None:
    """Run every configuration, as many at a time as there are cores, and note what comes of each."""
    began = time.monotonic()
    deadline = began + seconds
    merged = {**os.environ, **attempt.environment}
    environment = {name: value for name, value in merged.items() if value is not None}
    slots = threading.Semaphore(os.cpu_count() or 1)

    def one(number: int) -> None:
        command = [sys.executable, "-m", "first_run.smoke", "--case", str(number), *options]
        with slots, tempfile.TemporaryFile() as said:
            try:
                left = max(0.0, deadline - time.monotonic())
                done = subprocess.run(command, env=environment, stdout=said, stderr=said, timeout=left, check=False)
            except subprocess.TimeoutExpired:
                attempt.unfinished.append(names[number])
                return
            said.seek(0)
            lines = said.read().decode(errors="replace").splitlines()
        try:
            faults = json.loads(lines[-1])["faults"]
        except (IndexError, ValueError, TypeError, KeyError):
            faults = [f"{names[number]}: its process died, exit {done.returncode}: {lines[-3:]}"]
        attempt.wrong += faults
        attempt.right += not faults

    def run_sanitizer() -> None:
        attempt.sanitizer = sanitized(seconds, environment) if torch.cuda.is_available() else "needs a GPU"

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(names))]
    threads += [threading.Thread(target=run_sanitizer)] if sanitize else []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if attempt.sanitizer.startswith("errors"):
        attempt.wrong.append(f"compute-sanitizer: {attempt.sanitizer}")
    attempt.seconds = round(time.monotonic() - began, 1)


def choose(tried: Sequence[Attempt], run: Callable[[Attempt], None]) -> Iterator[Attempt]:
    """Run attempts until nothing is wrong with one. What was not finished says nothing: no reason for another."""
    for attempt in tried:
        run(attempt)
        yield attempt
        if not attempt.wrong:
            return


def check(case: Case, runs: int) -> list[str]:
    """What is wrong with one configuration, in this process."""
    use_one_stage()
    # Warns where torch has no deterministic way, and fills whatever is allocated with NaN.
    torch.use_deterministic_algorithms(True, warn_only=True)
    return faults_of(case, torch.device("cuda" if torch.cuda.is_available() else "cpu"), runs)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, help="folder for the results and the settings to go on with")
    made.add_argument("--case", type=int, metavar="NUMBER", help="check one configuration in this process")
    made.add_argument("--ptxas", type=Path, metavar="FILE", help="to try where Triton's own makes wrong code")
    made.add_argument("--tiny", action="store_true", help="sizes that a CPU finishes in seconds")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    cases = configurations(given.tiny)
    names = [str(case) for case in cases]
    if given.case is not None:
        print(json.dumps({"faults": check(cases[given.case], 2 if given.tiny else RUNS)}))
        return
    options = ["--tiny"] if given.tiny else []
    given.out.mkdir(parents=True, exist_ok=True)
    other = attempts(given.ptxas, given.out.parent)
    told: dict[str, Any] = {
        "machine": describe_machine(),
        "other_ptxas": [str(path) for path in other_ptxas(given.ptxas)] or "none was there",
        "ptxas_asked_for": given.ptxas and str(given.ptxas),  # if not among the others, it cannot be run
        "configurations": names,
        "chosen": "nothing is right: later steps run as Triton comes",
        "attempts": [],
    }
    first = chosen = other[0]

    def run(attempt: Attempt) -> None:
        # Again only where it was what found something.
        sanitize = attempt is first or first.sanitizer.startswith("errors")
        try_all(attempt, names, options, FIRST_SECONDS if attempt is first else RETRY_SECONDS, sanitize)

    for attempt in choose(other, run):
        told["attempts"].append(vars(attempt))
        if not attempt.wrong:
            chosen, told["chosen"] = attempt, attempt.name
        write_whole(given.out / "smoke.json", json.dumps(told, indent=1) + "\n")
        print(
            f"{attempt.name}: {attempt.right} right, {len(attempt.wrong)} wrong, {len(attempt.unfinished)} not "
            f"finished, {attempt.seconds} s; compute-sanitizer: {attempt.sanitizer}",
            *attempt.wrong,
            sep="\n  ",
        )
    write_whole(given.out / ENVIRONMENT, json.dumps(chosen.environment) + "\n")
    print(f"chosen: {told['chosen']}")
    sys.exit(1 if chosen.wrong else 0)


if __name__ == "__main__":
    main()
