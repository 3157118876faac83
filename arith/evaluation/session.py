"""Evaluate a model, resuming an interrupted evaluation; and the one answer to "is it measured already?"."""

import contextlib
import dataclasses
import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from arith.errors import UsageError
from arith.evaluation.exact_match import Recorder, cell_keys, costs, evaluate
from arith.evaluation.language import language
from arith.evaluation.text.english import english
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import provenance
from arith.experiment.run import Run
from arith.model.transformer import Transformer
from arith.process.progress import progress
from arith.process.signals import catch_interrupts
from arith.results.cell_key import CellKey
from arith.results.schema import Anatomy, Cell, Condition, Results

# Seconds between two writes of the partial file: little is lost when the process is killed, and cells that take
# milliseconds do not spend their time on rewriting the file.
SAVE_EVERY = 5.0


@dataclass(frozen=True)
class SavedCells:
    """Cells of earlier evaluations of the very same weights.

    Args:
        model: the model's fingerprint.
        path: the results file; an interrupted evaluation leaves a partial file beside it.
    """

    model: str
    path: Path

    @property
    def partial(self) -> Path:
        return self.path.with_name(f"{self.path.stem}.partial.json")

    def cells(self) -> list[Cell]:
        """The cells of the results file and of the partial file, as far as they are of this model."""
        found: list[Cell] = []
        for path in (self.path, self.partial):
            try:
                results = Results.load(path) if path.is_file() else Results(())
            except UsageError:
                continue  # of an older version, or damaged: it is measured and written anew
            # After more training the file is of other weights, and its cells are no longer true of this run.
            if results.about.get("model") == self.model:
                found += results.cells
        return found

    def anatomy(self) -> tuple[Anatomy, ...]:
        """The anatomy in the results file, if it is of this model."""
        with contextlib.suppress(UsageError):
            results = Results.load(self.path)
            return results.anatomy if results.about.get("model") == self.model else ()
        return ()

    def save(self, cells: Sequence[Cell]) -> None:
        Results(tuple(cells), {"model": self.model}).save(self.partial)


def fingerprint(model: nn.Module) -> str:
    """Sixteen hexadecimal digits that identify a model's weights: equal weights, equal digits.

    >>> import torch
    >>> layer = nn.Linear(2, 2)
    >>> before = fingerprint(layer)
    >>> _ = torch.nn.init.zeros_(layer.weight)
    >>> before == fingerprint(layer)
    False
    """
    hashed = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        hashed.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        # As bytes, since NumPy has no bfloat16; flat, since a scalar cannot be viewed as bytes.
        hashed.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()[:16]


# Over 60 lines: what is kept is written while cells come in, and both share what is known so far.
def evaluate_run(
    run: Run,
    experiment: Experiment,
    model: Transformer,
    step: int,
    label: str,
    path: Path,
    *,
    sets: Sequence[Condition] | None = None,
    record: Recorder | None = None,
    before: Mapping[Condition, Cell] | None = None,
) -> Results:
    """Evaluate a model, resuming an interrupted evaluation. It writes the partial file alone: see `save_results`.

    Args:
        run, experiment: the run that the model is of, and its configuration with the tests.
        model, step: the model, on its device, and the training step of its weights.
        label: the name of the model in figures.
        path: the results file, in which earlier cells are looked for.
        sets: the test sets; those of the configuration, if None.
        record: a callback for the verdicts on each test set.
        before: the cells that need no evaluation; those that `path` holds, if None.

    Raises:
        KeyboardInterrupt: a signal came; all finished cells are saved.
    """
    sets = experiment.tests.conditions() if sets is None else sets
    kept = SavedCells(fingerprint(model), path)
    found = dict(find_cells(kept.cells(), experiment, label, step, sets) if before is None else before)
    left = [test for test in sets if test not in found]
    work = costs(experiment, model, sets)
    done, total = sum(work[test] for test in sets if test in found), sum(work.values())
    note = ""

    def advance(worth: float) -> None:
        nonlocal done
        done += worth
        # 100 is for the end itself: after a job's last batch its answers may still have to be decoded.
        shown.update(min(int(100 * done / total), 99), note)

    with catch_interrupts() as flag, progress(f"test {label}, %", 100, int(100 * done / total)) as shown:
        cells = evaluate(
            experiment,
            model,
            left,
            label=label,
            step=step,
            training_seconds=run.training_seconds(),
            flag=flag,
            advance=advance,
            record=record,
        )
        for cell in _save_often(cells, found, kept):
            note = f"{cell.suite} {cell.digits} digits {cell.accuracy:.1%}"
        if flag.raised:
            kept.save(list(found.values()))
            raise KeyboardInterrupt
        shown.update(100, note)
    about = {"model": kept.model, "runs": {run.folder.name: provenance(experiment.config.imports)}}
    spoken = language(experiment, model, label) + english(experiment, model, label)
    return Results(tuple(found[test] for test in sets), about, language=spoken, series=run.tracked())


