"""Requests in words, each answered by one call of a small calculator: `What is 842 plus 62?=add(842,62)`.

    add(a,b) sub(a,b) mul(a,b) max(a,b) sum3(a,b,c)
    compare(a,b)      1, 0 or -1: whether a is more than b, the same or less
    digit(a,k)        the k-th digit of a, from the left
    round(a,k)        a to the nearest ten, hundred or thousand: k is 1, 2 or 3
    none()            what none of these answers; its value counts as 0

Li et al., "Small Language Models for Application Interactions", arXiv 2405.20347, turn queries into code that calls an
application; neither application nor data are public, and this interface and its wordings (`arith.tasks.queries`) are
ours. Calls come in turn, so that a fixed set has as many examples of each.

A problem is the call's number, as a string of digits, and three arguments, of which a call leaves some at zero.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from arith.tasks import vocabulary
from arith.tasks.base import Alphabet
from arith.tasks.dialogue import Templates, check_templates
from arith.tasks.digits import Numbers
from arith.tasks.lines import constant, texts
from arith.tasks.queries import HELD_OUT, NONE, PLACES, THINGS, WORDINGS, fill_in, read_query
from arith.tasks.samplers import random_digits
from arith.tasks.spelling import Spelling
from arith.tasks.stream import Draws, Stream, Use, scale

# A call's number is its place: new ones go to the end, or trained data would change.
ARGUMENTS: Mapping[str, int] = {
    "add": 2,
    "sub": 2,
    "mul": 2,
    "max": 2,
    "compare": 2,
    "digit": 2,
    "round": 2,
    "sum3": 3,
    NONE: 0,
}
NAMES = tuple(ARGUMENTS)
CALLS = len(NAMES) - 1  # none() is no call of the calculator
_OUTSIDE = NAMES.index(NONE)
_SECOND_IS_PLACE = {NAMES.index("digit"): 9, NAMES.index("round"): len(PLACES)}  # and the most that it can be
_SHARES = 3000  # shares of requests that are out of domain are kept to one of these; 0.3333 is a third
_CALL = re.compile(r"\b([a-z]+3?)\s*\(\s*((?:[0-9]+(?:\s*,\s*[0-9]+)*)?)\s*\)")


class Call(NamedTuple):
    """A call with its arguments, which may be too many or too few."""

    name: str
    arguments: tuple[int, ...]

    @property
    def value(self) -> int | None:
        """What it runs to; None if it has not the arguments that it takes."""
        if len(self.arguments) != ARGUMENTS[self.name]:
            return None
        a, b, c = (*self.arguments, 0, 0, 0)[:3]
        if self.name in ("digit", "round"):
            if not 1 <= b <= (len(str(a)) if self.name == "digit" else len(PLACES)):
                return None
            return int(str(a)[b - 1]) if self.name == "digit" else (2 * a + 10**b) // (2 * 10**b) * 10**b
        values = {"add": a + b, "sub": a - b, "mul": a * b, "max": max(a, b), "compare": (a > b) - (a < b)}
        return (values | {"sum3": a + b + c, NONE: 0})[self.name]

    def __str__(self) -> str:
        return f"{self.name}({','.join(map(str, self.arguments))})"


def read_call(text: str) -> Call | None:
    """The last call in a text; None if there is none of the interface.

    >>> str(read_call("I would call add(842, 62)."))
    'add(842,62)'
    """
    found = [match for match in _CALL.findall(text) if match[0] in ARGUMENTS]
    if not found:
        return None
    name, arguments = found[-1]
    return Call(name, tuple(int(own) for own in arguments.split(",") if own.strip()))


@dataclass(frozen=True)
class Request:
    """A query in words, answered by a call.

    Args:
        outside: share of queries that no call answers.
        templates: of tests: wordings that no training sample has, or those of training.

    >>> from arith.tasks.formats import Format
    >>> Format().text(Request(), 0, 842, 62, 0)
    'Add 842 and 62, please.=add(842,62)'
    """

    outside: float = 0.2
    templates: Templates = "held-out"
    name: ClassVar[str] = "request"
    symbol: ClassVar[str] = ""
    operands: ClassVar[int] = 4
    alphabet: ClassVar[Alphabet] = "string"
    signed: ClassVar[bool] = True
    symbols: ClassVar[str] = vocabulary.TEXT
    question: ClassVar[str] = (
        "Answer with one call and nothing else: add(a,b), sub(a,b), mul(a,b), max(a,b), sum3(a,b,c), "
        "compare(a,b), digit(a,k) for the k-th digit of a from the left, round(a,k) for a to the nearest ten (k=1), "
        "hundred (2) or thousand (3), or none() if no call answers the request. Arguments are numbers of the request, "
        "and none is computed. Request: {problem}"
    )

    def __post_init__(self) -> None:
        if not 0 <= self.outside <= 1:
            raise ValueError(f"outside is a share between 0 and 1, got {self.outside}")
        check_templates(self.templates)

    def solve(self, *operands: Numbers) -> Numbers:
        return Numbers.of([_call(*own).value or 0 for own in _calls(operands)])

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return 2 * width  # of a product

    def draw(
        self, stream: Stream, lengths: Int[np.ndarray, " n"], index: Int[np.ndarray, " n"]
    ) -> UInt8[np.ndarray, "m n w"]:
        rows, width = len(lengths), int(lengths.max())
        share = round(self.outside * _SHARES)
        outside = (index + 1) * share // _SHARES > index * share // _SHARES
        call = np.where(outside, _OUTSIDE, (index - index * share // _SHARES) % CALLS)
        # One argument, any of them, is as long as it can be, and the others have any length up to that: so a number of
        # digits says how long the longest is, and strings are never longer than what is written.
        own = 1 + stream.below(lengths, (3, rows))
        longest = stream.below(np.where(call == NAMES.index("sum3"), 3, 2), (rows,))
        longest[np.isin(call, list(_SECOND_IS_PLACE))] = 0
        own[longest, np.arange(rows)] = lengths
        arguments = random_digits(stream, own)
        arguments = np.pad(arguments, ((0, 0), (0, 0), (0, width - arguments.shape[2])))
        halves = stream.halves((rows,))
        for name, most in _SECOND_IS_PLACE.items():
            some = call == name
            arguments[1, some] = 0
            arguments[1, some, 0] = 1 + scale(halves[some], np.minimum(lengths[some], most)).astype(np.uint8)
        arguments[2, call != NAMES.index("sum3")] = 0
        names = np.zeros((1, rows, width), dtype=np.uint8)
        names[0, :, 0] = call
        return np.concatenate([names, arguments])

    def spell(self, operands: tuple[Numbers, ...], draws: Draws | None) -> Spelling:
        rows = len(operands[0])
        if draws is None:
            asked, answer = _longest(int(operands[0].lengths.max(initial=1)))
            return Spelling([constant(f"{asked}=", rows)], [constant(answer, rows)])
        held_out = draws.split == "test" and self.templates == "held-out"
        wordings = HELD_OUT if held_out else WORDINGS
        calls = _calls(operands)
        counts = np.array([len(wordings[NAMES[call]]) for call, _ in calls])
        halves = draws.halves(Use.WORDING, 2)
        chosen = zip(scale(halves[:, 0], counts), scale(halves[:, 1], len(THINGS)), strict=True)
        asked_in_words = [
            f"{fill_in(wordings[NAMES[call]][int(wording)], arguments, THINGS[int(thing)])}="
            for (call, arguments), (wording, thing) in zip(calls, chosen, strict=True)
        ]
        return Spelling([texts(asked_in_words)], [texts([str(_call(*own)) for own in calls])])

    def read(self, text: str) -> tuple[tuple[str, ...], str]:
        """The operands and the answer of a written line. For a query the call that answers it may stand.

        >>> Request().read("What is 842 plus 62?=add(842,62)"), Request().read("max(842,62)=842")
        ((('0', '842', '62', '0'), '904'), (('3', '842', '62', '0'), '842'))
        """
        query, _, answer = text.rpartition("=")
        asked = read_call(query) if _CALL.fullmatch(query.strip()) else None
        if asked is None:
            asked = Call(*read_query(query))
        elif asked.value is None:
            raise ValueError(f"{asked} has not the arguments that it takes, which are {ARGUMENTS[asked.name]} numbers")
        call = read_call(answer)
        value = call.value if call is not None else None
        if value is None and not re.fullmatch("-?[0-9]+", answer):
            raise ValueError(f"expected a call that runs, such as add(842,62), got {answer!r}")
        operands = (NAMES.index(asked.name), *asked.arguments, 0, 0, 0)[: self.operands]
        return tuple(map(str, operands)), str(value) if value is not None else answer

    def put(self, problem: str) -> Spelling:
        """The line of a query as a person typed it; a call that was typed is put in words.

        >>> from arith.tasks.spelling import lay_out_spelling
        >>> vocabulary.decode(lay_out_spelling(Request().put("sub(842,62)"), 1).tokens[0])
        'Subtract 62 from 842.=sub(842,62)'
        """
        (call, *numbers), _ = self.read(f"{problem}=0")
        arguments = tuple(map(int, numbers))
        typed = _CALL.fullmatch(problem)
        words = fill_in(WORDINGS[NAMES[int(call)]][0], arguments, THINGS[0]) if typed else problem
        return Spelling([texts([f"{words}="])], [texts([str(_call(int(call), arguments))])])

    def find(self, reply: str) -> str | None:
        call = read_call(reply)
        return None if call is None else str(call)

    def score(self, expected: str, written: str | None) -> dict[str, bool]:
        """What is right about a call; see `arith.tasks.spelling.Scored`.

        >>> [name for name, true in Request().score("max(842,62)", "max(62,842)").items() if true]
        ['right_call', 'right_value']
        """
        right, call = read_call(expected), read_call(written or "")
        assert right is not None, expected
        outside, refused = right.name == NONE, call is not None and call.name == NONE
        return {
            # Not exact match less refusals, which may be none with an argument, and then are no exact match.
            "exact_calls": written == expected and not outside,
            "right_call": call is not None and call.name == right.name,
            "right_arguments": call is not None and call.arguments == right.arguments,
            # none() runs to nothing, which is no wrong number; and only none() is what no call answers.
            "right_value": refused if outside else call is not None and not refused and call.value == right.value,
            "out_of_domain": outside,
            "refusals": outside and refused,
            "false_refusals": refused and not outside,
        }


def _calls(operands: tuple[Numbers, ...]) -> list[tuple[int, tuple[int, ...]]]:
    """The number of each problem's call, and all three arguments."""
    # As Python's integers, which do not overflow, and by columns: a text for each number takes ten times as long.
    call, *arguments = ((own.digits.astype(object) @ [10**place for place in range(own.width)]) for own in operands)
    return list(zip(call, zip(*arguments, strict=True), strict=True))


def _call(call: int, arguments: tuple[int, ...]) -> Call:
    name = NAMES[call]
    return Call(name, arguments[: ARGUMENTS[name]])


def _longest(digits: int) -> tuple[str, str]:
    """The longest query and the longest call of arguments of so many digits."""
    nines = (10**digits - 1,) * 3
    queries, calls = [], []
    for call, name in enumerate(NAMES):
        most = _SECOND_IS_PLACE.get(call)
        arguments = nines if most is None else (nines[0], most, 0)
        calls.append(str(_call(call, arguments)))
        wordings = (*WORDINGS[name], *HELD_OUT[name])
        queries += [fill_in(own, arguments, max(THINGS, key=len)) for own in wordings]
    return max(queries, key=len), max(calls, key=len)
