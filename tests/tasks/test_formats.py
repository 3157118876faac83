import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arith.tasks import vocabulary
from arith.tasks.addition import Addition
from arith.tasks.base import Problems, Task
from arith.tasks.digits import Numbers
from arith.tasks.formats import NAMED, parse
from arith.tasks.multiplication import Multiplication
from arith.tasks.sampling import Source, Uniform

TASKS: list[Task] = [Addition(), Multiplication()]
EXACT = {"addition": lambda a, b: a + b, "multiplication": lambda a, b: a * b}
FORMATS = [*NAMED, "padded:width=31", "padded-all-reversed:width=31"]
numbers = st.integers(0, 10**30)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("name", FORMATS)
@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_what_is_written_reads_back(task: Task, name: str, pairs: list[tuple[int, int]]) -> None:
    form = parse(name)
    a, b = (Numbers.of(side) for side in zip(*pairs, strict=True))
    written = form.write(task, Problems((a, b), task.solve(a, b)))
    for row, (x, y) in enumerate(pairs):
        text = vocabulary.decode(written.tokens[row])
        assert form.read(task, text) == (x, y, EXACT[task.name](x, y))
        prompt = written.tokens[row, : written.prompt_lengths[row]]
        assert vocabulary.SYMBOLS[prompt[-1]] == "="
        assert vocabulary.SYMBOLS[written.tokens[row, written.lengths[row] - 1]] == vocabulary.END
        rest = written.tokens[row, written.lengths[row] :]
        assert (rest == vocabulary.token(vocabulary.PAD)).all()
        if not form.pad_answer:
            assert not text.partition("=")[2].startswith("0" if form.answer == "msb" and x and y else " ")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("name", NAMED)
def test_every_generated_answer_is_right(task: Task, name: str) -> None:
    form = NAMED[name]
    written = form.write(task, Source(Uniform(1, 6, carry_mix=0.5), seed=3, split="train").problems(task, 0, 500))
    for tokens in written.tokens:
        a, b, answer = form.read(task, vocabulary.decode(tokens))
        assert answer == EXACT[task.name](a, b)


def test_the_papers_example_of_multiplication() -> None:
    assert parse("padded-reversed:width=5").text(Multiplication(), 12, 34) == "00012*00034=8040000000"


def test_longest_counts_what_is_written() -> None:
    for task in TASKS:
        for name in ("plain", "padded", "padded:width=7"):
            form = parse(name)
            tokens, digits = form.longest(task, 5)
            written = form.write(task, Source(Uniform(5, 5), 0, "train").problems(task, 0, 200))
            assert written.lengths.max() == tokens
            assert (
                digits
                == max(
                    len(part)
                    for part in vocabulary.decode(written.tokens[0]).replace("=", task.symbol).split(task.symbol)
                )
                or name == "plain"
            )


def test_operands_wider_than_the_format_are_refused() -> None:
    with pytest.raises(ValueError, match="operand of 3 digits does not fit the format's width of 2"):
        parse("padded:width=2").text(Addition(), 123, 4)


@pytest.mark.parametrize("text", ["paded", "padded:width=x", "padded:hight=3", "plain:width=3", "padded:width=0"])
def test_formats_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"format|width"):
        parse(text)


@pytest.mark.parametrize("text", ["12+=3", "12*3=36", "a+b=c", "12+3", "1+2=3=4"])
def test_text_that_is_no_problem_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected NUMBER"):
        NAMED["plain"].read(Addition(), text)
