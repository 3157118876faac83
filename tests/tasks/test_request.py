"""Requests in words: what is written reads back, calls run to what Python computes, wordings are held out."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arith.tasks import vocabulary
from arith.tasks.dialogue import Templates
from arith.tasks.formats import Format
from arith.tasks.mixture import Mixture
from arith.tasks.queries import HELD_OUT, NONE, WORDINGS, fill_in, read_query
from arith.tasks.request import ARGUMENTS, NAMES, Call, Request, read_call
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.spelling import Scored, count_parts
from arith.tasks.stream import Split

ROWS = 2000


def mixture(
    split: Split, low: int = 1, high: int = 3, outside: float = 0.2, templates: Templates = "held-out"
) -> Mixture:
    return Mixture([Source(Request(outside, templates), Uniform(low, high), 0, split)])


def lines(drawn: Mixture, start: int = 0, count: int = ROWS) -> list[str]:
    return [vocabulary.decode(tokens) for tokens in drawn.write(Format(), start, count).tokens]


def expected(call: Call) -> int:
    """What the docstring of the task says that a call runs to, in other words than the task's."""
    a, b = (*call.arguments, 0, 0)[:2]
    apply = {
        "add": lambda: sum(call.arguments),
        "sum3": lambda: sum(call.arguments),
        "sub": lambda: a - b,
        "mul": lambda: a * b,
        "max": lambda: sorted(call.arguments)[-1],
        "compare": lambda: (a > b) - (a < b),
        "digit": lambda: int(str(a)[b - 1]),
        "round": lambda: int(np.floor(a / 10**b + 0.5)) * 10**b,
        NONE: lambda: 0,
    }
    return int(apply[call.name]())


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_what_is_written_reads_back(split: Split) -> None:
    drawn = mixture(split)
    problems = drawn.sources[0].problems(0, ROWS)
    for row, line in enumerate(lines(drawn)):
        query, _, answer = line.partition("=")
        call = read_call(answer)
        assert call is not None
        assert str(call) == answer
        assert problems.answer.text(row) == str(expected(call))
        operands, value = Request().read(line)
        assert value == problems.answer.text(row)
        assert call.name == NAMES[int(operands[0])]
        if call.name != NONE:  # whose query may leave out numbers that were drawn
            assert [int(own) for own in operands] == [int(own.text(row)) for own in problems.operands]
            assert read_query(query) == call
        assert max(map(len, re.findall("[0-9]+", query)), default=0) <= problems.operands[0].lengths[row]


def test_a_number_of_digits_is_that_of_the_longest_argument() -> None:
    for line in lines(mixture("train", 3, 3, outside=0)):
        assert max(map(len, re.findall("[0-9]+", line))) == 3, line


@pytest.mark.parametrize(("outside", "each"), [(0.0, 125), (0.2, 100), (0.3333, 83.4), (0.5, 62.5)])
def test_calls_come_in_turn(outside: float, each: float) -> None:
    kinds = Counter(
        line.rpartition("=")[2].partition("(")[0] for line in lines(mixture("train", outside=outside), count=1000)
    )
    assert kinds.pop(NONE, 0) == round(1000 * outside)
    assert set(kinds) == set(NAMES) - {NONE}
    assert all(abs(count - each) < 1 for count in kinds.values())
    # The first examples are one of each call, however many are out of domain.
    first = Counter(
        line.rpartition("=")[2].partition("(")[0] for line in lines(mixture("train", outside=0.2), count=10)
    )
    assert first == Counter({**dict.fromkeys(set(NAMES) - {NONE}, 1), NONE: 2})


def test_wordings_are_held_out() -> None:
    assert not {own for some in WORDINGS.values() for own in some} & {own for some in HELD_OUT.values() for own in some}
    assert list(WORDINGS) == list(HELD_OUT) == sorted(NAMES, key=list(WORDINGS).index)

    def shapes(drawn: Mixture) -> set[str]:
        return {re.sub("[0-9]+", "#", line.rpartition("=")[0]) for line in lines(drawn)}

    trained, tested = shapes(mixture("train")), shapes(mixture("test"))
    assert not trained & tested
    assert shapes(mixture("test", templates="seen")) & trained
    # Held-out wordings are other sentences of the same words.
    words = [Counter(re.findall("[A-Za-z]+", " ".join(shape.lower() for shape in own))) for own in (trained, tested)]
    new = set(words[1]) - set(words[0])
    assert len(new) <= 20, sorted(new)


