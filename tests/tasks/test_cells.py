"""Problems of given operand lengths."""

import numpy as np
import pytest

from arith.tasks.addition import Addition
from arith.tasks.cells import Cells
from arith.tasks.formats import NAMED
from arith.tasks.multiplication import Multiplication
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source, count_seen, hash_operands, owner
from arith.tasks.stream import SPLITS
from arith.tasks.strings import Reverse

ADD = Addition()


def texts(cells: Cells, start: int, count: int) -> list[tuple[str, ...]]:
    return [tuple(number.text(row) for number in cells.operands(start, count)) for row in range(count)]


def test_a_problem_depends_on_its_cell_and_place_alone() -> None:
    alone = texts(Cells(ADD, ((3, 7),), 50, 1, "test"), 0, 50)
    among = Cells(ADD, ((1, 1), (3, 7), (20, 2)), 40, 1, "test")
    assert texts(among, 40, 40) == alone[:40]
    assert texts(among, 57, 5) == alone[17:22]
    assert all(len(a) == 3 and len(b) == 7 for a, b in alone)
    assert texts(Cells(ADD, ((3, 7),), 50, 2, "test"), 0, 50) != alone
    keys = among.keys(0, 120)
    assert len(set(keys.tolist())) == 120
    assert (among.keys(40, 7) == keys[40:47]).all()


def test_answers_are_exact_and_written_as_any() -> None:
    cells = Cells(Multiplication(), ((4, 9), (9, 4)), 30, 0, "test")
    problems = cells.problems(10, 40)
    for row in range(40):
        a, b = (int(number.text(row)) for number in problems.operands)
        assert problems.answer.text(row) == str(a * b)
    written = cells.write(NAMED["padded-reversed"], 0, 60)
    assert len(set(written.lengths.tolist())) == 1


@pytest.mark.parametrize("split", SPLITS)
def test_problems_are_the_splits_own(split: str) -> None:
    a, b = Cells(ADD, ((3, 4),), 500, 0, split).operands(0, 500)  # type: ignore[arg-type]
    width = max(a.width, b.width)
    digits = np.stack([np.pad(n.digits, ((0, 0), (0, width - n.width))) for n in (a, b)])
    hashes = hash_operands(digits, np.stack([a.lengths, b.lengths]), "number")
    assert (owner(hashes) == SPLITS.index(split)).all()  # type: ignore[arg-type]


def test_digits_are_uniform_and_lead_without_zero() -> None:
    a, b = Cells(ADD, ((3, 3),), 20_000, 0, "train").operands(0, 20_000)
    for number in (a, b):
        units, leading = (np.bincount(number.digits[:, place], minlength=10) for place in (0, 2))
        assert leading[0] == 0
        assert ((units - 2000) ** 2 / 2000).sum() < 27.9  # 99.9% quantile at 9 degrees of freedom
        assert ((leading[1:] - 20_000 / 9) ** 2 / (20_000 / 9)).sum() < 26.1


def test_what_training_held_is_counted() -> None:
    training = Source(ADD, Uniform(1, 2), 0, "train")
    small, large = Cells(ADD, ((1, 1),), 50, 0, "test"), Cells(ADD, ((9, 9),), 50, 0, "test")
    assert count_seen([(small, 50), (large, 50)], training, 5000) == [50, 0]


def test_cells_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="a length for each of 2 operands"):
        Cells(ADD, ((3,),), 5, 0, "test")
    with pytest.raises(ValueError, match="1 digit or more"):
        Cells(ADD, ((3, 0),), 5, 0, "test")
    with pytest.raises(ValueError, match="ten digits"):
        Cells(Reverse(distinct=True), ((11,),), 5, 0, "test")
