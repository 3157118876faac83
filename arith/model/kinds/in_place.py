"""A transformer that reads values in place: each of them is blank to it, and found at the name that it stands behind.

    the line        ^b0=a1a1=.1$
    what it sees    ^b?=a1a?=.1$

A value is a digit before an equals sign, and what predicts it is the token before it, as in a decoder. Attention is
full, so that a value may follow from anything in the line, and from no other value of it. Zhang et al., "Unveiling
Transformers with LEGO", arXiv 2206.04301, read the values at the names of their clauses too.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.config.schema import ModelConfig
from arith.data.batch import Batch
from arith.encodings.compose import Composed, Ids
from arith.encodings.positions import Prompt
from arith.errors import UsageError
from arith.model.block import at
from arith.model.cache import Cache
from arith.model.kinds.looped import CERTAIN, Looped
from arith.model.transformer import Transformer
from arith.tasks import vocabulary

NO_ANSWERS = (
    "this model finds each value in its place of a whole line, and continues no prompt: test it by arith evaluate, "
    "without --failures, --anatomy and --predictions. A model of lego:asked=one can be asked"
)


class InPlace(Transformer):
    """A transformer whose lines have blanks for values.

    Args:
        config, vocabulary, encoding: as for any transformer.
        digits: how many digits there are to choose from: values are below.
    """

    answers_at_once = True

    def __init__(self, config: ModelConfig, vocabulary: int, encoding: Composed, digits: int = 10) -> None:
        super().__init__(config, vocabulary, encoding)
        self.digits = digits
        self.blank = nn.Parameter(config.embedding_std * torch.randn(config.width))

    def read(self, tokens: Int[Tensor, "b n"]) -> Float[Tensor, "b n w"]:
        return torch.where(is_value(tokens)[..., None], self.blank, self.embedding(tokens))

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
        """Logits of the next token where that is a value, which is a digit; elsewhere of the end mark alone."""
        queries = tokens.shape[1] if queries is None else queries
        found = super().forward(tokens, ids, queries=queries, cache=cache, loops=loops)
        # Values alone. To unlearn all other tokens first takes 40 steps, and even with ten digits in place of two the
        # second value of a chain is learned several times more slowly (docs/labbook.md).
        no_value = torch.full_like(found[..., self.digits :], -CERTAIN)
        found = torch.cat([found[..., : self.digits], no_value], dim=-1)
        logits = end_elsewhere(found, names(tokens)[:, -queries:, None])
        return logits if picked is None else at(logits, picked)

    def answer(self, prompt: Prompt, key: Int[Tensor, " b"], new_tokens: int, capacity: int) -> Int[Tensor, "b new"]:
        raise UsageError(NO_ANSWERS)


class LoopedInPlace(Looped):
    """A transformer that revises the values of a line, each in its place, all at the same time.

    A name's input is its embedding and that of what is known of its value: a state of the task's trace, 0 for an
    unknown value and the value plus 1 for another. There are as many loops as names with a value: enough for one chain
    of all clauses.

    Args:
        config, vocabulary, encoding, parts, alphabet: as for any looped transformer.
    """

    def read_with(self, tokens: Int[Tensor, "b n"], states: Float[Tensor, "b n w"]) -> Float[Tensor, "b n w"]:
        own: Float[Tensor, "b n w"] = self.embedding(tokens)
        # A value's own place is empty: nothing there may be read.
        return own.masked_fill(is_value(tokens)[..., None], 0) + states * names(tokens)[..., None]

    def places(self, tokens: Int[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
        return names(tokens)

    def count_loops(self, tokens: Int[Tensor, "b n"]) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
        found = names(tokens).sum(1)
        return found, found

    def learned(self, batch: Batch) -> Bool[Tensor, "b n"]:
        # Of the line's values, training asks for some alone.
        return names(batch.tokens) & functional.pad(batch.answer_mask[:, 1:], (0, 1))

    def next_tokens(self, digit: Float[Tensor, "b q numbers"], inside: Bool[Tensor, "b q 1"]) -> Float[Tensor, "b q v"]:
        logits = digit.new_full((*digit.shape[:2], self.embedding.num_embeddings), -CERTAIN)
        logits[:, :, : self.alphabet - 1] = digit[:, :, 1:]
        return end_elsewhere(logits, inside)

    def answer(self, prompt: Prompt, key: Int[Tensor, " b"], new_tokens: int, capacity: int) -> Int[Tensor, "b new"]:
        raise UsageError(NO_ANSWERS)


def end_elsewhere(logits: Float[Tensor, "b q v"], inside: Bool[Tensor, "b q 1"]) -> Float[Tensor, "b q v"]:
    """The logits of values where there is one, elsewhere the end mark's, which the line itself decides."""
    end = torch.full_like(logits[0, 0], -CERTAIN)
    end[vocabulary.token(vocabulary.END)] = CERTAIN
    return torch.where(inside, logits, end)


def names(tokens: Int[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """Which tokens are names with a value behind them.

    >>> from arith.tasks.vocabulary import encode
    >>> names(torch.from_numpy(encode("b0=a1a1=.1")).long()[None]).int().tolist()
    [[1, 0, 0, 0, 0, 1, 0, 0, 0, 0]]
    """
    return functional.pad(is_value(tokens)[:, 1:], (0, 1))


def is_value(tokens: Int[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """Which tokens are values.

    >>> from arith.tasks.vocabulary import encode
    >>> is_value(torch.from_numpy(encode("b0=a1a1=.1")).long()[None]).int().tolist()
    [[0, 1, 0, 0, 0, 0, 1, 0, 0, 0]]
    """
    # Tokens 0 to 9 are the digits 0 to 9; see `arith.tasks.vocabulary`.
    before_equals = functional.pad(tokens[:, 1:] == vocabulary.token("="), (0, 1))
    return before_equals & (tokens < 10)
