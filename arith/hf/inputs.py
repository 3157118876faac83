"""Read a call of a transformers model: its tokens, which of them are padding, the document of each, and the cache."""

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
    """The name of the cache among arguments of a model's call, or fields of its output."""
    return next((name for name in CACHE_NAMES if name in names), CACHE_NAMES[-1])


CACHE = cache_name([field.name for field in fields(CausalLMOutputWithPast)])  # transformers' own models, as installed


def cache_of(base: Any, call: dict[str, Any], name: str) -> Any:
    """The cache of a call, created here if the model would create one; None without a cache.

    Positions are remembered in the cache, so it must exist before the model's own code runs.

    Args:
        base: the model without its head.
        call: the call's arguments, in which the cache is put under `name`, whichever of its names it came by.
        name: the model's own name for it.
    """
    passed = [cache for cache in (call.pop(known, None) for known in CACHE_NAMES) if cache is not None]
    call[name] = passed[0] if passed else None
    if base.training and getattr(base, "gradient_checkpointing", False):
        # Checkpointed layers run again in the backward pass, and would put their keys into the cache twice.
        call["use_cache"], call[name] = False, None
    wanted = call.get("use_cache")
    if call[name] is None and (getattr(base.config, "use_cache", False) if wanted is None else wanted):
        call[name] = DynamicCache(config=base.config)
    return call[name]


def tokens_of(call: Mapping[str, Any]) -> Int[Tensor, "b n"]:
    """The tokens of a call; zeros of the same shape where it has embeddings instead."""
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
    """Which of all tokens are not padding (None: all), and the document of each (None: a row is one document).

    Position ids that do not count up mean packed documents where there is neither a mask nor a cache, as in
    transformers. Anywhere else they are refused.

    Args:
        call: the call's arguments.
        new: the tokens of this call.
        earlier: the number of tokens before them in the cache.
        cached: whether there is a cache.
    """
    valid = _valid(call.get("attention_mask"), len(new), earlier + new.shape[1])
    positions: Tensor | None = call.get("position_ids")
    if positions is None:
        return valid, None
    # Where a document begins anew: ids of [0, 1, 2, 0, 1] are documents [0, 0, 0, 1, 1].
    jumps = positions.diff(dim=-1) != 1
    if call.get("attention_mask") is None and not cached:
        documents = functional.pad(jumps.cumsum(-1), (1, 0)).expand(new.shape)
        return None, documents if bool(jumps.any()) else None
    # Ids of padding are anything: only jumps between two tokens count.
    if valid is not None:
        unpadded = valid[:, earlier:]
        jumps = jumps & unpadded[:, 1:] & unpadded[:, :-1]
    if bool(jumps.any()):
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


def split_hidden(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, tuple[Any, ...], dict[str, Any]]:
    """The hidden states that a module is called with, and its other arguments."""
    # Models differ in whether they pass them by position or by name.
    if args:
        return args[0], args[1:], kwargs
    return kwargs["hidden_states"], args, {name: value for name, value in kwargs.items() if name != "hidden_states"}
