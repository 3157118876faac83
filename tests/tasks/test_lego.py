"""Chains of clauses: what is written says what the answer is, whatever is drawn around it."""

import re
from typing import Any

import numpy as np
import pytest

from arith.tasks import vocabulary
from arith.tasks.formats import Format
from arith.tasks.lego import IN_PLACE, NAMES, ROOT, Lego
from arith.tasks.lines import Written
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.stream import Draws, Split
from arith.tasks.tracing import states

ROWS = 200
SOME = [Lego(), Lego(group=10), Lego(group=3, clauses=8, chains=2), Lego(clauses=25)]


def write(task: Lego, digits: tuple[int, int], split: Split = "train") -> Written:
    source = Source(task, Uniform(*digits), 0, split)
    return Format().write(task, source.problems(0, ROWS), Draws.at(0, split, 0, ROWS))


def values_in(text: str, group: int) -> dict[str, int]:
    """Each variable's value, found by substitution until nothing is left."""
    left = {clause[0]: clause[1:] for clause in re.split("[;=]", text)[0].split(",")}
    found = {ROOT: 0}
    while left:
        name = next(name for name, (before, _) in left.items() if before in found)
        before, element = left.pop(name)
        found[name] = (found[before] + int(element)) % group
    return found


def clauses_in_place(text: str) -> list[str]:
    return [text[at : at + IN_PLACE] for at in range(0, len(text), IN_PLACE)]


@pytest.mark.parametrize("task", SOME, ids=str)
@pytest.mark.parametrize("asked", ["one", "worked"])
def test_the_variable_that_is_asked_for_has_the_answer(task: Lego, asked: Any) -> None:
    task = Lego(task.group, task.clauses, task.chains, asked)
    for tokens in write(task, (1, task.longest)).tokens:
        text = vocabulary.decode(tokens)
        prompt, answer = text.split("=")
        values = values_in(text, task.group)
        assert int(answer[-1]) == values[prompt[-1]]
        if asked == "worked":
            way = answer.removesuffix(answer[-2:]).split(",")
            assert way[-1] == prompt[-1] + answer[-1]
            assert all(values[name] == int(value) for name, value in way)


def test_each_value_stands_behind_its_name() -> None:
    task = Lego(group=5, clauses=8, chains=2, asked="each")
    for tokens in write(task, (1, 4)).tokens:
        clauses = clauses_in_place(vocabulary.decode(tokens))
        assert all(clause[2] == "=" for clause in clauses)
        values = values_in(",".join(clause[0] + clause[3:] for clause in clauses), 5)
        assert {clause[0]: int(clause[1]) for clause in clauses} | {ROOT: 0} == values


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_training_asks_for_all_that_so_many_steps_reach_and_tests_for_the_last(split: Split) -> None:
    task = Lego(clauses=6, asked="each")
    steps = Source(task, Uniform(1, 6), 0, split).operands(0, ROWS)[0].lengths
    written = write(task, (1, 6), split)
    mask, end = written.loss_mask, vocabulary.token(vocabulary.END)
    for row, tokens in enumerate(written.tokens):
        follower = {clause[3]: clause[0] for clause in clauses_in_place(vocabulary.decode(tokens))}
        names = [follower[ROOT]]
        while len(names) < steps[row]:
            names.append(follower[names[-1]])
        *values, last = np.flatnonzero(mask[row])
        assert tokens[last] == end
        assert {vocabulary.SYMBOLS[tokens[place - 1]] for place in values} == set(
            names[-1:] if split == "test" else names
        )
        assert all(vocabulary.SYMBOLS[tokens[place + 1]] == "=" for place in values)


def test_names_and_orders_are_drawn_evenly() -> None:
    texts = [vocabulary.decode(tokens) for tokens in write(Lego(clauses=3), (3, 3)).tokens]
    assert {text[0] for text in texts} == set(NAMES)
    roots = [[clause[1] for clause in text.split(";")[0].split(",")].index(ROOT) for text in texts]
    assert np.bincount(roots).min() > ROWS / 5


def test_clauses_beyond_the_one_asked_for_are_drawn() -> None:
    texts = [vocabulary.decode(tokens) for tokens in write(Lego(), (1, 1)).tokens]
    sums = {sum(values_in(text, 2).values()) for text in texts}
    assert len(sums) > 6  # of twelve values, whatever the first one is


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"group": 1}, "group=1"),
        ({"group": 11}, "group=11"),
        ({"chains": 3}, "chains=3"),
        ({"clauses": 2, "chains": 2}, "2 or more: got clauses=2 and chains=2"),
        ({"clauses": 7, "chains": 2}, "clauses=7 and chains=2"),
        ({"clauses": 26}, "of 25: got clauses=26"),
        ({"asked": "all"}, "one, worked, each; got 'all'"),
    ],
)
def test_chains_that_cannot_be_are_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Lego(**wrong)


def test_longer_chains_than_there_are_are_refused() -> None:
    with pytest.raises(ValueError, match="has 4 steps at most, got 5 digits"):
        Format().text(Lego(clauses=8, chains=2), 10110)


@pytest.mark.parametrize("text", ["", "ba1,a.0;c=1", "ba1,ab0;b=1", "ba1,a00;b=1", "b1=a1a0=.0", "12+3=15"])
def test_what_is_no_chain_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="expected clauses"):
        Lego().read(text)


@pytest.mark.parametrize("group", [2, 10])
def test_values_become_known_along_the_chain(group: int) -> None:
    """One clause a loop, at its name in the line, until all that are asked for are known."""
    task = Lego(group=group, asked="each")
    trace, rows = task.trace("values"), 50
    problems, draws = Source(task, Uniform(2, 6), 0, "train").problems(0, rows), Draws.at(0, "train", 0, rows)
    written = Format().write(task, problems, draws)
    layout = trace.lay_out(written, problems.operands, draws)
    found, loops = states(trace, problems.operands, layout.loops, layout.places.shape[1])
    assert (loops == problems.operands[0].lengths).all()
    for row in range(rows):
        steps = int(loops[row])
        places = layout.places[row, :steps]
        assert (layout.places[row, steps:] == -1).all()
        tokens = written.tokens[row]
        # The name that a clause follows from is the one in the clause before it.
        assert (tokens[places[1:] + 3] == tokens[places[:-1]]).all()
        for loop in range(steps + 1):
            known = found[loop, row, :steps, 0]
            assert (known[loop:] == 0).all()
            assert (known[:loop] == 1 + tokens[places + 1][:loop]).all()


def test_random_states_are_in_the_alphabet() -> None:
    trace = Lego(group=3, asked="each").trace("values")
    assert np.unique(trace.draw(Draws.at(0, "train", 0, 100), 6)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("asked", "kind"), [("one", "values"), ("each", "carry-save")])
def test_values_are_traced_in_place_alone(asked: Any, kind: str) -> None:
    with pytest.raises(ValueError, match=f"as values, with asked=each: got '{kind}' and asked={asked}"):
        Lego(asked=asked).trace(kind)
