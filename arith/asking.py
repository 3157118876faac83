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
from arith.tasks.base import Problems
from arith.tasks.digits import Numbers
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
    operands = [_operands(problem, assembly.task.symbol) for problem in problems]
    model, _ = run.trained(assembly)
    for problem, (a, b) in zip(problems, operands, strict=True):
        numbers = Numbers.read([a]), Numbers.read([b])
        exact = Problems(numbers, assembly.task.solve(*numbers))
        try:
            lengths = np.stack([number.lengths for number in numbers])
            longest = int(lengths.max())
            model.encoding.check_reach(*assembly.format.longest(assembly.task, longest))
            batch = as_batch(
                assembly.task,
                assembly.format,
                exact,
                torch.from_numpy(sample_keys(run.config.evaluation.seed, "test", 0, 1)),
                torch.device("cpu"),
            )
        except ValueError as error:
            raise UsageError(f"{problem}: {error}") from error
        cut = int(batch.prompt.length)
        prompt = dataclasses.replace(batch.prompt, tokens=batch.tokens[:, :cut])
        expected = batch.tokens[0, cut:]
        # The longest answer to such operands and its end mark, whatever the right one's length.
        room = int(assembly.task.answer_width(lengths.max(axis=0))[0]) + 1
        answered = greedy(model, prompt, batch.key, max(room, len(expected)))[0]
        written = "".join(vocabulary.SYMBOLS[token] for token in answered.tolist())
        yield Reply(
            problem=problem,
            prompt=vocabulary.decode(prompt.tokens[0].numpy()),
            written=written,
            answer=_number(written, assembly.format.answer),
            result=exact.answer.text(0),
            right=answered.tolist()[: len(expected)] == expected.tolist(),
        )


def _operands(problem: str, symbol: str) -> tuple[str, str]:
    a, operator, b = problem.replace(" ", "").rstrip("=").partition(symbol)
    if not operator or not (a.isascii() and a.isdigit() and b.isascii() and b.isdigit()):
        raise UsageError(f"ask for NUMBER{symbol}NUMBER, such as 123{symbol}456; got '{problem}'")
    return a.lstrip("0") or "0", b.lstrip("0") or "0"


def _number(written: str, order: str) -> str | None:
    digits = written.partition(vocabulary.END)[0]
    if not digits.isdigit():
        return None
    return (digits if order == "msb" else digits[::-1]).lstrip("0") or "0"
