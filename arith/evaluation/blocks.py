"""Long problems, block by block, for models that see no farther than a window on ids.

A part of the answer needs the tokens of ids near its own, and no others. Time then grows with the length, and memory by
a few bytes a token: both one pass over a whole answer and decoding.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.encodings.base import TableEncoding
from arith.encodings.compose import Composed, Ids
from arith.encodings.positions import Kind, Prompt
from arith.encodings.window import Window
from arith.model.transformer import Transformer
from arith.tasks import vocabulary

# Tokens of a problem from which it is read in blocks, and the answer's tokens in a block. At 4,096 all that a layer
# makes of a block takes some megabytes, and what the edges add to it is less than a hundredth.
STREAMED, BLOCK = 2**13, {"cpu": 2**12, "cuda": 2**16}
# Tokens that are guessed at a time. More than half of all wrong guesses settle in a pass, so that after 20 passes all
# have; one that settles fewer than `FEW` at the start is slow, and so many of them in a row are too many.
GUESSED, FEW, PATIENCE = 2**14, 64, 40


def likeliest(logits: Float[Tensor, "b q v"]) -> tuple[Int[Tensor, "b q"], Float[Tensor, "b q"]]:
    """The likeliest tokens, and their lead over the second ones."""
    likeliest, token = logits.max(-1)
    next_best = logits.scatter(-1, token[..., None], -torch.inf).max(-1).values
    return token, (likeliest - next_best).float()


@dataclass(frozen=True)
class Blocks:
    """The tokens that predict an answer, in blocks of near ids, each with the tokens that can matter to it.

    Args:
        order: all tokens in the order of their ids, those without a position first.
        unplaced: the number of tokens without a position, which are the first ones of the problem and matter to all.
        parts: for each block the tokens that predict, and where in the order those that matter begin and end.
    """

    order: Int[Tensor, " n"]
    unplaced: int
    parts: list[tuple[Int[Tensor, " q"], int, int]]

    def __iter__(self) -> Iterator[tuple[Int[Tensor, " q"], Int[Tensor, " m"]]]:
        """The tokens that predict and those that matter, both in the order of the problem."""
        for asking, first, end in self.parts:
            yield asking.sort().values, torch.cat([self.order[: self.unplaced], self.order[first:end]]).sort().values


def find_blocks(model: Transformer, ids: Ids, queries: int) -> Blocks | None:
    """Blocks of a long problem; None if what a token sees is not bounded, or not known, or there are several problems.

    Args:
        model: the model.
        ids: the ids of the tokens that are read.
        queries: how many of them, the last ones, predict.
    """
    # What other kinds of model do beyond these layers is not known here, and mixing counts tokens, not ids. With log-n
    # a score depends on how many tokens there are.
    config, window = model.config, _window_of(model.encoding)
    plain = type(model) is Transformer and config.mixing == "none" and config.prompt_layers is None
    if window is None or not plain or config.attention != "causal" or model.sharpens_by_length:
        return None
    own, sides = ids[window[1]][0], window[0]
    if len(own) > 1 or int(own.min()) < 0:
        return None
    n, (in_order, order) = own.shape[1], own[0].sort(stable=True)
    unplaced = int((in_order == 0).sum())
    # A token without a position sees all before it. At the start of a problem these are others of its kind.
    if unplaced and int(order[unplaced - 1]) != unplaced - 1:
        return None
    # Each layer looks one window further, in each loop.
    depth = dataclasses.replace(config, loops=model.loops).depth
    parts = []
    for asking in torch.split(order[order >= n - queries], BLOCK[own.device.type]):
        lowest, highest = int(own[0, asking[0]]), int(own[0, asking[-1]])
        ends = torch.tensor([max(lowest - depth * sides.left, 1), highest + depth * sides.right + 1])
        first, end = torch.searchsorted(in_order, ends.to(own.device)).tolist()
        parts.append((asking, first, end))
    # Where windows are wide, blocks would read most tokens again and again.
    return Blocks(order, unplaced, parts) if sum(end - first for _, first, end in parts) <= 2 * n else None


def _window_of(encoding: Composed) -> tuple[Window, int] | None:
    """The window that all layers have, with the place of its scheme, if what acts beside it depends on ids alone."""
    known = all(isinstance(own, TableEncoding) for own, _ in encoding.encodings())
    windows = [(own, which) for own, which in encoding.encodings() if isinstance(own, Window)]
    return windows[0] if known and windows and not encoding.slides else None


@torch.no_grad()
def predict_in_blocks(
    model: Transformer, tokens: Int[Tensor, "1 n"], ids: Ids, blocks: Blocks, queries: int
) -> tuple[Int[Tensor, "1 q"], Float[Tensor, "1 q"]]:
    """The likeliest token after each of the last `queries` tokens, and its lead in nats, block by block.

    What is left out of a block is hidden from all that it decides: answers are those of one pass over all tokens, up to
    rounding.
    """
    before, device = tokens.shape[1] - queries, tokens.device
    found, lead = torch.empty(1, queries, dtype=torch.long, device=device), torch.empty(1, queries, device=device)
    for asking, block in blocks:
        places = torch.searchsorted(block, asking)
        first = int(places[0])
        # The model reads these tokens as if they were all. Whatever the edges make of it is cut off before it counts.
        own = tuple(scheme_ids[:, :, block] for scheme_ids in ids)
        logits = model(tokens[:, block], own, queries=len(block) - first, picked=(places - first)[None])
        found[:, asking - before], lead[:, asking - before] = likeliest(logits)
    return found, lead


@torch.no_grad()
def answer_in_blocks(
    model: Transformer,
    prompt: Prompt,
    key: Int[Tensor, " 1"],
    new_tokens: int,
    capacity: int,
    advance: Callable[[int], None] = lambda done: None,
) -> Int[Tensor, "1 new"] | None:
    """The greedy answer to one long prompt, many tokens a pass; None if the model cannot be read in blocks.

    Tokens are guessed, and one pass says what the model writes after each of them. All up to the first wrong guess is
    what decoding writes, and so is the token in its place, so that every pass is right about one more at least; what it
    says of the others are the next guesses (Jacobi decoding: Santilli et al., arXiv 2305.10427). Digits of a sum hang
    together by carries alone, which seldom run far: a few passes settle thousands of them.

    Args:
        model, prompt, key, new_tokens, capacity: see `Transformer.answer`.
        advance: a callback for progress, called with the tokens that are settled.
    """
    if type(model) is not Transformer:  # other kinds give their ids and answers in ways of their own
        return None
    end, known, size, slow = vocabulary.token(vocabulary.END), prompt.tokens, 1, 0
    cut, guess = known.shape[1], known[:, :0]
    while known.shape[1] - cut < new_tokens:
        ahead = min(size, new_tokens - (known.shape[1] - cut))
        # A guess that is too short goes on as it ends: chains of carries write one digit again and again.
        last = guess[:, -1:] if guess.shape[1] else known[:, -1:]
        guess = torch.cat([guess, last.expand(1, max(ahead - guess.shape[1], 0))], dim=1)[:, :ahead]
        # Anything but a digit would end the number, and the tokens behind it would have no ids.
        guess = torch.where(prompt.table.kind[guess] == Kind.DIGIT, guess, vocabulary.token("0"))
        line = torch.cat([known, guess], dim=1)
        ids = model.encoding.full(dataclasses.replace(prompt, tokens=line), line, key, capacity)
        beyond, blocks = model.encoding.beyond(ids), find_blocks(model, _cut(ids), ahead)
        if blocks is None or (beyond is not None and bool(beyond.any())):
            return None
        found = predict_in_blocks(model, line[:, :-1], _cut(ids), blocks, ahead)[0]
        settled = min(int((found == guess).int().cumprod(1).sum()) + 1, ahead)
        ended = (found[0, :settled] == end).nonzero()
        if len(ended):
            return torch.cat([known[:, cut:], found[:, : int(ended[0]) + 1]], dim=1)
        known = torch.cat([known, found[:, :settled]], dim=1)
        advance(known.shape[1] - cut)
        # While guesses settle all over the block, few do at its start. If that goes on, a chain was guessed wrong, of
        # which each pass corrects one token: fewer are guessed, and the last one is repeated.
        slow = slow + 1 if settled < min(FEW, ahead) else 0
        guess = found[:, settled:] if slow < PATIENCE else known[:, -1:]
        size = max(ahead // 2, FEW) if slow == PATIENCE else GUESSED if slow < PATIENCE else size
        slow = 0 if slow == PATIENCE else slow
    return known[:, cut:]


def _cut(ids: Ids) -> Ids:
    return tuple(own[:, :, :-1] for own in ids)  # the last token predicts nothing
