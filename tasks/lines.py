"""Lines of text as matrices of tokens: pieces that stand one after the other, as long in each row as they need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Int, Int32, Integer, Shaped, UInt8

from arith.tasks import vocabulary
from arith.tasks.digits import Numbers, resize

Order = Literal["msb", "lsb"]
# The significance of tokens that are no digits of a number; that of units is 0.
NO_DIGIT = -1
_PAD = vocabulary.token(vocabulary.PAD)


@dataclass(frozen=True)
class Written:
    """A batch of problems as tokens, padded on the right.

    Args:
        tokens: begin mark, prompt, answer, end mark and padding.
        prompt_lengths: tokens before the answer.
        lengths: tokens up to and including the end mark.
        answer_widths: digits the answer is padded to, where the format fixes them.
        given: tokens after the prompt that no model can know, such as random spaces. None: there are none.
        whole: whether the model is trained to predict the whole line, as language models are, and not the answer alone.
    """

    tokens: Integer[np.ndarray, "b n"]
    prompt_lengths: Int[np.ndarray, " b"]
    lengths: Int[np.ndarray, " b"]
    answer_widths: Int[np.ndarray, " b"] | None = None
    given: Bool[np.ndarray, "b n"] | None = None
    whole: bool = False

    @property
    def begins(self) -> Int[np.ndarray, " b"]:
        """Tokens before the first one that the model has to predict."""
        return np.ones_like(self.prompt_lengths) if self.whole else self.prompt_lengths

    @property
    def loss_mask(self) -> Bool[np.ndarray, "b n"]:
        """The tokens that the model has to predict: answer and end mark, or the whole line."""
        # Comparing narrow integers takes half the time, and a tenth of what all of a batch takes.
        index = np.arange(self.tokens.shape[1], dtype=np.int32)
        begins, ends = self.begins.astype(np.int32), self.lengths.astype(np.int32)
        asked = (index >= begins[:, None]) & (index < ends[:, None])
        return asked if self.given is None else asked & ~self.given

    def rows(self, rows: Int[np.ndarray, " r"]) -> "Written":
        """Some of the problems, in any order, as wide as the longest of them."""
        width = int(self.lengths[rows].max(initial=0))
        return Written(
            self.tokens[rows, :width],
            self.prompt_lengths[rows],
            self.lengths[rows],
            None if self.answer_widths is None else self.answer_widths[rows],
            None if self.given is None else self.given[rows, :width],
            self.whole,
        )


@dataclass(frozen=True)
class Piece:
    """Tokens that stand together.

    Args:
        tokens: one row for all samples, or one for each.
        lengths: how many of them stand in each sample.
        significance: of each digit, NO_DIGIT for others; None: no digits of numbers.
        backwards: the last one stands first.
    """

    tokens: UInt8[np.ndarray, "1|b w"]
    lengths: Int[np.ndarray, " b"]
    significance: Int32[np.ndarray, "w"] | None = None
    backwards: bool = False


def constant(text: str, rows: int, where: Bool[np.ndarray, " b"] | None = None) -> Piece:
    """The same text in all rows, or in some of them."""
    lengths = np.full(rows, len(text))
    return Piece(vocabulary.encode(text)[None], lengths if where is None else lengths * where)


def texts(rows: Sequence[str]) -> Piece:
    """A text in each row.

    >>> texts(["12", "3"]).lengths.tolist()
    [2, 1]
    """
    lengths = np.array([len(own) for own in rows])
    # Encoded as one text, since a call for each row takes longer than all of its characters.
    tokens = np.zeros((len(rows), int(lengths.max(initial=0))), dtype=np.uint8)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = vocabulary.encode("".join(rows))
    return Piece(tokens, lengths)


def number(numbers: Numbers, width: Int[np.ndarray, " b"], order: Order, lowest: int = 0) -> Piece:
    """Numbers, filled with zeros to a width in each row; `lowest`: significance of their last digit."""
    widest = int(width.max(initial=0))
    # Digits are stored units first, so a number as people write it is one that stands backwards.
    significance = np.arange(lowest, lowest + widest, dtype=np.int32)
    return Piece(resize(numbers.digits, widest), width, significance, backwards=order == "msb")


def interleave(numbers: Sequence[Numbers], width: Int[np.ndarray, " b"], order: Order) -> Piece:
    """Numbers of one width, digit by digit: first those of one significance, then those of the next."""
    widest = int(width.max(initial=0))
    # Standing backwards turns the operands' order around too, so that here it is turned beforehand.
    digits = [resize(own.digits, widest) for own in (numbers if order == "lsb" else reversed(numbers))]
    tokens = rearrange(np.stack(digits), "m b w -> b (w m)")
    significance = np.repeat(np.arange(widest, dtype=np.int32), len(numbers))
    return Piece(tokens, width * len(numbers), significance, backwards=order == "msb")


@dataclass(frozen=True)
class Line:
    """Pieces in their places.

    Args:
        ends: for each piece, the tokens up to its end.
        significance: of each digit of a number; NO_DIGIT for all else.
    """

    tokens: UInt8[np.ndarray, "b n"]
    ends: list[Int[np.ndarray, " b"]]
    significance: Int32[np.ndarray, "b n"] | None


def lay_out(pieces: Sequence[Piece], with_significance: bool = False) -> Line:
    """One piece after the other, padded on the right."""
    ends = []
    end = np.zeros_like(pieces[0].lengths)
    for piece in pieces:
        end = end + piece.lengths
        ends.append(end)
    shape = len(end), int(end.max(initial=0))
    tokens = np.full(shape, _PAD, np.uint8)
    significance = np.full(shape, NO_DIGIT, np.int32) if with_significance else None
    for piece, end in zip(pieces, ends, strict=True):
        _place(tokens, end - piece.lengths, piece, piece.tokens)
        if significance is not None and piece.significance is not None:
            _place(significance, end - piece.lengths, piece, piece.significance[None])
    return Line(tokens, ends, significance)


def _place(
    matrix: Shaped[np.ndarray, "b n"], start: Int[np.ndarray, " b"], piece: Piece, values: Shaped[np.ndarray, "1|b w"]
) -> None:
    """Write a piece, or what is known of its tokens, from `start` on."""
    lengths = piece.lengths
    if not len(start):
        return
    if (lengths == lengths[0]).all():
        # Rows alike need no index for each token, which is most of the time otherwise.
        values = values[:, : lengths[0]]
        if (start == start[0]).all():
            matrix[:, start[0] : start[0] + lengths[0]] = values[:, ::-1] if piece.backwards else values
            return
        if lengths[0] == 1:
            matrix[np.arange(len(matrix)), start] = values[:, 0]
            return
    values = values[:, : int(lengths.max())]
    place = np.arange(values.shape[1])
    inside = place < lengths[:, None]
    column = (start + lengths - 1)[:, None] - place if piece.backwards else start[:, None] + place
    # One flat index is faster than a pair. The matrix is contiguous, so `reshape` is a view that can be written to.
    cell = column + matrix.shape[1] * np.arange(len(matrix))[:, None]
    matrix.reshape(-1)[cell[inside]] = np.broadcast_to(values, inside.shape)[inside]


def insert(
    written: Written,
    counts: Int[np.ndarray, "b n"],
    symbols: Integer[np.ndarray, "b n"],
    *,
    given: bool = False,
    padding: int = _PAD,
) -> Written:
    """Insert `counts` copies of its symbol before each token. Copies before the answer's first token are the answer's.

    Args:
        given: whether the model is spared predicting what is inserted after the prompt.
        padding: token after the end.
    """
    rows, columns = written.tokens.shape
    inside = np.arange(columns) < written.lengths[:, None]
    counts = counts * inside
    # How far each token moves: by what is inserted before it and before all earlier ones. A prompt grows by the shift
    # of its last token, which leaves what comes before the answer's first token to the answer.
    shifts = counts.cumsum(axis=1)
    row = np.arange(rows)
    lengths = written.lengths + shifts[row, written.lengths - 1]
    prompt_lengths = written.prompt_lengths + shifts[row, written.prompt_lengths - 1]
    width = int(lengths.max(initial=0))
    tokens = np.full((rows, width), padding, written.tokens.dtype)
    cell = np.arange(columns) + shifts + width * row[:, None]
    tokens.reshape(-1)[cell[inside]] = written.tokens[inside]
    unknown = np.zeros((rows, width), dtype=bool)
    # Few symbols stand in one place: a loop over them, each step over all rows.
    for back in range(1, int(counts.max(initial=0)) + 1):
        some = counts >= back
        tokens.reshape(-1)[cell[some] - back] = symbols[some]
        unknown.reshape(-1)[cell[some] - back] = True
    unknown &= np.arange(width) >= prompt_lengths[:, None]
    return Written(tokens, prompt_lengths, lengths, written.answer_widths, unknown if given else written.given)
