"""Samples as they lie on a device: a byte a token, so that a whole training set fits, and a batch is a slice."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int, Integer
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
        whole: whether a model is asked for the prompt too.
    """

    tokens: Integer[Tensor, "b n"]
    prompt_length: Int[Tensor, " b"]
    length: Int[Tensor, " b"]
    key: Int[Tensor, " b"]
    answer_width: Int[Tensor, " b"] | None
    given: Bool[Tensor, "b n"] | None
    whole: bool

    @staticmethod
    def of(written: Written, key: Int[np.ndarray, " b"], device: torch.device) -> "Resident":
        """On a GPU the copy goes on while the host does other things."""
        tokens, width, given = (
            _narrow(written.tokens),
            written.answer_widths,
            written.given,
        )
        return Resident(
            on_device(tokens, device),
            on_device(written.prompt_lengths, device),
            on_device(written.lengths, device),
            on_device(key, device),
            None if width is None else on_device(width, device),
            None if given is None else on_device(given, device),
            written.whole,
        )

    def rows(self, rows: slice | Int[Tensor, " r"], width: int) -> "Resident":
        """Some of the samples, cut to a width."""
        return Resident(
            self.tokens[rows, :width],
            self.prompt_length[rows],
            self.length[rows],
            self.key[rows],
            None if self.answer_width is None else self.answer_width[rows],
            None if self.given is None else self.given[rows, :width],
            self.whole,
        )

    @property
    def asked(self) -> Bool[Tensor, "b n"]:
        """The tokens a model is asked for: answer and end mark, or the whole line."""
        index = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        begins = 1 if self.whole else self.prompt_length[:, None]
        asked = (index >= begins) & (index < self.length[:, None])
        return asked if self.given is None else asked & ~self.given


def _narrow(tokens: Integer[np.ndarray, "b n"]) -> Integer[np.ndarray, "b n"]:
    """A byte a token, if the vocabulary is arith's; those of pretrained models are larger."""
    return np.ascontiguousarray(tokens, dtype=np.uint8 if tokens.dtype == np.uint8 else np.int32)


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy of an array, or on a CPU itself."""
    tensor = torch.from_numpy(array)
    # A copy from pinned memory is the only one that nobody waits for.
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
