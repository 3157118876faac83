"""The number that a reply means, the rule that found it, and whether it is the answer.

A reply is read in this order; the first rule that finds a number decides:

1. boxed: in the last `\\boxed{...}`
2. said: after the last "answer is" or "answer:"
3. opens: it opens the reply or its last line, and no operator follows
4. equals: the first after the last `=`
5. last: the last one

A wrong answer that counts as right is worse than a right one that counts as wrong, so whatever is no whole number as
people write them (`1.246`, `1,24`) is read as it stands, and is no answer.

Where the answer is no number, as in `request`, the task finds it, and the rule is `task`.
In a format with a working the reply is read as the format writes it, and the rule is `working`. Replies in a file, as
chat models give them, are read whole. A completion (`--hf`, the harness) has been cut at its first line break, behind
which a base model writes problems of its own.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple

from arith.tasks.base import Task, Worded
from arith.tasks.formats import Format
from arith.tasks.spelling import Scored

Rule = Literal["boxed", "said", "opens", "equals", "last", "working", "task"]
# How a reply counts. All but the first are failures: a missing answer is none.
Kind = Literal["right", "wrong", "refused", "truncated", "empty", "error"]

# Between groups of three digits: commas, also as LaTeX writes them, underscores, apostrophes, spaces, thin ones too.
_GROUPING = r"(?:\{,\}|\\[,; ]|[,_' \u2019\u00a0\u2007\u2009\u202f])"
_UNSIGNED = (
    rf"(?:[0-9]{{1,3}}(?:{_GROUPING}[0-9]{{3}})+(?![0-9])|[0-9]+)"  # 1,246 or 1246
    r"(?:[.,][0-9]+)*"  # decimals: 17.0 is whole, 1,24 is not
    r"(?:[eE][+-]?[0-9]{1,4}(?![0-9]))?(?![0-9]|[eE][+-]?[0-9])"
)
_MINUS = "[-\u2212\u2013]"
# No digits of a word (H2O), of another number, or of an ordinal; a sign is one only where nothing is subtracted from.
_NUMBER = rf"(?<![\w.])(?:(?<![\w)\]}}])[+\-\u2212\u2013])?{_UNSIGNED}(?!\w*(?:st|nd|rd|th)\b)"
# After a number: it is a part of a sum, or of a list of numbers.
_GOES_ON = re.compile(
    r"\s*(?:[+*/^%=<>\u00d7\u00b7\u00f7\u2212\u2013-]|\\times|\\cdot|\\div"
    r"|(?:x|plus|minus|times|divided)\b|(?:and\s+)?[0-9])"
)
_SAID = re.compile(r"answer(?:\s+is\b\s*:?|\s*:)", re.IGNORECASE)
THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)|\A.*</think>", re.DOTALL)
# Markdown's and LaTeX's marks around a number; but in 2**3 the stars are an operator.
_MARKS = re.compile(
    r"`|\$|\\[()\[\]]"
    r"|(?<![0-9)\s])\*\*|\*\*(?![0-9(\s])|(?<!\S)\*\*(?=\S)|(?<=\S)\*\*(?!\S)"
    r"|(?<!\w)__|__(?!\w)"
)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")


@dataclass(frozen=True)
class Found:
    """A number of a reply.

    Args:
        text: its sign and digits as the format writes them, without what groups digits.
        rule: the rule that found it.
    """

    text: str
    rule: Rule


def find_number(reply: str, form: Format, task: Task) -> Found | None:
    """The number that a reply means; None: it holds none.

    >>> from arith.tasks.addition import Addition
    >>> find_number("12 + 1,234 makes 1,246.", Format(), Addition())
    Found(text='1246', rule='last')
    >>> find_number("1246, check: 1246 - 34 = 1212", Format(), Addition())
    Found(text='1246', rule='opens')
    """
    number = _pattern(form, task)
    text = _MARKS.sub("", THOUGHT.sub("", reply)).strip()
    boxed = _BOXED.findall(text)
    if boxed and (found := _ending(boxed[-1], number)):
        return Found(_whole(found), "boxed")
    said = list(_SAID.finditer(text))
    if said and (found := _ending(text[said[-1].end() :], number)):
        return Found(_whole(found), "said")
    listed = re.match(r"1[.)]\s", text) and re.search(r"^\s*2[.)]\s", text, re.MULTILINE)  # numbered steps
    for opening in () if listed else (text, text.rpartition("\n")[2]):
        if found := _opening(opening, number):
            return Found(_whole(found), "opens")
    _, equals, after = text.rpartition("=")
    if equals and (first := number.search(after)):
        return Found(_whole(first[0]), "equals")
    every = number.findall(text)
    return Found(_whole(every[-1]), "last") if every else None


class Judged(NamedTuple):
    """The judgement of a reply.

    Args:
        right: whether it gives the answer.
        rule: the rule that found its number; None: it holds none.
        kind: how it counts; of a text alone, right or wrong.
    """

    right: bool
    rule: Rule | None
    kind: Kind


def judge_reply(task: Task, form: Format, prompt: str, reply: str, answer: str) -> Judged:
    """Whether a reply to a prompt, without solved problems, gives the answer.

    >>> from arith.catalogue.named import format_named
    >>> from arith.tasks.addition import Addition
    >>> judge_reply(Addition(), format_named("reversed"), "17+4=", " 12", "21")
    Judged(right=True, rule='opens', kind='right')
    """
    if isinstance(task, Scored):
        written = task.find(THOUGHT.sub("", reply))
        right = written == answer
        return Judged(right, None if written is None else "task", "right" if right else "wrong")
    found = Found(reply.strip(), "working") if form.working is not None else find_number(reply, form, task)
    if found is None:
        return Judged(False, None, "wrong")
    between = " " if isinstance(task, Worded) else ""
    try:
        right = form.read(task, prompt + between + found.text)[1] == answer
        return Judged(right, found.rule, "right" if right else "wrong")
    except ValueError:  # nothing that the format writes, such as a sign where there is none
        return Judged(False, found.rule, "wrong")


def _pattern(form: Format, task: Task) -> re.Pattern[str]:
    """Numbers as a format writes them: plainly, or with marks between digits, and with the sign last if reversed."""
    marks = re.escape(form.decoration.symbols) if form.decoration is not None else ""
    if marks:
        digits = f"[0-9](?:[{marks}]*[0-9])*"
        # Index hints stand before each digit, the first one too: -ⓢ1. A space there would make a sign of a minus.
        if form.answer == "msb":
            return re.compile(rf"(?:{_MINUS}(?:(?!\s)[{marks}])?)?{digits}")
        return re.compile(f"{digits}(?:{_MINUS}(?![0-9]))?")
    if form.answer == "lsb" and task.signed:
        return re.compile(rf"{_NUMBER}(?:{_MINUS}(?!\s*[0-9]))?")
    return re.compile(_NUMBER)


def _ending(text: str, number: re.Pattern[str]) -> str | None:
    """The number in which a phrase ends: its first, or what its sum is said to be."""
    first = number.search(text)
    if first is None or not _GOES_ON.match(text, first.end()):
        return first[0] if first else None
    after = number.search(text.rpartition("=")[2])
    return after[0] if after else None


def _opening(text: str, number: re.Pattern[str]) -> str | None:
    start = re.match(r"[\s\"'(\[{#>]*", text)
    found = number.match(text, start.end() if start else 0)
    return None if found is None or _GOES_ON.match(text, found.end()) else found[0]


def _whole(text: str) -> str:
    """A number without grouping; one with decimals or an exponent as a whole number if it is one."""
    text = re.sub("[\u2212\u2013]", "-", text).removeprefix("+")
    plain = re.sub(rf"(?<=[0-9]){_GROUPING}(?=[0-9]{{3}}(?![0-9]))", "", text)
    if not re.search(r"[.eE]", plain):
        return plain
    try:
        value = Decimal(plain)
        # Decimal would round to 28 digits, and an exponent of thousands is no answer to anything.
        return f"{value:f}".split(".")[0] if value == value.to_integral_value() else plain
    except InvalidOperation:
        return plain
