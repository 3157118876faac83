"""Positions know whether their ids index tokens, whatever is made of them."""

import torch

from arith.encodings.base import Positions


def test_the_last_tokens_still_index_tokens() -> None:
    ids = torch.arange(1, 9)[None, None]
    for positions in (Positions(ids, ids, indexes_tokens=True), Positions(ids[..., -1:], ids, indexes_tokens=True)):
        for last in (positions, positions.last(1), positions.last(1, 3), positions.last(1).last(1, 2)):
            assert last.ids.indexes_tokens
            assert last.ids is last.ids
    assert not Positions(ids, ids).last(2).ids.indexes_tokens


def test_ids_of_other_levels_and_of_loops_do_not() -> None:
    ids = torch.arange(1, 9)[None, None].expand(2, 1, -1)
    positions = Positions(ids, ids, indexes_tokens=True)
    assert not positions.level(1).indexes_tokens
    assert not positions.slide(1).ids.indexes_tokens
