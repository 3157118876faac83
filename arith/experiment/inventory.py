"""Which runs there are in a folder, how far each is, and what it claims. No torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arith.errors import UsageError
from arith.process.files import step_folders
from arith.process.lock import in_use
from arith.results.curves import curves
from arith.results.schema import Results
from arith.results.uncertainty import percent

FAILED = "failed.txt"  # in the folder of a sweep's run: why it failed; removed when the run is resumed


@dataclass(frozen=True)
class FoundRun:
    """A run's folder.

    Args:
        state: running, finished, stopped or failed; or which of its files is unreadable.
        step: the step of its latest checkpoint.
        claim: what its results say, in a line.
    """

    folder: Path
    state: str
    step: int
    steps: int
    claim: str


def runs(folder: Path) -> list[FoundRun]:
    """All runs below a folder, in the order of their names."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder} to look for runs in. Name one with --folder")
    return [_inspect_run(described) for described in sorted(folder.rglob("run.json"))]


def _inspect_run(described: Path) -> FoundRun:
    folder = described.parent
    try:
        training: dict[str, Any] = json.loads(described.read_text(encoding="utf-8"))["config"]["training"]
        steps = int(training["steps"])
    except (ValueError, KeyError, TypeError):
        return FoundRun(folder, "unreadable run.json", 0, 0, "")
    # The newest folder, unread: hashing its files would take seconds a run, and a list is to be there at once.
    saved = step_folders(folder / "checkpoints")
    step = int(saved[0].name.removeprefix("step-")) if saved else 0
    try:
        claimed = claim(folder / "results.json")
    except UsageError as error:
        return FoundRun(folder, "unreadable results.json", step, steps, str(error))
    # The lock first: a resumed run may still have the results or the failure of its earlier sitting. The last step is
    # not enough for "finished", as a run may have been stopped in its tests.
    if in_use(folder):
        state = "running"
    elif step == steps and claimed:
        state = "finished"
    else:
        state = "failed" if (folder / FAILED).is_file() else "stopped"
    return FoundRun(folder, state, step, steps, claimed)


def claim(path: Path) -> str:
    """What a results file of one curve says about random problems, in a line; nothing if there is no file."""
    if not path.is_file():
        return ""
    found = curves(Results.load(path).cells, "random")
    if not found:
        return "no random problems tested"
    (curve,) = found  # one model, one task and one suite
    low, high = curve.first.train_lengths
    known = curve.in_distribution
    fit = "trained lengths untested" if known is None else f"{percent(known)}% on the {low}-{high} digits of training"
    if not curve.reaches:
        return f"{curve.encoding}: {fit}"
    return f"{curve.encoding}: {fit}, 99% sure to {curve.reaches} digit{'s' * (curve.reaches > 1)}"
