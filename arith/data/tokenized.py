"""Problems as text through any Hugging Face tokenizer, for pretrained models.

A tokenizer knows nothing about prompt and answer. So each problem is encoded as a whole, as the model will read it, and
the offsets of its tokens in the text show which of them belong to the answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Int, UInt64
from torch import Tensor

from arith.data.dataset import Drawn, Samples
from arith.errors import UsageError
from arith.tasks import vocabulary
from arith.tasks.base import Task
from arith.tasks.decorations import Spaces
from arith.tasks.formats import Format
from arith.tasks.lines import Written, insert
from arith.tasks.mixture import Mixture
from arith.tasks.stream import Split

IGNORED = -100  # the label that the losses of transformers and torch skip
# A space is put between two of these characters, and removed when an answer is read; spaces between words stay.
_NUMBERLIKE = r"[0-9+\-*=]"
_BETWEEN = re.compile(f"(?<={_NUMBERLIKE})(?={_NUMBERLIKE})")
_SPACED = re.compile(f"(?<={_NUMBERLIKE}) +(?={_NUMBERLIKE})")


class Tokenizer(Protocol):
    """The interface of transformers' fast tokenizers that is used here."""

    eos_token_id: Any
    pad_token_id: Any
    unk_token_id: Any

    def __call__(self, text: list[str], *, add_special_tokens: bool, return_offsets_mapping: bool) -> Any: ...

    def batch_decode(self, sequences: Any, *, clean_up_tokenization_spaces: bool) -> list[str]: ...

    def convert_tokens_to_ids(self, tokens: Any) -> Any: ...


def special_tokens(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before and behind each text."""
    bare, whole = (
        tokenizer(["1"], add_special_tokens=wanted, return_offsets_mapping=False)["input_ids"][0]
        for wanted in (False, True)
    )
    start = next(place for place in range(len(whole)) if whole[place : place + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]


@dataclass(frozen=True)
class TokenizedProblems:
    """Problems in a format, as a pretrained model reads them.

    Random spaces are inserted between token ids, not into the text, because many tokenizers merge runs of spaces.

    Args:
        tokenizer: a fast tokenizer, which returns the offsets of its tokens in the text.
        format: the format in which numbers are written.
        spaced: whether to put a space between digits and operators, which makes each digit a token of its own.
        space: the id of the token for one space; None to find it in the vocabulary.
    """

    tokenizer: Tokenizer
    format: Format
    spaced: bool = True
    space: int | None = None

    def texts(self, problems: Samples, start: int, count: int) -> list[tuple[str, str]]:
        """Write samples as pairs of prompt and answer; see the function `texts`."""
        return texts(problems, self.format, start, count, self.spaced)

    def batch(self, problems: Mixture, start: int, count: int) -> dict[str, Tensor]:
        """Encode samples as `input_ids`, `attention_mask` and `labels`, padded on the right.

        Labels are -100 except at the answer and the end-of-sequence token, if the tokenizer has one.

        Args:
            problems: the mixture that samples are drawn from.
            start: the index of the first sample.
            count: the number of samples.

        Raises:
            ValueError: a token holds text of both prompt and answer, or no token is a space.
        """
        written = self.write(problems, start, count)
        index = np.arange(written.tokens.shape[1])
        return {
            "input_ids": torch.from_numpy(written.tokens),
            "attention_mask": torch.from_numpy((index < written.lengths[:, None]).astype(np.int64)),
            "labels": torch.from_numpy(np.where(written.loss_mask, written.tokens, IGNORED)),
        }

    def write(self, problems: Samples, start: int, count: int) -> Written:
        """Encode samples as tokens, padded on the right.

        Raises:
            ValueError: a token holds text of both prompt and answer, or no token is a space.
        """
        written, slots = self._tokenize(self.texts(problems, start, count))
        decoration = self.format.decoration
        if not isinstance(decoration, Spaces):
            return written
        if not isinstance(problems, Mixture):
            raise ValueError("random spaces are drawn for samples of a mixture, not for the cells of a grid")
        # Without spaces in answers, they stand before tokens of the prompt alone.
        if not decoration.answer:
            slots &= np.arange(slots.shape[1]) < written.prompt_lengths[:, None]
        counts = decoration.counts((len(slots), slots.shape[1]), problems.draws(start, count)) * slots
        spaces = np.full_like(written.tokens, self._space())
        return insert(written, counts, spaces, given=decoration.answer, padding=self._padding())

    def read(self, task: Task, text: str) -> tuple[tuple[str, ...], str]:
        """Read operands and answer, as decimal strings, from a prompt with a model's reply."""
        return _bare(self.format).read(task, _SPACED.sub("", text) if self.spaced else text)

    def _tokenize(self, texts: Sequence[tuple[str, str]]) -> tuple[Written, np.ndarray]:
        """Encode texts; return the tokens, and a mask of the tokens before which random spaces can be inserted.

        Such a place follows a digit or sign. In the prompt it also precedes one, in the answer it precedes anything.
        """
        # In the answer, what comes next must not be given away: a space that only digits follow would announce one.
        wholes = [prompt + answer for prompt, answer in texts]
        encoded = self.tokenizer(wholes, add_special_tokens=False, return_offsets_mapping=True)
        end = self.tokenizer.eos_token_id
        before, _ = special_tokens(self.tokenizer)
        ids = [[*before, *row] if end is None else [*before, *row, end] for row in encoded["input_ids"]]
        lengths = np.array([len(row) for row in ids])
        tokens = np.full((len(ids), lengths.max()), self._padding(), dtype=np.int64)
        slots = np.zeros(tokens.shape, dtype=bool)
        prompt_lengths = np.full_like(lengths, len(before))
        for row, ((prompt, _), offsets) in enumerate(zip(texts, encoded["offset_mapping"], strict=True)):
            tokens[row, : lengths[row]] = ids[row]
            for place, (first, last) in enumerate(offsets, start=len(before)):
                # Half of such a token would have to be predicted, and half of it be known.
                if first < len(prompt) < last:
                    token = wholes[row][first:last]
                    advice = "Choose another tokenizer" if self.spaced else "Use spaced=True"
                    raise ValueError(
                        f"token {token!r} reaches from the prompt into the answer of {wholes[row]!r}. {advice}"
                    )
                prompt_lengths[row] += last <= len(prompt)  # tokens stand in order, so these are the first
                slots[row, place] = _after_digit(wholes[row], first) and (
                    first >= len(prompt) or _is_numberlike(wholes[row], first, last)
                )
            # The end of sequence has no offsets in the text.
            if end is not None:
                slots[row, lengths[row] - 1] = _after_digit(wholes[row], len(wholes[row]))
        self._check_kept(wholes, encoded["input_ids"])
        return Written(tokens, prompt_lengths, lengths), slots

    def _check_kept(self, texts: Sequence[str], ids: Sequence[Sequence[int]]) -> None:
        """Raise if a tokenizer changes or drops a character: `[UNK]` would be learned in its place."""
        decoded = self.tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)
        for text, back in zip(texts, decoded, strict=True):
            # Many tokenizers add or merge spaces, which tell models nothing that digits and signs do not.
            if "".join(text.split()) != "".join(back.split()):
                lost = next((character for character in text if character not in back), None)
                raise ValueError(
                    f"the tokenizer does not keep {text!r}: its tokens say {back!r}"
                    + (f", without {lost!r}" if lost is not None else "")
                    + ". Choose another format, or another tokenizer"
                )

    def _space(self) -> int:
        """The id of the token that is a single space."""
        if self.space is not None:
            return self.space
        # Byte-level vocabularies write a space as Ġ, SentencePiece as ▁.
        for symbol in ("Ġ", "▁", " "):
            token = self.tokenizer.convert_tokens_to_ids(symbol)
            if token is not None and token != self.tokenizer.unk_token_id:
                return int(token)
        raise ValueError("no token of this tokenizer is a single space. Say which stands for one: space=ID")

    def _padding(self) -> int:
        # Padding is masked and has no labels, so any token serves where a tokenizer has none for padding.
        known = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return int(next(token for token in known if token is not None))


