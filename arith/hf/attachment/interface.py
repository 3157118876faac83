"""Attention of transformers models through `arith.kernels.attention`, registered as the implementation "arith".

What one pass of a model knows about positions is a `Pass`, which travels as a keyword argument through the layers. No
module keeps it: two passes, layers recomputed in the backward pass and copies of a model never see one another's.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from arith.encodings.base import Memory, Positions
from arith.encodings.compose import Composed
from arith.errors import UsageError
from arith.hf.attachment.remembered import Remembered
from arith.kernels.attention import attention
from arith.kernels.reference import visibility
from arith.kernels.terms import Decay, Term, Window

NAME = "arith"
PASS, INPUT = "arith_pass", "arith_input"  # keyword arguments that layers hand on
# Arguments of attention that some models pass, for what the op cannot do. Ignored, they would be silently wrong.
_UNKNOWN = {
    "softcap": "caps its scores (softcap)",
    "s_aux": "has attention sinks",
    "sinks": "has attention sinks",
    "position_bias": "adds a bias of its own to the scores",
    "alibi": "adds ALiBi of its own to the scores",
}


@dataclass
class Pass:
    """What one pass of a model knows about positions.

    Args:
        encoding: the attached encoding.
        positions: for each scheme, ids of the new tokens as queries and of all tokens so far as keys.
        valid: False marks padding among all tokens; None: there is none.
        documents: the document of each token; None: a row is one document.
        remembered: what the cache holds for the encoding; None without a cache.
        head_width: the head width that the encoding is made for.
    """

    encoding: Composed
    positions: tuple[Positions, ...]
    valid: Bool[Tensor, "b k"] | None
    documents: Int[Tensor, "b k"] | None
    remembered: Remembered | None
    head_width: int
    _checked: set[tuple[int, int | None]] = field(default_factory=set)
    _last: dict[int, tuple[Positions, ...]] = field(default_factory=dict)

    def memory(self, layer: int) -> Memory:
        """What a layer's terms keep between passes.

        Without a cache it is new at every call, as a checkpointed layer is computed again in the backward pass.
        """
        return {} if self.remembered is None else self.remembered.memories[layer]

    def positions_of(self, keys: int) -> tuple[Positions, ...]:
        """The positions with the last `keys` keys: the cache of a layer with a sliding window drops older ones."""
        if self.positions[0].k.shape[2] == keys:
            return self.positions
        # One object for all layers: kernels fold terms once for ids that are the same tensor.
        if keys not in self._last:
            self._last[keys] = tuple(own.last(own.q.shape[2], keys) for own in self.positions)
        return self._last[keys]

    def check_mask(self, mask: Bool[Tensor, "b 1 q k"] | None, window: int | None, module: nn.Module) -> None:
        """Raise unless the model's own mask hides what the op will hide.

        It is compared once a pass for each mask. A single new token sees all that is valid, so decoding is not checked.
        """
        what = type(module).__name__
        if mask is None:
            raise UsageError(f"{what} came without a mask, so nothing tells which tokens it may see")
        queries, keys = mask.shape[2:]
        if queries == 1 or torch.compiler.is_compiling() or (id(mask), window) in self._checked:
            return
        self._checked.add((id(mask), window))
        terms = () if window is None else (Window(window - 1, 0),)
        valid, documents = _cut(self.valid, keys), _cut(self.documents, keys)
        ours = visibility(queries, keys, terms, True, valid, documents, mask.device)
        assert ours is not None
        if mask.dtype != torch.bool or not torch.equal(mask, ours.expand_as(mask)):
            raise UsageError(
                f"{what} lets tokens see others than causal attention with padding, packed documents and a sliding "
                f"window would: arith's attention cannot stand in for it"
            )


def forward(
    module: nn.Module,
    query: Float[Tensor, "b h q d"],
    key: Float[Tensor, "b g k d"],
    value: Float[Tensor, "b g k d"],
    attention_mask: Bool[Tensor, "b 1 q k"] | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "b q h d"], None]:
    """The attention function that a model's attention module calls.

    Args:
        key: the keys of all tokens so far. The cache holds them before rotation, so they are rotated at every step.
        attention_mask: the model's own mask, which is only compared with the op's.
        sliding_window: how many tokens a token sees, itself included.
    """
    what = type(module).__name__
    current: Pass | None = kwargs.get(PASS)
    if current is None:
        raise UsageError(
            f"{what} is set to attn_implementation='{NAME}' and nothing is attached to the model, or the model does "
            f"not hand keyword arguments on to its attention. Use arith.hf.attach(model, ...), which sets it"
        )
    for name, does in _UNKNOWN.items():
        if kwargs.get(name) is not None:
            raise UsageError(f"{what} {does}, which arith's attention has no place for")
    if query.shape[3] != current.head_width:
        raise UsageError(
            f"the encoding is made for heads of {current.head_width} dimensions, {what} has {query.shape[3]}"
        )
    current.check_mask(attention_mask, sliding_window, module)
    layer, keys = module.layer_idx, key.shape[2]
    assert isinstance(layer, int)
    positions = current.positions_of(keys)
    encoding = current.encoding.at(layer)
    query, key = encoding.rotate(query, key, positions)
    terms = encoding.terms(kwargs[INPUT], query, key, positions, current.memory(layer))
    terms = tuple(_of_last(term, keys) for term in terms)
    if sliding_window is not None:
        terms += (Window(sliding_window - 1, 0),)
    valid, documents = _cut(current.valid, keys), _cut(current.documents, keys)
    mixed = attention(query, key, value, terms=terms, valid=valid, documents=documents, scale=scaling, dropout=dropout)
    return rearrange(mixed, "b h q d -> b q h d").contiguous(), None


def _cut(mask: Tensor | None, keys: int) -> Tensor | None:
    """The part of a mask that is about the last keys."""
    return mask if mask is None else mask[:, -keys:]


def _of_last(term: Term, keys: int) -> Term:
    """A term for the last keys: sums over all tokens so far are longer than a cache that forgets."""
    return replace(term, cumulative=term.cumulative[..., -keys:]) if isinstance(term, Decay) else term


def _whole_mask(*args: Any, **kwargs: Any) -> Bool[Tensor, "b 1 q k"]:
    """transformers' own mask, also where sdpa needs none as it is causal: it is compared with what the op hides."""
    mask = sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})
    assert mask is not None
    return mask


AttentionInterface.register(NAME, forward)
# For an implementation without a mask function transformers builds no mask at all, and there is nothing to compare.
AttentionMaskInterface.register(NAME, _whole_mask)
