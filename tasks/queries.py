"""The wordings of the task `request`: queries in words, each for one call of a calculator or for none of them.

A wording is a whole sentence, or a core in a frame: an order such as `add {a} and {b}`, or a name such as `the sum of
{a} and {b}`. All calls share the frames, so that only the core says which is meant; those of no call stand close to
them, with numbers and things to count, or with arithmetic that the calculator does not have.

Slots are the call's arguments in their order, {a} {b} {c}; {place} for an argument that is said in words; {thing} for
a noun. Tests have held-out frames and sentences, and for no call other cores too: what is tested is whether a call is
known in another sentence, not whether a new word is understood.
"""

# Over 300 lines: most of them are wordings, one a line.

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

THINGS = ("apples", "books", "coins", "eggs", "letters", "maps", "pages", "points", "seeds", "stamps", "steps", "trees")
PLACES = ("ten", "hundred", "thousand")  # of round, by its second argument, from 1
NONE = "none"


class Frames(NamedTuple):
    """Sentences around cores: @ is a core, and ^ one with a capital letter."""

    orders: Sequence[str]
    names: Sequence[str]

    def around(self, orders: Sequence[str], names: Sequence[str]) -> list[str]:
        """Every core in every frame of its kind."""
        pairs = [(frame, core) for frame in self.orders for core in orders]
        pairs += [(frame, core) for frame in self.names for core in names]
        return [frame.replace("^", core[0].upper() + core[1:]).replace("@", core) for frame, core in pairs]


@dataclass(frozen=True)
class Asks:
    """What one call is asked by, in training and in tests.

    Args:
        orders, names: cores.
        sentences: whole wordings.
        held_out: sentences, orders and names of tests alone.
    """

    orders: Sequence[str]
    names: Sequence[str]
    sentences: Sequence[str]
    held_out: tuple[Sequence[str], Sequence[str], Sequence[str]]