@dataclass(frozen=True)
class TokenizedSamples:
    """Samples in a pretrained model's tokens, for use wherever samples in arith's tokens are expected.

    Args:
        problems: the samples.
        outlet: the writer of tokens. Its format is used, not the one that `write` is called with.
    """

    problems: Samples
    outlet: TokenizedProblems

    @property
    def sources(self) -> Sequence[Drawn]:
        return self.problems.sources

    @property
    def split(self) -> Split:
        return self.problems.split

    @property
    def longest(self) -> int:
        return self.problems.longest

    @property
    def samples(self) -> int | None:
        return self.problems.samples

    @property
    def redraw(self) -> bool:
        return self.problems.redraw

    @property
    def renumber(self) -> bool:
        return self.problems.renumber

    @property
    def swap(self) -> bool:
        return self.problems.swap

    def hashes(self, start: int, count: int) -> UInt64[np.ndarray, " n"]:
        return self.problems.hashes(start, count)

    def keys(self, start: int, count: int) -> Int[np.ndarray, " n"]:
        return self.problems.keys(start, count)

    def formats(self, form: Format) -> list[Format]:
        return self.problems.formats(form)

    def write(self, form: Format, start: int, count: int) -> Written:
        try:
            return self.outlet.write(self.problems, start, count)
        except ValueError as error:
            # Advice of the library's keyword, replaced by that of the command line.
            advice = "Write digits apart, --format plain+groups:size=1, or choose another tokenizer"
            raise UsageError(f"{str(error).partition('. Use')[0]}. {advice}") from error


def texts(problems: Samples, form: Format, start: int, count: int, spaced: bool = False) -> list[tuple[str, str]]:
    """Write samples as pairs of prompt and answer, without random spaces; a space between them begins the answer.

    Args:
        problems: the samples.
        form: the format in which numbers are written.
        start: the index of the first sample.
        count: the number of samples.
        spaced: whether to put a space between digits and operators.
    """
    written = problems.write(_bare(form), start, count)
    pairs = []
    for tokens, cut in zip(written.tokens, written.prompt_lengths, strict=True):
        prompt = vocabulary.decode(tokens[:cut])
        whole = prompt + vocabulary.decode(tokens[cut:])
        if spaced:
            prompt, whole = (_BETWEEN.sub(" ", text) for text in (prompt, whole))
        # Most tokenizers have tokens that begin with a space, and few that end with one.
        prompt = prompt.rstrip(" ")
        pairs.append((prompt, whole[len(prompt) :]))
    return pairs


def _bare(form: Format) -> Format:
    """The format without random spaces, which are inserted between tokens instead."""
    return replace(form, decoration=None) if isinstance(form.decoration, Spaces) else form


def _after_digit(text: str, first: int) -> bool:
    return bool(re.search(_NUMBERLIKE + "$", text[:first].rstrip(" ")))


def _is_numberlike(text: str, first: int, last: int) -> bool:
    return bool(re.match(_NUMBERLIKE, text[first:last].lstrip(" ")))
