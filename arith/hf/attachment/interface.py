"""Attention of transformers models through `arith.kernels.attention`, registered as the implementation "arith".

What one pass of a model knows about positions is a `Pass`, which travels as a keyword argument through the layers. No
module keeps it: two passes, layers recomputed in the backward pass and copies of a model never see one another's.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface

from arith.encodings.base import Memory, Positions
from arith.encodings.compose import Composed
from arith.errors import UsageError
from arith.hf.attachment.masks import Mask, describe
from arith.hf.attachment.remembered import Remembered
from arith.kernels.attention import attention
from arith.kernels.terms import Decay, Term

NAME = "arith"
KEPT = "arith_own"  # the same for models of any kind, none of whose positions is taken out
PASS, INPUT = "arith_pass", "arith_input"  # keyword arguments that layers hand on
READER = "arith_reader"  # the attribute of attention modules whose own bias is kept
# Arguments of attention that some models pass, for what the op cannot do. Ignored, they would be silently wrong.
_UNKNOWN = {
    "alibi": "adds ALiBi of its own to the scores",
    "indices": "chooses by itself which keys it attends to",
    "block_indices": "chooses by itself which keys it attends to",
}
# What a model's own bias adds to the scores, from what the model hands on as `position_bias`, queries and keys.
Reader = Callable[[Tensor, int, int], Term | None]


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

    def apply(
        self, layer: int, x: Float[Tensor, "b n w"], query: Float[Tensor, "b h q d"], key: Float[Tensor, "b g k d"]
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"], tuple[Term, ...]]:
        """The queries and keys of a layer, rotated, and the terms that the encoding adds there.

        Args:
            x: the input of the layer's attention.
        """
        positions, encoding = self.positions_of(key.shape[2]), self.encoding.at(layer)
        query, key = encoding.rotate(query, key, positions)
        terms = encoding.terms(x, query, key, positions, self.memory(layer))
        return query, key, tuple(_of_last(term, key.shape[2]) for term in terms)


# Over 60 lines: half are the arguments that models pass, and the rest hands each on, in order, to the one op.
def forward(
    module: nn.Module,
    query: Float[Tensor, "b h q d"],
    key: Float[Tensor, "b g k d"],
    value: Float[Tensor, "b g k d"],
    attention_mask: Mask | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    s_aux: Float[Tensor, " h"] | None = None,
    sinks: Float[Tensor, "..."] | None = None,
    position_bias: Float[Tensor, "..."] | None = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "b q h d"], None]:
    """The attention function that a model's attention module calls.

    Args:
        key: the keys of all tokens so far. The cache holds them before rotation, so they are rotated at every step.
        attention_mask: what the model hides, by `describe`.
        softcap: the limit of a query's product with a key.
        s_aux, sinks: extra scores that take weight and give nothing, under the names that models have for them: one for
            each head, or of shape "b h q 1".
        position_bias: what the model itself adds to the scores.
    """
    what = type(module).__name__
    current: Pass | None = kwargs.get(PASS)
    reader: Reader | None = getattr(module, READER, None)
    _check_call(what, kwargs, attached=current is not None or reader is not None)
    if position_bias is not None and reader is None:
        raise UsageError(
            f"{what} adds a bias of its own to the scores, which cannot be taken out. Keep it: attach(model, 'own'), "
            f"or 'own+...' with an encoding"
        )
    mask = _checked(attention_mask, current, module, kwargs.get("is_causal"))
    terms: tuple[Term, ...] = ()
    queries, keys, valid, documents = query.shape[2], key.shape[2], mask.valid, mask.documents
    if current is not None:
        layer = module.layer_idx
        assert isinstance(layer, int)
        valid = None if current.valid is None else current.valid[:, -keys:]
        if mask.compiled and (mask.window is None or kwargs.get("sliding_window") is not None):  # there are no chunks
            documents = None if current.documents is None else current.documents[:, -keys:]
        if query.shape[3] != current.head_width:
            raise UsageError(
                f"the encoding is made for heads of {current.head_width} dimensions, {what} has {query.shape[3]}"
            )
        query, key, terms = current.apply(layer, kwargs[INPUT], query, key)
        if scaling is not None:
            # The model's factor is for heads of its own width, and rotated ones may be wider.
            scaling *= math.sqrt(current.head_width / query.shape[3])
    if queries > keys:
        key, value, valid = _lengthen(key, value, valid, queries)
    bias = None if position_bias is None or reader is None else reader(position_bias, queries, key.shape[2])
    terms += tuple(term for term in (bias, mask.window) if term is not None)
    sinks = s_aux if sinks is None else sinks
    if sinks is not None and sinks.dim() == 4:
        sinks = rearrange(sinks, "b h q 1 -> b h q")
    mixed = attention(
        query,
        key,
        value,
        terms=terms,
        causal=mask.causal,
        valid=valid,
        documents=documents,
        scale=scaling,
        softcap=softcap,
        sinks=sinks,
        dropout=dropout,
    )
    return rearrange(mixed, "b h q d -> b q h d").contiguous(), None


def _check_call(what: str, given: Mapping[str, Any], attached: bool) -> None:
    """Refuse what attention here does not compute, and a model to which nothing is attached."""
    if not attached:
        raise UsageError(
            f"{what} is set to attn_implementation='{NAME}' and nothing is attached to the model, or the model does "
            f"not hand keyword arguments on to its attention. Use arith.hf.attach(model, ...), which sets it"
        )
    for name, does in _UNKNOWN.items():
        if given.get(name) is not None:
            raise UsageError(f"{what} {does}, which arith's attention has no place for")


def _checked(mask: Any, current: Pass | None, module: nn.Module, causal: bool | None) -> Mask:
    """The mask, if it is one that arith can have.

    Args:
        causal: whether attention is causal where there is no mask, if the model says so.
    """
    what = type(module).__name__
    if mask is None and current is None:
        return Mask(bool(getattr(module, "is_causal", False)) if causal is None else causal)
    if mask is None:
        raise UsageError(f"{what} came without a mask, so nothing tells which tokens it may see")
    if not isinstance(mask, Mask):
        raise UsageError(
            f"{what} came with a mask of all pairs, {tuple(mask.shape)}, which arith's attention has no place for: an "
            f"attention mask marks padding, 1 for a token and 0 for padding"
        )
    if current is not None and not mask.causal:
        raise UsageError(
            f"{what} lets tokens see others than causal attention with padding, packed documents, chunks and a sliding "
            f"window would, and encodings are attached to causal models"
        )
    return mask


def _lengthen(
    key: Float[Tensor, "b g k d"], value: Float[Tensor, "b g k d"], valid: Bool[Tensor, "b k"] | None, tokens: int
) -> tuple[Float[Tensor, "b g n d"], Float[Tensor, "b g n d"], Bool[Tensor, "b n"]]:
    """Keys with padding behind them. The op's queries are the last of its keys, and cross-attention may have fewer."""
    more = tokens - key.shape[2]
    valid = key.new_ones(len(key), key.shape[2], dtype=torch.bool) if valid is None else valid
    key, value = (functional.pad(x, (0, 0, 0, more)) for x in (key, value))
    return key, value, functional.pad(valid, (0, more))


def _of_last(term: Term, keys: int) -> Term:
    """A term for the last keys: sums over all tokens so far are longer than a cache that forgets."""
    return replace(term, cumulative=term.cumulative[..., -keys:]) if isinstance(term, Decay) else term


for name in (NAME, KEPT):
    AttentionInterface.register(name, forward)
    # For an implementation without a mask function transformers asks for no mask at all, and padding would be lost.
    AttentionMaskInterface.register(name, partial(describe, trusting=name == NAME))
