"""Positions know whether their ids index tokens, whatever is made of them; memories follow their samples."""

import pytest
import torch

from arith.encodings.base import SHARED, Positions, change_rows


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (torch.ones(2, 5).long(), r"levels x batch x tokens: got \(2, 5\). Of one level, write ids\[None\]"),
        (torch.ones(5).long(), r"levels x batch x tokens: got \(5,\)$"),
        (torch.ones(1, 2, 5), "whole numbers, from 1 on and 0 for no position: got torch.float32"),
        (torch.ones(1, 2, 5).bool(), "got torch.bool"),
    ],
)
def test_what_is_no_id_says_why(ids: torch.Tensor, told: str) -> None:
    right = torch.ones(1, 2, 5, dtype=torch.long)
    for q, k in ((ids, right), (right, ids)):
        with pytest.raises(ValueError, match=told):
            Positions(q, k)


def test_memories_follow_their_samples_and_keep_what_all_share() -> None:
    table = torch.ones(3)
    memory = {"0": {"cumulative": torch.tensor([[1], [2]])}, "1": {SHARED + "table": table}}
    changed = change_rows(memory, lambda x: x[[1, 1, 0]])
    assert changed["0"]["cumulative"].tolist() == [[2], [2], [1]]
    assert changed["1"][SHARED + "table"] is table


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