FRAMES = Frames(
    (
        "^.",
        "^, please.",
        "Please @.",
        "Now @.",
        "Can you @?",
        "Could you @?",
        "Would you @, please?",
        "Can you help me to @?",
        "I want to @.",
        "I want you to @.",
        "I need to @.",
        "Help me to @.",
        "Let us @.",
        "You should @.",
    ),
    (
        "What is @?",
        "Find @.",
        "Give me @.",
        "Tell me @.",
        "Show me @, please.",
        "I need @, please.",
        "I need to find @.",
        "I would like @.",
        "Can you tell me @?",
        "Could you give me @?",
        "Please tell me @.",
        "Let us find @.",
        "Do you know @?",
        "^, please.",
    ),
)
HELD_OUT_FRAMES = Frames(
    ("Please help me to @.", "I need you to @.", "Can you please @?"),
    ("I want to know @.", "Could you find @?", "Help me to find @.", "Please give me @."),
)
ASKS: Mapping[str, Asks] = {
    "add": Asks(
        ("add {a} and {b}", "sum up {a} and {b}", "put {a} and {b} together"),
        ("{a} plus {b}", "the sum of {a} and {b}", "the total of {a} and {b}"),
        (
            "How much is {a} plus {b}?",
            "What do {a} and {b} make together?",
            "I have {a} {thing} and buy {b} more. How many do I have?",
            "There are {a} {thing} here and {b} there. How many in all?",
            "{a} {thing} and {b} {thing}: what is the total?",
            "I found {a} {thing} and then {b} more. What is the sum?",
        ),
        (
            (
                "I have {a} {thing} and find {b} more. How many in all?",
                "There are {a} {thing} here and {b} at home. What is the total?",
            ),
            (),
            (),
        ),
    ),
    "sub": Asks(
        ("subtract {b} from {a}", "take {b} away from {a}", "take {b} from {a}"),
        ("{a} minus {b}", "the difference of {a} and {b}", "the rest if {b} is taken from {a}"),
        (
            "How much is {a} minus {b}?",
            "What is left of {a} if {b} is taken away?",
            "I have {a} {thing} and lose {b}. How many are left?",
            "Of {a} {thing}, {b} are gone. How many are left?",
            "{b} of {a} {thing} are gone. How many remain?",
            "We had {a} {thing} and lost {b}. What is left?",
        ),
        (
            (
                "There are {a} {thing} and {b} are gone. How many are left?",
                "I had {a} {thing} and {b} are taken away. How many remain?",
            ),
            (),
            (),
        ),
    ),
    "mul": Asks(
        ("multiply {a} by {b}", "multiply {a} and {b}", "take {a} times {b}"),
        ("{a} times {b}", "the product of {a} and {b}", "{a} multiplied by {b}"),
        (
            "How much is {a} times {b}?",
            "What do {a} rows of {b} {thing} make?",
            "I have {a} boxes of {b} {thing} each. How many in all?",
            "{a} bags hold {b} {thing} each. How many is that?",
            "There are {a} bags with {b} {thing} each. How many {thing}?",
            "Each of {a} boxes holds {b} {thing}. How many is that?",
        ),
        (
            (
                "I buy {a} bags of {b} {thing} each. How many {thing} is that?",
                "There are {a} rows of {b} {thing} each. How many in all?",
            ),
            (),
            (),
        ),
    ),
    "max": Asks(
        ("pick the larger of {a} and {b}", "choose the greater of {a} and {b}", "take the maximum of {a} and {b}"),
        ("the larger of {a} and {b}", "the greater of {a} and {b}", "the maximum of {a} and {b}"),
        (
            "Which is larger, {a} or {b}?",
            "Which is the greater number, {a} or {b}?",
            "I have {a} {thing} and you have {b}. What is the larger number?",
            "{a} or {b} {thing}: which is the greater number?",
            "Which of {a} and {b} is larger?",
            "There are {a} {thing} or {b}. What is the maximum?",
        ),
        (("Which is greater, {a} or {b}?", "There are {a} or {b} {thing}. What is the larger number?"), (), ()),
    ),
    "compare": Asks(
        (
            "compare {a} and {b}",
            "compare {a} with {b}",
            "say if {a} is more than {b}",
            "check if {a} is less than {b}",
            "see if {a} is the same as {b}",
        ),
        (),
        (
            "Is {a} more than {b}?",
            "Is {a} less than {b}?",
            "How does {a} compare with {b}?",
            "Are {a} and {b} the same?",
            "Is {a} the same as {b}?",
            "Are {a} {thing} more than {b}?",
            "I have {a} {thing}. Is that less than {b}?",
        ),
        (("Are {a} {thing} less than {b}?", "I have {a} {thing}. Is that the same as {b}?"), (), ()),
    ),
    "digit": Asks(
        ("read digit {b} of {a}", "take digit {b} of the number {a}", "show the digit at place {b} of {a}"),
        ("digit {b} of {a}", "the digit at place {b} of {a}", "digit {b} in the number {a}"),
        (
            "Which digit is at place {b} of {a}?",
            "Of {a}, what is digit {b}?",
            "In {a}, which digit is at place {b}?",
            "The number is {a}. What is its digit {b}?",
            "I have {a} {thing}. What is digit {b} of that number?",
            "Which is digit {b} of {a}?",
        ),
        (("Of {a}, which digit is at place {b}?", "There are {a} {thing}. Which is digit {b} of that number?"), (), ()),
    ),
    "round": Asks(
        ("round {a} to the nearest {place}", "round off {a} to a full {place}", "round the number {a} to a {place}"),
        ("{a} rounded to the nearest {place}", "{a} to the nearest {place}", "{a} rounded to a full {place}"),
        (
            "How much is {a} rounded to a full {place}?",
            "I have {a} {thing}. Round that to the nearest {place}.",
            "To the nearest {place}, what is {a}?",
            "How many {thing} are {a}, to a full {place}?",
            "There are {a} {thing}. What is that to the nearest {place}?",
            "The number is {a}. Round it to a {place}.",
        ),
        (("To a full {place}, what is {a}?", "There are {a} {thing}. Round that to a full {place}."), (), ()),
    ),
    "sum3": Asks(
        ("add {a}, {b} and {c}", "sum up {a}, {b} and {c}", "put {a}, {b} and {c} together"),
        ("{a} plus {b} plus {c}", "the sum of {a}, {b} and {c}", "the total of {a}, {b} and {c}"),
        (
            "How much is {a} plus {b} plus {c}?",
            "What do {a}, {b} and {c} make together?",
            "I have {a} {thing}, buy {b} and find {c} more. How many do I have?",
            "There are {a} {thing} here, {b} there and {c} at home. How many in all?",
            "{a} {thing}, {b} {thing} and {c} {thing}: what is the total?",
            "I found {a} {thing}, then {b} and then {c} more. What is the sum?",
        ),
        (
            (
                "I have {a} {thing}, find {b} and buy {c} more. How many in all?",
                "There are {a} {thing} here, {b} there and {c} at home. What is the total?",
            ),
            (),
            (),
        ),
    ),
    NONE: Asks(
        (
            "divide {a} by {b}",
            "write {a} in words",
            "find the factors of {a}",
            "count to {a}",
            "open page {a} of the book",
            "read page {a} to me",
            "call me at {a}",
            "play song {a}",
            "set a clock to {a} minutes",
            "send {a} {thing} to my sister",
            "buy {a} {thing} for {b} friends",
            "tell a story of {a} {thing}",
            "draw {a} {thing}",
            "sell the {thing}",
            "turn the music down",
            "go to room {a}",
            "sing to me",
            "close the door of room {a}",
            "wash {a} {thing}",
            "print page {a}",
            "cook {a} eggs for {b} friends",
            "walk to town {a}",
            "learn {a} words in {b} days",
            "keep {a} {thing} for me",
            "find my {thing}",
            "describe the {thing}",
            "wait for {a} minutes",
            "look at the {thing} in room {a}",
            "spell the word {thing}",
            "pick the smaller of {a} and {b}",
        ),
        (
            "the square root of {a}",
            "the average of {a} and {b}",
            "{a} percent of {b}",
            "{a} divided by {b}",
            "{a} to the power of {b}",
            "the remainder of {a} by {b}",
            "the weather in town {a}",
            "the word for {thing}",
            "the name of song {a}",
            "the price of {a} {thing}",
            "the way to house {a}",
            "the age of these {thing}",
            "the time of train {a}",
            "a picture of {a} {thing}",
            "the colour of the {thing}",
            "a poem of {a} words",
            "the smaller of {a} and {b}",
            "half of {a}",
            "the sine of {a}",
            "the news of today",
            "a song of {thing}",
            "the days in {a} weeks",
            "the key of room {a}",
            "a list of {thing}",
            "the way home",
            "the date in {a} days",
            "the next train to town {a}",
            "the size of {a} {thing}",
            "the owner of the {thing}",
            "the best time to buy {thing}",
        ),
        (
            "Is {a} a prime number?",
            "How many digits does {a} have?",
            "I have {a} {thing} and {b} friends.",
            "My house has the number {a}.",
            "There are {a} {thing} at home.",
            "Who was born in the year {a}?",
            "Where can I buy {a} {thing}?",
            "Do you like the number {a}?",
            "The train leaves at {a}.",
            "How are you today?",
            "Thank you for the {thing}.",
            "I read {a} pages in {b} days.",
            "What time is it?",
            "How old are these {thing}?",
            "We sold {a} {thing} in {b} weeks.",
            "Are there {thing} in room {a}?",
            "Who found the {a} {thing}?",
            "What colour are the {a} {thing}?",
            "Which of the {thing} do you like?",
            "My sister has {a} {thing} and {b} books.",
            "Is it {a} or {b} today?",
            "How many friends do you have?",
        ),
        (
            (
                "I have {a} {thing} at home.",
                "My sister and I read {a} {thing} today.",
                "Who sold the {thing} in the year {a}?",
                "Is {a} an even number?",
                "Where are the {a} {thing}?",
                "How old is the house at {a}?",
                "The music is in room {a}.",
                "Do you like trees?",
            ),
            ("divide {a} into {b} parts", "play the music in room {a}", "send my friends {a} {thing}", "sing a song"),
            ("the cube root of {a}", "the average of the {thing}", "the weather today", "the way to town {a}"),
        ),
    ),
}
WORDINGS: Mapping[str, Sequence[str]] = {
    call: [*FRAMES.around(own.orders, own.names), *own.sentences] for call, own in ASKS.items()
}


