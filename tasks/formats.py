"""How the digits of a problem are written, and read back.

    plain               ^12+345=357$        most significant digit first, as people write
    reversed            ^12+345=753$        the answer least significant digit first
    all-reversed        ^21+543=753$        operands too
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

    def widths(self, lengths: Int[np.ndarray, "2 b"]) -> Int[np.ndarray, " b"]:
        """Digits that both operands of each problem are padded to."""
        longest: np.ndarray = np.max(lengths, axis=0)
        if self.width is None:
            return longest
        if longest.max(initial=0) > self.width:
            raise ValueError(
                f"an operand of {longest.max()} digits does not fit the format's width of {self.width}. "
                f"Write width={longest.max()} or more, or draw shorter operands"
            )
        return np.full_like(longest, self.width)

    def longest(self, task: Task, digits: int) -> tuple[int, int]:
        """Tokens of the longest sequence, and digits of its longest number, for operands of `digits` digits."""
        lengths = np.full((2, 1), digits)
        width = self.widths(lengths)
        answer = int(task.answer_width(width if self.pad_answer else lengths[0])[0])
        operand = int(width[0]) if self.pad_operands else digits
        return 2 * operand + answer + 4, max(operand, answer)

    def write(self, task: Task, problems: Problems) -> Written:
        """The problems as tokens."""
        a, b = problems.operands
        padded = self.widths(np.stack([a.lengths, b.lengths]))
        a_width, b_width = (padded, padded) if self.pad_operands else (a.lengths, b.lengths)
        answer_width = task.answer_width(padded) if self.pad_answer else problems.answer.lengths

        operator = 1 + a_width
        equals = operator + 1 + b_width
        end = equals + 1 + answer_width
        rows = np.arange(len(problems))
        tokens = np.full((len(problems), int(end.max(initial=0)) + 1), vocabulary.token(vocabulary.PAD), np.uint8)
        tokens[:, 0] = vocabulary.token(vocabulary.BEGIN)
        tokens[rows, operator] = vocabulary.token(task.symbol)
        tokens[rows, equals] = vocabulary.token("=")
        tokens[rows, end] = vocabulary.token(vocabulary.END)
        _place(tokens, np.ones_like(operator), a, a_width, self.operands)
        _place(tokens, operator + 1, b, b_width, self.operands)
        _place(tokens, equals + 1, problems.answer, answer_width, self.answer)
        return Written(tokens, equals + 1, end + 1, answer_width if self.pad_answer else None)

    def text(self, task: Task, a: int, b: int) -> str:
        """One problem as text."""
        operands = Numbers.of([a]), Numbers.of([b])
        written = self.write(task, Problems(operands, task.solve(*operands)))
        return vocabulary.decode(written.tokens[0])

    def read(self, task: Task, text: str) -> tuple[int, int, int]:
        """The operands and the answer of one written problem.

        >>> from arith.tasks.addition import Addition
        >>> NAMED["padded-reversed"].read(Addition(), "012+345=7530")
        (12, 345, 357)
        """
        prompt, equals, answer = text.partition("=")
        a, operator, b = prompt.partition(task.symbol)
        if not (equals and operator and a.isdecimal() and b.isdecimal() and answer.isdecimal()):
            raise ValueError(f"expected NUMBER{task.symbol}NUMBER=NUMBER, got {text!r}")
        return _value(a, self.operands), _value(b, self.operands), _value(answer, self.answer)

    def __str__(self) -> str:
        for name, form in NAMED.items():
            if self == form:
                return name
            if replace(self, width=None) == form:
                return f"{name}:width={self.width}"
        return repr(self)


def _value(text: str, order: Order) -> int:
    return int(text if order == "msb" else text[::-1])


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
