import itertools
import re

import numpy as np
import pytest

from arith.catalogue.named import format_named, task_named
from arith.tasks import vocabulary
from arith.tasks.base import Problems
from arith.tasks.decorations import Blanks, Groups, Spaces
from arith.tasks.digits import Numbers
from arith.tasks.lines import Written
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source
from arith.tasks.stream import Draws

ROWS = 4000


def written(task: str, form: str, rows: int = ROWS, digits: int = 5) -> Written:
    source = Source(task_named(task), Uniform(1, digits), 0, "train")
    return Mixture([source]).write(format_named(form), 0, rows)


def texts(found: Written) -> list[str]:
    return [vocabulary.decode(tokens) for tokens in found.tokens]


@pytest.mark.parametrize("task", ["addition", "multiplication", "subtraction", "addition:operands=3", "copy"])
@pytest.mark.parametrize("base", ["plain", "reversed", "all-reversed", "padded", "padded-all-reversed", "interleaved"])
def test_a_hint_is_that_of_the_same_significance_everywhere(task: str, base: str) -> None:
    # A peer's own baseline hints the top digit of the answer like the units of its operands.
    if task == "copy" and base not in ("plain", "reversed", "all-reversed"):
        pytest.skip("strings are not padded")
    form = format_named(base + "+hints")
    operand_count = task_named(task).operands
    starts = set()
    for text in texts(written(task, base + "+hints", rows=300)):
        bare = [(hint, digit) for hint, digit in itertools.pairwise(text) if hint in vocabulary.HINTS]
        assert len(bare) == sum(symbol in vocabulary.DIGITS for symbol in text)
        prompt, _, answer = text.partition("=")
        if form.interleaved:
            digits = [symbol for symbol in prompt if symbol in vocabulary.HINTS]
            numbers = [(digits[place::operand_count], form.operands) for place in range(operand_count)]
        else:
            sign = task_named(task).symbol
            parts = prompt.split(sign) if sign else [prompt]
            numbers = [([symbol for symbol in part if symbol in vocabulary.HINTS], form.operands) for part in parts]
        numbers.append(([symbol for symbol in answer if symbol in vocabulary.HINTS], form.answer))
        from_units = [hints if order == "lsb" else hints[::-1] for hints, order in numbers]
        start = vocabulary.HINTS.index(from_units[0][0])
        starts.add(start)
        for hints in from_units:
            assert "".join(hints) == vocabulary.HINTS[start : start + len(hints)]
    assert len(starts) > 60


def test_hints_of_a_working_are_those_of_the_operands() -> None:
    for text in texts(written("addition", "plain+hints+recursive", rows=200)):
        prompt = text.partition("=")[0]
        units = vocabulary.HINTS.index(prompt[prompt.index("+") - 2])
        a, b = (prompt.split("+")[place][1::2] for place in (0, 1))
        for hint, digit in itertools.pairwise(text):
            if hint in vocabulary.HINTS:
                significance = vocabulary.HINTS.index(hint) - units
                known = [number[::-1][significance : significance + 1] or "0" for number in (a, b)]
                exact = str(int(a) + int(b))[::-1][significance : significance + 1]
                assert digit in {*known, exact}


