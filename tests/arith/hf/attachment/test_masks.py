import copy
from typing import Any

import pytest
import torch
from transformers.masking_utils import (
    and_masks,
    bidirectional_mask_function,
    causal_mask_function,
    chunked_causal_mask_function,
    packed_sequence_mask_function,
    sdpa_mask,
    sliding_window_bidirectional_mask_function,
    sliding_window_causal_mask_function,
)

from arith.errors import UsageError
from arith.hf.attachment.masks import Mask, describe
from arith.kernels.reference import visibility

PACKED = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1, 2], [0, 0, 0, 0, 0, 1, 2, 2, 2]])
RULES = {
    "causal": causal_mask_function,
    "window": sliding_window_causal_mask_function(3),
    "chunks": chunked_causal_mask_function(4, torch.tensor([0, 2])),
    "packed": and_masks(causal_mask_function, packed_sequence_mask_function(PACKED)),
    "packed, window": and_masks(sliding_window_causal_mask_function(3), packed_sequence_mask_function(PACKED)),
    "both sides": bidirectional_mask_function,
    "both sides, window": sliding_window_bidirectional_mask_function(2),
}


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("queries", [9, 3, 1])
@pytest.mark.parametrize("rule", RULES)
def test_the_op_hides_what_the_model_hides(rule: str, queries: int, padded: bool) -> None:
    padding = torch.ones(2, 9, dtype=torch.bool)
    padding[1, :2] = not padded
    sizes = {"batch_size": 2, "q_length": queries, "kv_length": 9, "q_offset": 9 - queries}
    options = {**sizes, "mask_function": RULES[rule], "attention_mask": padding}
    mask = describe(**options)
    terms = () if mask.window is None else (mask.window,)
    ours = visibility(queries, 9, terms, mask.causal, mask.valid, mask.documents, torch.device("cpu"))
    theirs = sdpa_mask(**options, allow_is_causal_skip=False)
    ours = torch.ones_like(theirs) if ours is None else ours
    assert torch.equal(ours.expand_as(theirs), theirs)
    assert (mask.valid is None) != padded
    assert mask.causal or "both" in rule
    if queries == 9:
        assert (mask.documents is not None) == (rule == "chunks" or "packed" in rule)
        assert (mask.window is not None) == ("window" in rule)


@pytest.mark.parametrize(
    "rule", [sliding_window_causal_mask_function(9), chunked_causal_mask_function(9, torch.zeros(1))]
)
def test_what_hides_nothing_is_left_out(rule: Any) -> None:
    assert describe(1, 9, 9, mask_function=rule) == Mask(causal=True)
    assert describe(1, 2, 9, q_offset=7, mask_function=rule) == Mask(causal=True)


@pytest.mark.parametrize("queries", [9, 3, 1])
@pytest.mark.parametrize("rule", [name for name in RULES if "both" not in name])
def test_compiled_models_hide_the_same_without_a_look(rule: str, queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"batch_size": 2, "q_length": queries, "kv_length": 9, "q_offset": 9 - queries}
    options = {**sizes, "mask_function": RULES[rule], "local_size": {"window": 3, "chunks": 4}.get(rule.split()[-1])}
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    mask = describe(**options)
    terms = () if mask.window is None else (mask.window,)
    ours = visibility(queries, 9, terms, mask.causal, mask.valid, mask.documents, torch.device("cpu"))
    theirs = sdpa_mask(**options, allow_is_causal_skip=False)
    assert torch.equal((torch.ones_like(theirs) if ours is None else ours).expand_as(theirs), theirs)


def test_a_cache_that_forgets_has_keys_from_later_on() -> None:
    padding = torch.tensor([[0, 0, 1, 1, 1, 1, 1]])
    mask = describe(1, 2, 6, q_offset=5, kv_offset=1, attention_mask=padding)
    assert mask.valid is not None
    assert mask.valid.tolist() == [[False, True, True, True, True, True]]


def test_other_rules_are_refused() -> None:
    with pytest.raises(UsageError, match="neither causal nor a window of distances nor cut at documents"):
        describe(1, 8, 8, mask_function=lambda b, h, q, k: (k <= q) & ((q - k) % 2 == 0))
    with pytest.raises(UsageError, match="a static cache"):
        describe(1, 2, 8)


def test_a_model_that_changes_its_mask_by_itself_is_refused() -> None:
    mask = describe(1, 4, 4)
    assert not hasattr(mask, "shape")
    for look in (lambda: mask[:, 0], lambda: mask.masked_fill):
        with pytest.raises(UsageError, match="the model changes its mask of all pairs by itself"):
            look()
    assert copy.deepcopy(mask) == mask
