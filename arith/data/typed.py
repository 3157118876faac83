"""A problem that a person types, such as 123+456, written in a format and made a batch of one."""

import dataclasses
import re
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from arith.data.batch import Batch, as_batch, reading
from arith.encodings.compose import Composed
from arith.errors import UsageError
from arith.tasks import vocabulary
from arith.tasks.base import Drawn, Problems, Task, digits_in
from arith.tasks.digits import Numbers
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.spelling import Scored, lay_out_spelling
from arith.tasks.stream import Draws

# What people type for the signs of arithmetic: the cross, dots and x of products, and the minus and dash of typography.
_SIGNS = str.maketrans(dict.fromkeys("\u00d7\u00b7\u22c5x", "*") | dict.fromkeys("\u2212\u2013", "-"))


@dataclass(frozen=True)
class TypedProblem:
    """A typed problem, written in a format with its right answer.

    Args:
        task: the task that it is a problem of.
        format: the format that it is written in.
        digits: the length of its longest operand.
        tokens: the length of the longest line that operands of so many digits can take.
        result: the right answer, a decimal number.
        written: the one line, prompt and answer.
        key: the random key for encodings that draw.
    """

    task: Task
    format: Format
    digits: int
    tokens: int
    result: str
    written: Written
    key: Int[Tensor, "1"]

    @property
    def cut(self) -> int:
        return int(self.written.prompt_lengths[0])

    @property
    def prompt(self) -> str:
        return vocabulary.decode(self.written.tokens[0, : self.cut])

    @property
    def answer(self) -> str:
        return vocabulary.decode(self.written.tokens[0, self.cut :])

    def batch(self, device: torch.device, whole: bool = False) -> Batch:
        """The prompt alone as a batch of one; if `whole`, with the right answer behind it."""
        # The random spaces of an answer are given to a model that reads it, and unknown to one that writes it.
        asked = dataclasses.replace(self.written, tokens=self.written.tokens[:, : self.cut], given=None)
        line = self.written if whole else asked
        # As long as any line of such operands, so that nothing about the right answer's length gets into the ids.
        return as_batch(line, reading(self.format, self.task.operands), self.key, device, self.tokens, tested=True)


def write_typed(problem: str, task: Task, form: Format, seed: int, encoding: Composed | None = None) -> TypedProblem:
    """Write a typed problem in a format.

    Args:
        problem: the text as it is typed.
        task: the task that it is a problem of.
        form: the format.
        seed: the seed of what a format or an encoding draws: the same for every problem, so that answers repeat.
        encoding: the encoding that has to reach so far; None: it is not checked.

    Raises:
        UsageError: it is no problem of the task, or too long for the format or the encoding.

    >>> from arith.tasks.addition import Addition
    >>> written = write_typed("95 + 7", Addition(), Format(answer="lsb"), 0)
    >>> written.prompt, written.answer, written.result
    ('95+7=', '201', '102')
    """
    texts = read_operands(problem, task)
    numbers = tuple(Numbers.read([text]) for text in texts)
    exact = Problems(numbers, task.solve(*numbers))
    digits, draws = max(map(len, texts)), Draws.at(seed, "test", 0, 1)
    try:
        tokens, longest_number = form.longest(task, digits)
        if encoding is not None:
            encoding.check_reach(tokens, longest_number)
        if isinstance(task, Scored):
            written = lay_out_spelling(task.put(problem.strip().rstrip("=")), 1)
        else:
            written = form.write(task, exact, draws)
    except ValueError as error:
        raise UsageError(f"{problem}: {error}") from error
    return TypedProblem(task, form, digits, tokens, exact.answer.text(0), written, torch.from_numpy(draws.keys))


def example_problem(task: Task) -> str:
    """A problem of a task, as a person types it.

    >>> from arith.tasks.addition import Addition
    >>> example_problem(Addition(operands=3))
    '12+34+56'
    """
    if isinstance(task, Drawn):
        source = Source(task, Uniform(2, 2), seed=0, split="test")
        written = Format().write(task, source.problems(0, 1), Draws.at(0, "test", 0, 1))
        return vocabulary.decode(written.tokens[0]).partition("=")[0]
    return (
        "1011" if isinstance(task.alphabet, int) else task.symbol.join(str(22 * n + 12) for n in range(task.operands))
    )


def plain_text(problem: str) -> str:
    """A typed problem without spaces and digit grouping, its signs as arith writes them.

    >>> plain_text("1,234 \u00d7 5_678"), plain_text("12\u00b734"), plain_text("7\u22125")
    ('1234*5678', '12*34', '7-5')
    """
    text = re.sub(r"\s", "", problem).translate(_SIGNS)
    return re.sub(r"(?<=[0-9])[,_'](?=[0-9]{3}(?![0-9]))", "", text)


def read_operands(problem: str, task: Task) -> list[str]:
    """The operands of a typed problem, without leading zeros where they are numbers.

    Raises:
        UsageError: it is no problem of the task.

    >>> from arith.tasks.addition import Addition
    >>> read_operands("007 + 45 =", Addition())
    ['7', '45']
    """
    text = plain_text(problem).rstrip("=")
    if isinstance(task, Drawn):
        # Its operands are no strings that a person would come up with: it is asked as it is written.
        line = problem.strip().rstrip("=") if isinstance(task, Scored) else text
        try:
            return list(Format().read(task, line + "=0")[0])
        except ValueError as error:
            raise UsageError(f"{error}. Ask {task.name} for problems such as {example_problem(task)}") from error
    if task.symbol and text[:1] in ("+", "-"):
        raise UsageError(f"operands are typed without a sign, such as {example_problem(task)}; got '{problem}'")
    numbers = text.split(task.symbol) if task.symbol else [text]
    known = vocabulary.DIGITS[: digits_in(task.alphabet)]
    digits = all(number and not number.strip(known) for number in numbers)
    if len(numbers) != task.operands or not digits:
        raise UsageError(f"ask {task.name} for problems such as {example_problem(task)}; got '{problem}'")
    # The digits of a string to copy or reverse are symbols: there a leading zero counts.
    return [number.lstrip("0") or "0" for number in numbers] if task.alphabet == "number" else numbers
