"""Samples as they lie on a device: a byte a token, so that a whole training set fits, and a batch is a slice."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from arith.tasks.lines import Written


class Resident(NamedTuple):
    """Written samples, and the key from which encodings draw for each.

    Args:
        tokens: begin, prompt, answer, end, padding.
        prompt_length: tokens up to the answer.
        length: tokens up to and with the end mark.
        key: of each sample.
        answer_width: digits of each answer where the format fixes them.
        given: tokens after the prompt that no model can know. None: there are none.
    """

    tokens: UInt8[Tensor, "b n"]
    prompt_length: Int[Tensor, " b"]
    length: Int[Tensor, " b"]
    key: Int[Tensor, " b"]
    answer_width: Int[Tensor, " b"] | None
    given: Bool[Tensor, "b n"] | None

    @staticmethod
    def of(written: Written, key: Int[np.ndarray, " b"], device: torch.device) -> "Resident":
        """On a GPU the copy goes on while the host does other things."""
        given = (written.prompt_lengths, written.lengths, key, written.answer_widths, written.given)
        tokens = np.ascontiguousarray(written.tokens, dtype=np.uint8)
        return Resident(*(None if array is None else _on(array, device) for array in (tokens, *given)))  # type: ignore[arg-type]

    def rows(self, rows: slice | Int[Tensor, " r"], width: int) -> "Resident":
        """Some of the samples, cut to a width."""
        return Resident(
            self.tokens[rows, :width],
            self.prompt_length[rows],
            self.length[rows],
            self.key[rows],
            None if self.answer_width is None else self.answer_width[rows],
            None if self.given is None else self.given[rows, :width],
        )

    @property
    def asked(self) -> Bool[Tensor, "b n"]:
        """The tokens a model is asked for: answer and end mark."""
        index = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        asked = (index >= self.prompt_length[:, None]) & (index < self.length[:, None])
        return asked if self.given is None else asked & ~self.given


def _on(array: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    # A copy from pinned memory is the only one that nobody waits for.
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
