"""T5's buckets, against other implementations."""

import pytest
import torch
from transformers import T5Config
from transformers.models.t5.modeling_t5 import T5Attention

from arith.encodings.t5 import T5
from tests.encodings.biasing import HEADS, IDS, bias, randomised


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("buckets", "farthest"), [(32, 128), (16, 50), (8, 1000)])
def test_t5_is_that_of_other_implementations(bidirectional: bool, buckets: int, farthest: int) -> None:
    """A score for each bucket, at either side of 300 tokens."""
    ours = randomised(T5(HEADS, buckets, farthest, bidirectional))
    assert isinstance(ours, T5)
    found = bias(ours, torch.arange(1, 301)[None])[0]
    config = T5Config(
        d_model=HEADS,
        num_heads=HEADS,
        d_kv=1,
        relative_attention_num_buckets=buckets,
        relative_attention_max_distance=farthest,
        is_decoder=not bidirectional,
    )
    theirs = T5Attention(config, has_relative_attention_bias=True).double()
    theirs.relative_attention_bias.weight.data = ours.table.data.T
    torch.testing.assert_close(found, theirs.compute_bias(300, 300)[0], rtol=0, atol=0)
    peer = pytest.importorskip("x_transformers.x_transformers").RelativePositionBias(
        1.0, causal=not bidirectional, num_buckets=buckets, max_distance=farthest, heads=HEADS
    )
    peer.relative_attention_bias.weight.data = ours.table.data.T
    torch.testing.assert_close(found, peer(300, 300).double(), rtol=0, atol=0)
    both = found.tril(-1), found.triu(1).mT
    assert not torch.allclose(*both)


def test_t5_has_a_score_for_tokens_without_a_position() -> None:
    ours = randomised(T5(HEADS, 8, 20))
    assert isinstance(ours, T5)
    found, unplaced = bias(ours, IDS), (IDS[:, :, None] == 0) | (IDS[:, None] == 0)
    for head in range(HEADS):
        assert (found[:, head][unplaced] == ours.unplaced[head]).all()
        assert not (found[:, head][~unplaced] == ours.unplaced[head]).any()
