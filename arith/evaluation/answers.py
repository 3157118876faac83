"""What a model answers to the problems of a test set: from one pass where it is right, by decoding where it is not."""

import dataclasses
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from arith.data.batch import Batch
from arith.data.dataset import Dataset
from arith.data.typed import read_operands, write_typed
from arith.evaluation.blocks import STREAMED, answer_in_blocks
from arith.evaluation.teacher_forced import Verdicts, rows_at
from arith.experiment.experiment import Experiment
from arith.experiment.exported import open_model
from arith.model.transformer import Transformer
from arith.process.progress import progress
from arith.results.predictions import Prediction
from arith.results.schema import Condition
from arith.results.uncertainty import spread_of
from arith.tasks import vocabulary
from arith.tasks.base import Task
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.spelling import Scored, count_parts

TIMED = 50  # queries of a test set that are timed: half a second for a small model


def predict(model: Transformer, test: Condition, data: Dataset, start: int, found: Verdicts) -> list[Prediction]:
    """Every problem of a test set with the model's answer to it.

    Args:
        model: the model.
        test: the test set.
        data: the dataset with its problems.
        start: the place of its first problem in the data.
        found: the verdicts on its problems.
    """
    source, form = data.problems.sources[0], data.format
    problems = source.problems(start, test.n)
    written, keys = data.problems.write(form, start, test.n), data.problems.keys(start, test.n)
    # A right answer is what decoding would write, so only the wrong ones cost a pass a token.
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
    """Greedy answers to some of the prompts, by row, the end mark included.

    Args:
        model: the model.
        data: the dataset that the problems are of.
        written: its lines, of which the prompts are taken.
        keys: the random key of each line.
        rows: the lines that are decoded.
    """
    device = model.embedding.weight.device
    source = data.problems.sources[0]
    new_tokens = data.format.longest_answer(source.task, source.longest)
    found: dict[int, str] = {}
    # Prompts of one length at a time, so that none is padded between its end and the first token of the answer.
    for cut in np.unique(written.prompt_lengths[rows]):
        alike = rows[written.prompt_lengths[rows] == cut]
        # A step scores one query a row, not all pairs of tokens; 8 and not more, as keys and values are kept too.
        many = rows_at(model, data.longest) * 8
        for start in range(0, len(alike), many):
            some = alike[start : start + many]
            asked = written.rows(some)
            asked = dataclasses.replace(asked, tokens=asked.tokens[:, :cut], given=None)
            batch = data.collate(asked, keys[some], device)
            answers = model.answer(batch.prompt, batch.key, new_tokens, batch.capacity).cpu().numpy()
            found |= {int(row): _text(answer) for row, answer in zip(some, answers, strict=True)}
    return found


def measure_parts(
    model: Transformer, task: Scored, test: Condition, data: Dataset, start: int, found: Verdicts
) -> dict[str, float]:
    """What a cell keeps of answers that can be right in part: how many are in what, tokens, and seconds a query.

    Args:
        model: the model.
        task: the task, which says what is right about an answer.
        test, data, start, found: the test set, as for `predict`.
    """
    written, keys = data.problems.write(data.format, start, test.n), data.problems.keys(start, test.n)
    decoded = decode(model, data, written, keys, np.flatnonzero(~found.right.numpy()))
    expected = [
        _text(line[cut:end])
        for line, cut, end in zip(written.tokens, written.prompt_lengths, written.lengths, strict=True)
    ]
    given = [decoded.get(row, right) for row, right in enumerate(expected)]
    whole = ((text.partition(vocabulary.END)[0] for text in pair) for pair in zip(expected, given, strict=True))
    parts = count_parts(task, ((right, reply) for right, reply in whole))
    # One at a time, as queries come; the first, which also warms up, is left out.
    seconds = []
    for row in range(min(test.n, TIMED + 1)):
        begun = time.perf_counter()
        decode(model, data, written, keys, np.array([row]))
        seconds.append(time.perf_counter() - begun)
    tokens = {"prompt_tokens": int(written.prompt_lengths.sum()), "reply_tokens": sum(map(len, given))}
    return {**parts, **tokens, **spread_of(seconds[1:] or seconds)}


def read_number(task: Task, form: Format, prompt: str, written: str) -> str | None:
    """The number that a written answer means, without leading zeros; None if it is not a number.

    >>> from arith.tasks.addition import Addition
    >>> read_number(Addition(), Format(answer="lsb"), "95+7=", "2010$")
    '102'
    """
    try:
        return form.read(task, prompt + written.partition(vocabulary.END)[0])[1]
    except ValueError:
        return None


def _text(tokens: Int[np.ndarray, " n"] | Sequence[int]) -> str:
    """The text of tokens, end mark included, padding left out: without its end mark an answer is not finished."""
    return "".join(vocabulary.SYMBOLS[int(token)] for token in tokens).rstrip(vocabulary.PAD)


@dataclass(frozen=True)
class Reply:
    """A model's answer to a typed problem. Numbers are decimal, most significant digit first.

    Args:
        problem: the problem as it was typed.
        prompt: the problem as the model reads it.
        written: the answer as the model writes it, in its format, end mark included.
        answer: the number that it means, without leading zeros; None if it is not a number.
        result: the right answer.
        right: whether every token is right, the end mark included.
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
    """Let a model answer typed problems, one after the other.

    Args:
        folder: the folder of a run or an exported model, or the name of a shipped model.
        problems: the problems, such as 123+456.

    Raises:
        UsageError: a text is not a problem of the model's task, or too long for the model.
    """
    run = open_model(folder)
    experiment = Experiment.of(run.config)
    task, form = experiment.tests.task, experiment.tests.format
    for problem in problems:
        read_operands(problem, task)  # refuse a mistake before the model is loaded and anything is printed
    model, _ = run.load_model(experiment)
    for problem in problems:
        typed = write_typed(problem, task, form, run.config.evaluation.seed, model.encoding)
        batch = typed.batch(torch.device("cpu"))
        # Room for any answer to such operands: a stop at the right one's length would help the model to end there.
        new_tokens = form.longest_answer(task, typed.digits)
        tokens = _answer(model, f"ask {problem:.20}", batch, new_tokens)
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


def _answer(model: Transformer, title: str, batch: Batch, new_tokens: int) -> list[int]:
    """The greedy answer to a prompt; if it is long and the model sees near tokens alone, many tokens a pass."""
    if batch.tokens.shape[1] > STREAMED:
        with progress(title, new_tokens, brief=True) as shown:
            found = answer_in_blocks(
                model,
                batch.prompt,
                batch.key,
                new_tokens,
                batch.capacity,
                lambda done: shown.update(min(done, new_tokens - 1)),
            )
        if found is not None:
            return found[0].tolist()
    with _show_progress(model, title, model.passes_of_answer(batch.prompt, new_tokens)):
        return model.answer(batch.prompt, batch.key, new_tokens, batch.capacity)[0].tolist()


@contextmanager
def _show_progress(model: Transformer, title: str, total: int) -> Iterator[None]:
    """Within, every pass through a block counts; a long answer takes minutes, and most take none."""
    with progress(title, total, brief=True) as shown:
        passed = itertools.count(1)
        # Below the total, as whether an answer has ended is not known to a block: the last line is the answer itself.
        hooks = [
            block.register_forward_hook(lambda *_: shown.update(min(next(passed), total - 1))) for block in model.blocks
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
