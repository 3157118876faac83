"""A trained run answers a problem by cached greedy decoding."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from arith.assembly import Assembly
from arith.data import as_batch
from arith.decode import greedy
from arith.errors import UsageError
from arith.runs import Run
from arith.tasks import vocabulary
from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format
from arith.tasks.stream import sample_keys


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
    """Replies of the run in a folder, one a problem."""
    run = Run.open(folder)
    assembly = Assembly.of(run.config)
    task, form = assembly.task, assembly.format
    operands = [_operands(problem, task) for problem in problems]
    model, _ = run.trained(assembly)
    for problem, texts in zip(problems, operands, strict=True):
        numbers = tuple(Numbers.read([text]) for text in texts)
        exact = Problems(numbers, task.solve(*numbers))
        try:
            lengths = np.stack([number.lengths for number in numbers])
            longest = int(lengths.max())
            model.encoding.check_reach(*form.longest(task, longest))
            keys = torch.from_numpy(sample_keys(run.config.evaluation.seed, "test", 0, 1))
            batch = as_batch(task, form, exact, keys, torch.device("cpu"))
        except ValueError as error:
            raise UsageError(f"{problem}: {error}") from error
        cut = int(batch.prompt.length)
        prompt = dataclasses.replace(batch.prompt, tokens=batch.tokens[:, :cut])
        expected = batch.tokens[0, cut:]
        # The longest answer to such operands and its end mark, whatever the right one's length.
        room = int(task.answer_width(lengths.max(axis=0))[0]) + task.signed + 1
        answered = greedy(model, prompt, batch.key, max(room, len(expected)))[0]
        written = "".join(vocabulary.SYMBOLS[token] for token in answered.tolist())
        asked = vocabulary.decode(prompt.tokens[0].numpy())
        yield Reply(
            problem=problem,
            prompt=asked,
            written=written,
            answer=_number(task, form, asked + written.partition(vocabulary.END)[0]),
            result=exact.answer.text(0),
            right=answered.tolist()[: len(expected)] == expected.tolist(),
        )


def example_problem(task: Task) -> str:
    """A problem as it is asked for.

    >>> from arith.tasks.addition import Addition
    >>> example_problem(Addition(operands=3))
    '12+34+56'
    """
    return task.symbol.join(str(22 * place + 12) for place in range(task.operands))


def _operands(problem: str, task: Task) -> list[str]:
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
