"""Exact match by digit length and by operand lengths: a cell for each test set; and at watched lengths in training."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from arith.data.dataset import Dataset
from arith.errors import UsageError
from arith.evaluation.answers import measure_parts
from arith.evaluation.teacher_forced import Verdicts, exact_matches, judge_dataset
from arith.experiment.experiment import Experiment
from arith.model.cost import forward_flops
from arith.model.kinds.looped import Looped
from arith.model.transformer import Transformer
from arith.process.signals import Flag
from arith.results.cell_key import CellKey
from arith.results.schema import GRID, Cell, Condition
from arith.results.uncertainty import wilson
from arith.tasks import vocabulary
from arith.tasks.sampling import SHARED_DIGITS, count_seen
from arith.tasks.spelling import Scored

# Problems of a grid that are tested together. Cells have a hundred problems or so: one by one their batches would be
# nearly empty, and all at once an interrupted evaluation would have saved nothing.
TOGETHER = 2**14
TESTED_ROWS = 128  # about as many samples as a batch of tests has on a CPU, which share the sets of tokens that meet


@dataclass(frozen=True)
class Job:
    """Test sets that are evaluated together.

    Args:
        data: the problems, set after set.
        sets: the test sets, all of the same size.
    """

    data: Dataset
    sets: tuple[Condition, ...]

    @property
    def n(self) -> int:
        return self.sets[0].n * len(self.sets)


class Recorder(Protocol):
    """A callback that gets the verdicts on each test set."""

    def __call__(self, test: Condition, data: Dataset, start: int, found: Verdicts) -> None:
        """Record a test set.

        Args:
            test: the test set.
            data: the problems, maybe of other sets too.
            start: the place of the set's first problem in the data.
            found: the verdicts on the set's problems alone.
        """
        ...


def jobs(experiment: Experiment, sets: Sequence[Condition]) -> Iterator[Job]:
    """Test sets in their order as jobs: cells of a grid with the same longest operand and size share a job."""
    for (grid, _, n), alike in itertools.groupby(sets, key=lambda s: (s.suite == GRID, s.digits, s.n)):
        run = tuple(alike)
        # groupby may put sets of several suites into one run; each suite has a sampler of its own, so a job of its own.
        most = max(1, TOGETHER // n) if grid else 1
        for start in range(0, len(run), most):
            some = run[start : start + most]
            yield Job(experiment.dataset(experiment.tests.problems(some), experiment.tests.format), some)


def cell_keys(experiment: Experiment, label: str, step: int, sets: Sequence[Condition]) -> list[CellKey]:
    """The keys that cells of some test sets have, or will have, of this experiment's model after a step."""
    config, lengths, samples = experiment.config, experiment.train_lengths, experiment.config.samples_at(step)
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
            sharpen=config.tested_sharpen,
            loops=config.other_loops,
        )
        for condition in sets
    ]


def evaluate(
    experiment: Experiment,
    model: Transformer,
    sets: Sequence[Condition],
    *,
    label: str,
    step: int,
    training_seconds: float,
    flag: Flag | None = None,
    advance: Callable[[float], None] = lambda done: None,
    record: Recorder | None = None,
) -> Iterator[Cell]:
    """Evaluate a model on test sets, cell after cell.

    Args:
        experiment: the experiment with the tests.
        model: the model.
        sets: the test sets.
        label: the name of the model in figures.
        step: the training step of its weights.
        training_seconds: the time that training took so far.
        flag: a flag that stops it once raised.
        advance: a callback for progress, called with each batch's work in the units of `costs`.
        record: a callback for verdicts, called before the test set's cell is yielded.

    Raises:
        UsageError: a tested length is beyond what the model's encoding can place.
    """
    check_reach(experiment, model, sets)
    keys = {key.condition: key for key in cell_keys(experiment, label, step, sets)}
    seen, sharpen = _seen(experiment, keys), experiment.config.evaluation.sharpen
    for job in jobs(experiment, sets):
        with model.sharpened(sharpen):
            found = judge_dataset(model, job.data, job.n, flag, advance, cost(model, job.data.longest, job.data))
        if flag is not None and flag.raised:
            return  # verdicts on the rest of this job mean nothing, so none of its cells is yielded
        for place, test in enumerate(job.sets):
            start = place * test.n
            part = found[start : start + test.n]
            measures: dict[str, float] = {}
            with model.sharpened(sharpen):  # not around the yield: nobody else sees the model with this factor
                if record is not None:
                    record(test, job.data, start, part)
                if isinstance(experiment.tests.task, Scored):
                    measures = measure_parts(model, experiment.tests.task, test, job.data, start, part)
            correct = int(part.right.sum())
            cell = _cell(experiment, model, keys[test], correct, seen[test], training_seconds)
            yield dataclasses.replace(cell, measures=measures)


