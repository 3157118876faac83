import itertools
import re

import numpy as np
import pytest

from arith.catalogue.named import format_named, task_named
from arith.tasks import vocabulary
from arith.tasks.decorations import Groups, Spaces
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
