"""One vocabulary of single characters for every task. The token of a digit is the digit itself.

A model has the first `size(...)` entries only: those of an addition are 17, and hints, which few use, stand last.
"""

import string
from typing import Literal

import numpy as np
from jaxtyping import UInt8

Kind = Literal["digit", "operator", "equals", "gap", "other"]

DIGITS = "0123456789"
BEGIN, END, PAD = "^", "$", "_"
OPERATORS = "+-*"
MORE_OPERATORS = "/%<>&|"  # of no task here: for tasks that users add
# What every model has; a token's id is its place.
BASE = DIGITS + OPERATORS + "=" + BEGIN + END + PAD
GAP = " "
WORKING = "c,;:()"
TEXT = ".?!'" + "".join(letter for letter in string.ascii_letters if letter not in WORKING)
# ①-㊿, Ⓐ-Ⓩ, ⓐ-ⓩ: as many as McLeish et al., arXiv 2405.17399, use.
HINTS = "".join(
    chr(code)
    for first, last in (("①", "⑳"), ("㉑", "㉟"), ("㊱", "㊿"), ("Ⓐ", "Ⓩ"), ("ⓐ", "ⓩ"))
    for code in range(ord(first), ord(last) + 1)
)
# New symbols go to the end: a trained model's token ids must not move. So a model with one of MORE_OPERATORS has an
# embedding for every symbol, most of them unused.
SYMBOLS = BASE + GAP + WORKING + TEXT + HINTS + MORE_OPERATORS

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(DIGITS, "digit"),
    **dict.fromkeys(OPERATORS + MORE_OPERATORS, "operator"),
    "=": "equals",
    # Neither ends a number nor counts as a digit of it.
    **dict.fromkeys(GAP + HINTS, "gap"),
}
_IDS = {symbol: token for token, symbol in enumerate(SYMBOLS)}


def size(symbols: str = "") -> int:
    """How many tokens a model has that writes these beside digits, operators and marks.

    >>> size(), size("c")
    (17, 19)
    """
    return 1 + max(_IDS[symbol] for symbol in BASE + symbols)


def token(symbol: str) -> int:
    """The id of one symbol.

    >>> token("7"), token("+")
    (7, 10)
    """
    return _IDS[symbol]


def encode(text: str) -> UInt8[np.ndarray, " n"]:
    """The tokens of a text.

    >>> encode("12+3=").tolist()
    [1, 2, 10, 3, 13]
    """
    unknown = sorted(set(text) - set(SYMBOLS))
    if unknown:
        raise ValueError(f"the vocabulary has no {', '.join(map(repr, unknown))}: it is {SYMBOLS[: size(TEXT)]!r}")
    return np.array([_IDS[symbol] for symbol in text], dtype=np.uint8)


def kinds() -> list[Kind]:
    """What each token is to a position scheme, in the order of the ids."""
    return [_KINDS.get(symbol, "other") for symbol in SYMBOLS]


def nesting() -> list[int]:
    """1 for a symbol that opens parentheses, -1 for one that closes them, in the order of the ids."""
    return [(symbol == "(") - (symbol == ")") for symbol in SYMBOLS]


def decode(tokens: UInt8[np.ndarray, " n"]) -> str:
    """The text of tokens, with the marks for begin, end and padding left out.

    >>> decode(np.array([14, 1, 2, 10, 3, 13, 1, 5, 15, 16], dtype=np.uint8))
    '12+3=15'
    """
    text = "".join(SYMBOLS[int(token)] for token in tokens)
    return text.strip(BEGIN + END + PAD)
