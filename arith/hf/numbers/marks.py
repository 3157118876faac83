"""Where answers begin in a text, and what cannot be known of its numbers.

An answer begins behind a mark: an equals sign, words such as "A:", or what a chat template puts before a reply. Marks
are looked for as tokens, since a model reads nothing else, in each of the ways in which a tokenizer writes them.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional

from arith.encodings.digit_positions import rank
from arith.encodings.positions import Kind, Reading
from arith.errors import UsageError

EQUALS = "="
NO_TOKEN = -1  # fills marks that are shorter than the longest
# Where a mark may stand: tokenizers join what stands before it to its first letters.
_BEFORE = ("", " ", "\n")


def chat_mark(tokenizer: Any) -> str | None:
    """What a tokenizer's chat template puts before a reply, without spaces around it; None without a template.

    In SmolLM2 it is "<|im_start|>assistant".
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    turns = [{"role": "user", "content": "1"}]
    try:
        asked, replied = (
            tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=reply) for reply in (False, True)
        )
    except Exception:  # templates are programs of other people, and raise what they like
        return None
    mark = replied.removeprefix(asked).strip() if replied.startswith(asked) else ""
    return mark if mark and not any(sign.isdigit() for sign in mark) else None


def marks_of(tokenizer: Any, answer: str | Sequence[str] | None, equals: Sequence[int]) -> Int[Tensor, "m longest"]:
    """The marks behind which answers begin, as tokens.

    Args:
        tokenizer: the tokenizer.
        answer: the marks as text; None: the equals sign, and what the tokenizer's chat template puts before a reply.
        equals: the tokens that are an equals sign.

    Raises:
        UsageError: a mark is empty, or holds digits, or the tokenizer does not encode text.
    """
    chat = chat_mark(tokenizer) if answer is None else None
    texts = [EQUALS, *([chat] if chat else [])] if answer is None else [answer] if isinstance(answer, str) else answer
    found: set[tuple[int, ...]] = set()
    for text in texts:
        if not text.strip() or any(sign.isdigit() for sign in text):
            raise UsageError(f"answer= takes the text behind which an answer begins, without digits: got {text!r}")
        if text.strip() == EQUALS:
            found |= {(token,) for token in equals}
            continue
        for before in _BEFORE:
            ids = list(tokenizer.encode(before + text.strip(), add_special_tokens=False))
            while ids and not tokenizer.decode(ids[:1]).strip():
                ids = ids[1:]
            found.add(tuple(ids))
    longest = max(map(len, found), default=1)
    rows = [list(mark) + [NO_TOKEN] * (longest - len(mark)) for mark in sorted(found)]
    return torch.tensor(rows, dtype=torch.long).reshape(-1, longest)


def find_marks(tokens: Int[Tensor, "b n"], marks: Int[Tensor, "m longest"]) -> Bool[Tensor, "b n"]:
    """Which tokens are the last of a mark.

    >>> find_marks(torch.tensor([[5, 6, 7, 6, 5]]), torch.tensor([[5, 6], [7, -1]])).long().tolist()
    [[0, 1, 1, 0, 0]]
    """
    found = torch.zeros_like(tokens, dtype=torch.bool)
    for mark in marks.tolist():
        own = [token for token in mark if token != NO_TOKEN]
        last = torch.ones_like(found)
        for back, token in enumerate(reversed(own)):
            last &= functional.pad(tokens, (back, 0), value=NO_TOKEN)[:, : tokens.shape[1]] == token
        found |= last
    return found


def end_problems(
    begins_answer: Bool[Tensor, "b n"],
    digit: Bool[Tensor, "b n"],
    ends_line: Bool[Tensor, "b n"],
    begins: Bool[Tensor, "b n"],
) -> Bool[Tensor, "b n"]:
    """The tokens with which a problem ends that may take several lines: the first end of a line behind its answer.

    Args:
        begins_answer: the last token of each mark.
        digit: which tokens hold digits.
        ends_line: which tokens end a line.
        begins: where documents begin.
    """
    index = torch.arange(digit.shape[1], device=digit.device)
    document = (begins * index).cummax(1).values
    mark = torch.where(begins_answer, index, -1).cummax(1).values  # the latest so far
    known = mark >= document
    since = mark.clamp(min=0)
    digits = digit.long().cumsum(1)
    ends = ends_line & known & (digits > digits.gather(1, since))
    count = ends.long().cumsum(1)
    return ends & (count - count.gather(1, since) == 1)


class Notices:
    """Warns once of each way in which a text's numbers may not stand where they seem to.

    Args:
        decode: from tokens to text, for messages; None where the tokenizer is not known, as after loading.
    """

    def __init__(self, decode: Callable[[list[int]], str] | None) -> None:
        self.decode = decode
        self.given: set[str] = set()

    def __deepcopy__(self, memo: Any) -> "Notices":
        return Notices(self.decode)  # a tokenizer need not be copied with the model

    def look(
        self,
        tokens: Int[Tensor, "p n"],
        kind: Int[Tensor, "p n"],
        cut: Bool[Tensor, "p n"],
        length: Int[Tensor, " p"],
        marked: Bool[Tensor, " p"],
        running: bool,
        reading: Reading,
    ) -> None:
        """Look at problems, a row each.

        Args:
            tokens: their tokens.
            kind: what these are to a scheme.
            cut: commas and points between digits.
            length: tokens of the prompts.
            marked: in which a mark was found.
            running: whether answers may hold words.
            reading: how numbers stand.
        """
        for reason, rows in _unaligned(kind, cut, length, marked, running, reading):
            if reason in self.given or not bool(rows.any()):
                continue
            self.given.add(reason)
            row = int(rows.long().argmax())
            shown = f"of {tokens.shape[1]} tokens"
            if self.decode is not None:
                shown = repr(self.decode(tokens[row][tokens[row] >= 0].tolist())[:200])
            warnings.warn(f"in the text {shown}, {reason}", stacklevel=2)


def _unaligned(
    kind: Int[Tensor, "p n"],
    cut: Bool[Tensor, "p n"],
    length: Int[Tensor, " p"],
    marked: Bool[Tensor, " p"],
    running: bool,
    reading: Reading,
) -> Iterator[tuple[str, Bool[Tensor, " p"]]]:
    digit = kind == Kind.DIGIT
    yield (
        "a comma or point stands between digits, so that they are read as two numbers. Write numbers without it, or "
        "give ids of your own: ids=",
        cut.any(1),
    )
    if reading.operands == reading.answer:
        return  # wherever an answer begins, ids are the same
    yield (
        "numbers stand and no mark behind which an answer begins: all of them are read as a prompt's, most significant "
        "digit first. Say what stands before an answer, attach(..., answer='A:'), or give ids of your own: ids="
        if reading.operands == "msb"
        else "numbers stand and no mark behind which an answer begins. Say it: attach(..., answer='A:')",
        digit.any(1) & ~marked,
    )
    answer = torch.arange(kind.shape[1], device=kind.device) >= rearrange(length, "p -> p 1")
    numbers = (digit & answer & (rank(kind, answer) == 0)).sum(1)
    yield (
        "an answer holds several numbers, each of which is read as the answer is written, operands that it repeats "
        "too. Have answers give the number alone, or give ids of your own: ids=",
        (numbers > 1) & running & ~cut.any(1),
    )
