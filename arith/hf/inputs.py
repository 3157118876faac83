"""What a call of a transformers model says: its tokens, which are padding, what document each is of, and the cache."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from arith.errors import UsageError

CACHE_NAMES = ("cache", "past_key_values")  # since transformers 5.24; before, and in models that are older


def cache_name(names: Collection[str]) -> str:
    """What a model's call, or its output, calls the cache."""
    return next((name for name in CACHE_NAMES if name in names), CACHE_NAMES[-1])


CACHE = cache_name([field.name for field in fields(CausalLMOutputWithPast)])  # transformers' own models, as installed


def cache_of(base: Any, call: dict[str, Any], name: str) -> Any:
    """The cache of a call, made here if the model would make one; None without.

    Args:
        name: what the model calls it. In `call` it may have its older name, and leaves with this one.
    """
    given = [cache for cache in (call.pop(own, None) for own in CACHE_NAMES) if cache is not None]
    call[name] = given[0] if given else None
    if base.training and getattr(base, "gradient_checkpointing", False):
        # Layers that are computed twice would put their keys into it twice.
        call["use_cache"], call[name] = False, None
    wanted = call.get("use_cache")
    if call[name] is None and (base.config.use_cache if wanted is None else wanted):
        call[name] = DynamicCache(config=base.config)
    return call[name]


def tokens_of(call: Mapping[str, Any]) -> Int[Tensor, "b n"]:
    """The tokens of a call; zeros where it has embeddings instead."""
    tokens: Tensor | None = call.get("input_ids")
    if tokens is not None:
        return tokens
    embedded: Tensor | None = call.get("inputs_embeds")
    if embedded is None:
        raise UsageError("the model is called with neither input_ids nor inputs_embeds")
    return embedded.new_zeros(embedded.shape[:2], dtype=torch.long)


def visible(
    call: Mapping[str, Any], new: Int[Tensor, "b n"], earlier: int, cached: bool
) -> tuple[Bool[Tensor, "b k"] | None, Int[Tensor, "b k"] | None]:
    """Which of all tokens are no padding (None: all), and which document each is of (None: a row is one).

    Like transformers, it reads position ids that do not count up as packed documents where there is neither a mask nor
    a cache.

    Args:
        new: tokens of this call.
        earlier: how many stand before them in the cache.
        cached: whether there is a cache.
    """
    valid = _valid(call.get("attention_mask"), len(new), earlier + new.shape[1])
    positions: Tensor | None = call.get("position_ids")
    if positions is None:
        return valid, None
    jumps = positions.diff(dim=-1) != 1
    if call.get("attention_mask") is None and not cached:
        documents = functional.pad(jumps.cumsum(-1), (1, 0)).expand(new.shape)
        return None, documents if bool(jumps.any()) else None
    own = None if valid is None else valid[:, earlier:]
    if bool((jumps if own is None else jumps & own[:, 1:] & own[:, :-1]).any()):
        raise UsageError(
            "position_ids do not count up. Ids of digits come from the attached encoding: leave position_ids out. To "
            "pack documents, pass position_ids with use_cache=False and without an attention_mask"
        )
    return valid, None


def _valid(mask: Any, rows: int, tokens: int) -> Bool[Tensor, "b k"] | None:
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.ndim != 2 or mask.shape[1] != tokens:
        shape = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise UsageError(
            f"an attention mask marks padding, 1 for a token and 0 for padding, for each of the {rows} x {tokens} "
            f"tokens so far: got {shape}"
        )
    return None if bool(mask.all()) else mask.bool()
