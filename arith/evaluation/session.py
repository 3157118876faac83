"""Evaluate a model, resuming an interrupted evaluation; and the one answer to "is it measured already?"."""

import contextlib
import dataclasses
import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from arith.errors import UsageError
from arith.evaluation.exact_match import Recorder, conditions, cost, evaluate
from arith.evaluation.language import language
from arith.experiment.experiment import Experiment
from arith.experiment.provenance import provenance
from arith.experiment.run import Run
from arith.model.transformer import Transformer
from arith.process.progress import progress
from arith.process.signals import catch_interrupts
from arith.results.cell_key import CellKey
from arith.results.schema import Anatomy, Cell, Condition, Results

SAVE_EVERY = 5.0  # seconds between savings of what is measured


@dataclass(frozen=True)
class SavedCells:
    """Cells of earlier tests of the very same model.

    Args:
        model: its fingerprint.
        path: of the results file; beside it stands what an interrupted test has measured.
    """

    model: str
    path: Path

    @property
    def partial(self) -> Path:
        return self.path.with_name(f"{self.path.stem}.partial.json")

    def cells(self) -> list[Cell]:
        """What was measured before, by either file; a file of another model, or of no results, holds nothing."""
        found: list[Cell] = []
        for path in (self.path, self.partial):
            try:
                results = Results.load(path) if path.is_file() else Results(())
            except UsageError:
                continue  # it will be written anew
            if results.about.get("model") == self.model:
                found += results.cells
        return found

    def anatomy(self) -> tuple[Anatomy, ...]:
        """Of the results file, if it is of this model."""
        with contextlib.suppress(UsageError):
            results = Results.load(self.path)
            return results.anatomy if results.about.get("model") == self.model else ()
        return ()

    def save(self, cells: Sequence[Cell]) -> None:
        Results(tuple(cells), {"model": self.model}).save(self.partial)


def fingerprint(model: nn.Module) -> str:
    """Sixteen letters that name a model's weights.

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
        hashed.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()[:16]


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
    """Test a model; what was measured of it before is not measured again.

    Args:
        path: where results are kept, and what is measured if a signal comes.
        sets: what is tested; as configured, if None.
        record: given what was answered to each problem.
        before: what was measured before; all that `path` holds, if None.

    Raises:
        KeyboardInterrupt: a signal came; what was measured is saved.
    """
    sets = conditions(experiment) if sets is None else sets
    kept = SavedCells(fingerprint(model), path)
    found = dict(find_cells(kept.cells(), experiment, label, step, sets) if before is None else before)
    left = [test for test in sets if test not in found]
    costs = _costs(experiment, model, sets)
    done, total = sum(costs[test] for test in sets if test in found), sum(costs.values())
    kept_at, note = time.monotonic(), ""

    def advance(worth: float) -> None:
        nonlocal done
        done += worth
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
        for cell in cells:
            found[Condition.of(cell)] = cell
            note = f"{cell.suite} {cell.digits} digits {cell.accuracy:.1%}"
            if time.monotonic() - kept_at > SAVE_EVERY:
                kept.save(list(found.values()))
                kept_at = time.monotonic()
        if flag.raised:
            kept.save(list(found.values()))
            raise KeyboardInterrupt
        shown.update(100, note)
    about = {"model": kept.model, "runs": {run.folder.name: provenance(experiment.config)}}
    return Results(tuple(found[test] for test in sets), about, language=language(experiment, model, label))


def _costs(experiment: Experiment, model: Transformer, sets: Sequence[Condition]) -> dict[Condition, float]:
    """FLOPs of each test set, by which progress is counted: a set of long problems takes many times a short one's."""
    form, task = experiment.tested_format, experiment.tested_task
    # Many cells of a grid share a length, and their longest line is found once.
    tokens = {digits: form.longest(task, digits)[0] for digits in {test.digits for test in sets}}
    return {test: test.n * cost(model, tokens[test.digits]) for test in sets}


def cell_keys(experiment: Experiment, label: str, step: int, sets: Sequence[Condition]) -> list[CellKey]:
    """The keys that cells of some test sets have, or will have, of this experiment's model after a step."""
    config, lengths, samples = experiment.config, experiment.train_lengths(), experiment.config.samples_at(step)
    return [
        CellKey(
            label=label,
            task=config.tested_task,
            format=config.tested_format,
            encoding=config.encoding,
            train_lengths=lengths,
            model_seed=config.model.seed,
            data_seed=config.data.seed,
            test_seed=config.evaluation.seed,
            step=step,
            samples=samples,
            condition=condition,
        )
        for condition in sets
    ]


def find_cells(
    cells: Iterable[Cell], experiment: Experiment, label: str, step: int, sets: Sequence[Condition] | None = None
) -> dict[Condition, Cell]:
    """Which test sets have been measured, with their cells, in the order of the sets.

    This is the one answer to "is it measured already?": of runs, published files, partial files and predictions.

    Args:
        sets: what is looked for; whatever was measured of this model, if None.
    """
    measured = {CellKey.of(cell): cell for cell in cells}
    keys = cell_keys(experiment, label, step, [key.condition for key in measured] if sets is None else sets)
    return {key.condition: measured[key] for key in keys if key in measured}


def find_finished(results: Results, experiment: Experiment, label: str) -> Results | None:
    """The part of some results that a finished run of this experiment would have; None if any of it is missing."""
    sets = conditions(experiment)
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
    """Refuse to replace what was measured of something else.

    Args:
        held: what the file holds.
        any_weights: it is this run's own file, in which other weights are earlier ones.

    Raises:
        UsageError: it is of another task, format, test seed or model.
    """
    config = experiment.config
    test = (config.tested_task, config.tested_format, config.evaluation.seed)
    model = (config.encoding, config.model.seed, config.data.seed)
    for cell in held:
        if (cell.task, cell.format, cell.test_seed) != test:
            there = f"{cell.task}, {cell.format}, test seed {cell.test_seed}"
            raise UsageError(f"{path} holds results of another test ({there}). Choose another --out, or remove it")
        if not any_weights and (cell.encoding, cell.model_seed, cell.data_seed) != model:
            there = f"{cell.encoding}, model seed {cell.model_seed}, data seed {cell.data_seed}"
            raise UsageError(f"{path} holds results of another model ({there}). Choose another --out, or remove it")


def save_results(results: Results, path: Path, keep_others: bool = False) -> None:
    """Write results where `measured` looks for them.

    Args:
        keep_others: cells of the same test of the same model that stand there and were not asked for now.
    """
    kept = SavedCells(results.about["model"], path)
    cells, anatomy = list(results.cells), list(results.anatomy)
    if keep_others:
        test, places = CellKey.of(cells[0]).test, {_place(cell) for cell in cells}
        cells += [cell for cell in kept.cells() if CellKey.of(cell).test == test and _place(cell) not in places]
        tested = Counter[tuple[str, int]]()
        for cell in cells:
            tested[cell.suite, cell.digits] += cell.n
        told = {(own.suite, own.digits) for own in anatomy}
        anatomy += [
            own
            for own in kept.anatomy()
            if (own.suite, own.digits) not in told and own.n == tested[own.suite, own.digits]
        ]
    dataclasses.replace(results, cells=tuple(cells), anatomy=tuple(anatomy)).save(path)
    kept.partial.unlink(missing_ok=True)


def _place(cell: Cell) -> tuple[object, ...]:
    """Where a cell stands in a figure: one of more problems takes the place of another."""
    return cell.suite, cell.digits, cell.operand_lengths