def _save_often(cells: Iterable[Cell], found: dict[Condition, Cell], kept: SavedCells) -> Iterator[Cell]:
    """Cells as they come, added to those found, all of which go to the partial file every few seconds."""
    saved_at = time.monotonic()
    for cell in cells:
        found[Condition.of(cell)] = cell
        if time.monotonic() - saved_at > SAVE_EVERY:
            kept.save(list(found.values()))
            saved_at = time.monotonic()
        yield cell


def find_cells(
    cells: Iterable[Cell], experiment: Experiment, label: str, step: int, sets: Sequence[Condition] | None = None
) -> dict[Condition, Cell]:
    """Which test sets have been measured, with their cells, in the order of the sets.

    This is the one answer to "is it measured already?": of runs, published files, partial files and predictions.

    Args:
        cells: the cells of a file.
        experiment: the experiment that they may be of.
        label: the name of its model.
        step: the training step.
        sets: the test sets that are looked for; whatever was measured of this model, if None.
    """
    measured = {CellKey.of(cell): cell for cell in cells}
    keys = cell_keys(experiment, label, step, [key.condition for key in measured] if sets is None else sets)
    return {key.condition: measured[key] for key in keys if key in measured}


def find_finished(results: Results, experiment: Experiment, label: str) -> Results | None:
    """The part of results that a finished run of this experiment has; None if any of it is missing."""
    sets = experiment.tests.conditions()
    cells = find_cells(results.cells, experiment, label, experiment.config.training.steps, sets)
    if len(cells) < len(sets):
        return None
    seeds = experiment.config.model.seed, experiment.config.data.seed
    rows = tuple(row for row in results.language if (row.label, row.model_seed, row.data_seed) == (label, *seeds))
    return dataclasses.replace(results, cells=tuple(cells.values()), language=rows, anatomy=())


def find_finished_results(folder: Path, experiment: Experiment, label: str) -> Results | None:
    """The results in a run's folder, if they are those of this very configuration after its last step.

    Raises:
        UsageError: the folder holds a run of another configuration.
    """
    if not (folder / "run.json").is_file():
        return None
    run = Run.open(folder)
    run.check_same(experiment.config)
    return find_finished(Results.load(run.results), experiment, label) if run.results.is_file() else None


def check_same_test(held: Sequence[Cell], experiment: Experiment, path: Path, any_weights: bool) -> None:
    """Refuse to replace the results of another test or model.

    Args:
        held: the cells that the file holds.
        experiment: the experiment whose results would be written.
        path: the file, for the message.
        any_weights: whether it is the run's own file, in which other weights are the run's earlier ones.

    Raises:
        UsageError: the cells are of another task, format, test seed, sharpen, loops or model.
    """
    config = experiment.config
    written = (config.tested_task, config.tested_format, config.evaluation.seed)
    test = (*written, config.tested_sharpen, config.other_loops)
    model = (config.encoding, config.model.seed, config.data.seed)
    for cell in held:
        if (cell.task, cell.format, cell.test_seed, cell.sharpen, cell.loops) != test:
            there = f"{cell.task}, {cell.format}, test seed {cell.test_seed}, sharpen {cell.sharpen}"
            there += "" if cell.loops is None else f", {cell.loops} loops"
            raise UsageError(f"{path} holds results of another test ({there}). Choose another --out, or remove it")
        if not any_weights and (cell.encoding, cell.model_seed, cell.data_seed) != model:
            there = f"{cell.encoding}, model seed {cell.model_seed}, data seed {cell.data_seed}"
            raise UsageError(f"{path} holds results of another model ({there}). Choose another --out, or remove it")


def save_results(results: Results, path: Path, keep_others: bool = False) -> None:
    """Write results where `evaluate_run` looks for them, and remove the partial file.

    Args:
        results: the results.
        path: the results file.
        keep_others: whether the file's other cells of the same test and model are kept.
    """
    kept = SavedCells(results.about["model"], path)
    cells, anatomy = list(results.cells), list(results.anatomy)
    if keep_others:
        test, places = CellKey.of(cells[0]).test, {_place(cell) for cell in cells}
        cells += [cell for cell in kept.cells() if CellKey.of(cell).test == test and _place(cell) not in places]
        tested = Counter[tuple[str, int]]()
        for cell in cells:
            tested[cell.suite, cell.digits] += cell.n
        new = {(part.suite, part.digits) for part in anatomy}
        # An anatomy is of all cells of its suite and length. If some of them were replaced, or new ones have come, it
        # no longer is, which its number of problems gives away.
        anatomy += [
            part
            for part in kept.anatomy()
            if (part.suite, part.digits) not in new and part.n == tested[part.suite, part.digits]
        ]
    dataclasses.replace(results, cells=tuple(cells), anatomy=tuple(anatomy)).save(path)
    kept.partial.unlink(missing_ok=True)  # last: killed in between, both files hold the same cells


def _place(cell: Cell) -> tuple[object, ...]:
    """Where a cell stands in a figure: one of more problems takes the place of another."""
    return cell.suite, cell.digits, cell.operand_lengths
