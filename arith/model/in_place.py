"""A transformer that reads values in place: every digit behind the equals sign is blank to it, and found at its place.

    the line        ^ba1,a00=b1a0$
    what it sees    ^ba1,a00=b?a?

Attention is full, so that a value may come from anywhere in the line, and no value is read from another's answer. As in
Zhang et al., "Unveiling Transformers with LEGO", arXiv 2206.04301, who read them where the clauses stand.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from arith.config.schema import ModelConfig
from arith.encodings.compose import Composed, Ids
from arith.encodings.positions import Prompt
from arith.errors import UsageError
from arith.model.block import at
from arith.model.cache import Cache
from arith.model.looped import columns, next_tokens
from arith.model.transformer import Transformer


class InPlace(Transformer):
    """A transformer whose lines have a blank for each digit of the answer.

    Args:
        config, vocabulary, encoding: as for any transformer.
    """

    answers_at_once = True

    def __init__(self, config: ModelConfig, vocabulary: int, encoding: Composed) -> None:
        super().__init__(config, vocabulary, encoding)
        self.blank = nn.Parameter(config.embedding_std * torch.randn(config.width))

    def read(self, tokens: Int[Tensor, "b n"]) -> Float[Tensor, "b n w"]:
        return torch.where(columns(tokens)[..., None], self.blank, self.embedding(tokens))

    def forward(
        self,
        tokens: Int[Tensor, "b n"],
        ids: Ids,
        *,
        queries: int | None = None,
        picked: Int[Tensor, "b a"] | None = None,
        cache: Cache | None = None,
    ) -> Float[Tensor, "b a v"]:
        """Logits of the digits, each one token earlier, as those of a decoder; of what is no digit, the end mark's."""
        queries = tokens.shape[1] if queries is None else queries
        inside = columns(tokens)[:, -queries:, None]
        found = super().forward(tokens, ids, queries=queries, cache=cache)
        logits = next_tokens(found[..., :10], inside, self.embedding.num_embeddings)
        return logits if picked is None else at(logits, picked)

    def answer(self, prompt: Prompt, key: Int[Tensor, " b"], new_tokens: int, capacity: int) -> Int[Tensor, "b new"]:
        raise UsageError(
            "this model finds each value in its place of a whole line, and continues no prompt: test it by arith "
            "evaluate, without --failures, --anatomy and --predictions. A model of lego:asked=one can be asked"
        )
