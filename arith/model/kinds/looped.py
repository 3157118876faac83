"""A transformer that revises all digits of an answer at the same time, as often as the problem needs.

Each column of the answer holds a state: its digit, and what else the task's trace keeps there, such as a carry. A loop
is one pass through the layers, from all states to the next ones, which are put down as digits in between; as positions
may slide with the loop, a column can meet another digit of each factor every time. Loops are as many as the second
factor is written with digits, and then until no column holds anything but its digit. So the longer factor is best
written first, and none padded (`padded-reversed:pad=answer,first=longest`): n x 2 then takes two loops and a few for
carries, each in time that grows with n, as a column sees a window of each factor.

The model learns the loops of a trace one by one (`Looped.loss`): it is shown the algorithm, so its results are
listed apart from those of models that learn from answers.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.config.schema import ModelConfig
from arith.data.batch import Batch
from arith.encodings.compose import Composed, Ids
from arith.encodings.positions import Prompt
from arith.model.block import at
from arith.model.cache import Cache
from arith.model.transformer import Transformer
from arith.tasks import vocabulary

# The logit of what the prompt decides: the answer's width, and with it where it ends. exp(-1e4) is 0 in every
# precision, and half precision still holds 1e4.
CERTAIN = 1e4


class Looped(Transformer):
    """A transformer whose answer is a state that it revises.

    Args:
        config, vocabulary, encoding: as for any transformer.
        parts: the number of numbers in each column's state, the answer's digit first.
        alphabet: how many numbers there are.
    """

    answers_at_once = True
    eager_because = "the loops of a trace differ from sample to sample"

    def __init__(
        self, config: ModelConfig, vocabulary: int, encoding: Composed, parts: int, alphabet: int = 10
    ) -> None:
        super().__init__(config, vocabulary, encoding)
        self.parts, self.alphabet = parts, alphabet
        # A table for each part of the state. A column's input is the sum of its parts' rows, which has the variance of
        # one token's embedding.
        self.state = nn.Embedding(alphabet * parts, config.width)
        self.head = nn.Linear(config.width, alphabet * parts, bias=False)
        nn.init.normal_(self.state.weight, std=config.embedding_std / math.sqrt(parts))
        nn.init.normal_(self.head.weight, std=0.02)

    def revise(
        self,
        tokens: Int[Tensor, "b n"],
        state: Int[Tensor, "b n parts"],
        ids: Ids,
        loop: Int[Tensor, "#b 1"],
        queries: int,
    ) -> Float[Tensor, "b q parts numbers"]:
        """Logits of the last tokens' states after one loop.

        Args:
            tokens: prompt and answer; the answer's digits mark where its columns are, and are not read.
            state: the state before the loop, read in the answer's columns only.
            ids: the tokens' position ids, before they slide with the loop.
            loop: each sample's loop, counted from 0.
            queries: the number of last tokens whose states are wanted.
        """
        offset = self.alphabet * torch.arange(self.parts, device=tokens.device)
        x = self.read_with(tokens, self.state(state + offset).sum(2))
        positions = self.encoding.place(ids)
        x = self.encoding.embed(x, positions)
        slid = self.encoding.slide(positions, loop)
        x = self.stack(x, 0, queries, None, slid, slid, None, valid=self.visible(tokens))
        logits: Tensor = self.head(self.norm(x))
        found: Tensor = rearrange(logits, "b q (parts number) -> b q parts number", parts=self.parts)
        return found

    def read_with(self, tokens: Int[Tensor, "b n"], states: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        """The line's embeddings, with those of the states in their places."""
        return torch.where(columns(tokens)[..., None], states, self.embedding(tokens))

    def places(self, tokens: Int[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
        """Which tokens have a state."""
        return columns(tokens)

    def count_loops(self, tokens: Int[Tensor, "b n"]) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
        """How many loops each problem takes, at least and at most."""
        least = factor_digits(tokens)
        return least, least + columns(tokens).sum(1)  # a carry goes through every column at most

    def learned(self, batch: Batch) -> Bool[Tensor, "b n"]:
        """Which tokens' states are learned."""
        return columns(batch.tokens)

    def next_tokens(self, digit: Float[Tensor, "b q numbers"], inside: Bool[Tensor, "b q 1"]) -> Float[Tensor, "b q v"]:
        """Logits of the tokens of a line, from those of the first part of each state.

        Here those of each column's digit, one token earlier, and the end mark's before whatever is no column.
        """
        size = self.embedding.num_embeddings
        logits = torch.full((*digit.shape[:2], size), -CERTAIN, device=digit.device)
        end = torch.zeros(size, device=digit.device)
        end[vocabulary.token(vocabulary.END)] = CERTAIN
        logits[:, :, :10] = digit
        logits = torch.where(inside, logits, end)
        # One place to the left: a column holds its own digit, and a decoder predicts a token at the one before it.
        return torch.cat([logits[:, 1:], end.expand(len(logits), 1, -1)], dim=1)

    def forward(
        self,
        tokens: Int[Tensor, "b n"],
        ids: Ids,
        *,
        queries: int | None = None,
        picked: Int[Tensor, "b a"] | None = None,
        cache: Cache | None = None,
        loops: int | None = None,
    ) -> Float[Tensor, "b a v"]:
        """Logits of the last `queries` tokens, or of those picked: the last loop's answer, and the end mark.

        Other models read the right answer so far (teacher forcing); this one reads only how long it is. The problem
        says how many loops there are.
        """
        if cache is not None:
            raise ValueError("all digits of this model's answer come at the same time: there is nothing to cache")
        queries = tokens.shape[1] if queries is None else queries
        inside = self.places(tokens)[:, -queries:, None]
        state = torch.zeros(*tokens.shape, self.parts, dtype=torch.long, device=tokens.device)
        digit = torch.zeros(*inside.shape[:2], self.alphabet, device=tokens.device)
        least, most = self.count_loops(tokens)
        loop = torch.zeros(1, 1, dtype=torch.long, device=tokens.device)
        ids = _collapse_rows(ids)
        # A row works for as many loops as its problem says, and then while a part beside the digit, such as a carry, is
        # not 0. Rows that have finished keep their state.
        while bool((working := (loop[0] < least) | ((state[..., 1:] > 0).any((1, 2)) & (loop[0] < most))).any()):
            logits = self.revise(tokens, state, ids, loop, queries)
            digit = torch.where(working[:, None, None], logits[:, :, 0], digit)
            new = torch.where(working[:, None, None], logits.argmax(-1), state[:, -queries:])
            state[:, -queries:] = new * inside  # 0 outside the places, or it would count as a carry
            loop = loop + 1
        logits = self.next_tokens(digit, inside)
        return logits if picked is None else at(logits, picked)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Cross entropy of all numbers of the state after one loop of each sample, averaged."""
        assert batch.loops is not None
        loops, ids = batch.loops, batch.placed_by(self.encoding)
        logits = self.revise(batch.tokens, loops.before.long(), ids, loops.loop[:, None], batch.queries)
        inside = self.learned(batch)[:, -batch.queries :]
        target = loops.after[:, -batch.queries :].long()
        # What is outside is left out by weight: to select what is inside would make the host wait for its number.
        each = functional.cross_entropy(logits.flatten(0, 2).float(), target.flatten(), reduction="none")
        return (each.view_as(target) * inside[..., None]).sum() / (inside.sum() * self.parts)

    @torch.no_grad()
    def answer(self, prompt: Prompt, key: Int[Tensor, " b"], new_tokens: int, capacity: int) -> Int[Tensor, "b new"]:
        """Answers to prompts of equal length whose format fixes how long the answer is, whatever `new_tokens` says."""
        assert prompt.answer_width is not None
        written = self.answer_logits(prompt, key, capacity).argmax(-1)
        column = torch.arange(written.shape[1], device=written.device)
        return written.masked_fill(column > prompt.answer_width[:, None], vocabulary.token(vocabulary.PAD))

    def passes_of_answer(self, prompt: Prompt, new_tokens: int) -> int:
        """As many loops as the second factor is written with digits; carries may take some more."""
        return int(factor_digits(prompt.tokens).max()) * len(self.blocks)

    @torch.no_grad()
    def answer_logits(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> Float[Tensor, "b new v"]:
        """The logits of all tokens of the answers to prompts of equal length, end marks included."""
        width = prompt.answer_width
        assert width is not None
        column = torch.arange(int(width.max()), device=width.device)
        blank = torch.where(column < width[:, None], 0, vocabulary.token(vocabulary.PAD))
        tokens = torch.cat([prompt.tokens, blank], dim=1)
        logits: Tensor = self(tokens, self.encoding.full(prompt, tokens, key, capacity), queries=len(column) + 1)
        return logits


def columns(tokens: Int[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """Which tokens are digits of the answer."""
    # Tokens 0 to 9 are the digits 0 to 9; see `arith.tasks.vocabulary`.
    answer = (tokens == vocabulary.token("=")).cumsum(1) > 0
    return answer & (tokens < 10)


def factor_digits(tokens: Int[Tensor, "b n"]) -> Int[Tensor, " b"]:
    """Digits that the second factor is written with."""
    after = (tokens == vocabulary.token("*")).cumsum(1) > 0
    return (after & (tokens < 10) & ~columns(tokens)).sum(1)


def _collapse_rows(ids: Ids) -> Ids:
    """One row of ids if all rows are alike: scores of positions are then computed once for all of them."""
    first = tuple(scheme_ids[:, :1] for scheme_ids in ids)
    return first if all(bool((every == row).all()) for every, row in zip(ids, first, strict=True)) else ids
