"""A transformer that reads values in place: each of them is blank to it, and found at the name that it stands behind.

    the line        ^b0=a1,a1=01$
    what it sees    ^b?=a1,a?=01$

A value is a digit before an equals sign, and what predicts it is the token before it, as in a decoder. Attention is
full, so that a value may follow from anything in the line, and from no other value of it. Zhang et al., "Unveiling
Transformers with LEGO", arXiv 2206.04301, read the values at the names of their clauses too.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.config.schema import ModelConfig
from arith.encodings.compose import Composed, Ids
from arith.encodings.positions import Prompt
from arith.errors import UsageError
from arith.model.block import at
from arith.model.cache import Cache
from arith.model.looped import CERTAIN
from arith.model.transformer import Transformer
from arith.tasks import vocabulary


class InPlace(Transformer):
    """A transformer whose lines have blanks for values.

    Args:
        config, vocabulary, encoding: as for any transformer.
    """

    answers_at_once = True

    def __init__(self, config: ModelConfig, vocabulary: int, encoding: Composed) -> None:
        super().__init__(config, vocabulary, encoding)
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
        """Logits of the next token where that is a value; elsewhere the end mark's, which the line itself decides."""
        queries = tokens.shape[1] if queries is None else queries
        found = super().forward(tokens, ids, queries=queries, cache=cache, loops=loops)
        before_value = functional.pad(is_value(tokens)[:, 1:], (0, 1))[:, -queries:, None]
        end = torch.full_like(found[0, 0], -CERTAIN)
        end[vocabulary.token(vocabulary.END)] = CERTAIN
        logits = torch.where(before_value, found, end)
        return logits if picked is None else at(logits, picked)

    def answer(self, prompt: Prompt, key: Int[Tensor, " b"], new_tokens: int, capacity: int) -> Int[Tensor, "b new"]:
        raise UsageError(
            "this model finds each value in its place of a whole line, and continues no prompt: test it by arith "
            "evaluate, without --failures, --anatomy and --predictions. A model of lego:asked=one can be asked"
        )


def is_value(tokens: Int[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    """Which tokens are values.

    >>> from arith.tasks.vocabulary import encode
    >>> is_value(torch.from_numpy(encode("b0=a1,a1=01")).long()[None]).int().tolist()
    [[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]]
    """
    # Tokens 0 to 9 are the digits 0 to 9; see `arith.tasks.vocabulary`.
    before_equals = functional.pad(tokens[:, 1:] == vocabulary.token("="), (0, 1))
    return before_equals & (tokens < 10)
