"""What an encoding keeps of the tokens so far: in transformers' own cache, as one more layer behind the model's.

A cache calls its methods on every layer. So what is kept here follows the keys and values: it is reordered with beams,
repeated and dropped with rows, cropped with tokens that are taken back, and copied with the cache.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers.cache_utils import Cache, DummyLayer, StaticLayer

from arith.encodings.base import SHARED, Memory, Positions, change_rows
from arith.encodings.compose import Ids
from arith.errors import UsageError


class Remembered(DummyLayer):
    """Tokens so far, their position ids, and the memory of terms that look at content.

    Args:
        layers: the number of the model's layers, each of which has a memory.
    """

    is_compileable = False

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.memories: list[Memory] = [{} for _ in range(layers)]
        self.tokens: Int[Tensor, "b n"] | None = None
        self.key: Int[Tensor, " b"] | None = None
        self.prompts: Int[Tensor, " b"] | None = None  # tokens before each answer, if the caller said
        self.ids: Ids = ()
        self.given = False  # whether the ids of tokens that look at digits came from the caller

    @staticmethod
    def of(cache: Any, layers: int) -> "Remembered":
        """The one in a model's cache, which is put there if the cache is empty.

        Args:
            cache: the model's cache.
            layers: the number of the model's layers.

        Raises:
            UsageError: the cache cannot be used with an encoding.
        """
        if not isinstance(cache, Cache) or not isinstance(cache.layers, list):
            raise UsageError(
                f"decoding with an encoding of arith takes a cache such as transformers.DynamicCache, got "
                f"{type(cache).__name__}"
            )
        # Some caches make a layer when it is first used, which would come to stand behind this one.
        while cache.layer_class_to_replicate is not None and len(cache.layers) < layers:
            cache.layers.append(cache.layer_class_to_replicate())
        if any(isinstance(layer, StaticLayer) for layer in cache.layers):
            raise UsageError(
                "a static cache has keys that no token has filled yet, and arith's attention takes its queries as the "
                "last of the keys. Leave cache_implementation out: the default cache grows"
            )
        if len(cache.layers) == layers:
            if cache.get_seq_length() > 0:
                raise UsageError(
                    "this cache was filled without the attached encoding, so the positions of its tokens are not "
                    "known. Begin with an empty cache"
                )
            cache.layers.append(Remembered(layers))
        last = cache.layers[-1]
        if not isinstance(last, Remembered) or len(last.memories) != layers:
            raise UsageError(f"this cache is not one of a model of {layers} layers")
        return last

    def extend(
        self, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], prompts: Int[Tensor, " b"] | None, new: Ids
    ) -> tuple[Positions, ...]:
        """Remember all tokens so far; the positions of the new ones as queries, and of all as keys.

        Args:
            tokens: all tokens so far.
            key: the random key of each sample.
            prompts: the tokens of each before its answer; None if that was not said.
            new: the ids of the new tokens, for each scheme.
        """
        keys = tuple(map(_append, self.ids, new)) if self.length else new
        self.tokens, self.key, self.prompts, self.ids = tokens, key, prompts, keys
        return tuple(Positions(*both, within_reach=True) for both in zip(new, keys, strict=True))

    def check_given(self, given: bool) -> None:
        """Raise if earlier tokens had ids from the caller and new ones have none."""
        if self.length and self.given and not given:
            raise UsageError(
                "earlier tokens of this cache had ids of arith_ids, and this call has none: the ids of a sequence come "
                "from one place"
            )
        self.given = given

    @property
    def length(self) -> int:
        """How many tokens are remembered."""
        return 0 if self.tokens is None else self.tokens.shape[1]

    @property
    def is_croppable(self) -> bool:  # type: ignore[override]
        """Whether tokens can be taken back: no term has summed over their content."""
        return not any(map(_has_rows, self.memories))

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens, as assisted generation does with those that it rejects."""
        kept = self.length - abs(tokens_to_remove)  # transformers passes it with a minus
        if not tokens_to_remove or self.tokens is None:
            return
        if not self.is_croppable:
            raise UsageError("an encoding that sums over the content of tokens cannot take tokens back")
        self.tokens = self.tokens[:, :kept]
        self.ids = tuple(ids[..., :kept] for ids in self.ids)

    def reset(self) -> None:
        self.__init__(len(self.memories))  # type: ignore[misc]

    def reorder_cache(self, beam_idx: Int[Tensor, " b"]) -> None:
        self._each_row(lambda x: x.index_select(0, beam_idx.to(x.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        self._each_row(lambda x: x.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: Tensor) -> None:
        self._each_row(lambda x: x[indices])

    def _each_row(self, change: Callable[[Tensor], Tensor]) -> None:
        if self.tokens is None or self.key is None:
            return
        self.tokens, self.key = change(self.tokens), change(self.key)
        self.prompts = None if self.prompts is None else change(self.prompts)
        self.ids = tuple(_change_ids(ids, change) for ids in self.ids)
        self.memories = [change_rows(memory, change) for memory in self.memories]


def _append(earlier: Int[Tensor, "levels #b k"], new: Int[Tensor, "levels #b n"]) -> Int[Tensor, "levels #b k+n"]:
    # Ids that all samples share have one row, and may be followed by ids that they do not share.
    rows = max(earlier.shape[1], new.shape[1])
    return torch.cat([ids.expand(-1, rows, -1) for ids in (earlier, new)], dim=2)


def _change_ids(ids: Int[Tensor, "levels #b n"], change: Callable[[Tensor], Tensor]) -> Int[Tensor, "levels #b n"]:
    # Ids that all samples share have one row, which stays.
    return ids if ids.shape[1] == 1 else torch.stack([change(level) for level in ids])


def _has_rows(memory: Memory) -> bool:
    """Whether a memory holds anything that belongs to samples."""
    return any(
        _has_rows(part) if isinstance(part, dict) else not name.startswith(SHARED) for name, part in memory.items()
    )
