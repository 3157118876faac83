"""What a first layer that looks up takes."""

import torch

import arith
from arith.encodings.base import Positions
from arith.encodings.lookup import Lookup


def test_the_first_earlier_token_with_the_id_is_taken() -> None:
    rows = torch.randint(0, 6, (50, 12), generator=torch.Generator().manual_seed(1))
    positions = Positions(rows[None, :, 4:], rows[None])
    wanted = []
    for row in rows.tolist():
        taken = []
        for query in range(4, 12):
            earlier = [key for key in range(query) if row[key] == row[query]]
            taken.append(earlier[0] if earlier and row[query] else -1)
        wanted.append(taken)
    assert Lookup().taken(positions).tolist() == wanted


def test_a_token_takes_one_for_each_scheme() -> None:
    encoding = arith.encoding("lookup@coupled+rope+lookup", width=32, heads=4, layers=2)
    coupled, sequential = torch.tensor([[[0, 3, 4, 3]]]), torch.tensor([[[1, 2, 3, 4]]])
    ids = (Positions(coupled, coupled), Positions(sequential, sequential))
    assert encoding.lanes == 2
    assert encoding.at(0).taken(ids).tolist() == [[[-1, -1], [-1, -1], [-1, -1], [1, -1]]]
