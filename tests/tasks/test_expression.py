"""Nested expressions: what is written has the value that Python gives it, and every value on the way is in range."""

import ast
import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arith.tasks import vocabulary
from arith.tasks.base import Drawn, Problems
from arith.tasks.digits import Numbers
from arith.tasks.expression import Expression
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform, UniformValues
from arith.tasks.sampling import Source
from arith.tasks.spelling import Spelled
from arith.tasks.stream import SPLITS, Draws, Split, Stream
from arith.tasks.suites import SUITES, Suite

SOME = [Expression(), Expression(products=False), Expression(below=10), Expression(products=False, below=25)]
APPLY: dict[type, Any] = {ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b}


def values(text: str) -> list[int]:
    """The value of each operation of an expression, in Python's order."""
    found: list[int] = []

    def value(node: Any) -> int:
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, int)
            return node.value
        found.append(APPLY[type(node.op)](value(node.left), value(node.right)))
        return found[-1]

    value(ast.parse(text, mode="eval").body)
    return found


def depth_of(text: str) -> int:
    deepest = here = 0
    for symbol in text:
        here += (symbol == "(") - (symbol == ")")
        deepest = max(deepest, here)
    return deepest


def lines(task: Expression, low: int, high: int, seed: int = 0, split: Split = "train", n: int = 200) -> Written:
    return Mixture([Source(task, Uniform(low, high), seed, split)]).write(Format(), 0, n)


def texts(written: Written) -> list[str]:
    return [vocabulary.decode(tokens) for tokens in written.tokens]


@given(
    task=st.sampled_from(SOME),
    worked=st.booleans(),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    seed=st.integers(0, 2**20),
)
@settings(max_examples=60, deadline=None)
def test_every_value_is_pythons_and_in_range(task: Expression, worked: bool, lengths: list[int], seed: int) -> None:
    task = Expression(task.products, task.below, "worked" if worked else "value")
    digits = task.draw(Stream(seed, "train", 0), np.array(lengths), np.arange(len(lengths)))
    drawn = tuple(Numbers(own, np.array(lengths)) for own in digits)
    written = Format().write(task, Problems(drawn, task.solve(*drawn)), Draws.at(0, "train", 0, len(lengths)))
    for row, text in enumerate(texts(written)):
        prompt, _, rest = text.partition("=")
        steps, _, answer = rest.rpartition(";")
        assert int(answer) == eval(prompt)
        assert all(0 <= value < task.below for value in values(prompt)), prompt
        assert depth_of(prompt) == drawn[0].lengths[row]
        assert set(prompt) <= set("123456789()" + task.operators)
        assert Format().read(task, text) == (tuple(own.text(row) for own in drawn), answer)
        if worked:
            equations = [step.split("=") for step in steps.split(",")]
            assert all(eval(operation) == int(value) for operation, value in equations)
            assert sorted(int(value) for _, value in equations) == sorted(values(prompt))
            assert equations[-1][1] == answer
        else:
            assert not steps


def test_steps_go_from_the_inside_out() -> None:
    text = "4+(4*((6+8)+2)*9)-9="
    operands, _ = Expression().read(text + "0")
    numbers = tuple(Numbers.read([own]) for own in operands)
    task = Expression(asked="worked")
    written = Format().write(task, Problems(numbers, task.solve(*numbers)), Draws.at(0, "test", 0, 1))
    steps = "6+8=14,14+2=16,4*16=64,64*9=576,4+576=580,580-9=571;571"
    assert vocabulary.decode(written.tokens[0]) == text + steps


@pytest.mark.parametrize("task", SOME, ids=str)
@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_the_longest_is_what_comes_and_hardly_more(task: Expression, depth: int) -> None:
    longest, _ = Format().longest(task, depth)
    drawn = lines(task, depth, depth)
    assert drawn.prompt_lengths.tolist() == [6 * depth + 3] * 200
    assert drawn.lengths.max() <= longest == 6 * depth + 4 + len(str(task.below - 1))
    worked = Expression(task.products, task.below, "worked")
    steps = lines(worked, depth, depth, n=2000)
    bound, _ = Format().longest(worked, depth)
    # Three digits in every place are rare: a value, a product and the value after them, at each level.
    assert 0.8 * bound <= steps.lengths.max() <= bound


def test_depth_ten_fits_a_hundred_tokens() -> None:
    assert Format().longest(Expression(), 10) == (67, 10)


def test_every_form_comes() -> None:
    prompts = {text.partition("=")[0] for text in texts(lines(Expression(), 2, 2, n=20_000))}
    shapes = {re.sub("[1-9]", "d", prompt) for prompt in prompts}
    signs = [f"{first}{second}" for first in "+-*" for second in "+-*"]
    cores = {form for s in signs for form in (f"(d{s[0]}d){s[1]}d", f"d{s[0]}(d{s[1]}d)")}
    around = {form for s in signs for form in (f"(){s[0]}d{s[1]}d", f"d{s[0]}(){s[1]}d", f"d{s[0]}d{s[1]}()")}
    assert {shape[shape.index("(") + 1 : shape.rindex(")")] for shape in shapes} == cores
    assert {re.sub(r"\(.*\)", "()", shape) for shape in shapes} == around


