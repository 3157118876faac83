"""Position ids of what a model reads: rows of tokens with padding, packed documents and several lines.

Schemes take rows that are one sequence each, padded on the right. So rows are cut into pieces, each of which becomes a
row, and the ids go back to where the pieces were. To most schemes a piece is a document. To one that looks at digits it
is a line, a problem of its own: its answer begins after the first equals sign, and a line without one is a prompt as a
whole, so that ids in it may depend on all of it.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from arith.encodings.positions import Kind, Prompt, Reading, Scheme, TokenTable
from arith.hf.numbers.numerals import check_alignment


@dataclass(frozen=True)
class Text:
    """What a model has read, a row for each sample.

    Args:
        kind: what each token is to a scheme.
        digits: how many digits each token holds.
        ends_line: which tokens end a problem.
        valid: False marks padding; None: there is none.
        document: which document of its row each token belongs to; None: a row is one document.
        key: the random key of each sample, for schemes that draw.
        tested: whether the model is evaluated, not trained; some schemes draw otherwise then.
    """

    kind: Int[Tensor, "b n"]
    digits: Int[Tensor, "b n"]
    ends_line: Bool[Tensor, "b n"]
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
    def lines(self) -> "Pieces":
        """The rows, cut into documents and these into lines."""
        begins = self._document_begins()
        # A line begins behind the token that ends the one before. Padding may be such a token, and ends nothing.
        begins[:, 1:] |= (self.ends_line & self._valid())[:, :-1]
        return Pieces(begins, self._valid())

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
    pieces = text.lines if scheme.structure_aware else text.documents
    kind = pieces.lay_out(text.kind, Kind.OTHER)
    prompt = _prompt(kind, _prompt_length(kind), reading, text.tested)
    return pieces.back(scheme.full(prompt, kind, text.key[pieces.row], capacity))


def check_digits(text: Text, reading: Reading) -> None:
    """Raise if tokens hold digits in groups that have no common place."""
    lines = text.lines
    kind, digits = lines.lay_out(text.kind, Kind.OTHER), lines.lay_out(text.digits, 0)
    in_answer = torch.arange(kind.shape[1], device=kind.device) >= rearrange(_prompt_length(kind), "b -> b 1")
    widest = (text.digits if text.valid is None else text.digits * text.valid).amax(1)
    check_alignment(kind, digits, widest[lines.row], in_answer, reading)


def _prompt(kind: Int[Tensor, "b n"], length: Int[Tensor, " b"], reading: Reading, tested: bool) -> Prompt:
    # Schemes see tokens through a table of their kinds. Here kinds are the tokens, a vocabulary of five.
    kinds = torch.arange(len(Kind), device=kind.device)
    return Prompt(kind, length, TokenTable(kinds, (kinds == Kind.DIGIT).long()), reading, None, tested)


def _prompt_length(kind: Int[Tensor, "b n"]) -> Int[Tensor, " b"]:
    """Tokens up to the first equals sign, it included; all without one."""
    equals = kind == Kind.EQUALS
    return torch.where(equals.any(1), equals.long().argmax(1) + 1, kind.shape[1])
