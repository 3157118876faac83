"""Ids of a sample moved to a block's edge; the lists of tiles are tested with the kernels, in test_long.py."""

import torch

from arith.kernels.tiling import begin_at_block


def test_ids_begin_at_a_block_and_keep_their_distances() -> None:
    k = torch.tensor([[0, 70, 3, 5], [0, -9, 0, -8], [0, 0, 0, 0]])
    q = k[:, 2:]
    moved_q, moved_k = begin_at_block(q, k, 64)
    assert moved_k.tolist() == [[0, 131, 64, 66], [0, 64, 0, 65], [0, 0, 0, 0]]
    assert torch.equal(moved_q, moved_k[:, 2:])
    # A query may have an id below those of all keys.
    assert [own.tolist() for own in begin_at_block(torch.tensor([[-3]]), torch.tensor([[7]]), 4)] == [[[4]], [[14]]]
