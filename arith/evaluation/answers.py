"""What a model answers to the problems of a test set: from one pass where it is right, by decoding where it is not."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from arith.data.batch import as_batch, reading
from arith.data.dataset import Dataset
from arith.errors import UsageError
from arith.evaluation.teacher_forced import Verdicts, rows_at
from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.model.transformer import Transformer
from arith.results.predictions import Prediction
from arith.results.schema import Condition
from arith.tasks import vocabulary
from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.stream import Draws


def predict(model: Transformer, test: Condition, data: Dataset, start: int, found: Verdicts) -> list[Prediction]:
    """The problems of one test set with their answers.

    Args:
        start: place of its first problem in the data.
        found: which of them are right.
    """
    source, form = data.problems.sources[0], data.format
    problems = source.problems(start, test.n)
    written, keys = data.problems.write(form, start, test.n), data.problems.keys(start, test.n)
    wrong = np.flatnonzero(~found.right.numpy())
    decoded = decode(model, data, written, keys, wrong)
    rows = []
    for row in range(test.n):
        cut, length = int(written.prompt_lengths[row]), int(written.lengths[row])
        expected = _text(written.tokens[row, cut:length])
        given = decoded.get(row, expected)
        prompt = vocabulary.decode(written.tokens[row, :cut])
        first_wrong = int(found.first_wrong[row])
        rows.append(
            Prediction(
                suite=test.suite,
                digits=test.digits,
                operand_lengths=test.operand_lengths,
                index=row,
                operands=tuple(number.text(row) for number in problems.operands),
                result=problems.answer.text(row),
                prompt=prompt,
                expected=expected,
                written=given,
                answer=read_number(source.task, form, prompt, given),
                first_wrong=first_wrong or None,
                margin=round(float(found.margin[row]), 4),
            )
        )
    return rows


def decode(
    model: Transformer, data: Dataset, written: Written, keys: Int[np.ndarray, " n"], rows: Int[np.ndarray, " r"]
) -> dict[int, str]:
    """What the model writes to some of the prompts, by their row; those of one length together."""
    device = model.embedding.weight.device
    source = data.problems.sources[0]
    new_tokens = data.format.longest_answer(source.task, source.longest)
    found: dict[int, str] = {}
    for cut in np.unique(written.prompt_lengths[rows]):
        alike = rows[written.prompt_lengths[rows] == cut]
        many = rows_at(model, data.longest) * 8  # a step asks for one token, and keeps keys and values
        for start in range(0, len(alike), many):
            some = alike[start : start + many]
            asked = written.rows(some)
            asked = dataclasses.replace(asked, tokens=asked.tokens[:, :cut], given=None)
            batch = data.collate(asked, keys[some], device)
            answers = model.answer(batch.prompt, batch.key, new_tokens, batch.capacity).cpu().numpy()
            found |= {int(row): _text(answer) for row, answer in zip(some, answers, strict=True)}
    return found


def read_number(task: Task, form: Format, prompt: str, written: str) -> str | None:
    """The number that a written answer means, without leading zeros; None if it is none."""
    try:
        return form.read(task, prompt + written.partition(vocabulary.END)[0])[1]
    except ValueError:
        return None


def _text(tokens: Int[np.ndarray, " n"] | Sequence[int]) -> str:
    """Tokens with the end mark, without padding."""
    return "".join(vocabulary.SYMBOLS[int(token)] for token in tokens).rstrip(vocabulary.PAD)


@dataclass(frozen=True)
class Reply:
    """What a model answered. Numbers are decimal, most significant digit first.

    Args:
        written: the answer as the model wrote it, in its format, end mark included.
        answer: the number it means, without leading zeros; None if it is none.
        right: whether every token was right, the end mark included.
    """

    problem: str
    prompt: str
    written: str
    answer: str | None
    result: str
    right: bool

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def ask(folder: Path, problems: Sequence[str]) -> Iterator[Reply]:
    """Replies of a model, one a problem.

    Args:
        folder: of a run or an exported model, or the name of a shipped one.
    """
    run = open_model(folder)
    experiment = Experiment.of(run.config)
    task, form = experiment.tested_task, experiment.tested_format
    operands = [operands_of(problem, task) for problem in problems]
    model, _ = run.load_model(experiment)
    draws = Draws.at(run.config.evaluation.seed, "test", 0, 1)
    key = torch.from_numpy(draws.keys)
    for problem, texts in zip(problems, operands, strict=True):
        numbers = tuple(Numbers.read([text]) for text in texts)
        exact = Problems(numbers, task.solve(*numbers))
        try:
            digits = max(map(len, texts))
            tokens, longest_number = form.longest(task, digits)
            model.encoding.check_reach(tokens, longest_number)
            written = form.write(task, exact, draws)
        except ValueError as error:
            raise UsageError(f"{problem}: {error}") from error
        cut = int(written.prompt_lengths[0])
        # What a model cannot know is not expected of it.
        expected = written.tokens[0, cut:][written.loss_mask[0, cut:]].tolist()
        asked = dataclasses.replace(written, tokens=written.tokens[:, :cut], given=None)
        batch = as_batch(asked, reading(form, task.operands), key, torch.device("cpu"), tokens, tested=True)
        # As long as any answer to such operands, whatever the right one's length.
        new_tokens = form.longest_answer(task, digits)
        answered = model.answer(batch.prompt, batch.key, new_tokens, batch.capacity)[0].tolist()
        prompt = vocabulary.decode(written.tokens[0, :cut])
        reply = "".join(vocabulary.SYMBOLS[token] for token in answered)
        yield Reply(
            problem=problem,
            prompt=prompt,
            written=reply,
            answer=_number(task, form, prompt + reply.partition(vocabulary.END)[0]),
            result=exact.answer.text(0),
            right=answered[: len(expected)] == expected,
        )


def example_problem(task: Task) -> str:
    """A problem as it is asked for.

    >>> from arith.tasks.addition import Addition
    >>> example_problem(Addition(operands=3))
    '12+34+56'
    """
    return task.symbol.join(str(22 * place + 12) for place in range(task.operands))


def operands_of(problem: str, task: Task) -> list[str]:
    """The operands of a problem as people write it."""
    text = problem.replace(" ", "").rstrip("=")
    numbers = text.split(task.symbol) if task.symbol else [text]
    if len(numbers) != task.operands or not all(number.isascii() and number.isdigit() for number in numbers):
        raise UsageError(f"ask {task.name} for problems such as {example_problem(task)}; got '{problem}'")
    return [number.lstrip("0") or "0" for number in numbers] if task.alphabet == "number" else numbers


def _number(task: Task, form: Format, text: str) -> str | None:
    try:
        return form.read(task, text)[1]
    except ValueError:
        return None
