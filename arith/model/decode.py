"""Greedy decoding, a token at a time, with the keys and values of earlier tokens kept."""

import torch
from jaxtyping import Int
from torch import Tensor

from arith.encodings.positions import Prompt
from arith.model.cache import Cache
from arith.model.looped import Looped, answer
from arith.model.transformer import Transformer
from arith.tasks import vocabulary


@torch.no_grad()
def greedy(
    model: Transformer, prompt: Prompt, key: Int[Tensor, " b"], new_tokens: int, capacity: int
) -> Int[Tensor, "b new"]:
    """What the model answers to prompts of equal length; after a row's end mark there is padding.

    Args:
        prompt: every row as long as the token matrix.
        key: of each sample, as in training.
        new_tokens: tokens after which decoding stops, end mark or not.
        capacity: tokens of the longest sequence that samples like these can be.
    """
    if not bool((prompt.length == prompt.tokens.shape[1]).all()):
        raise ValueError("greedy decoding takes prompts of equal length; decode each length by itself")
    if isinstance(model, Looped):
        return answer(model, prompt, key, capacity)
    end, pad = vocabulary.token(vocabulary.END), vocabulary.token(vocabulary.PAD)
    cache = Cache()
    ids, states = model.encoding.start(prompt, key, capacity)
    logits = model(prompt.tokens, ids, queries=1, cache=cache)
    ended = torch.zeros_like(prompt.length, dtype=torch.bool)
    written: list[Tensor] = []
    while True:
        token = logits[:, -1].argmax(-1).masked_fill(ended, pad)
        written.append(token)
        ended |= token == end
        if len(written) == new_tokens or bool(ended.all()):
            return torch.stack(written, dim=1)
        ids, states = model.encoding.step(token, states)
        beyond = model.encoding.beyond(ids)
        if beyond is not None:
            # A model that never ends its number has no answer; its row goes on without positions.
            ended = ended | beyond[:, 0]
            ids = tuple(own.masked_fill(beyond, 0) for own in ids)
        logits = model(token[:, None], ids, cache=cache)
