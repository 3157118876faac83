"""Segments: numbers, operators and runs of words are counted through.

    tokens      ^ 1 2 + 3 4 5 = 7 5 3 $
    segments    1 2 2 3 4 4 4 5 6 6 6 7

He et al., "Two Stones Hit One Bird: Bilevel Positional Encoding", arXiv 2401.16421: an absolute encoding of places
inside a segment, a relative one of segments, which there are sentences. Here a segment is what a number is:
`learned@abacus+rope@segments`, of which abacus leaves out the signs' places, as they are segments of one token.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from arith.encodings.digit_positions import in_answer, kind_of, kinds_by_row, rank
from arith.encodings.positions import Kind, Prompt, Reading

_NONE = -1  # the kind of what stands before the first token


class SegmentsState(NamedTuple):
    """Segments so far, the kind of the last token that is no gap, and what each token is."""

    segments: Int[Tensor, " b"]
    last: Int[Tensor, " b"]
    kind: Int[Tensor, "b v"]


@dataclass(frozen=True)
class Segments:
    """The index of the segment that a token is in, from 1; 0 for gaps. An answer begins a segment.

    Operands whose digits take turns are a segment each.

    >>> Segments().highest(tokens=12, digits=4)
    12
    """

    levels = 1
    structure_aware = True
    ordered = True
    cyclic = False
    resolution = 1

    def highest(self, tokens: int, digits: int) -> int:
        return tokens

    def check(self, reading: Reading) -> None:
        return

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "1 b n"]:
        kind, answer = prompt.table.kind[tokens], in_answer(tokens, prompt)
        counted = _count(kind, answer, prompt.reading)
        turns = prompt.reading.interleaved
        # `_count` counts all operands that take turns when the first begins; each digit goes back to its own.
        earlier = (turns - 1 - rank(kind, answer) % turns) * ((kind == Kind.DIGIT) & ~answer)
        return ((counted - earlier) * (kind != Kind.GAP))[None]

    def start(
        self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int
    ) -> tuple[Int[Tensor, "1 b n"], SegmentsState]:
        kind, answer = prompt.table.kind[prompt.tokens], in_answer(prompt.tokens, prompt)
        count = _count(kind, answer, prompt.reading)[:, -1]
        # No kind before it: an answer begins a segment, whatever the prompt ends with.
        state = SegmentsState(count, torch.full_like(count, _NONE), kinds_by_row(prompt))
        return self.full(prompt, prompt.tokens, key, capacity), state

    def step(self, token: Int[Tensor, " b"], state: SegmentsState) -> tuple[Int[Tensor, "1 b 1"], SegmentsState]:
        kind = kind_of(token, state.kind)
        count = state.segments + _begins(kind, state.last)
        last = torch.where(kind == Kind.GAP, state.last, kind)
        return (count * (kind != Kind.GAP))[None, :, None], state._replace(segments=count, last=last)


def _count(kind: Int[Tensor, "b n"], answer: Bool[Tensor, "b n"], reading: Reading) -> Int[Tensor, "b n"]:
    """Segments up to each token, and those that take turns with its own."""
    index = torch.arange(kind.shape[1], device=kind.device).expand_as(kind)
    # The index of the last token that is no gap, as a running maximum of indices.
    solid = torch.where(kind == Kind.GAP, _NONE, index).cummax(1).values
    before = torch.cat([torch.full_like(solid[:, :1], _NONE), solid[:, :-1]], dim=1)
    same_part = (before >= 0) & (answer == answer.gather(1, before.clamp(min=0)))
    last = torch.where(same_part, kind.gather(1, before.clamp(min=0)), _NONE)
    turns = torch.where((kind == Kind.DIGIT) & ~answer, reading.interleaved, 1)
    return (_begins(kind, last) * turns).cumsum(1)


def _begins(kind: Int[Tensor, "..."], last: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
    """Whether tokens begin a segment, each after a token of the kind `last`. A sign is one by itself."""
    alone = (kind == Kind.OPERATOR) | (kind == Kind.EQUALS)
    return (kind != Kind.GAP) & ((kind != last) | alone)
