"""How the digits of a problem are written, and read back.

    plain               ^12+345=357$        most significant digit first, as people write
    reversed            ^12+345=753$        the answer least significant digit first
    all-reversed        ^21+543=753$        operands too
    (a sign)            ^12-345=333-$       at the answer's most significant end, here reversed
    padded...           ^012+345=0357$      zeros to the longest operand, or to a fixed width (`padded:width=5`);
                                            the answer to the longest one possible

Padding and reversal of multiplication: Shen et al., "Positional Description Matters for Transformers
Arithmetic", arXiv 2311.14737. Reversed addition: Lee et al., arXiv 2307.03381.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int, UInt8

from arith.tasks import vocabulary
from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers, resized

Order = Literal["msb", "lsb"]


@dataclass(frozen=True)
class Written:
    """A batch of problems as tokens, padded on the right.

    Args:
        tokens: begin, prompt, answer, end, padding.
        prompt_lengths: tokens up to and with the equals sign.
        lengths: tokens up to and with the end mark.
        answer_widths: digits the answer is padded to, where the format fixes them.
    """

    tokens: UInt8[np.ndarray, "b n"]
    prompt_lengths: Int[np.ndarray, " b"]
    lengths: Int[np.ndarray, " b"]
    answer_widths: Int[np.ndarray, " b"] | None


@dataclass(frozen=True)
class Format:
    """How numbers are written.

    Args:
        operands: which digit of the operands comes first.
        answer: which digit of the answer comes first.
        pad_operands: fill operands with zeros to `width`.
        pad_answer: fill the answer with zeros to the longest one that such operands can have.
        width: digits that operands are padded to. None: those of the problem's longer operand.

    >>> from arith.tasks.addition import Addition
    >>> NAMED["padded-reversed"].text(Addition(), 12, 345)
    '012+345=7530'
    """

    operands: Order = "msb"
    answer: Order = "msb"
    pad_operands: bool = False
    pad_answer: bool = False
    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is not None and self.width < 1:
            raise ValueError(f"a format's width is at least 1 digit, got {self.width}")
        if self.width is not None and not (self.pad_operands or self.pad_answer):
            raise ValueError("a width means padding, and this format does not pad. Use one of the padded formats")

    def widths(self, lengths: Int[np.ndarray, "operands b"]) -> Int[np.ndarray, " b"]:
        """Digits that all operands of each problem are padded to."""
        longest: np.ndarray = np.max(lengths, axis=0)
        if self.width is None:
            return longest
        if longest.max(initial=0) > self.width:
            raise ValueError(
                f"an operand of {longest.max()} digits does not fit the format's width of {self.width}. "
                f"Write width={longest.max()} or more, or draw shorter operands"
            )
        return np.full_like(longest, self.width)

    def check(self, task: Task) -> None:
        """Raise if a task cannot be written like this."""
        if task.alphabet != "number" and (self.pad_operands or self.pad_answer):
            raise ValueError(
                f"padding adds zeros, and {task.name} takes them for digits. Use a format that does not pad"
            )

    def longest(self, task: Task, digits: int) -> tuple[int, int]:
        """Tokens of the longest sequence, and digits of its longest number, for operands of `digits` digits."""
        self.check(task)
        lengths = np.full((task.operands, 1), digits)
        width = self.widths(lengths)
        answer = int(task.answer_width(width if self.pad_answer else lengths[0])[0])
        operand = int(width[0]) if self.pad_operands else digits
        signs = (task.operands - 1) * len(task.symbol) + task.signed + 3  # begin, equals, end
        # A sign takes a digit's place where a model writes another digit instead.
        return task.operands * operand + answer + signs, max(operand, answer + task.signed)

    def write(self, task: Task, problems: Problems) -> Written:
        """The problems as tokens."""
        self.check(task)
        padded = self.widths(np.stack([number.lengths for number in problems.operands]))
        operand_widths = [padded if self.pad_operands else number.lengths for number in problems.operands]
        answer_width = task.answer_width(padded) if self.pad_answer else problems.answer.lengths
        negative = problems.answer.signs

        before = np.ones_like(padded)  # tokens so far
        starts = []
        for width in operand_widths:
            starts.append(before)
            before = before + width + len(task.symbol)
        equals = before - len(task.symbol)
        end = equals + 1 + answer_width + negative
        rows = np.arange(len(problems))
        tokens = np.full((len(problems), int(end.max(initial=0)) + 1), vocabulary.token(vocabulary.PAD), np.uint8)
        tokens[:, 0] = vocabulary.token(vocabulary.BEGIN)
        for number, start, width in zip(problems.operands, starts, operand_widths, strict=True):
            if task.symbol:
                tokens[rows, start + width] = vocabulary.token(task.symbol)  # after the last one, until = replaces it
            _place(tokens, start, number, width, self.operands)
        tokens[rows, equals] = vocabulary.token("=")
        tokens[rows, end] = vocabulary.token(vocabulary.END)
        # The sign stands at the most significant end.
        sign = equals + 1 if self.answer == "msb" else end - 1
        tokens[rows[negative], sign[negative]] = vocabulary.token("-")
        digits_start = equals + 1 + negative if self.answer == "msb" else equals + 1
        _place(tokens, digits_start, problems.answer, answer_width, self.answer)
        return Written(tokens, equals + 1, end + 1, answer_width if self.pad_answer else None)

    def text(self, task: Task, *operands: int) -> str:
        """One problem as text."""
        numbers = tuple(Numbers.of([operand]) for operand in operands)
        return vocabulary.decode(self.write(task, Problems(numbers, task.solve(*numbers))).tokens[0])

    def read(self, task: Task, text: str) -> tuple[tuple[str, ...], str]:
        """The operands and the answer of one written problem, as decimal strings, most significant digit first.

        Zeros that pad are taken away, except in tasks on strings, where they mean something.

        >>> from arith.tasks.addition import Addition
        >>> NAMED["padded-reversed"].read(Addition(), "012+345=7530")
        (('12', '345'), '357')
        """
        prompt, equals, answer = text.partition("=")
        operands = prompt.split(task.symbol) if task.symbol else [prompt]
        sign = "-" if task.signed and "-" in (answer[:1], answer[-1:]) else ""
        magnitude = answer.removeprefix("-") if self.answer == "msb" else answer.removesuffix("-")
        numbers = [*operands, magnitude if sign else answer]
        if not equals or len(operands) != task.operands or not all(n.isascii() and n.isdigit() for n in numbers):
            shape = task.symbol.join(["NUMBER"] * task.operands)
            raise ValueError(f"expected {shape}=NUMBER, got {text!r}")
        *read, result = (
            _in_order(number, order, keep_zeros=task.alphabet != "number")
            for number, order in zip(numbers, [self.operands] * task.operands + [self.answer], strict=True)
        )
        return tuple(read), sign + result

    def __str__(self) -> str:
        for name, form in NAMED.items():
            if self == form:
                return name
            if replace(self, width=None) == form:
                return f"{name}:width={self.width}"
        return repr(self)


def _in_order(text: str, order: Order, keep_zeros: bool) -> str:
    """Written digits, most significant first."""
    number = text if order == "msb" else text[::-1]
    return number if keep_zeros else number.lstrip("0") or "0"


def _place(
    tokens: UInt8[np.ndarray, "b n"],
    start: Int[np.ndarray, " b"],
    numbers: Numbers,
    width: Int[np.ndarray, " b"],
    order: Order,
) -> None:
    """Write each row's number into `width` tokens from `start` on."""
    digits = resized(numbers.digits, int(width.max(initial=0)))
    if len(start) and (start == start[0]).all() and (width == width[0]).all():
        # Rows alike need no index for each digit, which is most of the time otherwise.
        tokens[:, start[0] : start[0] + width[0]] = digits if order == "lsb" else digits[:, ::-1]
        return
    significance = np.arange(digits.shape[1])
    inside = significance < width[:, None]
    column = start[:, None] + significance if order == "lsb" else (start + width - 1)[:, None] - significance
    cell = column + tokens.shape[1] * np.arange(len(tokens))[:, None]
    tokens.reshape(-1)[cell[inside]] = digits[inside]


_PADDED = Format(pad_operands=True, pad_answer=True)
NAMED = {
    "plain": Format(),
    "reversed": Format(answer="lsb"),
    "all-reversed": Format(operands="lsb", answer="lsb"),
    "padded": _PADDED,
    "padded-reversed": replace(_PADDED, answer="lsb"),
    "padded-all-reversed": replace(_PADDED, operands="lsb", answer="lsb"),
}


def parse(text: str) -> Format:
    """The format that a text names.

    >>> parse("padded:width=5").width
    5
    """
    name, _, settings = text.partition(":")
    if name not in NAMED:
        raise ValueError(f"no format is called '{name}'. Formats: {', '.join(NAMED)}.")
    if not settings:
        return NAMED[name]
    key, _, value = settings.partition("=")
    if key != "width" or not value.isdecimal():
        raise ValueError(f"a format's only setting is width=DIGITS, got '{settings}'.")
    return replace(NAMED[name], width=int(value))