def test_where_a_hint_starts_tells_nothing_of_the_answers_length() -> None:
    longer, shorter = [], []
    for text in texts(written("addition", "padded:pad=operands+hints", digits=2)):
        prompt, _, answer = text.partition("=")
        start = vocabulary.HINTS.index(prompt[prompt.index("+") - 2])
        operand = len(prompt.partition("+")[0]) // 2
        (longer if len(answer) // 2 > operand else shorter).append(start)
    edges = np.linspace(0, 100, 6)
    a, b = (np.histogram(side, edges)[0] / len(side) for side in (longer, shorter))
    assert np.abs(a - b).max() < 0.06
    assert max(longer) <= len(vocabulary.HINTS) - 2


def test_numbers_longer_than_there_are_hints_are_refused() -> None:
    form = format_named("reversed+hints")
    assert form.longest(task_named("addition"), 101)[0] > 600
    with pytest.raises(ValueError, match=r"there are 102 hints.*may have 103"):
        form.longest(task_named("addition"), 102)


@pytest.mark.parametrize("answer", [False, True])
def test_spaces_stand_between_digits_and_operators_only(answer: bool) -> None:
    found = written("addition", f"plain+spaces:law=fixed,answer={str(answer).lower()}")
    bare = written("addition", "plain")
    for row, tokens in enumerate(found.tokens):
        text = "".join(vocabulary.SYMBOLS[token] for token in tokens[: found.lengths[row]])
        assert text.replace(" ", "") == "".join(
            vocabulary.SYMBOLS[token] for token in bare.tokens[row, : bare.lengths[row]]
        )
        assert "  " not in text
        assert text[1] != " "
        prompt, reply = text[: found.prompt_lengths[row]], text[found.prompt_lengths[row] :]
        assert prompt.endswith("=")
        assert answer or " " not in reply
        asked = "".join(vocabulary.SYMBOLS[token] for token in tokens[found.loss_mask[row]])
        assert asked == reply.replace(" ", "")  # spaces are never learned
    assert (found.given is not None) == answer


def test_a_space_in_an_answer_does_not_tell_that_it_goes_on() -> None:
    found = written("addition", "reversed+spaces:law=fixed,share=0.5,answer=true", digits=3)
    spaced: dict[bool, list[bool]] = {True: [], False: []}  # by whether another digit follows
    for row, tokens in enumerate(found.tokens):
        line = "".join(vocabulary.SYMBOLS[token] for token in tokens[: found.lengths[row]])
        for spaces, following in re.findall("(?<=[0-9])( ?)([0-9$])", line.partition("=")[2]):
            spaced[following != "$"].append(bool(spaces))
    for seen in spaced.values():
        assert np.mean(seen) == pytest.approx(0.5, abs=0.03)


def test_the_laws_of_spaces() -> None:
    def shares(settings: str) -> tuple[float, float, np.ndarray]:
        found = written("addition", f"plain+spaces:{settings}", digits=9)
        places = written("addition", "plain", digits=9).prompt_lengths - 2
        spaces = np.array([text.count(" ") for text in texts(found)])
        own = spaces / places
        return float(spaces.sum() / places.sum()), float(own[places >= 15].std()), spaces

    mean, fixed_spread, _ = shares("law=fixed,share=0.3")
    assert mean == pytest.approx(0.3, abs=0.01)
    mean, varied_spread, _ = shares("law=varied,share=0.6")
    assert mean == pytest.approx(0.3, abs=0.01)
    assert varied_spread > 1.4 * fixed_spread
    mean, _, _ = shares("law=geometric,share=0.3,most=9")
    assert mean == pytest.approx(0.3 / 0.7, abs=0.02)
    dense = texts(written("addition", "plain+spaces:law=geometric,share=0.9,most=2"))
    assert {len(run) for text in dense for run in re.findall(" +", text)} == {1, 2}


def test_spaces_are_drawn_for_each_sample_by_itself() -> None:
    together = texts(written("addition", "plain+spaces", rows=50))
    source = Source(task_named("addition"), Uniform(1, 5), 0, "train")
    alone = [texts(Mixture([source]).write(format_named("plain+spaces"), row, 1))[0] for row in range(50)]
    assert together == alone


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("plain+groups", "1 234 567+89=1 234 656"),
        ("reversed+groups", "1 234 567+89=656 432 1"),
        ("all-reversed+groups:size=2", "76 54 32 1+98=65 64 32 1"),
        ("plain+groups:size=1", "1 2 3 4 5 6 7+8 9=1 2 3 4 6 5 6"),
    ],
)
def test_groups_count_from_the_units(form: str, expected: str) -> None:
    assert format_named(form).text(task_named("addition"), 1234567, 89) == expected


def test_settings_that_cannot_be_are_refused() -> None:
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            Spaces(share)
    with pytest.raises(ValueError, match="one of varied, fixed, geometric"):
        Spaces(law="poisson")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 to 100 spaces"):
        Spaces(most=0)
    with pytest.raises(ValueError, match="1 to 1,000 digits"):
        Groups(0)


