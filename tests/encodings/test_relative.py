"""A score for each small distance."""

import pytest
import torch

from arith.encodings.relative import Relative
from tests.encodings.biasing import HEADS, IDS, bias, randomised


@pytest.mark.parametrize("radius", [1, 3, 40])
def test_relative_is_a_score_for_each_distance_and_one_for_tokens_without_a_position(radius: int) -> None:
    ours = randomised(Relative(HEADS, radius=radius, gain=7.0))
    assert isinstance(ours, Relative)
    table = ours.table.tolist()
    assert len(table[0]) == 2 * radius + 2

    def score(h: int, q: int, k: int) -> float:
        return 7.0 * table[h][max(-radius, min(radius, k - q)) + radius if q and k else -1]

    rows = IDS.tolist()
    wanted = [[[[score(h, q, k) for k in row] for q in row] for h in range(HEADS)] for row in rows]
    torch.testing.assert_close(bias(ours, IDS), torch.tensor(wanted, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    last = bias(ours, IDS, queries=3)
    torch.testing.assert_close(last, bias(ours, IDS)[:, :, -3:], rtol=0, atol=0)


def test_one_head_can_begin_at_a_distance() -> None:
    start = Relative(3, radius=2, gain=2.0, spread=4.0, head=1, distance=-2).term(None).values
    expected = torch.zeros(3, 6)
    expected[1, 0] = 4.0
    assert torch.equal(start.detach(), expected)


WRONG = [{"head": 3}, {"head": -1}, {"head": 0, "distance": 3}, {"head": 0, "distance": -3}, {"distance": 1}]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_head_or_a_distance_that_is_not_there_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="one of 3 heads, from 0 on"):
        Relative(3, radius=2, spread=1.0, **wrong)
