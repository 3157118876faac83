"""A trained run answers a problem by cached greedy decoding."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from arith.assembly import Assembly
from arith.data import as_batch, reading
from arith.decode import greedy
from arith.errors import UsageError
from arith.taken import opened
from arith.tasks import vocabulary
from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format
from arith.tasks.stream import Draws


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
    run = opened(folder)
    assembly = Assembly.of(run.config)
    task, form = assembly.tested_task, assembly.tested_format
    operands = [operands_of(problem, task) for problem in problems]
    model, _ = run.trained(assembly)
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
        answered = greedy(model, batch.prompt, batch.key, new_tokens, batch.capacity)[0].tolist()
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
