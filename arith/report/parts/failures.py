"""Wrong answers, digit under digit, the first wrong one marked."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from arith.figures.error_classes import NAMES
from arith.report.markup import Markup, element, join
from arith.results.predictions import Prediction

AROUND = 24  # tokens that are shown on either side of the first wrong one: a line of 400 pixels holds some 40
SHOWN = 12  # failures on a page, of all suites and lengths


@dataclass(frozen=True)
class Failure:
    """A wrong answer.

    Args:
        label: the model.
        row: the problem and the answer.
        kind: its class, see `arith.evaluation.failures`; empty where it is not known.
    """

    label: str
    row: Prediction
    kind: str = ""


def choose_failures(failures: Sequence[Failure], most: int = SHOWN) -> list[Failure]:
    """The failures that are shown: of each model in turn, and of it of each suite and length, short problems first."""
    models: dict[str, dict[tuple[int, str], list[Failure]]] = {}
    for failure in failures:
        groups = models.setdefault(failure.label, {})
        groups.setdefault((failure.row.digits, failure.row.suite), []).append(failure)
    return _take_turns([_take_turns([own[key] for key in sorted(own)]) for own in models.values()])[:most]


def _take_turns(groups: Sequence[Sequence[Failure]]) -> list[Failure]:
    """The first of each group, then the second of each, and so on."""
    return [one for turn in itertools.zip_longest(*groups) for one in turn if one is not None]


def failures_part(failures: Sequence[Failure], of: int) -> Markup:
    """Cards of failures.

    Args:
        failures: those that are shown.
        of: how many there are.
    """
    count = f"{len(failures)} of {of} wrong answers." if of > len(failures) else "All wrong answers."
    marked = "As the model writes them, token under token; the first wrong token is boxed, later ones underlined."
    return join(element("p", f"{count} {marked}"), element("div", *map(failure_card, failures), class_="cards"))


def failure_card(failure: Failure) -> Markup:
    """One wrong answer: what was asked, the right answer, and what the model wrote."""
    row = failure.row
    place = row.first_wrong or 1
    given, wanted = row.written[place - 1 : place], row.expected[place - 1 : place]
    wrong = f"Place {place} of {len(row.expected)}: {given or 'nothing'} for {wanted or 'nothing'}."
    kind = f" {NAMES.get(failure.kind, failure.kind).capitalize()}." if failure.kind else ""
    heading = element("p", element("bdi", failure.label), f", {row.suite}, {row.digits} digits", class_="about")
    facts = element("p", f"{wrong}{kind} Margin {row.margin:.2g} nats.", class_="note")
    numbers = _as_numbers(row, place)
    return element("article", heading, _aligned(row, place), facts, numbers, class_="card")


def _as_numbers(row: Prediction, place: int) -> Markup:
    """Operands, right answer and given answer as on paper, digits of one weight under each other.

    The written answer may have its digits in another order, or steps before them; what stands here is what it means.
    """
    numbers = [*row.operands, row.result, row.answer or ""]
    if not all(text.isdecimal() and len(text) <= 2 * AROUND for text in numbers):
        meant = _short(row.answer or "no number")
        return element("p", f"Right is {_short(row.result)}, and it means {meant}.", class_="note")
    *operands, right, given = numbers
    wide = max(map(len, numbers))
    weight = weight_of(row.expected, right, place)
    marked = []
    for at, (token, wanted) in enumerate(zip(given.rjust(wide), right.rjust(wide), strict=True)):
        box = weight is not None and wide - 1 - at == weight
        marked.append(_mark(token.replace(" ", "\u00a0"), box, token == wanted))
    lines = [("problem", operands[0]), *(("", text) for text in operands[1:]), ("right", right)]
    rows = [(name, [element("i", token) for token in text.rjust(wide)]) for name, text in lines]
    return _rows([*rows, ("answer", marked)], "the numbers, digit under digit")


def weight_of(expected: str, right: str, place: int) -> int | None:
    """The power of ten of a token of the right answer, where its digits are all that is written, in either order.

    Args:
        expected: the right answer as it is written, maybe with leading zeros and an end mark.
        right: the right answer as a number.
        place: the token's place, from 1.

    >>> weight_of("975$", "579", 2), weight_of("0579$", "579", 2), weight_of("975$", "579", 4)
    (1, 2, None)
    """
    digits = "".join(token for token in expected if token.isdecimal())
    lsb, msb = digits[::-1].lstrip("0") == right, digits.lstrip("0") == right
    # A number that reads the same from both ends does not say in which order it is written.
    if lsb == msb or not expected[place - 1 : place].isdecimal():
        return None
    rank = sum(token.isdecimal() for token in expected[:place])
    return rank - 1 if lsb else len(digits) - rank


def _aligned(row: Prediction, place: int) -> Markup:
    """The right answer above the written one; of long answers what is around the first wrong token."""
    start = max(0, place - 1 - AROUND)
    end = place + AROUND
    cut = "…" if start else ""
    more = "…" if max(len(row.expected), len(row.written)) > end else ""
    right = [element("i", token) for token in row.expected[start:end]]
    written = [
        _mark(token, at == place, row.expected[at - 1 : at] == token)
        for at, token in enumerate(row.written[start:end], start + 1)
    ]
    if len(row.written) < place:  # the answer ends too early: the missing token is the first wrong one
        written.append(_mark("\u00a0", True, False))
    lines = [("asked", [_short(row.prompt)]), ("right", [cut, *right, more]), ("written", [cut, *written, more])]
    return _rows(lines, "the answer, token under token")


def _rows(lines: Sequence[tuple[str, Sequence[str]]], name: str) -> Markup:
    body = [element("tr", element("th", head, scope="row"), element("td", *tokens)) for head, tokens in lines]
    whole = element("table", *body, class_="digits")
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=name)


def _mark(token: str, first: bool, right: bool) -> Markup:
    if first:
        # What a screen reader says of it, as it does not say that something is boxed.
        return element("mark", token, aria_label=f"{token}, the first wrong token")
    return element("i" if right else "u", token)


def _short(text: str) -> str:
    """The text, or its two ends where it is long.

    >>> _short("1" * 60)
    '11111111111111111111…11111111111111111111 (60 characters)'
    """
    return text if len(text) <= 2 * AROUND else f"{text[:20]}…{text[-20:]} ({len(text)} characters)"