def _hold_out(call: str, own: Asks) -> list[str]:
    sentences, orders, names = own.held_out
    # A refusal of known words in another frame would show little: of what is out of domain the cores are new as well.
    known = ((), ()) if call == NONE else (own.orders, own.names)
    new = FRAMES.around(orders, names) + HELD_OUT_FRAMES.around(orders, names)
    return [*HELD_OUT_FRAMES.around(*known), *new, *sentences]


# Never in training.
HELD_OUT: Mapping[str, Sequence[str]] = {call: _hold_out(call, own) for call, own in ASKS.items()}


class Asked(NamedTuple):
    """What a query asks for: a call, or `none`, and the arguments that it names."""

    call: str
    arguments: tuple[int, ...]


def fill_in(wording: str, arguments: Sequence[int], thing: str) -> str:
    """A wording with its slots filled.

    >>> fill_in("Round {a} to the nearest {place}.", (842, 2), "books")
    'Round 842 to the nearest hundred.'
    """
    slots = dict(zip("abc", arguments, strict=False))
    place = PLACES[slots["b"] - 1] if "{place}" in wording else ""
    return wording.format(**slots, thing=thing, place=place)


def read_query(text: str) -> Asked:
    """What a query asks for.

    Raises:
        ValueError: it is in no wording of these.

    >>> read_query("I have 842 apples and lose 62. How many are left?")
    Asked(call='sub', arguments=(842, 62))
    """
    # By the words alone first: a search through a thousand patterns takes milliseconds.
    for call, pattern in _patterns().get(_words(text), ()):
        if match := pattern.fullmatch(text):
            found = match.groupdict()
            if "place" in found:
                found["b"] = str(1 + PLACES.index(found["place"]))
            return Asked(call, tuple(int(found[slot]) for slot in "abc" if slot in found))
    raise ValueError(f"expected a query in a wording of the task, such as What is 842 plus 62?, got {text!r}")


def _words(text: str) -> str:
    """A query without what stands in its slots."""
    return re.sub(rf"[0-9]+|\b(?:{'|'.join((*THINGS, *PLACES))})\b", "#", text)


@functools.cache
def _patterns() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    slots = {"thing": f"(?:{'|'.join(THINGS)})", "place": f"(?P<place>{'|'.join(PLACES)})"}
    slots |= {name: f"(?P<{name}>[0-9]+)" for name in "abc"}
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for wordings in (WORDINGS, HELD_OUT):
        for call, own in wordings.items():
            for wording in own:
                pattern = re.sub(r"\\\{(\w+)\\\}", lambda slot: slots[slot[1]], re.escape(wording))
                words = _words(fill_in(wording, (1, 1, 1), THINGS[0]))
                found.setdefault(words, []).append((call, re.compile(pattern)))
    return found
