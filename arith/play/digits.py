"""Which digit of a problem decides which digit of the answer: each is replaced by all others, and the model asked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from arith.data.batch import Batch
from arith.data.typed import TypedProblem, write_typed
from arith.errors import UsageError
from arith.evaluation.attention import MOST
from arith.experiment.experiment import Experiment
from arith.model.transformer import Transformer
from arith.tasks import vocabulary
from arith.tasks.lines import Written

TOGETHER = 64  # problems in one pass: of 120 tokens they take some tens of megabytes
Answer = tuple[int, ...]


@dataclass(frozen=True)
class Influence:
    """How often each place of the answer changes when one digit of the problem does.

    Args:
        problem: the problem as it was typed.
        digits: the place in its text of each digit.
        tried: how many other digits were put in each place; those that make the prompt longer or shorter are left out.
        model: for each digit and each place of the model's answer, how many of them change the token there.
        right: the same of the right answer.
    """

    problem: str
    digits: tuple[int, ...]
    tried: tuple[int, ...]
    model: tuple[tuple[int, ...], ...]
    right: tuple[tuple[int, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "problem": self.problem,
            "digits": self.digits,
            "tried": self.tried,
            "changed": self.model,
            "right": self.right,
        }


@torch.no_grad()
def try_digits(experiment: Experiment, model: Transformer, problem: str) -> Influence:
    """Ask a model a problem with each digit replaced by all others, one at a time.

    Args:
        experiment: the experiment of the model.
        model: the model, in evaluation mode.
        problem: the problem as a person types it.

    Raises:
        UsageError: it is not a problem of the tested task, it is too long, or the model continues no prompt.
    """
    own = _write(experiment, model, problem)
    if own.tokens > MOST:
        raise UsageError(f"{problem:.40}: up to {MOST} tokens are shown, and this takes {own.tokens}")
    digits = tuple(at for at, sign in enumerate(problem) if sign in vocabulary.DIGITS)
    edits = [(at, edited) for at in digits for edited in _edit(experiment, model, problem, at, own)]
    first, *answers = _answers(experiment, model, [own, *(edited for _, edited in edits)])
    right = _right(own)
    places = max(len(first), len(right))
    of_model, of_right = np.zeros((2, len(digits), places), dtype=int)
    tried = np.zeros(len(digits), dtype=int)
    for (at, edited), answer in zip(edits, answers, strict=True):
        row = digits.index(at)
        tried[row] += 1
        of_model[row] += _differences(first, answer, places)
        of_right[row] += _differences(right, _right(edited), places)
    rows = [tuple(map(tuple, counts.tolist())) for counts in (of_model, of_right)]
    return Influence(problem, digits, tuple(tried.tolist()), *rows)


def _write(experiment: Experiment, model: Transformer, problem: str) -> TypedProblem:
    task, form = experiment.tests.task, experiment.tests.format
    return write_typed(problem, task, form, experiment.config.evaluation.seed, model.encoding)


def _edit(
    experiment: Experiment, model: Transformer, problem: str, at: int, own: TypedProblem
) -> Iterator[TypedProblem]:
    """The problem with all other digits in one place, where the prompt is as long."""
    for digit in vocabulary.DIGITS[:10]:
        if digit == problem[at]:
            continue
        try:
            edited = _write(experiment, model, problem[:at] + digit + problem[at + 1 :])
        except UsageError:
            continue  # no digit of the task's alphabet
        if edited.cut == own.cut and edited.tokens == own.tokens:
            yield edited


def _right(typed: TypedProblem) -> Answer:
    line, cut = typed.written, typed.cut
    return tuple(line.tokens[0, cut:][line.loss_mask[0, cut:]].tolist())


def _differences(first: Answer, second: Answer, places: int) -> np.ndarray:
    """Where two answers differ; where one has ended, they do."""
    own, other = ([*answer, *[-1] * places][:places] for answer in (first, second))
    return np.not_equal(own, other)


def _answers(experiment: Experiment, model: Transformer, problems: Sequence[TypedProblem]) -> list[Answer]:
    """The greedy answers to problems whose prompts are equally long."""
    pad = vocabulary.token(vocabulary.PAD)
    new_tokens = experiment.tests.format.longest_answer(experiment.tests.task, problems[0].digits)
    found: list[Answer] = []
    for start in range(0, len(problems), TOGETHER):
        some = problems[start : start + TOGETHER]
        # A right answer is what decoding would write, and takes one pass in place of one a token.
        answers: dict[int, Answer] = {}
        if problems[0].written.given is None and not model.answers_at_once:
            answers = _right_ones(model, some)
        others = [row for row in range(len(some)) if row not in answers]
        if others:
            batch = _stack([some[row] for row in others], whole=False)
            written = model.answer(batch.prompt, batch.key, new_tokens, batch.capacity).tolist()
            for row, own in zip(others, written, strict=True):
                answers[row] = tuple(token for token in own if token != pad)
        found += [answers[row] for row in range(len(some))]
    return found


def _right_ones(model: Transformer, problems: Sequence[TypedProblem]) -> dict[int, Answer]:
    """The answers to those of some problems that the model answers right, by their number."""
    batch, cut = _stack(problems, whole=True), problems[0].cut
    asked = batch.tokens.shape[1] - cut + 1  # from the last token of the prompt on
    logits = model(batch.tokens, batch.placed_by(model.encoding), queries=asked)
    best = logits[:, -asked:].argmax(-1).tolist()
    rights = map(_right, problems)
    return {
        row: right for row, (own, right) in enumerate(zip(best, rights, strict=True)) if own[: len(right)] == [*right]
    }


def _stack(problems: Sequence[TypedProblem], whole: bool) -> Batch:
    """Problems whose prompts are equally long as one batch, each with the random key of a problem asked by itself."""
    width = max(int(typed.written.lengths[0]) for typed in problems)
    pad = vocabulary.token(vocabulary.PAD)
    lines = [typed.written for typed in problems]
    tokens = [np.pad(line.tokens, ((0, 0), (0, width - line.tokens.shape[1])), constant_values=pad) for line in lines]
    first = lines[0]
    widths = None if first.answer_widths is None else np.concatenate([line.answer_widths for line in lines])
    written = Written(
        np.concatenate(tokens),
        np.concatenate([line.prompt_lengths for line in lines]),
        np.concatenate([line.lengths for line in lines]),
        widths,
        None,
        first.whole,
    )
    stacked = replace(problems[0], written=written, key=problems[0].key.expand(len(problems)))
    return stacked.batch(torch.device("cpu"), whole=whole)