def test_different_operands_are_different_texts() -> None:
    source = Source(Expression(), Uniform(1, 2), 0, "train")
    drawn = source.operands(0, 20_000)
    problems = {tuple(own.text(row) for own in drawn) for row in range(20_000)}
    written = {text.partition("=")[0] for text in texts(lines(Expression(), 1, 2, n=20_000))}
    assert len(problems) == len(written)


@pytest.mark.parametrize("depth", [1, 2])
def test_no_expression_is_in_two_splits(depth: int) -> None:
    seen = [set(texts(lines(Expression(), depth, depth, split=split, n=5000))) for split in SPLITS]
    assert all(len(one) > 200 for one in seen)
    assert not any(one & other for one in seen for other in seen if one is not other)


def test_a_problem_depends_on_its_index_alone() -> None:
    source = Source(Expression(), Uniform(1, 5), 3, "validation")
    together, alone = source.problems(1000, 60), source.problems(1037, 1)
    assert [own.text(37) for own in together.operands] == [own.text(0) for own in alone.operands]


def test_values_below_ten_are_alike_at_every_depth() -> None:
    task = Expression(below=10)
    counts = []
    for depth in (1, 10):
        answers = Source(task, Suite("random", depth), 0, "train").problems(0, 4000).answer
        counts.append(np.bincount(answers.digits[:, 0], minlength=10) / 4000)
    assert np.abs(counts[0] - counts[1]).max() < 0.04


def test_levels_are_drawn_evenly_among_those_that_fit() -> None:
    drawn = Expression(products=False, below=10).draw(
        Stream(0, "train", 0), np.ones(100_000, dtype=np.int64), np.arange(100_000)
    )
    found, counts = np.unique(drawn[:, :, 0].T, axis=0, return_counts=True)
    leaves, signs = range(1, 10), ("+", "-")
    fits = {
        (a, b, c, signs.index(first), signs.index(second), place)
        for a, b, c, first, second, place in itertools.product(leaves, leaves, leaves, signs, signs, (0, 1))
        if all(
            0 <= value < 10
            for value in values(f"{a}{first}({b}{second}{c})" if place else f"({b}{second}{c}){first}{a}")
        )
    }
    assert set(map(tuple, found.tolist())) == fits
    # Counts of even draws vary as their mean, here by 3.6% of it more or less.
    assert 0.85 < counts.var() / counts.mean() < 1.15


def test_it_draws_its_operands_and_writes_its_lines() -> None:
    assert isinstance(Expression(), Drawn)
    assert isinstance(Expression(), Spelled)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("3+4", "a leaf and two in parentheses"),
        ("(3*4", "a leaf and two in parentheses"),
        ("3*(0+4)", "Leaves are 1 to 9"),
        ("12*(3+4)", "Leaves are 1 to 9"),
        ("4+(3%2)", "operators"),
        ("9*(9*9)*9", "a leaf and two in parentheses"),
        ("1+(2+(3))", "a leaf and two in parentheses"),
        ("2+(1+(2+3))", "two leaves beside them"),
        (")(", "a leaf and two in parentheses"),
        ("", "a leaf and two in parentheses"),
        ("2-(3+4)", "0 to 999, and one of .* is -5"),
        ("9*(9*(9*9))*9", "one of .* is 6561"),
    ],
)
def test_what_is_no_problem_is_refused(prompt: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Expression().read(prompt + "=0")


def test_an_operator_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"operators \+ -"):
        Expression(products=False).read("3*(4+5)=27")


@pytest.mark.parametrize("line", ["3+(4*2)", "3+(4*2)=", "3+(4*2)=x", "3+(4*2)=11;"])
def test_a_line_without_an_answer_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="an equals sign and a number"):
        Expression().read(line)


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"below": 9}, "got below=9"),
        ({"below": 10**7}, "below 10 to 1,000,000"),
        ({"asked": "each"}, "value, worked; got 'each'"),
    ],
)
def test_settings_out_of_range_are_refused(given_settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Expression(**given_settings)


@pytest.mark.parametrize("suite", [suite for suite in SUITES if suite != "random"])
def test_suites_that_choose_digits_are_refused(suite: Any) -> None:
    with pytest.raises(ValueError, match="expression draws its own"):
        Suite(suite, 3).check(Expression())


@pytest.mark.parametrize("sampler", [UniformValues(3), Uniform(1, 3, carry_mix=0.5)])
def test_samplers_of_numbers_are_refused(sampler: Any) -> None:
    with pytest.raises(ValueError, match="expression"):
        Source(Expression(), sampler, 0, "train")