def _cell(experiment: Experiment, model: Transformer, key: CellKey, correct: int, seen: int, seconds: float) -> Cell:
    test = key.condition
    low, high = wilson(correct, test.n)
    return Cell(
        label=key.label,
        task=key.task,
        format=key.format,
        encoding=key.encoding,
        structure_aware=model.structure_aware,
        suite=test.suite,
        split="test",
        train_lengths=key.train_lengths,
        digits=test.digits,
        operand_lengths=test.operand_lengths or _shared_lengths(test, experiment.tests.task.operands),
        model_seed=key.model_seed,
        data_seed=key.data_seed,
        test_seed=key.test_seed,
        step=key.step,
        samples=key.samples,
        parameters=model.parameter_count(),
        n=test.n,
        correct=correct,
        accuracy=correct / test.n,
        low=low,
        high=high,
        seen=seen,
        training_seconds=round(seconds, 1),
        supervision=experiment.supervised_by,
        sharpen=experiment.config.tested_sharpen,
        loops=key.loops,
    )


def costs(experiment: Experiment, model: Transformer, sets: Sequence[Condition]) -> dict[Condition, float]:
    """FLOPs of each test set, an upper bound: a set of long problems takes many times a short one's."""
    form, task = experiment.tests.format, experiment.tests.task
    # Many cells of a grid share a length, and their longest line is found once.
    tokens = {digits: form.longest(task, digits)[0] for digits in {test.digits for test in sets}}
    # Problems are drawn only where they say how many loops they take: of a million digits that alone takes seconds.
    looped = isinstance(model, Looped)
    data = {test: experiment.dataset(experiment.tests.problems([test]), form) if looped else None for test in sets}
    return {test: test.n * cost(model, tokens[test.digits], data[test]) for test in sets}


def cost(model: Transformer, tokens: int, data: Dataset | None = None) -> float:
    """FLOPs of one sample of at most so many tokens, as if logits were computed at every token."""
    loops = model.loops
    if isinstance(model, Looped) and data is not None:
        # As many as the problem says; the first stands for all of its test set.
        loops = int(model.count_loops(data.batch(0, 1).tokens)[0])
    lanes = model.encoding.lanes
    shape = dataclasses.replace(model.config, loops=loops)
    return forward_flops(shape, model.embedding.num_embeddings, tokens - 1, rows=TESTED_ROWS, lanes=lanes)


def _shared_lengths(test: Condition, operands: int) -> tuple[int, ...] | None:
    """The operand lengths of a suite whose problems all share them; None where they vary from problem to problem."""
    return (test.digits,) * operands if test.suite in ("random", "chain", "sparse", "equal") else None


def _seen(experiment: Experiment, keys: Mapping[Condition, CellKey]) -> dict[Condition, int]:
    """How many problems of each test set were seen in training."""
    # With SHARED_DIGITS digits or fewer there are too few problems to hold the test set out of training. Longer cells
    # of a grid are held out, so they need not be drawn, which for a large grid takes longer than the rest.
    possible = [test for test in keys if test.suite != GRID or sum(test.operand_lengths or ()) <= SHARED_DIGITS]
    if not possible:
        return dict.fromkeys(keys, 0)
    trained = experiment.training_data().problems
    drawn = [(experiment.tests.problems([test]).sources[0], test.n) for test in possible]
    counts = count_seen(drawn, trained, keys[possible[0]].samples)
    return dict.fromkeys(keys, 0) | dict(zip(possible, counts, strict=True))


def check_reach(experiment: Experiment, model: Transformer, sets: Sequence[Condition]) -> None:
    """Refuse tests that the model has no tokens or its encoding no ids for."""
    known, needed = model.embedding.num_embeddings, experiment.vocabulary_size
    if needed > known:
        missing = "".join(vocabulary.SYMBOLS[known:needed])
        raise UsageError(
            f"the tests are written with symbols that this model was not trained with: it has {known} tokens, "
            f"and lacks some of {missing!r}. Test it on a task and format of its training"
        )
    for digits in sorted({test.digits for test in sets}):
        try:
            model.encoding.check_reach(*experiment.tests.format.longest(experiment.tests.task, digits))
        except ValueError as error:
            raise UsageError(f"a test at {digits} digits is beyond this model: {error}") from error


class Watch:
    """Accuracy at lengths that are watched while a model trains, on problems that neither training nor tests have.

    It is kept and drawn, and nothing is chosen by it.

    Args:
        experiment: the experiment, whose `evaluation.watch` names the lengths.
        model: the model in training.

    Raises:
        UsageError: a watched length is beyond what the model's encoding can place.

    >>> from arith.config.schema import RunConfig
    >>> experiment = Experiment.of(RunConfig.of({"evaluation": {"watch": [6, 8]}}))
    >>> model = experiment.model()
    >>> Watch(experiment, model).accuracies(model, 4, Flag())
    {'6': 0.0, '8': 0.0}
    """

    def __init__(self, experiment: Experiment, model: Transformer) -> None:
        self.lengths = lengths = experiment.config.evaluation.watch
        check_reach(experiment, model, [Condition("random", digits, 1) for digits in lengths])
        self._data: dict[int, Dataset] = {digits: experiment.watched_data(digits) for digits in lengths}
        self._sharpen = experiment.config.evaluation.sharpen

    def accuracies(self, model: Transformer, n: int, flag: Flag) -> dict[str, float]:
        """The share of right answers at each length, as metrics keep it.

        Args:
            model: the model, in evaluation mode.
            n: the problems of each length.
            flag: a flag that stops it once raised; what is returned then means nothing.
        """
        found = {}
        with model.sharpened(self._sharpen):  # as in tests
            for digits, data in self._data.items():
                found[str(digits)] = round(float(exact_matches(model, data, n, flag).float().mean()), 4)
        return found
