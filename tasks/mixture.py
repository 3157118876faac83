"""Problems of one source or of several, endless or a fixed set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt64

from arith.tasks import vocabulary
from arith.tasks.base import Problems, is_commutative
from arith.tasks.digits import Numbers, resize
from arith.tasks.formats import Format
from arith.tasks.lines import Written
from arith.tasks.sampling import Source
from arith.tasks.stream import Draws, Split, Use, sample_keys

_STEPS = 2**32  # shares are kept to one of these


class Part(NamedTuple):
    """The samples of a stretch that come from one source.

    Args:
        source: its place among the mixture's.
        decorating: the draws of decorations, others than `draws` where a fixed set is decorated anew.
        rows: the samples' places in the stretch.
    """

    source: int
    problems: Problems
    draws: Draws
    decorating: Draws
    rows: Int[np.ndarray, " rows"]


@dataclass(frozen=True)
class Mixture:
    """Each sample is from one of the sources, drawn with these shares.

    Args:
        sources: where samples come from, all of one seed and split.
        shares: the probability of each source; they sum to 1.
        samples: size of a fixed set that is repeated again and again; None: every sample is new.
        whole: whether the model is trained to predict whole lines, prompts included.
        redraw: whether decorations, such as random spaces, are drawn anew each time a fixed set comes round: problems
            and wordings repeat then, and how they are written does not.
        renumber: whether operands are drawn anew each time a fixed set comes round: wordings repeat then, and so do
            kinds that come in turn, if the set's size is a multiple of theirs.
        swap: whether each sample's operands are in their order or in reverse, drawn anew when a fixed set comes round.
        forms: the format of each source that has one of its own, else None; none at all: ().

    >>> from arith.tasks.addition import Addition
    >>> from arith.tasks.multiplication import Multiplication
    >>> from arith.tasks.samplers import Uniform
    >>> sources = [Source(task, Uniform(1, 3), 0, "train") for task in (Addition(), Multiplication())]
    >>> written = Mixture(sources, [0.5, 0.5]).write(Format(), 0, 3)
    >>> [vocabulary.decode(tokens) for tokens in written.tokens]
    ['1+65=66', '9+470=479', '38+9=47']
    """

    sources: Sequence[Source]
    shares: Sequence[float] = (1.0,)
    samples: int | None = None
    whole: bool = False
    redraw: bool = False
    renumber: bool = False
    swap: bool = False
    forms: Sequence[Format | None] = ()

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.shares) or abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"each source has a share, and they sum to 1; got {list(self.shares)}")
        if min(self.shares) * _STEPS < 1:
            raise ValueError(f"the smallest share is above {1 / _STEPS:.0e}, got {min(self.shares)}")
        if len({(source.seed, source.split) for source in self.sources}) > 1:
            raise ValueError("sources that are mixed have one seed and one split")
        for task in (source.task for source in self.sources if self.swap):
            if task.operands < 2 or not is_commutative(task):
                raise ValueError(f"operands that are swapped leave an answer as it is, and {task.name}'s would change")
        if self.samples is not None and self.samples < 1:
            raise ValueError(f"a fixed set has 1 sample or more, got {self.samples}")

    @property
    def seed(self) -> int:
        return self.sources[0].seed

    @property
    def split(self) -> Split:
        return self.sources[0].split

    @property
    def longest(self) -> int:
        """Digits of the longest operand."""
        return max(source.longest for source in self.sources)

    def formats(self, form: Format) -> list[Format]:
        """How each source is written: in its own format, or like the others in `form`."""
        return [own or form for own in self.forms] or [form] * len(self.sources)

    def write(self, form: Format, start: int, count: int) -> Written:
        """Samples `start` to `start + count - 1` as tokens, those of sources with a format of their own in that one."""
        parts, forms = self.parts(start, count), self.formats(form)
        written = [
            forms[part.source].write(self.sources[part.source].task, part.problems, part.draws, part.decorating)
            for part in parts
        ]
        return replace(_in_rows(written, [part.rows for part in parts]), whole=self.whole)

    def parts(self, start: int, count: int) -> list[Part]:
        """The problems of these samples, by the sources they come from."""
        found = []
        before = 0
        for run_start, run_count, first in self._runs(start, count):
            draws = Draws.at(self.seed, self.split, run_start, run_count)
            decorating = self.draws(start + before, run_count)
            which = self._which(draws)
            # Each source counts all samples as if it were alone, and rows are picked after: a sample's problem depends
            # on its index and not on the shares.
            for place, source in enumerate(self.sources):
                mine = which == place
                if not mine.any():
                    continue
                problems = source.problems(first, run_count)
                if self.swap:
                    anew = Draws(self.keys(start + before, run_count), self.split)
                    problems = swap_operands(problems, anew.halves(Use.SWAP)[:, 0] < _STEPS // 2)
                if mine.all():
                    rows = np.arange(before, before + run_count)
                    found.append(Part(place, problems, draws, decorating, rows))
                else:
                    rows = before + np.flatnonzero(mine)
                    found.append(Part(place, problems[mine], draws[mine], decorating[mine], rows))
            before += run_count
        return found

    def draws(self, start: int, count: int) -> Draws:
        """The random draws of samples' decorations: the same in each pass over a fixed set, or new with `redraw`."""
        if self.redraw:
            return Draws(self.keys(start, count), self.split)
        keys = [Draws.at(self.seed, self.split, *run[:2]).keys for run in self._runs(start, count)]
        return Draws(np.concatenate(keys), self.split)

    def keys(self, start: int, count: int) -> Int[np.ndarray, " n"]:
        """The keys that encodings draw from. When a fixed set comes round, samples repeat and keys do not."""
        return sample_keys(self.seed, self.split, start, count)

    def hashes(self, start: int, count: int) -> UInt64[np.ndarray, " n"]:
        """64 bits that identify each sample's problem."""
        found = []
        for run_start, run_count, first in self._runs(start, count):
            which = self._which(Draws.at(self.seed, self.split, run_start, run_count))
            own = np.stack([source.hashes(first, run_count) for source in self.sources])
            found.append(own[which, np.arange(run_count)])
        return np.concatenate(found)

    def _which(self, draws: Draws) -> Int[np.ndarray, " n"]:
        if len(self.sources) == 1:
            return np.zeros(len(draws.keys), dtype=np.int64)
        # The last border would be 2**32, above every number drawn: left out, the last source takes what remains,
        # whichever way its share was rounded.
        borders = np.round(np.cumsum(self.shares) * _STEPS)[:-1].astype(np.uint64)
        return np.searchsorted(borders, draws.halves(Use.MIXTURE)[:, 0], side="right")

    def _runs(self, start: int, count: int) -> Iterator[tuple[int, int, int]]:
        """Stretches of samples that follow one another, where a fixed set begins again: the place of the first one in
        the set, how many they are, and the index of the first one's operands among all that could be drawn."""
        while count:
            place = start % self.samples if self.samples else start
            taken = min(count, self.samples - place) if self.samples else count
            yield place, taken, start if self.renumber else place
            start, count = start + taken, count - taken


