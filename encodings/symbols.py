"""Which symbol a token is, where it is no digit and no operator: the occurrences of a name share an id.

    tokens       ^ b a 1 , a 0 0 ; b = 1 $
    ids          15 26 25 0 20 25 0 0 21 26 0 0 16      those of letters and marks alone; larger by 1 than the token

`relative:radius=1@symbols` finds where else a name stands, as in chains of clauses. That is what Zhang et al.,
"Unveiling Transformers with LEGO", arXiv 2206.04301, call an association head.
"""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor

from arith.encodings.digit_positions import kind_of, kinds_by_row
from arith.encodings.positions import Kind, Prompt, Reading

SYMBOLS = 256  # arith's tokens are bytes


class SymbolState(NamedTuple):
    """The kind of each symbol of the vocabulary."""

    kind: Int[Tensor, "b v"]


@dataclass(frozen=True)
class Symbols:
    """The symbol itself; 0 for digits, operators, the equals sign and spaces.

    >>> Symbols().highest(tokens=12, digits=4)
    256
    """

    levels = 1
    structure_aware = True
    # Distances tell nothing but whether two are the same: a table by distance learns that.
    ordered = True
    cyclic = False
    resolution = 1

    def highest(self, tokens: int, digits: int) -> int:
        return SYMBOLS

    def check(self, reading: Reading) -> None:
        return

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "1 b n"]:
        return ((1 + tokens) * (prompt.table.kind[tokens] == Kind.OTHER))[None]

    def start(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> tuple[Int[Tensor, "1 b n"], SymbolState]:
        return self.full(prompt, prompt.tokens, key, capacity), SymbolState(kinds_by_row(prompt))

    def step(self, token: Int[Tensor, " b"], state: SymbolState) -> tuple[Int[Tensor, "1 b 1"], SymbolState]:
        return ((1 + token) * (kind_of(token, state.kind) == Kind.OTHER))[None, :, None], state
