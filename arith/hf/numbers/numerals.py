"""What each token of any tokenizer is to numbers: digits, alone or in groups, a sign, a gap, or something else.

A token of several digits is one digit of a larger base: tokens of three digits have base 1000. That works if groups are
counted from the units, 1+234, so that one significance has one place; 123+4 is refused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from einops import rearrange
from jaxtyping import Bool, Int
from torch import Tensor

from arith.encodings.digit_positions import rank
from arith.encodings.positions import Kind, Reading
from arith.errors import UsageError
from arith.hf.numbers.marks import marks_of

COMMA, POINT = -2, -3  # in place of a number of digits: what may stand inside a number
MIXED = -1  # in place of a number of digits: the token holds a digit beside a sign, or digits of two numbers
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # how SentencePiece writes a byte
_KINDS = {"+": Kind.OPERATOR, "-": Kind.OPERATOR, "*": Kind.OPERATOR, "": Kind.GAP}
_KINDS |= {"=": Kind.EQUALS, "=-": Kind.EQUALS}  # 5-12=-7: many vocabularies have the two signs as one token
_INSIDE = {",": COMMA, ".": POINT}


class Vocabulary(Protocol):
    """The part of a transformers tokenizer that is used here."""

    all_special_ids: Any

    def __len__(self) -> int: ...

    def convert_ids_to_tokens(self, ids: Any) -> Any: ...


@dataclass(frozen=True)
class Numerals:
    """What each entry of a vocabulary is to numbers.

    Args:
        kind: its kind to a position scheme, to which a group of digits is one digit.
        digits: how many digits it holds; `MIXED` where no place can be given to them, `COMMA` and `POINT` for these.
        ends_line: whether a problem ends with it: a line break, or a mark such as the end of a text.
        marks: the tokens behind which an answer begins, a row a mark; see `arith.hf.numbers.marks`.
    """

    kind: Int[Tensor, " v"]
    digits: Int[Tensor, " v"]
    ends_line: Bool[Tensor, " v"]
    marks: Int[Tensor, "m longest"]

    @staticmethod
    def of(tokenizer: Vocabulary, vocabulary: int, answer: str | Sequence[str] | None = None) -> "Numerals":
        """Classify the entries of a tokenizer's vocabulary.

        Args:
            tokenizer: the tokenizer.
            vocabulary: the size of the model's vocabulary, which may be larger: many are padded to a multiple of 64.
            answer: what stands before an answer; None: an equals sign, or the head of a reply in a chat.
        """
        if not hasattr(tokenizer, "convert_ids_to_tokens"):
            raise UsageError(
                f"tokenizer= takes the model's tokenizer, as AutoTokenizer.from_pretrained gives it, got "
                f"{tokenizer!r:.60}"
            )
        size = len(tokenizer)
        if size > vocabulary:
            raise UsageError(
                f"the tokenizer has {size} tokens and the model {vocabulary}: it is another model's tokenizer, or the "
                f"model lacks model.resize_token_embeddings({size})"
            )
        special = set(tokenizer.all_special_ids)
        texts = [text_of(piece) for piece in tokenizer.convert_ids_to_tokens(list(range(size)))]
        # One byte an entry: the tables are saved with the encoding, and vocabularies have up to 256,000 entries.
        kind = torch.full((vocabulary,), Kind.OTHER, dtype=torch.int8)
        digits = torch.zeros(vocabulary, dtype=torch.int8)
        ends_line = torch.zeros(vocabulary, dtype=torch.bool)
        for token, text in enumerate(texts):
            ends_line[token] = token in special or "\n" in text
            if not ends_line[token]:
                kind[token], digits[token] = _classify(text.strip(" "))
        equals = (kind == Kind.EQUALS).nonzero().flatten().tolist()
        return Numerals(kind, digits, ends_line, marks_of(tokenizer, answer, equals))

    @staticmethod
    def load(tables: Mapping[str, Tensor]) -> "Numerals | None":
        """What was saved; None if nothing was, as no scheme looks at digits."""
        if "kind" not in tables:
            return None
        equals = (tables["kind"] == Kind.EQUALS).nonzero()  # folders written before there were marks
        return Numerals(tables["kind"], tables["digits"], tables["ends_line"], tables.get("marks", equals))


def text_of(piece: str | None) -> str:
    """The text of a vocabulary entry.

    Byte-level vocabularies write Ġ and Ċ for a space and a line break, SentencePiece ▁, and WordPiece ## before what
    continues a word.
    """
    if piece is None:
        return ""
    byte = _BYTE.fullmatch(piece)
    if byte:
        return chr(int(byte[1], 16))
    return piece.replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n").removeprefix("##")


def _classify(text: str) -> tuple[Kind, int]:
    """The kind of a token by its text, and the digits it holds.

    >>> _classify("123"), _classify("3D"), _classify("=7")
    ((<Kind.DIGIT: 0>, 3), (<Kind.OTHER: 4>, 0), (<Kind.OTHER: 4>, -1))
    """
    # [0-9], not \d, which matches the digits of every script: only these are numbers of arith's problems.
    if re.fullmatch("[0-9]+", text):
        return Kind.DIGIT, len(text)
    if re.search("[0-9]", text) and re.fullmatch(r"[0-9+\-*= ]+", text):
        return Kind.OTHER, MIXED
    return _KINDS.get(text, Kind.OTHER), _INSIDE.get(text, 0)


def check_alignment(
    kind: Int[Tensor, "b n"],
    digits: Int[Tensor, "b n"],
    widest: Int[Tensor, " b"],
    answer: Bool[Tensor, "b n"],
    reading: Reading,
) -> None:
    """Raise if digits of one significance do not always have one place in their group.

    Groups of g digits must be counted from the units: all but the group of the most significant digits hold g.

    Args:
        kind: lines of tokens, a row a line, as their kinds.
        digits: how many digits each token holds.
        widest: the most digits of a token, in the text that a line is part of.
        answer: which tokens come after the prompt.
        reading: whether the most or the least significant digit comes first.
    """
    if bool((digits == MIXED).any()):
        raise UsageError(
            f"a token holds a digit and a sign, or digits of two numbers: one id cannot place them. {_ADVICE}"
        )
    # The group of the most significant digits may hold fewer: it is the first of a number or the last, by its order.
    digit = kind == Kind.DIGIT
    first = rank(kind, answer) == 0
    last = rank(kind.flip(1), answer.flip(1)).flip(1) == 0  # read backwards, the last digit is the first
    most_significant = torch.where(answer, _edge(reading.answer, first, last), _edge(reading.operands, first, last))
    wrong = digit & ~most_significant & (digits != rearrange(widest, "b -> b 1"))
    if bool(wrong.any()):
        line = int(wrong.any(1).long().argmax())
        sizes = _number_at(digit[line].tolist(), digits[line].tolist(), int(wrong[line].long().argmax()))
        order = "most" if reading.operands == "msb" else "least"
        raise UsageError(
            f"a number stands in tokens of {'+'.join(map(str, sizes))} digits beside one of {int(widest[line])}: "
            f"groups that are not counted from the units, so that digits of one significance have no common place "
            f"(operands have their {order} significant digit first). {_ADVICE}"
        )


_ADVICE = (
    "Write digits with spaces between them, as arith.hf.text.TokenizedProblems(spaced=True) does, so that each is a "
    "token; or take an encoding on sequential ids"
)


def _edge(order: str, first: Bool[Tensor, "b n"], last: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
    return first if order == "msb" else last


def _number_at(digit: Sequence[bool], held: Sequence[int], place: int) -> list[int]:
    """How many digits each token holds of the number at a place, for a message; up to a gap, if the number has any."""
    start = place
    while start and digit[start - 1]:
        start -= 1
    stop = place
    while stop < len(digit) and digit[stop]:
        stop += 1
    return list(held[start:stop])