def swap_operands(problems: Problems, rows: Bool[np.ndarray, " n"]) -> Problems:
    """The same problems, with the order of the operands reversed in some rows.

    >>> numbers = (Numbers.of([12, 3]), Numbers.of([4, 567]))
    >>> swapped = swap_operands(Problems(numbers, Numbers.of([16, 570])), np.array([False, True]))
    >>> [[number.text(row) for number in swapped.operands] for row in (0, 1)]
    [['12', '4'], ['567', '3']]
    """
    width = max(number.width for number in problems.operands)
    wide = [Numbers(resize(number.digits, width), number.lengths) for number in problems.operands]
    operands = tuple(
        Numbers(np.where(rows[:, None], other.digits, own.digits), np.where(rows, other.lengths, own.lengths))
        for own, other in zip(wide, reversed(wide), strict=True)
    )
    return replace(problems, operands=operands)


def _in_rows(written: Sequence[Written], rows: Sequence[Int[np.ndarray, " rows"]]) -> Written:
    """Several batches as one, each in its rows."""
    if len(written) == 1:
        return written[0]
    count = sum(map(len, rows))
    width = max(part.tokens.shape[1] for part in written)
    tokens = np.full((count, width), vocabulary.token(vocabulary.PAD), np.uint8)
    given = np.zeros((count, width), dtype=bool)
    prompt_lengths, lengths, widths = (np.zeros(count, dtype=np.int64) for _ in range(3))
    for part, own in zip(written, rows, strict=True):
        tokens[own, : part.tokens.shape[1]] = part.tokens
        prompt_lengths[own] = part.prompt_lengths
        lengths[own] = part.lengths
        if part.given is not None:
            given[own, : part.tokens.shape[1]] = part.given
        if part.answer_widths is not None:
            widths[own] = part.answer_widths
    # One source without fixed widths makes widths unknown for the whole batch.
    known = all(part.answer_widths is not None for part in written)
    some_given = any(part.given is not None for part in written)
    return Written(tokens, prompt_lengths, lengths, widths if known else None, given if some_given else None)