def test_words_are_left_alone() -> None:
    task = task_named("dialogue")
    plain = format_named("plain").write(
        task, Source(task, Uniform(1, 5), 0, "train").problems(0, 200), Draws.at(0, "train", 0, 200)
    )
    spaced = written("dialogue", "plain+spaces:law=fixed,share=0.9", rows=200)
    for before, after in zip(texts(plain), texts(spaced), strict=True):
        assert after.replace(" ", "") == before.replace(" ", "")
        words = [word for word in after.split() if word[0].isalpha()]
        assert words == [word for word in before.split() if word[0].isalpha()]


@pytest.mark.parametrize("places", ["drawn", "fixed"])
@pytest.mark.parametrize("task", ["addition", "multiplication", "addition:operands=3"])
def test_digits_of_one_significance_share_a_column(task: str, places: str) -> None:
    found = written(task, f"padded-all-reversed+blanks:canvas=14,places={places}", rows=300)
    patterns = set()
    for row, text in enumerate(texts(found)):
        numbers = re.split("[+*=]", text.removeprefix("^").partition("$")[0])
        assert {len(number) for number in numbers} == {14}
        columns = [[place for place, symbol in enumerate(number) if symbol != " "] for number in numbers]
        width = len(columns[0])
        assert all(own[:width] == columns[0] for own in columns)
        # The answer has digits that operands have not: they follow at once, so that the prompt tells their places.
        assert columns[-1][width:] == list(range(columns[0][-1] + 1, columns[0][-1] + 1 + len(columns[-1]) - width))
        assert found.loss_mask[row].sum() == 15, "blanks and zeros of the answer are predicted, and the end mark"
        patterns.add((width, tuple(columns[0])))
    widths = {width for width, _ in patterns}
    assert widths == {1, 2, 3, 4, 5}
    if places == "fixed":
        assert len(patterns) == 5
        nested = [set(columns) for _, columns in sorted(patterns)]
        if task == "addition":  # whose answers have one digit more at every width
            assert all(less <= more for less, more in itertools.pairwise(nested))
    else:
        assert len(patterns) > 200


def test_columns_do_not_depend_on_the_digits() -> None:
    task, form = task_named("addition"), format_named("padded-all-reversed+blanks:canvas=20")
    draws = Draws.at(3, "train", 0, 500)
    shapes = []
    for digit in (1, 9):  # 111 + 111 = 222, and 999 + 999 = 1998
        own = Numbers.of([digit * (10**length - 1) // 9 for length in range(1, 6)] * 100)
        found = form.write(task, Problems((own, own), task.solve(own, own)), draws)
        shapes.append([re.sub("[0-9]", "d", text) for text in texts(found)])
    assert shapes[0] == shapes[1]


def test_every_column_holds_digits_as_often_as_the_next() -> None:
    columns = Blanks(canvas=11).columns(np.full(6000, 4), np.full(6000, 5), Draws.at(0, "train", 0, 6000))
    counts = np.bincount(columns[:, :4].ravel(), minlength=11)
    assert counts[10] == 0, "the column above the highest is the answer's"
    assert np.abs(counts[:10] / 2400 - 1).max() < 0.08


def test_a_full_canvas_has_no_blanks_and_a_fuller_one_is_refused() -> None:
    full = texts(written("addition", "padded-all-reversed:width=5+blanks:canvas=6", rows=50))
    assert [text.replace(" ", "") for text in full] == texts(
        written("addition", "padded-all-reversed:width=5", rows=50)
    )
    assert all(text.count(" ") == 2 for text in full), "one above each operand"
    with pytest.raises(ValueError, match=r"a number of 6 digits does not fit a canvas of 5 columns. Write canvas=6"):
        written("addition", "padded-all-reversed+blanks:canvas=5", rows=50)


@pytest.mark.parametrize(
    "form",
    [
        "plain+blanks",
        "padded+blanks",
        "padded-reversed+blanks",
        "padded-all-reversed:pad=answer+blanks",
        "interleaved-all-reversed+blanks",
        "padded-all-reversed+blanks+scratchpad",
        "padded-all-reversed+blanks:canvas=0",
        "padded-all-reversed+blanks:places=here",
    ],
)
def test_numbers_that_have_no_columns_are_refused(form: str) -> None:
    with pytest.raises(ValueError, match=r"blanks keep|blanks put|a canvas has 1|places is one of"):
        format_named(form)
