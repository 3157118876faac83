"""How the digits of a problem are written, and read back.

    plain               ^12+345=357$        most significant digit first, as people write
    reversed            ^12+345=753$        the answer least significant digit first
    all-reversed        ^21+543=753$        operands too
    (a sign)            ^12-345=333-$       at the answer's most significant end, here reversed
    padded...           ^012+345=0357$      zeros to the longest operand, or to a fixed width (`padded:width=5`);
                                            the answer to the longest one possible; `spare=4`: 0 to 4 zeros more;
                                            `pad=answer`: the operands stay as they are
    interleaved...      ^+031425=0357$      operands digit by digit, after the operator
    ...:first=longest   ^345+12=357$        operands in the order of their lengths, longest first

A decoration stands between digits (`arith.tasks.decorations`), a working before the answer (`arith.tasks.workings`).

Padding and reversal of multiplication: Shen et al., "Positional Description Matters for Transformers
Arithmetic", arXiv 2311.14737. Reversed addition: Lee et al., arXiv 2307.03381.
"""

# Over 300 lines: how a line is written and how it is read back mirror one another, and change together.

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int

from arith.tasks import vocabulary
from arith.tasks.base import Problems, Task, Worded, Wording, is_commutative, operation_of
from arith.tasks.decorations import Blanks, Decoration
from arith.tasks.digits import Numbers, sort_longest_first
from arith.tasks.lines import Order, Piece, Written, constant, interleave, lay_out, number
from arith.tasks.spelling import Spelled, lay_out_spelling
from arith.tasks.stream import Draws, Use, scale
from arith.tasks.workings import END_OF_STEPS, Working

# Stops a mistyped width here, before it fills the memory.
MOST_DIGITS = 100_000


