"""Addition in natural language: a student asks for the sum of two numbers, a teacher answers.

    Student: Hello. Can you help me with something? I need to add two numbers, 842 and 62. Teacher: Of course!
    The answer is 904.

Task III of Shen et al., arXiv 2311.14737, whose wording is not public; this grammar is ours. A prompt ends right
before the answer, so that one continuation is right.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Int

from arith.tasks import vocabulary
from arith.tasks.addition import Addition
from arith.tasks.base import Alphabet, Operation, Wording
from arith.tasks.digits import Numbers
from arith.tasks.lines import Piece, constant
from arith.tasks.stream import Draws, Use, scale

GREETINGS = (
    "",
    "Hi! ",
    "Hello. ",
    "Hello, teacher. ",
    "Good morning. ",
    "Good afternoon. ",
    "Good evening! ",
    "Excuse me. ",
    "Sorry to bother you. ",
    "Hey there. ",
)
PLEAS = (
    "",
    "Can you help me with something? ",
    "Could you help me, please? ",
    "I have a question. ",
    "I am stuck on my homework. ",
    "May I ask you something? ",
    "I need some help with numbers. ",
    "Do you have a minute? ",
)
REQUESTS = (
    ("I need to add two numbers, ", " and ", "."),
    ("What is ", " plus ", "?"),
    ("How much is ", " plus ", "?"),
    ("Please add ", " and ", "."),
    ("Could you add ", " to ", "?"),
    ("Would you sum ", " and ", " for me?"),
    ("Do you know what ", " plus ", " is?"),
    ("Tell me ", " plus ", ", please."),
    ("Find the sum of ", " and ", ", please."),
    ("What is the total of ", " and ", "?"),
    ("Can you tell me the sum of ", " and ", "?"),
    ("What do I get if I add ", " and ", "?"),
    ("I want to know what ", " and ", " make together."),
    ("My task is to add ", " and ", "."),
    ("I cannot add ", " and ", " in my head."),
    ("Take ", ", then add ", ". What comes out?"),
    ("The first number is ", " and the second is ", ". What is their sum?"),
    ("If I have ", " apples and buy ", " more, how many do I have?"),
    ("I had ", " marbles and found ", ". How many are there now?"),
    ("One box holds ", " books and the other holds ", ". How many is that?"),
    ("There are ", " students in one school and ", " in another. How many in all?"),
    ("I walked ", " steps today and ", " yesterday. What is the total?"),
    ("My sister wrote ", ", I wrote ", ". What do we get together?"),
    ("We sold ", " tickets on Monday and ", " on Tuesday. How many did we sell?"),
)
FILLERS = (
    "",
    "Of course! ",
    "Of course, let me do the calculation for you. ",
    "Sure. ",
    "Let me see. ",
    "Good question. ",
    "Happy to help. ",
    "Let us do it step by step. ",
    "No problem. ",
    "One moment. ",
    "That is easy! ",
    "Gladly. ",
)
REPLIES = (
    "The answer is ",
    "The sum is ",
    "The total is ",
    "The result is ",
    "It is ",
    "That is ",
    "That makes ",
    "Together they make ",
    "You get ",
    "We get ",
    "It comes to ",
    "This gives ",
)
# Never in training.
HELD_OUT_REQUESTS = (
    ("Work out ", " plus ", " for me, please."),
    ("What number is ", " more than ", "?"),
    ("Which number do ", " and ", " add up to?"),
    ("Give me the total if I put ", " and ", " together."),
    ("Start at ", " and count up by ", ". Where do I end?"),
    ("I paid ", " coins in the morning and ", " at night. How many coins is that?"),
)
HELD_OUT_REPLIES = ("The right answer is ", "In total it is ", "They add up to ")

Templates = Literal["held-out", "seen"]
Talk = Literal["long", "short"]


def check_templates(templates: str) -> None:
    """Raise if this says nothing about the wordings of tests."""
    if templates not in get_args(Templates):
        raise ValueError(f"templates is one of {', '.join(get_args(Templates))}; got '{templates}'")


@dataclass(frozen=True)
class Dialogue:
    """Sums of two numbers, asked for and answered in English.

    Args:
        templates: of tests: requests and replies that no training sample has, or those of training.
        talk: short leaves greetings, pleas and fillers out: a third of the characters, for models that a CPU trains.

    >>> from arith.tasks.formats import Format
    >>> student, teacher = Format().text(Dialogue(), 842, 62).split(" Teacher: ")
    >>> student
    'Student: I have a question. We sold 842 tickets on Monday and 62 on Tuesday. How many did we sell?'
    >>> teacher
    'Sure. The answer is 904.'
    >>> Format().text(Dialogue(talk="short"), 842, 62)
    'Student: We sold 842 tickets on Monday and 62 on Tuesday. How many did we sell? Teacher: The result is 904.'
    """

    templates: Templates = "held-out"
    talk: Talk = "long"
    name: ClassVar[str] = "dialogue"
    symbol: ClassVar[str] = "+"
    operands: ClassVar[int] = 2
    alphabet: ClassVar[Alphabet] = "number"
    operation: ClassVar[Operation] = "sum"
    signed: ClassVar[bool] = False
    symbols: ClassVar[str] = vocabulary.TEXT

    def __post_init__(self) -> None:
        check_templates(self.templates)
        if self.talk not in get_args(Talk):
            raise ValueError(f"talk is one of {', '.join(get_args(Talk))}; got '{self.talk}'")

    def solve(self, *operands: Numbers) -> Numbers:
        return Addition().solve(*operands)

    def answer_width(self, width: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return Addition().answer_width(width)

    def wording(self, rows: int, draws: Draws | None) -> Wording:
        held_out = draws is not None and draws.split == "test" and self.templates == "held-out"
        grammar = _grammar(self.talk, seen=not held_out, held_out=held_out or draws is None)
        opening, before, between, after, reply = grammar.lines(rows, draws)
        return Wording(around=([opening, before], [between], [after, reply]), end=[constant(".", rows)])


class _Phrases:
    """Texts as a matrix of tokens, of which each row of a batch takes one."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.lengths = np.array([len(text) for text in texts])
        self.tokens = np.zeros((len(texts), self.lengths.max()), dtype=np.uint8)
        for row, text in zip(self.tokens, texts, strict=True):
            row[: len(text)] = vocabulary.encode(text)

    def __len__(self) -> int:
        return len(self.lengths)

    def piece(self, which: Int[np.ndarray, " b"]) -> Piece:
        return Piece(self.tokens[which], self.lengths[which])


