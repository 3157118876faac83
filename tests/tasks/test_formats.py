from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arith.catalogue.named import format_named
from arith.tasks import vocabulary
from arith.tasks.addition import Addition
from arith.tasks.base import Problems, Task, is_commutative
from arith.tasks.dialogue import Dialogue
from arith.tasks.digits import Numbers
from arith.tasks.formats import NAMED
from arith.tasks.multiplication import Multiplication
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.stream import Draws
from arith.tasks.strings import Copy, Reverse
from arith.tasks.subtraction import Subtraction

TASKS: list[Task] = [Addition(), Multiplication(), Subtraction()]
EXACT = {
    "addition": lambda a, b: a + b,
    "multiplication": lambda a, b: a * b,
    "subtraction": lambda a, b: a - b,
}
FORMATS = [
    *NAMED,
    "padded:width=31",
    "padded-all-reversed:width=31",
    "padded-reversed:spare=3",
    "interleaved:width=31,spare=2",
]
numbers = st.integers(0, 10**30)


def draws(rows: int) -> Draws:
    return Draws.at(0, "train", 0, rows)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("name", FORMATS)
@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_what_is_written_reads_back(task: Task, name: str, pairs: list[tuple[int, int]]) -> None:
    form = format_named(name)
    a, b = (Numbers.of(side) for side in zip(*pairs, strict=True))
    written = form.write(task, Problems((a, b), task.solve(a, b)), draws(len(pairs)))
    for row, (x, y) in enumerate(pairs):
        text = vocabulary.decode(written.tokens[row])
        assert form.read(task, text) == ((str(x), str(y)), str(EXACT[task.name](x, y)))
        prompt = written.tokens[row, : written.prompt_lengths[row]]
        assert vocabulary.SYMBOLS[prompt[-1]] == "="
        assert vocabulary.SYMBOLS[written.tokens[row, written.lengths[row] - 1]] == vocabulary.END
        rest = written.tokens[row, written.lengths[row] :]
        assert (rest == vocabulary.token(vocabulary.PAD)).all()
        if not form.pad_answer:
            written_answer = text.partition("=")[2]
            magnitude = (written_answer if form.answer == "msb" else written_answer[::-1]).removeprefix("-")
            assert magnitude == str(int(magnitude)), "no stray zeros in front"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("name", NAMED)
def test_every_generated_answer_is_right(task: Task, name: str) -> None:
    form = NAMED[name]
    written = form.write(task, Source(task, Uniform(1, 6), seed=3, split="train").problems(0, 500), draws(500))
    for tokens in written.tokens:
        (a, b), answer = form.read(task, vocabulary.decode(tokens))
        assert int(answer) == EXACT[task.name](int(a), int(b))


def test_the_papers_example_of_multiplication() -> None:
    assert format_named("padded-reversed:width=5").text(Multiplication(), 12, 34) == "00012*00034=8040000000"


@pytest.mark.parametrize("task", [*TASKS, Addition(operands=3)], ids=str)
@pytest.mark.parametrize("name", ["plain", "reversed", "padded", "padded:width=7"])
def test_longest_is_what_comes_and_no_less(task: Task, name: str) -> None:
    form = format_named(name)
    tokens, digits = form.longest(task, 5)
    largest, smallest = (Numbers.of([value]) for value in (99_999, 0))
    operands = [smallest, largest] if task.signed else [largest] * task.operands
    written = form.write(task, Problems(tuple(operands), task.solve(*operands)), draws(1))
    answer = vocabulary.decode(written.tokens[0]).partition("=")[2]
    # A problem that has the longest answer, and for signed ones a sign; its shorter operand saves digits.
    saved = 0 if form.pad_operands or not task.signed else 4
    assert written.lengths[0] == tokens - saved
    assert len(answer) <= digits
    assert form.pad_operands or len(answer) == digits