@dataclass(frozen=True)
class Format:
    """How numbers are written.

    Args:
        operands: which digit of the operands comes first.
        answer: which digit of the answer comes first.
        interleaved: operands digit by digit, which needs `pad_operands`.
        pad_operands: fill operands with zeros to `width`.
        pad_answer: fill the answer with zeros to the longest one that such operands can have: of `width` digits each,
            or of their own lengths if they are not padded.
        width: digits that operands are padded to. None: those of the problem's longer operand.
        spare: zeros more than that, 0 to `spare` of them, drawn for each problem.
        longest_first: write the operand with the most digits first, whichever came first; of equal lengths the order
            stays. The prompt alone then says how long the shorter factor of a product is, at either place.
        decoration: what stands between digits.
        working: steps before the answer.

    >>> from arith.tasks.addition import Addition
    >>> NAMED["padded-reversed"].text(Addition(), 12, 345)
    '012+345=7530'
    >>> from arith.tasks.multiplication import Multiplication
    >>> Format(answer="lsb", pad_answer=True, longest_first=True).text(Multiplication(), 12, 345)
    '345*12=04140'
    """

    operands: Order = "msb"
    answer: Order = "msb"
    interleaved: bool = False
    pad_operands: bool = False
    pad_answer: bool = False
    width: int | None = None
    spare: int = 0
    longest_first: bool = False
    decoration: Decoration | None = None
    working: Working | None = None

    def __post_init__(self) -> None:
        if self.width is not None and not 1 <= self.width <= MOST_DIGITS:
            raise ValueError(f"a format's width is 1 to {MOST_DIGITS:,} digits, got {self.width}")
        if self.width is not None and not (self.pad_operands or self.pad_answer):
            raise ValueError("a width means padding, and this format does not pad. Use one of the padded formats")
        if not 0 <= self.spare <= MOST_DIGITS:
            raise ValueError(f"spare is 0 to {MOST_DIGITS:,} zeros, got {self.spare}")
        if self.spare and not self.pad_operands:
            # Or nothing in the prompt would tell how long the answer is.
            raise ValueError("spare zeros of an answer are as many as its operands have. Pad the operands too")
        if self.interleaved and not self.pad_operands:
            raise ValueError("interleaved operands are of one width. Pad the operands")
        if self.decoration is not None:
            self.decoration.check(self.interleaved)
        aligned = self.pad_operands and self.pad_answer and self.operands == self.answer == "lsb"
        if isinstance(self.decoration, Blanks) and (not aligned or self.working is not None):
            raise ValueError(
                "blanks keep digits of one significance in one column: numbers are padded, written units first, and "
                "have no working. Use padded-all-reversed+blanks"
            )

    @property
    def draws(self) -> bool:
        """Whether one problem can be written in several ways."""
        return self.decoration is not None or self.spare > 0

    def widths(self, lengths: Int[np.ndarray, "operands b"], draws: Draws | None) -> Int[np.ndarray, " b"]:
        """Digits that all operands of each problem are padded to; without draws the most that there can be."""
        longest: np.ndarray = np.max(lengths, axis=0)
        spare: np.ndarray | int = self.spare
        if self.spare and draws is not None:
            spare = scale(draws.halves(Use.PADDING)[:, 0], self.spare + 1).astype(longest.dtype)
        if self.width is None:
            return longest + spare
        if longest.max(initial=0) > self.width:
            raise ValueError(
                f"an operand of {longest.max()} digits does not fit the format's width of {self.width}. "
                f"Write width={longest.max()} or more, or draw shorter operands"
            )
        return np.full_like(longest, self.width) + spare

    def answer_widths(
        self, task: Task, lengths: Int[np.ndarray, "operands b"], padded: Int[np.ndarray, " b"]
    ) -> Int[np.ndarray, " b"] | None:
        """Digits that answers are padded to; None: they are not padded.

        Args:
            task: the task.
            lengths: digits of the operands.
            padded: what `widths` says of them.
        """
        if not self.pad_answer:
            return None
        if self.pad_operands or self.width is not None or operation_of(task) != "product":
            return task.answer_width(padded)
        # 999 * 99 has five digits: where operands keep their lengths, those of a product add up.
        found: np.ndarray = lengths.sum(axis=0)
        return found

    def arrange(self, operands: tuple[Numbers, ...]) -> tuple[Numbers, ...]:
        """The operands in the order in which they are written."""
        return sort_longest_first(operands) if self.longest_first else operands

    def check(self, task: Task) -> None:
        """Raise if a task cannot be written like this."""
        if isinstance(task, Spelled):
            if self != Format():
                raise ValueError(f"{task.name} writes its lines itself: use the format plain")
            return
        operators = vocabulary.OPERATORS + vocabulary.MORE_OPERATORS
        # A task on one operand writes no operator, and one with words writes those instead.
        if not isinstance(task, Worded) and (len(task.symbol) > 1 or task.symbol not in operators):
            raise ValueError(f"{task.symbol!r} of {task.name} is no operator. Use one of {' '.join(operators)}")
        if task.alphabet != "number" and (self.pad_operands or self.pad_answer):
            raise ValueError(
                f"padding adds zeros, and {task.name} takes them for digits. Use a format that does not pad"
            )
        if self.longest_first and (isinstance(task, Worded) or not is_commutative(task)):
            raise ValueError(f"{task.name} means another problem with its operands exchanged. Leave first=longest out")
        if self.interleaved and (task.operands < 2 or isinstance(task, Worded)):
            raise ValueError(f"operands of {task.name} cannot be interleaved. Use another order")
        if self.working is not None:
            if isinstance(task, Worded):
                raise ValueError(f"a {task.name} answers with the number alone. Leave the {self.working.name} out")
            self.working.check(task, self.interleaved)

    def symbols(self, task: Task) -> str:
        """What is written beside digits, marks and the operators that every vocabulary has."""
        written = task.symbols if isinstance(task, Worded | Spelled) else task.symbol
        parts = "".join(part.symbols for part in (self.decoration, self.working) if part is not None)
        return written + parts + END_OF_STEPS * (self.working is not None)

    def longest(self, task: Task, digits: int) -> tuple[int, int]:
        """Tokens of the longest sequence, and digits of its longest number, for operands of `digits` digits."""
        written = self._longest(task, digits)
        padded = (self.width or digits) + self.spare
        answer = int(task.answer_width(np.array([padded if self.pad_answer else digits]))[0])
        operand = padded if self.pad_operands else digits
        # A sign takes a digit's place where a model writes another digit instead.
        return int(written.lengths[0]), max(operand, answer + task.signed)

    def longest_answer(self, task: Task, digits: int) -> int:
        """Tokens of the longest answer, working and end mark included, to operands of `digits` digits."""
        written = self._longest(task, digits)
        return int(written.lengths[0] - written.prompt_lengths[0])

    def _longest(self, task: Task, digits: int) -> Written:
        # No operand is longer than 99..9; the answer is as long as the task says that answers can be.
        nines = Numbers(np.full((1, digits), 9, np.uint8), np.array([digits]))
        answers = task.answer_width(self.widths(nines.lengths[None], None) if self.pad_answer else nines.lengths)
        answer = Numbers(np.full((1, int(answers[0])), 9, np.uint8), answers, np.array([task.signed]))
        longest = (nines,) * task.operands
        if task.signed:  # a difference below zero, which scratchpads need a mark for
            longest = (replace(nines, digits=nines.digits - np.eye(1, digits, dtype=np.uint8)), *longest[1:])
        return self.write(task, Problems(longest, answer), None)

    def write(self, task: Task, problems: Problems, draws: Draws | None, decorating: Draws | None = None) -> Written:
        """The problems as tokens.

        Args:
            task: the task that they are problems of.
            problems: the problems.
            draws: for what is random about it; None: as long as it can be.
            decorating: for the decoration and spare zeros, where they are drawn apart from the task's wording; None:
                `draws`.
        """
        self.check(task)
        if isinstance(task, Spelled):
            return lay_out_spelling(task.spell(problems.operands, draws), len(problems))
        decorating = decorating or draws
        operands = self.arrange(problems.operands)
        lengths = np.stack([own.lengths for own in operands])
        padded = self.widths(lengths, decorating)
        operand_widths = [padded if self.pad_operands else own for own in lengths]
        answer_width = self.answer_widths(task, lengths, padded)
        wording = task.wording(len(padded), draws) if isinstance(task, Worded) else _sign_wording(task, len(padded))
        prompt = self._prompt(operands, operand_widths, wording)
        answer = self._answer(problems.answer, answer_width)
        steps: list[Piece] = []
        if self.working is not None:
            shown = tuple(replace(n, lengths=w) for n, w in zip(operands, operand_widths, strict=True))
            steps = self.working.pieces(task, shown, answer_width, self.answer)
            steps.append(constant(END_OF_STEPS, len(padded)))
        end = constant(vocabulary.END, len(padded))
        pieces = [constant(vocabulary.BEGIN, len(padded)), *prompt, *steps, *answer, *wording.end, end]
        line = lay_out(pieces, with_significance=self.decoration is not None)
        written = Written(line.tokens, line.ends[len(prompt)], line.ends[-1], answer_width)
        if self.decoration is None or line.significance is None:
            return written
        digits = np.maximum(task.answer_width(padded), padded)
        return self.decoration.decorate(written, line.significance, digits, decorating)

    def _prompt(
        self, operands: Sequence[Numbers], widths: Sequence[Int[np.ndarray, " b"]], wording: Wording
    ) -> list[Piece]:
        first, *between, last = wording.around
        if self.interleaved:
            return [*first, *between[0], interleave(operands, widths[0], self.operands), *last]
        pieces = list(first)
        for own, width, words in zip(operands, widths, [*between, last], strict=True):
            pieces += [number(own, width, self.operands), *words]
        return pieces

    def _answer(self, answer: Numbers, width: Int[np.ndarray, " b"] | None) -> list[Piece]:
        digits = number(answer, answer.lengths if width is None else width, self.answer)
        if answer.negative is None:
            return [digits]
        # The sign stands at the most significant end.
        sign = constant("-", len(answer), where=answer.negative)
        return [sign, digits] if self.answer == "msb" else [digits, sign]

    def text(self, task: Task, *operands: int) -> str:
        """One problem as text."""
        numbers = tuple(Numbers.of([operand]) for operand in operands)
        problems = Problems(numbers, task.solve(*numbers))
        # The draws of one fixed sample, so that examples are always the same.
        return vocabulary.decode(self.write(task, problems, Draws.at(0, "train", 0, 1)).tokens[0])

    def read(self, task: Task, text: str) -> tuple[tuple[str, ...], str]:
        """The operands and the answer of one written problem, as decimal strings, most significant digit first.

        Zeros that pad are taken away, except in tasks on strings, where they mean something. Of a line with words
        the first numbers are the operands and the last is the answer, so that free replies can be read too.

        >>> from arith.tasks.addition import Addition
        >>> NAMED["padded-reversed"].read(Addition(), "012+345=7530")
        (('12', '345'), '357')
        """
        if isinstance(task, Spelled):
            return task.read(text)
        if isinstance(task, Worded):
            numbers = self._numbers_in(text)
            if len(numbers) <= task.operands:
                raise ValueError(f"expected {task.operands} numbers and an answer, got {text!r}")
            operands, answer, sign = numbers[: task.operands], numbers[-1], ""
        else:
            operands, answer, sign = self._parts(task, text)
        *read, result = (
            _in_order(written, order, keep_zeros=task.alphabet != "number")
            for written, order in zip([*operands, answer], [self.operands] * task.operands + [self.answer], strict=True)
        )
        return tuple(read), sign + result

    def _numbers_in(self, text: str) -> list[str]:
        between = re.escape(self.decoration.symbols) if self.decoration else ""
        found = re.findall(f"[0-9](?:[{between}]*[0-9])*" if between else "[0-9]+", text)
        return [re.sub("[^0-9]", "", written) for written in found]

    def _parts(self, task: Task, text: str) -> tuple[list[str], str, str]:
        """The operands and the answer as they are written, and the answer's sign."""
        added = self.decoration.symbols if self.decoration is not None else ""
        bare = text.translate(dict.fromkeys(map(ord, added)))
        prompt, equals, answer = bare.partition("=")
        if self.working is not None:
            _, equals, answer = answer.rpartition(END_OF_STEPS)
        if self.interleaved:
            digits = prompt.removeprefix(task.symbol)
            places = range(task.operands) if len(digits) % task.operands == 0 and digits != prompt else ()
            operands = [digits[place :: task.operands] for place in places]
        else:
            operands = prompt.split(task.symbol) if task.symbol else [prompt]
        sign = "-" if task.signed and "-" in (answer[:1], answer[-1:]) else ""
        if sign:
            answer = answer.removeprefix("-") if self.answer == "msb" else answer.removesuffix("-")
        numbers = [*operands, answer]
        if not equals or len(operands) != task.operands or not all(n.isascii() and n.isdigit() for n in numbers):
            shape = task.symbol.join(["NUMBER"] * task.operands)
            if self.interleaved:
                shape = f"{task.symbol}DIGITS"
            steps = f"STEPS{END_OF_STEPS}" if self.working is not None else ""
            raise ValueError(f"expected {shape}={steps}NUMBER, got {text!r}")
        return operands, answer, sign

    def __str__(self) -> str:
        bare = replace(self, decoration=None, working=None, width=None, spare=0, longest_first=False)
        settings = [f"width={self.width}"] if self.width is not None else []
        settings += [f"spare={self.spare}"] if self.spare else []
        padding = (self.pad_operands, self.pad_answer)
        if padding in PADS.values() and padding != (True, True):
            bare = replace(bare, pad_operands=True, pad_answer=True)
            settings.append(f"pad={next(name for name, sides in PADS.items() if sides == padding)}")
        settings += ["first=longest"] if self.longest_first else []
        names = [name for name, base in NAMED.items() if base == bare]
        if not names:
            return repr(self)
        parts = [_describe(part) for part in (self.decoration, self.working) if part is not None]
        return "+".join([_with_settings(names[0], settings), *parts])