def test_every_wording_is_told_from_all_others() -> None:
    for wordings in (WORDINGS, HELD_OUT):
        for call, some in wordings.items():
            for wording in some:
                asked = read_query(fill_in(wording, (842, 2, 35), "books"))
                assert asked.call == call, wording
                if call != NONE:
                    assert asked.arguments == (842, 2, 35)[: ARGUMENTS[call]]


@given(
    name=st.sampled_from(NAMES),
    a=st.integers(0, 10**6),
    b=st.integers(0, 10**6),
    c=st.integers(0, 10**6),
)
def test_calls_run(name: str, a: int, b: int, c: int) -> None:
    if name in ("digit", "round"):
        b = 1 + b % (len(str(a)) if name == "digit" else 3)
    call = Call(name, (a, b, c)[: ARGUMENTS[name]])
    assert call.value == expected(call)
    assert read_call(f"Sure: {name}( {', '.join(map(str, call.arguments))} ).") == call


@pytest.mark.parametrize("text", ["add(1)", "none(3)", "digit(12,3)", "digit(12,0)", "round(842,4)", "sum3(1,2)"])
def test_what_does_not_run_has_no_value(text: str) -> None:
    call = read_call(text)
    assert call is not None
    assert call.value is None


@pytest.mark.parametrize(
    ("right", "written", "parts"),
    [
        ("add(842,62)", "add(842,62)", {"exact_calls", "right_call", "right_arguments", "right_value"}),
        ("add(842,62)", "add(62,842)", {"right_call", "right_value"}),
        ("sub(842,62)", "sub(62,842)", {"right_call"}),
        ("add(842,62)", "sum3(842,62)", {"right_arguments"}),
        ("add(842,62)", "none()", {"false_refusals"}),
        ("sub(5,5)", "none()", {"false_refusals"}),  # though both count as 0
        ("add(842,62)", None, set()),
        ("none()", "none()", {"right_call", "right_arguments", "right_value", "out_of_domain", "refusals"}),
        ("none()", "none(5)", {"right_call", "right_value", "out_of_domain", "refusals"}),  # and yet no exact match
        ("none()", "sub(5,5)", {"out_of_domain"}),
    ],
)
def test_parts_are_scored(right: str, written: str | None, parts: set[str]) -> None:
    assert {name for name, true in Request().score(right, written).items() if true} == parts


def test_counts_of_parts_keep_their_zeros() -> None:
    assert isinstance(Request(), Scored)
    counts = count_parts(Request(), [("add(1,2)", "add(1,2)"), ("none()", "none()"), ("max(1,2)", "none()")])
    assert counts == {
        **{"exact_calls": 1, "right_call": 2, "right_arguments": 2, "right_value": 2},
        **{"out_of_domain": 1, "refusals": 1, "false_refusals": 1},
    }
    assert count_parts(Request(), [("add(1,2)", "add(1,2)")])["refusals"] == 0


def test_no_line_is_longer_than_the_longest() -> None:
    for digits in (1, 2, 3, 5):
        for split in ("train", "test"):
            written = mixture(split, 1, digits).write(Format(), 0, ROWS)
            assert written.lengths.max() <= Format().longest(Request(), digits)[0]
            answers = written.lengths - written.prompt_lengths
            assert answers.max() <= Format().longest_answer(Request(), digits)


def test_what_is_no_request_is_refused() -> None:
    with pytest.raises(ValueError, match="outside is a share between 0 and 1, got 2"):
        Request(outside=2)
    with pytest.raises(ValueError, match="templates is one of held-out, seen; got 'some'"):
        Request(templates="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a query in a wording of the task"):
        Request().read("Tell me 5 and 7.=add(5,7)")
    with pytest.raises(ValueError, match=r"add\(5\) has not the arguments that it takes, which are 2 numbers"):
        Request().read("add(5)=5")