def test_spare_zeros_are_drawn_alike_for_operands_and_answer() -> None:
    form, task, rows = format_named("padded-reversed:spare=3"), Addition(), 4000
    a, b = (Numbers.of([value] * rows) for value in (12, 345))
    problems = Problems((a, b), task.solve(a, b))
    texts = [vocabulary.decode(tokens) for tokens in form.write(task, problems, draws(rows)).tokens]
    shares = {text: texts.count(text) / rows for text in sorted(texts)}
    assert set(shares) == {f"{12:0{n}}+{345:0{n}}=" + f"{357:0{n + 1}}"[::-1] for n in (3, 4, 5, 6)}
    assert all(abs(share - 0.25) < 0.03 for share in shares.values())  # four standard deviations
    # Without draws, as many as there can be: what a model must hold.
    assert vocabulary.decode(form.write(task, problems, None).tokens[0]) == "000012+000345=7530000"
    assert form.longest(task, 3) == (len("^000012+000345=7530000$"), 7)
    assert str(form) == "padded-reversed:spare=3"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("plain:spare=2", "spare"),
        ("padded:spare=-1", "spare is 0 to 100,000 zeros, got -1"),
        ("padded:pad=answer,spare=2", "Pad the operands too"),
    ],
)
def test_spare_zeros_that_mean_nothing_are_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        format_named(text)


def test_operands_wider_than_the_format_are_refused() -> None:
    with pytest.raises(ValueError, match="operand of 3 digits does not fit the format's width of 2"):
        format_named("padded:width=2").text(Addition(), 123, 4)


@pytest.mark.parametrize(
    ("name", "task", "operands", "text"),
    [
        ("plain:first=longest", Addition(), (12, 345), "345+12=357"),
        ("plain:first=longest", Addition(operands=3), (1, 34, 22), "34+22+1=57"),
        ("padded-reversed:first=longest", Multiplication(), (12, 345), "345*012=041400"),
        ("padded-reversed:pad=answer", Multiplication(), (12, 345), "12*345=04140"),
        ("padded-reversed:pad=answer,first=longest", Multiplication(), (12, 345), "345*12=04140"),
        ("padded-reversed:pad=answer,first=longest", Multiplication(), (12, 34), "12*34=8040"),
        ("padded:width=4,pad=answer,first=longest", Multiplication(), (2, 34), "34*2=00000068"),
        ("interleaved:first=longest", Addition(), (7, 123), "+102037=0130"),
    ],
)
def test_the_longest_operand_comes_first_and_answers_are_as_wide_as_they_can_be(
    name: str, task: Task, operands: tuple[int, ...], text: str
) -> None:
    form = format_named(name)
    assert form.text(task, *operands) == text
    assert str(form) == name


@pytest.mark.parametrize("name", ["plain:first=longest", "padded-reversed:pad=answer,first=longest"])
@pytest.mark.parametrize("task", [Addition(), Multiplication()], ids=lambda task: task.name)
@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_exchanged_operands_are_the_same_problem(task: Task, name: str, pairs: list[tuple[int, int]]) -> None:
    form = format_named(name)
    a, b = (Numbers.of(side) for side in zip(*pairs, strict=True))
    written = form.write(task, Problems((a, b), task.solve(a, b)), draws(len(pairs)))
    for row, pair in enumerate(pairs):
        first, second = sorted(map(str, pair), key=len, reverse=True)
        text = vocabulary.decode(written.tokens[row])
        assert form.read(task, text) == ((first, second), str(EXACT[task.name](*pair)))


def test_operands_that_cannot_be_exchanged_stay() -> None:
    for task in (Subtraction(), Dialogue()):
        with pytest.raises(ValueError, match="Leave first=longest out"):
            format_named("plain:first=longest").check(task)


@pytest.mark.parametrize("text", ["paded", "padded:width=x", "padded:hight=3", "plain:width=3", "padded:width=0"])
def test_formats_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"format|width"):
        format_named(text)


@pytest.mark.parametrize("text", ["12+=3", "12*3=36", "a+b=c", "12+3", "1+2=3=4"])
def test_text_that_is_no_problem_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected NUMBER"):
        NAMED["plain"].read(Addition(), text)