def _sign_wording(task: Task, rows: int) -> Wording:
    """Operators between the operands, and the equals sign."""
    between = [[constant(task.symbol, rows)] if task.symbol else []] * (task.operands - 1)
    return Wording(around=([], *between, [constant("=", rows)]), end=())


def _in_order(text: str, order: Order, keep_zeros: bool) -> str:
    """Written digits, most significant first."""
    written = text if order == "msb" else text[::-1]
    return written if keep_zeros else written.lstrip("0") or "0"


def _with_settings(name: str, settings: Sequence[str]) -> str:
    return f"{name}:{','.join(settings)}" if settings else name


def _describe(part: Decoration | Working) -> str:
    """A part's name with the settings that are not its usual ones."""
    settings: list[str] = []
    if dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if value != field.default:
                settings.append(f"{field.name}={str(value).lower() if isinstance(value, bool) else value}")
    return _with_settings(part.name, settings)


First = Literal["given", "longest"]
Pad = Literal["both", "operands", "answer"]
PADS: dict[Pad, tuple[bool, bool]] = {"both": (True, True), "operands": (True, False), "answer": (False, True)}

_PADDED = Format(pad_operands=True, pad_answer=True)
_INTERLEAVED = replace(_PADDED, interleaved=True)
NAMED = {
    "plain": Format(),
    "reversed": Format(answer="lsb"),
    "all-reversed": Format(operands="lsb", answer="lsb"),
    "padded": _PADDED,
    "padded-reversed": replace(_PADDED, answer="lsb"),
    "padded-all-reversed": replace(_PADDED, operands="lsb", answer="lsb"),
    "interleaved": _INTERLEAVED,
    "interleaved-reversed": replace(_INTERLEAVED, answer="lsb"),
    "interleaved-all-reversed": replace(_INTERLEAVED, operands="lsb", answer="lsb"),
}
