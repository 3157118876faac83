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