UNPADDED = [name for name, form in NAMED.items() if not form.pad_answer]
OTHERS: list[tuple[Task, Callable[[list[str]], str]]] = [
    (Addition(operands=3), lambda texts: str(sum(map(int, texts)))),
    (Addition(operands=20), lambda texts: str(sum(map(int, texts)))),
    (Copy(), lambda texts: texts[0]),
    (Reverse(), lambda texts: texts[0][::-1]),
    (Reverse(distinct=True), lambda texts: texts[0][::-1]),
]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(("task", "expected"), OTHERS, ids=lambda value: str(value) if isinstance(value, tuple) else "")
def test_other_numbers_of_operands_read_back(task: Task, expected: Callable[[list[str]], str], name: str) -> None:
    if task.alphabet != "number" and name not in UNPADDED:
        with pytest.raises(ValueError, match="takes them for digits"):
            NAMED[name].check(task)
        return
    problems = Source(task, Uniform(1, 7), seed=1, split="train").problems(0, 300)
    written = NAMED[name].write(task, problems, draws(300))
    for row, tokens in enumerate(written.tokens):
        operands, answer = NAMED[name].read(task, vocabulary.decode(tokens))
        assert operands == tuple(number.text(row) for number in problems.operands)
        assert answer == expected(list(operands))
    longest, _ = NAMED[name].longest(task, 7)
    assert written.lengths.max() <= longest


def test_strings_of_digits_are_uniform_and_keep_their_zeros() -> None:
    (strings,) = Source(Copy(), Uniform(3, 3), 0, "train").operands(0, 5000)
    texts = [strings.text(row) for row in range(5000)]
    assert all(len(text) == 3 for text in texts)
    assert 0.08 < sum(text.startswith("0") for text in texts) / 5000 < 0.12


class Joined(Addition):
    symbol = "&"


def test_a_task_goes_by_its_operation_and_not_by_its_operator() -> None:
    for form in ("plain+scratchpad", "reversed+recursive", "padded-reversed", "interleaved"):
        written = format_named(form).text(Addition(), 95, 7)
        assert format_named(form).text(Joined(), 95, 7) == written.replace("+", "&")
        assert format_named(form).read(Joined(), written.replace("+", "&")) == format_named(form).read(
            Addition(), written
        )
    assert is_commutative(Joined())


@pytest.mark.parametrize("symbol", ["?", "x", "7", "=", "<=", "+-"])
def test_operators_that_are_none_are_refused(symbol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Joined, "symbol", symbol)
    with pytest.raises(ValueError, match=r"is no operator. Use one of \+ - \* / % < > & \|"):
        format_named("plain").check(Joined())


def test_symbols_of_trained_models_do_not_move() -> None:
    assert vocabulary.encode("+-*=^$_ c?").tolist() == [10, 11, 12, 13, 14, 15, 16, 17, 18, 25]
    assert vocabulary.SYMBOLS.endswith("ⓩ" + vocabulary.MORE_OPERATORS)
    assert len(vocabulary.SYMBOLS) == 187
    assert vocabulary.size("ⓩ") == 181


def test_distinct_digits_are_distinct() -> None:
    (strings,) = Source(Reverse(distinct=True), Uniform(1, 10), 0, "train").operands(0, 2000)
    texts = [strings.text(row) for row in range(2000)]
    assert all(len(set(text)) == len(text) for text in texts)
    assert {len(text) for text in texts} == set(range(1, 11))
    with pytest.raises(ValueError, match="has no 11"):
        Source(Reverse(distinct=True), Uniform(1, 11), 0, "train")


def test_the_sign_stands_at_the_most_significant_end() -> None:
    assert NAMED["plain"].text(Subtraction(), 12, 345) == "12-345=-333"
    assert NAMED["reversed"].text(Subtraction(), 12, 350) == "12-350=833-"
    assert NAMED["padded"].text(Subtraction(), 12, 345) == "012-345=-333"
