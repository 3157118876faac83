"""What an answer depends on: the same problems moved, filled with zeros, and with their operands swapped.

A model that relies on absolute positions breaks when everything moves; one that relies on how digits stand to each
other does not. Nothing here knows which encoding the model has: what is moved are token ids and position ids.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from arith.data.batch import Batch
from arith.data.dataset import Dataset
from arith.errors import UsageError
from arith.evaluation.teacher_forced import judge_batch, rows_at
from arith.experiment.experiment import Experiment
from arith.model.transformer import Transformer
from arith.process.progress import track
from arith.results.measurement import Measurement
from arith.results.tables import align_columns
from arith.results.uncertainty import Pairs, mcnemar, percent, wilson
from arith.tasks import vocabulary
from arith.tasks.base import Problems, is_commutative
from arith.tasks.stream import Draws

MOVES = (1, 3, 10)  # places to move by: a small, a middling and a large step beside operands of a few digits


@dataclass(frozen=True)
class Probe:
    """How the same problems are answered when something is changed.

    Args:
        changed: the name of the change; "nothing" for the problems that the others are compared with.
        n, correct, accuracy: the problems, the right answers, and their share.
        low, high: the 95% Wilson interval of the accuracy.
        broken, mended: the problems right before and wrong now, and the other way round.
        p: the p-value of McNemar's exact test.
        beyond: whether the encoding has no ids for it, so that nothing was measured.
    """

    changed: str
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    broken: int
    mended: int
    p: float
    beyond: bool = False


@dataclass(frozen=True)
class Variant:
    """The same problems with one change.

    Args:
        changed: the name of the change.
        data: the dataset that the problems are of, with the format that they are written in.
        problems: the problems as they are written.
        moved: the number added to position ids.
        marks: the number of additional begin marks before the prompt.
    """

    changed: str
    data: Dataset
    problems: Problems
    moved: int = 0
    marks: int = 0


def probes(experiment: Experiment, model: Transformer, digits: int, n: int) -> list[Probe]:
    """Probe a model on random problems of one length.

    Raises:
        UsageError: that length itself is beyond the model.
    """
    if n < 1 or digits < 1:
        raise UsageError(f"a probe takes 1 problem or more of 1 digit or more, got {n} of {digits}")
    found: list[Probe] = []
    before: list[bool] = []
    changed = variants(experiment, digits, n)
    for variant in track(changed, "probe", len(changed)):
        with model.sharpened(experiment.config.evaluation.sharpen):
            right = judge_variant(model, variant, experiment.config.evaluation.seed)
        if right is None and not found:
            raise UsageError(f"problems of {digits} digits are beyond this model. Give fewer --digits")
        before = before or (right or [])
        pairs = Pairs.of(before, right or before)
        correct = sum(right or [])
        low, high = wilson(correct, n)
        share = correct / n
        found.append(
            Probe(
                variant.changed, n, correct, share, low, high, pairs.first, pairs.second, mcnemar(pairs), right is None
            )
        )
    return found


def variants(experiment: Experiment, digits: int, n: int) -> list[Variant]:
    """The changes that a task and a format allow; the first is no change."""
    task, form = experiment.tests.task, experiment.tests.format
    data = experiment.test_data("random", digits)
    problems = data.problems.sources[0].problems(0, n)
    found = [Variant("nothing", data, problems)]
    found += [Variant(f"position ids + {move}", data, problems, moved=move) for move in MOVES]
    found += [Variant(f"{move} begin mark{'s' * (move > 1)} before", data, problems, marks=move) for move in MOVES]
    for zeros in MOVES:
        try:
            # So many and no more, whatever the format draws.
            wider = dataclasses.replace(form, pad_operands=True, width=(form.width or digits) + zeros, spare=0)
            wider.check(task)
        except ValueError:
            continue  # zeros mean something in this task
        name = f"{zeros} zero{'s' * (zeros > 1)} before operands"
        found.append(Variant(name, dataclasses.replace(data, format=wider), problems))
    if task.operands > 1 and is_commutative(task):
        swapped = Problems(problems.operands[::-1], problems.answer)
        found.append(Variant("operands swapped", data, swapped))
    return found


@torch.no_grad()
def judge_variant(model: Transformer, variant: Variant, seed: int) -> list[bool] | None:
    """Which problems are answered right; None if the encoding has no ids for them."""
    # Not `Dataset.batches`: a variant's problems are given, not drawn. The keys are those of the unchanged samples, so
    # that what an encoding draws does not differ between variants.
    data, n = variant.data, len(variant.problems)
    source = data.problems.sources[0]
    keys = data.problems.keys(0, n)
    written = data.format.write(source.task, variant.problems, Draws(keys, "test"))
    try:
        _, longest_number = data.format.longest(source.task, source.longest)
        model.encoding.check_reach(data.longest + variant.marks, longest_number)
    except ValueError:
        return None
    right = np.zeros(n, dtype=bool)
    device = model.embedding.weight.device
    for rows, batch in data.collate_by_length(written, keys, lambda tokens: rows_at(model, tokens), device):
        batch = add_marks(batch, variant.marks)
        ids = batch.placed_by(model.encoding)
        # Id 0 stays 0: it means "no position", and has no place to move from.
        beyond = model.encoding.beyond(tuple(own + variant.moved * (own > 0) for own in ids))
        if beyond is not None and bool(beyond.any()):
            return None
        right[rows] = judge_batch(model, batch, variant.moved).right.cpu().numpy()
    return [bool(value) for value in right]


def add_marks(batch: Batch, marks: int) -> Batch:
    """A batch with more begin marks before each line.

    Args:
        batch: the batch.
        marks: the number of marks to add.
    """
    if not marks:
        return batch
    own = batch.samples
    begin = torch.full_like(own.tokens[:, :1], vocabulary.token(vocabulary.BEGIN)).expand(-1, marks)
    none = torch.zeros_like(begin, dtype=torch.bool)
    moved = own._replace(
        tokens=torch.cat([begin, own.tokens], dim=1),
        prompt_length=own.prompt_length + marks,
        length=own.length + marks,
        given=None if own.given is None else torch.cat([none, own.given], dim=1),
    )
    return dataclasses.replace(
        batch,
        samples=moved,
        shortest_prompt=batch.shortest_prompt + marks,
        capacity=batch.capacity + marks,
    )


def measure_probes(run: str, digits: int, found: Sequence[Probe]) -> Measurement:
    """A run's probes as a row of results: the share of right answers by change, those beyond the model left out.

    Args:
        run: the run's name, `LABEL-SEED` as recipes name theirs.
        digits: of the problems.
        found: the probes.

    >>> measure_probes("rope-7", 3, [Probe("nothing", 4, 2, 0.5, 0.1, 0.9, 0, 0, 1.0)])
    Measurement(label='rope', seed=7, at=3, n=4, measures={'nothing': 0.5})
    """
    label, _, seed = run.rpartition("-")
    named = (label, int(seed)) if label and seed.isascii() and seed.isdigit() else (run, 0)
    return Measurement(*named, digits, found[0].n, {own.changed: own.accuracy for own in found if not own.beyond})


def probe_table(found: list[Probe]) -> str:
    """A table with a line a change."""
    rows = [["changed", "n", "exact match", "95% interval", "broken", "mended", "p"]]
    for own in found:
        if own.beyond:
            rows.append([own.changed, "-", "beyond the encoding's ids", "", "", "", ""])
            continue
        interval = f"{percent(own.low)}-{percent(own.high)}"
        rows.append([own.changed, str(own.n), percent(own.accuracy), interval])
        rows[-1] += ["", "", ""] if own is found[0] else [str(own.broken), str(own.mended), f"{own.p:.2g}"]
    return align_columns(rows) + (
        "\nBroken and mended: right before and wrong now, and the other way round; p by McNemar's exact test."
    )
