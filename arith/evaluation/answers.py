"""What a model answers to the problems of a test set: from one pass where it is right, by decoding where it is not."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from arith.data.dataset import Dataset
from arith.data.typed import read_operands, write_typed
from arith.evaluation.teacher_forced import Verdicts, rows_at
from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.model.transformer import Transformer
from arith.results.predictions import Prediction
from arith.results.schema import Condition
from arith.tasks import vocabulary
from arith.tasks.base import Task
from arith.tasks.formats import Format
from arith.tasks.lines import Written


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
    for problem in problems:
        read_operands(problem, task)  # refuse a mistake before the model is loaded and anything is printed
    model, _ = run.load_model(experiment)
    for problem in problems:
        typed = write_typed(problem, task, form, run.config.evaluation.seed, model.encoding)
        batch = typed.batch(torch.device("cpu"))
        new_tokens = form.longest_answer(task, typed.digits)
        tokens = model.answer(batch.prompt, batch.key, new_tokens, batch.capacity)[0].tolist()
        # A format's random spaces in an answer bear no loss: a model cannot know them, and need not write them.
        expected = typed.written.tokens[0, typed.cut :][typed.written.loss_mask[0, typed.cut :]].tolist()
        reply = "".join(vocabulary.SYMBOLS[token] for token in tokens)
        yield Reply(
            problem=problem,
            prompt=typed.prompt,
            written=reply,
            answer=read_number(task, form, typed.prompt, reply),
            result=typed.result,
            right=tokens[: len(expected)] == expected,
        )
