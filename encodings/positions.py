"""Position schemes: which integer id each token gets. 0 means "no position".

    tokens       ^ 1 2 + 3 4 5 = 7 5 3 $          the answer written least significant digit first
    sequential   1 2 3 4 5 6 7 8 9 ...
    abacus       0 1 2 0 1 2 3 0 1 2 3 0          a digit's place in its number, as it is written
    coupled      0 3 2 1 4 3 2 1 2 3 4 0          a digit's significance from 2 on; operators and equals sign have id 1

Ids of the prompt may look at the whole prompt; the id of an answer token depends on the prompt and on what stands
before it, so that decoding step by step gives the ids of the full sequence.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, NamedTuple, Protocol

import torch
from jaxtyping import Int
from torch import Tensor

from arith.encodings.draws import Use, below, words
from arith.encodings.origins import Origin, Shift, Tested


class Kind(IntEnum):
    """What a token is to a scheme."""

    DIGIT = 0
    OPERATOR = 1
    EQUALS = 2
    GAP = 3  # a space inside a number: it neither counts nor ends the number
    OTHER = 4


@dataclass(frozen=True)
class TokenTable:
    """For each entry of the vocabulary its kind and how many digits it holds.

    Args:
        nesting: the parentheses that it opens, less those that it closes; None if that is not known.
    """

    kind: Int[Tensor, " v"]
    digits: Int[Tensor, " v"]
    nesting: Int[Tensor, " v"] | None = None


@dataclass(frozen=True)
class Reading:
    """How numbers stand.

    Args:
        operands, answer: which digit comes first.
        fixed_width: whether the prompt alone fixes the answer's width.
        interleaved: operands whose digits take turns in the prompt.
        working: whether steps are written before the answer.
        numbers: of a line, the answer included.
    """

    operands: Literal["msb", "lsb"]
    answer: Literal["msb", "lsb"]
    fixed_width: bool
    interleaved: int = 1
    working: bool = False
    numbers: int = 3


@dataclass(frozen=True)
class Prompt:
    """A batch of prompts, padded on the right.

    Args:
        answer_width: digits of each answer where the format fixes them.
        tested: whether a model is measured on them, not trained.
    """

    tokens: Int[Tensor, "b n"]
    length: Int[Tensor, " b"]
    table: TokenTable
    reading: Reading
    answer_width: Int[Tensor, " b"] | None
    tested: bool = False


State = Any  # what a scheme carries from token to token: a NamedTuple of tensors, a row a sample for beams to reorder


class Scheme(Protocol):
    """Frozen and without parameters; what it draws, it draws from a per-sample key.

    One whose ids index tokens, as `arith.kernels.terms.Ids` has it, may say so by `indexes_tokens = True`: biases by
    distance then take the fastest kernels.
    """

    @property
    def levels(self) -> int:
        """Ids per token."""
        ...

    @property
    def structure_aware(self) -> bool:
        """Whether ids tell which digits belong together; figures show what uses them apart."""
        ...

    @property
    def ordered(self) -> bool:
        """Whether ids and their distances tell an order; if not, they are names, and as large as hashes."""
        ...

    @property
    def cyclic(self) -> bool:
        """Whether ids go on at 1 after the last, so that distances mean nothing."""
        ...

    @property
    def resolution(self) -> int:
        """Ids per position; more than 1 where tokens stand between whole positions."""
        ...

    def highest(self, tokens: int, digits: int) -> int:
        """The largest id, of any level, that it gives to sequences and numbers up to these lengths.

        Raises:
            ValueError: it cannot place them.
        """
        ...

    def check(self, reading: Reading) -> None:
        """Raise a ValueError with the reason if numbers written like this cannot have such ids."""
        ...

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "levels #b n"]:
        """Ids of whole sequences.

        Args:
            prompt: how far each prompt goes, and how its numbers stand.
            tokens: prompts and answers.
            key: of each sample.
            capacity: tokens of the longest sequence that these prompts may grow to, whatever is in the batch.
        """
        ...

    def start(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> tuple[Int[Tensor, "levels #b n"], State]:
        """Ids of prompts of equal length, and what `step` needs."""
        ...

    def step(self, token: Int[Tensor, " b"], state: State) -> tuple[Int[Tensor, "levels b 1"], State]:
        """Ids of one more token."""
        ...


class SequentialState(NamedTuple):
    """Tokens so far, and the offset."""

    tokens: Int[Tensor, " b"]
    offset: Int[Tensor, " b"]


@dataclass(frozen=True)
class Sequential:
    """The index of the token, from 1 or from an origin drawn for each sample.

    Args:
        tokens: of the longest sequence it can place; matters for a cyclic origin only.
        origin, span, tested: see `arith.encodings.origins`.

    >>> Sequential(origin="random", span=9).highest(tokens=12, digits=4)
    20
    """

    tokens: int = 1024
    origin: Origin = "fixed"
    span: int | None = None
    tested: Tested = "random"
    levels = 1
    structure_aware = False
    ordered = True
    resolution = 1

    def __post_init__(self) -> None:
        _ = self._shift  # refuses what it cannot take

    @property
    def _shift(self) -> Shift:
        return Shift(self.origin, self.span, period=self.tokens, tested=self.tested)

    @property
    def cyclic(self) -> bool:
        return self.origin == "cyclic"

    @property
    def indexes_tokens(self) -> bool:
        # Not a class derived from this one, which may give other ids; it can say so itself.
        return type(self) is Sequential and not self.cyclic

    def highest(self, tokens: int, digits: int) -> int:
        if self.origin == "cyclic" and tokens > self.tokens:
            raise ValueError(f"its cyclic ids tell apart sequences up to {self.tokens} tokens, not {tokens}")
        return self._shift.highest(tokens)

    def check(self, reading: Reading) -> None:
        return

    def full(
        self, prompt: Prompt, tokens: Int[Tensor, "b n"], key: Int[Tensor, " b"], capacity: int
    ) -> Int[Tensor, "1 #b n"]:
        index = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)[None]
        # Ids of a fixed origin are one row for the whole batch: kernels then read one table and not one a sample.
        return (index if self.origin == "fixed" else self._shift.move(index, self._offset(prompt, key)[:, None]))[None]

    def start(
        self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int
    ) -> tuple[Int[Tensor, "1 #b n"], SequentialState]:
        state = SequentialState(prompt.length, self._offset(prompt, key))
        return self.full(prompt, prompt.tokens, key, capacity), state

    def step(self, token: Int[Tensor, " b"], state: SequentialState) -> tuple[Int[Tensor, "1 b 1"], SequentialState]:
        tokens = state.tokens + 1
        return self._shift.move(tokens, state.offset)[None, :, None], state._replace(tokens=tokens)

    def _offset(self, prompt: Prompt, key: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        # Any bound far above all spans would do: the shift takes the remainder.
        return self._shift.offset(below(words(key, Use.ORIGIN, 1)[:, 0], 2**62), prompt.tested)
