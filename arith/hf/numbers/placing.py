"""Position ids of what a model reads: rows of tokens with padding, packed documents and several lines.

Schemes take rows that are one sequence each, padded on the right. So rows are cut into pieces, each of which becomes a
row, and the ids go back to where the pieces were. To most schemes a piece is a document. To one that looks at digits it
is a problem: its answer begins after the first mark, an equals sign if nothing else is said, and without one it is a
prompt as a whole, so that ids in it may depend on all of it. If an equals sign is the only mark, a problem is a line;
where words are marks, as in a chat, it ends with the line, or turn, in which a number follows a mark.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from arith.encodings.positions import Kind, Prompt, Reading, Scheme, TokenTable
from arith.hf.numbers.marks import Notices, end_problems
from arith.hf.numbers.numerals import COMMA, POINT, check_alignment


@dataclass(frozen=True)
class Text:
    """What a model has read, a row for each sample.

    Args:
        kind: what each token is to a scheme.
        digits: how many digits each token holds.
        ends_line: which tokens end a line.
        begins_answer: the tokens behind which an answer begins.
        running: whether a problem may take several lines.
        valid: False marks padding; None: there is none.
        document: which document of its row each token belongs to; None: a row is one document.
        key: the random key of each sample, for schemes that draw.
        tested: whether the model is evaluated, not trained; some schemes draw otherwise then.
    """

    kind: Int[Tensor, "b n"]
    digits: Int[Tensor, "b n"]
    ends_line: Bool[Tensor, "b n"]
    begins_answer: Bool[Tensor, "b n"]
    running: bool
    valid: Bool[Tensor, "b n"] | None
    document: Int[Tensor, "b n"] | None
    key: Int[Tensor, " b"]
    tested: bool

    @cached_property
    def plain(self) -> bool:
        """Whether each row is one document, with padding at its end alone: as schemes take it."""
        if self.document is not None:
            return False
        return self.valid is None or bool((self.valid[:, 1:] <= self.valid[:, :-1]).all())

    @cached_property
    def documents(self) -> "Pieces":
        """The rows, cut into documents."""
        return Pieces(self._document_begins(), self._valid())

    @cached_property
    def problems(self) -> "Pieces":
        """The rows, cut into documents and these into problems."""
        begins = self._document_begins()
        ends = self.ends_line & self._valid()  # padding may be such a token, and ends nothing
        if self.running:
            ends = end_problems(self.begins_answer, (self.kind == Kind.DIGIT) & self._valid(), ends, begins)
        begins[:, 1:] |= ends[:, :-1]
        return Pieces(begins, self._valid())

    @cached_property
    def laid(self) -> "Problems":
        """The problems, a row each."""
        return Problems.of(self)

    def _valid(self) -> Bool[Tensor, "b n"]:
        return torch.ones_like(self.ends_line) if self.valid is None else self.valid

    def _document_begins(self) -> Bool[Tensor, "b n"]:
        begins = torch.zeros_like(self.ends_line)
        begins[:, :1] = True
        if self.document is not None:
            begins[:, 1:] |= self.document[:, 1:] != self.document[:, :-1]
        return begins


class Pieces:
    """Rows cut into pieces, each of which can be laid into a row of its own without padding before or inside.

    Args:
        begins: where a piece begins; the first token of a row always begins one.
        valid: False marks padding, which is left out.

    >>> begins = torch.tensor([[True, False, False, True, False]])
    >>> pieces = Pieces(begins, torch.tensor([[False, True, True, True, True]]))
    >>> pieces.lay_out(torch.tensor([[9, 1, 2, 3, 4]]), fill=0).tolist()
    [[1, 2], [3, 4]]
    >>> pieces.back(torch.tensor([[[1, 2], [1, 2]]])).tolist()
    [[[0, 1, 2, 1, 2]]]
    """

    def __init__(self, begins: Bool[Tensor, "b n"], valid: Bool[Tensor, "b n"]) -> None:
        count = begins.sum(1)
        solid = valid.cumsum(1)  # tokens of the row up to here, without padding
        # The same where the piece began. It never falls along a row, so the running maximum is the latest piece's.
        before = ((solid - valid.long()) * begins).cummax(1).values
        self.valid = valid
        self.row = torch.arange(len(begins), device=begins.device).repeat_interleave(count)  # of each piece
        # For each token its piece, counted through the batch, and its place in that piece.
        self.piece = begins.cumsum(1) - 1 + rearrange(count.cumsum(0) - count, "b -> b 1")
        self.place = (solid - 1 - before).clamp(min=0)
        self.longest = int(self.place.max()) + 1 if self.place.numel() else 0

    def lay_out(self, x: Shaped[Tensor, "b n"], fill: int) -> Shaped[Tensor, "pieces longest"]:
        """What belongs to the tokens, with a row for each piece, filled up on the right."""
        out = x.new_full((len(self.row), self.longest), fill)
        out[self.piece[self.valid], self.place[self.valid]] = x[self.valid]
        return out

    def back(self, x: Int[Tensor, "levels #pieces longest"]) -> Int[Tensor, "levels b n"]:
        """What belongs to tokens of pieces, in the rows they came from; 0 in padding."""
        return x.expand(-1, len(self.row), -1)[:, self.piece, self.place] * self.valid


def assign_ids(scheme: Scheme, text: Text, reading: Reading, capacity: int) -> Int[Tensor, "levels #b n"]:
    """The ids of a text in a scheme.

    Args:
        scheme: the scheme.
        text: what has been read.
        reading: in which order digits stand.
        capacity: the length of the longest sequence that this one may grow to.
    """
    if not scheme.structure_aware and text.plain:
        length = torch.full_like(text.key, text.kind.shape[1])
        return scheme.full(_prompt(text.kind, length, reading, text.tested), text.kind, text.key, capacity)
    if scheme.structure_aware:
        pieces = text.problems
        laid = text.laid
        prompt = _prompt(laid.kind, laid.length, reading, text.tested)
    else:
        pieces = text.documents
        kind = pieces.lay_out(text.kind, Kind.OTHER)
        prompt = _prompt(kind, torch.full_like(pieces.row, kind.shape[1]), reading, text.tested)
    return pieces.back(scheme.full(prompt, prompt.tokens, text.key[pieces.row], capacity))


@dataclass(frozen=True)
class Problems:
    """The problems of a text, a row each.

    Args:
        kind: what each token is to a scheme.
        digits: how many digits it holds.
        length: tokens of each prompt.
        marked: whether its end was found.
        cut: commas and points that stand between digits and are no part of a number.
    """

    kind: Int[Tensor, "p n"]
    digits: Int[Tensor, "p n"]
    length: Int[Tensor, " p"]
    marked: Bool[Tensor, " p"]
    cut: Bool[Tensor, "p n"]

    @staticmethod
    def of(text: Text) -> "Problems":
        pieces = text.problems
        kind, digits = pieces.lay_out(text.kind, Kind.OTHER), pieces.lay_out(text.digits, 0)
        mark = pieces.lay_out(text.begins_answer, False)
        marked = mark.any(1)
        length = torch.where(marked, mark.long().argmax(1) + 1, kind.shape[1])
        in_prompt = torch.arange(kind.shape[1], device=kind.device) < rearrange(length, "p -> p 1")
        grouping = _grouping(kind, digits) & in_prompt  # what follows an answer's comma is not known yet
        digit = kind == Kind.DIGIT
        inside = (digits == COMMA) | (digits == POINT)
        between = inside & _later(digit, -1) & _later(digit, 1)
        return Problems(kind.masked_fill(grouping, Kind.GAP), digits, length, marked, between & ~grouping)


def _grouping(kind: Int[Tensor, "p n"], digits: Int[Tensor, "p n"]) -> Bool[Tensor, "p n"]:
    """Commas before three digits, as in 1,234: one token, or three of them."""
    digit = kind == Kind.DIGIT
    held = digits * digit
    one = (_later(held, 1) == 3) & ~_later(digit, 2)
    three = (_later(held, 1) == 1) & (_later(held, 2) == 1) & (_later(held, 3) == 1) & ~_later(digit, 4)
    return (digits == COMMA) & _later(digit, -1) & (one | three)


def _later(x: Shaped[Tensor, "p n"], by: int) -> Shaped[Tensor, "p n"]:
    """For each token what belongs to the one so many tokens later, or before; 0 beyond the ends."""
    later = torch.zeros_like(x)
    if by > 0:
        later[:, :-by] = x[:, by:]
    else:
        later[:, -by:] = x[:, :by]
    return later


def check_digits(text: Text, reading: Reading, tokens: Int[Tensor, "b n"], notices: Notices) -> None:
    """Raise if tokens hold digits in groups that have no common place; warn of numbers that may stand elsewhere.

    Args:
        text: what has been read.
        reading: in which order digits stand.
        tokens: the same as tokens, for messages.
        notices: what has been warned of.
    """
    pieces, laid = text.problems, text.laid
    in_answer = torch.arange(laid.kind.shape[1], device=tokens.device) >= rearrange(laid.length, "p -> p 1")
    widest = (text.digits if text.valid is None else text.digits * text.valid).amax(1)
    check_alignment(laid.kind, laid.digits, widest[pieces.row], in_answer, reading)
    shown = pieces.lay_out(tokens, -1)
    notices.look(shown, laid.kind, laid.cut, laid.length, laid.marked, text.running, reading)


def _prompt(kind: Int[Tensor, "b n"], length: Int[Tensor, " b"], reading: Reading, tested: bool) -> Prompt:
    # Schemes see tokens through a table of their kinds. Here kinds are the tokens, a vocabulary of five.
    kinds = torch.arange(len(Kind), device=kind.device)
    return Prompt(kind, length, TokenTable(kinds, (kinds == Kind.DIGIT).long()), reading, None, tested)
