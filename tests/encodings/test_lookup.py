"""Heads that take the value of one token each."""

import pytest
import torch

import arith
from arith.encodings.base import Positions
from arith.encodings.lookup import first_with_own_id
from arith.errors import UsageError


def test_the_first_earlier_token_with_the_id_is_taken() -> None:
    rows = torch.randint(0, 6, (50, 12), generator=torch.Generator().manual_seed(1))
    positions = Positions(rows[None, :, 4:], rows[None])
    wanted = []
    for row in rows.tolist():
        taken = []
        for query in range(4, 12):
            earlier = [key for key in range(query) if row[key] == row[query]]
            taken.append(earlier[0] if earlier and row[query] else 0)
        wanted.append(taken)
    assert first_with_own_id(positions).tolist() == wanted


def test_rows_that_share_their_ids_share_what_they_take() -> None:
    ids = torch.tensor([[[0, 3, 4, 4, 3]]])
    assert first_with_own_id(Positions(ids, ids)).tolist() == [[0, 0, 0, 2, 1]]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lookup:lane=1,lanes=2@coupled", "one part for each of its 2 lanes: got lane=1. Write for example"),
        ("lookup:lane=1,lanes=2+lookup:lane=1,lanes=2@coupled", "got lane=1 and lane=1"),
        ("lookup:lane=3,lanes=2", "lane is one of 1 to 2"),
        ("lookup:lane=1,lanes=8", "each lane takes a head or more: got 8 lanes and 4 heads"),
    ],
)
def test_lanes_that_leave_heads_out_are_refused(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        arith.encoding(spec, width=32, heads=4, layers=2)
