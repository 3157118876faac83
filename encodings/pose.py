"""PoSE: training on short sequences whose ids skip, tests on long ones whose ids do not.

    tokens     ^ 1 2 +  3  4  5  =  7  5  3  $
    pose       1 2 3 4 22 23 24 25 26 27 28 29        two chunks, the second from a random place on

    id[t] = t + u[chunk of t]        u[0] = 0, u[j] uniform in u[j - 1] .. span - capacity

Zhu et al., "PoSE: Efficient Context Window Extension of LLMs via Positional Skip-wise Training", arXiv 2309.10400:
with a span as long as the tests, all distances up to the longest are trained. Chunks are cut at random places.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from arith.encodings.draws import Use, below, subset, words
from arith.encodings.positions import Prompt
from arith.encodings.randomized import Drawn


@dataclass(frozen=True)
class PoSE(Drawn):
    """The index of the token, with skips in training; without them in tests and validation.

    Args:
        tokens: of the longest sequence, tests included.
        span: the largest id; `tokens` if not given.
        chunks: stretches without a skip, 2 or more.

    >>> PoSE(tokens=12, span=29).highest(tokens=12, digits=4)
    29
    """

    tokens: int
    span: int | None = None
    chunks: int = 2

    def __post_init__(self) -> None:
        if self.chunks < 2:
            raise ValueError(f"chunks with skips between them are 2 or more, got {self.chunks}")

    @property
    def largest(self) -> int:
        return self.tokens if self.span is None else self.span

    def _draw(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> Int[Tensor, "#b capacity"]:
        place = torch.arange(1, capacity + 1, device=key.device)[None]
        if prompt.tested:
            return place
        skips = min(self.chunks, capacity) - 1
        # Cuts come after different tokens, none after the last: no chunk is empty.
        cuts = 1 + subset(key, Use.CHUNKS, skips, capacity - 1)
        drawn = words(key, Use.SKIPS, skips)
        ids, skipped = place, torch.zeros_like(key)
        for chunk in range(skips):
            # What earlier chunks skipped is gone; so the last token of the longest sequence stays within the span.
            skip = below(drawn[:, chunk], self.largest - capacity - skipped + 1)
            skipped = skipped + skip
            ids = ids + skip[:, None] * (place > cuts[:, chunk, None])
        return ids
