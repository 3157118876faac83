"""What a model answers to the problems of a test set: from one pass where it is right, by decoding where it is not."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from arith.data import Dataset
from arith.decode import greedy
from arith.evaluate import Condition
from arith.judging import Judged, rows_at
from arith.model import Transformer
from arith.predictions import Prediction
from arith.tasks import vocabulary
from arith.tasks.base import Task
from arith.tasks.formats import Format
from arith.tasks.lines import Written


def answered(model: Transformer, test: Condition, data: Dataset, start: int, found: Judged) -> list[Prediction]:
    """The problems of one test set with their answers.

    Args:
        start: place of its first problem in the data.
        found: which of them are right.
    """
    source, form = data.problems.sources[0], data.format
    problems = source.problems(start, test.n)
    written, keys = data.problems.written(form, start, test.n), data.problems.keys(start, test.n)
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
            batch = data.as_batch(asked, keys[some], device)
            answers = greedy(model, batch.prompt, batch.key, new_tokens, batch.capacity).cpu().numpy()
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
