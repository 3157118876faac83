"""A fixed training set that stays on the device: each sample is written once, and not once an epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int, Integer

from arith.data.batch import Resident
from arith.data.dataset import DRAWN, Dataset
from arith.tasks import vocabulary
from arith.tasks.lines import Written

# Counted as if all lines were the longest, a byte a token: 64 MiB of a device's memory, and some seconds to write.
# 300 thousand products of 15 digits are 19 million tokens.
MOST_TOKENS = 2**26


@dataclass(frozen=True)
class FixedSet:
    """All samples of a fixed set.

    Args:
        written: on the host, where batches are planned.
        samples: the same on the device. Their keys are those of the first epoch; later ones draw anew.
    """

    written: Written
    samples: Resident

    @staticmethod
    def of(data: Dataset, drawn: int, device: torch.device) -> "FixedSet | None":
        """Write a data set's samples; None where they are endless, too many, or not all of them are seen even once.

        Args:
            data: the training problems.
            drawn: how many samples the whole training takes.
            device: where they are kept.
        """
        count = data.problems.samples
        redrawn = data.problems.redraw and any(form.draws for form in data.formats)
        if redrawn or data.problems.renumber or data.problems.swap:
            return None  # each epoch writes its samples in another way
        if count is None or count > drawn or count * data.longest > MOST_TOKENS:
            return None
        # Written in stretches: numbers take many times the memory of their digits.
        starts = range(0, count, DRAWN)
        parts = [data.problems.write(data.format, start, min(DRAWN, count - start)) for start in starts]
        written = _concatenate(parts, data.longest)
        return FixedSet(written, Resident.of(written, data.problems.keys(0, count), device))

    def places(self, start: int, count: int) -> Int[np.ndarray, " n"]:
        """Where samples `start` to `start + count - 1` of a training stand in the set."""
        return np.arange(start, start + count) % len(self.written.lengths)


def _concatenate(parts: Sequence[Written], width: int) -> Written:
    """Put stretches one after the other, padded to so many tokens."""

    def wide(matrix: Integer[np.ndarray, "b n"] | Bool[np.ndarray, "b n"], fill: int) -> np.ndarray:
        return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])), constant_values=fill)

    # Stretches differ: one may hold no tokens to leave out, and is then padded with "none here".
    widths = [part.answer_widths for part in parts if part.answer_widths is not None]
    given = [np.zeros_like(part.tokens, dtype=bool) if part.given is None else part.given for part in parts]
    return replace(
        parts[0],
        tokens=np.concatenate([wide(part.tokens, vocabulary.token(vocabulary.PAD)) for part in parts]),
        prompt_lengths=np.concatenate([part.prompt_lengths for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        answer_widths=np.concatenate(widths) if len(widths) == len(parts) else None,
        given=np.concatenate([wide(mask, 0) for mask in given]) if any(p.given is not None for p in parts) else None,
    )