@dataclass(frozen=True)
class _Grammar:
    openings: _Phrases
    requests: tuple[_Phrases, _Phrases, _Phrases]  # before, between and after the numbers: of one request, one row
    replies: _Phrases

    def lines(self, rows: int, draws: Draws | None) -> list[Piece]:
        """One line a row, cut where the numbers stand; without draws each part is the longest one."""
        kinds = (self.openings, self.requests[0], self.replies)
        if draws is None:
            whole_requests = np.sum([part.lengths for part in self.requests], axis=0)
            lengths = (self.openings.lengths, whole_requests, self.replies.lengths)
            opening, request, reply = (np.full(rows, own.argmax()) for own in lengths)
        else:
            counts = np.array([len(kind) for kind in kinds])
            # Three numbers a line: the parts of a request belong together and share one.
            opening, request, reply = scale(draws.halves(Use.WORDING, 3), counts).astype(np.int64).T
        parts = [part.piece(request) for part in self.requests]
        return [self.openings.piece(opening), *parts, self.replies.piece(reply)]


# Its 300 phrases are encoded once, and not for each batch.
@functools.cache
def _grammar(talk: Talk, seen: bool, held_out: bool) -> _Grammar:
    greetings, pleas, fillers = (GREETINGS, PLEAS, FILLERS) if talk == "long" else (("",), ("",), ("",))
    befores, betweens, afters = zip(*REQUESTS * seen, *HELD_OUT_REQUESTS * held_out, strict=True)
    replies = REPLIES * seen + HELD_OUT_REPLIES * held_out
    return _Grammar(
        openings=_Phrases([f"Student: {greeting}{plea}" for greeting in greetings for plea in pleas]),
        requests=(_Phrases(befores), _Phrases(betweens), _Phrases(afters)),
        replies=_Phrases([f" Teacher: {filler}{reply}" for filler in fillers for reply in replies]),
    )
