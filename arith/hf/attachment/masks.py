"""Which keys a model hides, in the words of arith's op: read from transformers' rule, not from a mask of all pairs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional
from transformers.masking_utils import bidirectional_mask_function, causal_mask_function, sdpa_mask

from arith.errors import UsageError
from arith.kernels.reference import visibility
from arith.kernels.terms import Window


class LooksInside(UsageError, AttributeError):  # noqa: N818  named as what a model does
    """A model looks into its mask, as some do that choose keys by themselves. `hasattr` asks for AttributeError."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the model changes its mask of all pairs by itself ({what}), and arith's attention has none: it cannot "
            f"stand in for this model's"
        )


@dataclass(frozen=True)
class Mask:
    """Which keys the queries see.

    Args:
        causal: whether a token sees itself and earlier tokens alone.
        valid: False marks padding among the keys; None: there is none.
        documents: which document, or chunk, each key belongs to; None: a row is one.
        window: the distances within which tokens see one another; None: all.
        compiled: whether it was read in a compiled model, where documents are given though a row may be one.
    """

    causal: bool
    valid: Bool[Tensor, "b k"] | None = None
    documents: Int[Tensor, "b k"] | None = None
    window: Window | None = None
    compiled: bool = False

    def __getattr__(self, name: str) -> Any:
        raise LooksInside(name)

    def __getitem__(self, at: Any) -> Any:
        raise LooksInside("[...]")


# Over 60 lines by its arguments, which are those of a mask function of transformers.
def describe(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | Tensor = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] = causal_mask_function,
    attention_mask: Bool[Tensor, "b n"] | None = None,
    local_size: int | None = None,
    use_vmap: bool = False,
    device: torch.device | str = "cpu",
    trusting: bool = True,
    **kwargs: Any,
) -> Mask:
    """What transformers asks an attention implementation for in place of a mask: names are its own.

    Args:
        q_offset, kv_offset: the places of the first query and the first key.
        mask_function: the rule, without padding, from sample, head, and the places of query and key.
        attention_mask: 0 for padding, of all tokens so far.
        local_size: the size of a window or a chunk.
        use_vmap: whether the rule takes places one by one.
        trusting: whether a compiled model's rule is taken for one of a decoder's. A look at all pairs would break its
            graph.

    Raises:
        UsageError: the op has no words for the rule.

    >>> describe(1, 4, 4)
    Mask(causal=True, valid=None, documents=None, window=None, compiled=False)
    >>> from transformers.masking_utils import sliding_window_causal_mask_function
    >>> describe(1, 4, 4, mask_function=sliding_window_causal_mask_function(2)).window
    Window(left=1, right=0, ids=None)
    """
    valid = None
    if attention_mask is not None:
        valid = functional.pad(attention_mask, (0, max(0, kv_offset + kv_length - attention_mask.shape[1])))
        valid = valid[:, kv_offset : kv_offset + kv_length].bool()
        # Looking at numbers would break the graph of a compiled model.
        if not torch.compiler.is_compiling() and bool(valid.all()):
            valid = None
    if mask_function is bidirectional_mask_function:
        return Mask(False, valid)
    if isinstance(q_offset, Tensor) or q_offset + q_length != kv_offset + kv_length:
        raise UsageError(
            "a static cache has keys that no token has filled yet, and arith's attention takes its queries as the last "
            "of the keys. Leave cache_implementation out: the default cache grows"
        )
    if mask_function is causal_mask_function:
        return Mask(True, valid)
    if trusting and torch.compiler.is_compiling() and not use_vmap:
        # A chunk reaches no farther than its size.
        documents = _documents(mask_function, batch_size, q_length, q_offset, kv_offset, device)
        return Mask(True, valid, documents, None if local_size is None else Window(local_size - 1, 0), True)
    seen = sdpa_mask(
        batch_size,
        q_length,
        kv_length,
        q_offset,
        kv_offset,
        mask_function,
        allow_is_causal_skip=False,
        use_vmap=use_vmap,
        device=device,
    )
    assert seen is not None
    found: Mask = _recognise(seen[:, 0], valid)
    return found


def _documents(
    rule: Callable[..., Any], rows: int, queries: int, q_offset: int, kv_offset: int, device: torch.device | str
) -> Int[Tensor, "b k"]:
    """The document of each key by a rule, asked for neighbours alone.

    A token that does not see the one before it begins a document. Of tokens before the first query, those that it sees
    are of its document, and no query sees the others.
    """
    row, head = torch.arange(rows, device=device)[:, None], torch.zeros(1, 1, dtype=torch.long, device=device)
    first = torch.full((1, 1), q_offset, device=device)
    sees_earlier = rule(row, head, first, torch.arange(kv_offset, q_offset, device=device)[None])
    place = torch.arange(q_offset + 1, q_offset + queries, device=device)[None]
    begins = ~rule(row, head, place, place - 1)
    parts = [sees_earlier.long() - 1, first * 0, begins.cumsum(1)]
    return torch.cat([part.expand(rows, -1) for part in parts], dim=1)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _recognise(seen: Bool[Tensor, "b q k"], valid: Bool[Tensor, "b k"] | None) -> Mask:
    """A rule from what it shows: a band of distances, cut at the edges of documents."""
    if bool(seen.all()):
        return Mask(seen.shape[1] == 1, valid)
    queries, keys = seen.shape[1:]
    earlier = keys - queries
    # The farthest keys that any sample's query sees on either side. Bytes: there are as many as pairs of tokens.
    any_sample = seen.any(0).byte()
    places = torch.arange(earlier, keys, device=seen.device)
    left = int((places - any_sample.argmax(1)).max())
    right = int((keys - 1 - any_sample.flip(1).argmax(1) - places).max())
    band = Window(left, right)
    # As `_documents`, of what is seen.
    begins = ~seen[:, 1:].diagonal(earlier, 1, 2)
    documents = torch.cat([seen[:, 0, :earlier].long() - 1, functional.pad(begins.cumsum(1), (1, 0))], dim=1)
    bounded = left < keys - 1 or 0 < right < queries - 1
    windows = (band, None) if bounded else (None,)
    for window, cut in [*((own, None) for own in windows), *((own, documents) for own in reversed(windows))]:
        terms = () if window is None else (window,)
        ours = visibility(queries, keys, terms, right <= 0, None, cut, seen.device)
        if ours is not None and torch.equal(ours[:, 0].expand_as(seen), seen):
            return Mask(right <= 0, valid, cut, window)
    raise UsageError(
        "the model's mask is neither causal nor a window of distances nor cut at documents or chunks, and arith's "
        "attention has no other"
    )
