"""Running sums as an extra target: a middle layer of a standard transformer learns how its answer comes about.

Column k of an answer, least significant digit first, has a sum of its own and what is carried into it:

    S_k = sum of all a_i, b_i, ... with i = k   +   S_(k-1) div 10          of an addition
    S_k = sum of all a_i b_j with i + j = k     +   S_(k-1) div 10          of a multiplication

and the answer's digit is S_k mod 10. At each token that predicts a digit, a head on what a layer puts out classifies
S_k. It is there in training alone: answers come from the same logits as those of a model without it (Bai et al., "Why
Can't Transformers Learn Multiplication?", arXiv 2510.00184, who regress it). The model is shown the algorithm, so
its results are listed apart from those of models that learn from answers.
"""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.config.schema import ModelConfig
from arith.data.batch import Batch
from arith.encodings.compose import Composed, Ids
from arith.model.block import at
from arith.model.loss import count_learned_tokens, inputs_of, sum_nats
from arith.model.norm import RMSNorm
from arith.model.transformer import Transformer
from arith.tasks.base import Task, Worded, name_in_refusal, operation_of


@dataclass(frozen=True)
class RunningSums:
    """The sums that are carried along the columns of a task's answers.

    Args:
        product: whether operands are multiplied, and not added.
        operands: the number of operands.
        digits: the number of digits of the longest operand.
        columns: the number of digits of the longest answer.
    """

    product: bool
    operands: int
    digits: int
    columns: int

    @staticmethod
    def of(task: Task, digits: int) -> "RunningSums":
        """The running sums of a task whose operands have up to so many digits.

        Raises:
            ValueError: the task's answers are no sums of columns.
        """
        operation = operation_of(task)
        computed = operation == "sum" or (operation == "product" and task.operands == 2)
        # `_numbers` finds digits by their place in the line, which words would move.
        if not computed or isinstance(task, Worded):
            raise ValueError(f"{name_in_refusal(task)} has no running sums. Use addition or multiplication")
        columns = int(task.answer_width(np.array([digits]))[0])
        return RunningSums(operation == "product", task.operands, digits, columns)

    @property
    def classes(self) -> int:
        """All running sums are below this: of factors of n digits a column has 81 n at most and less than 9 n is
        carried into it, of m numbers that are added 9 m and less than m.

        >>> from arith.tasks.addition import Addition
        >>> from arith.tasks.multiplication import Multiplication
        >>> RunningSums.of(Multiplication(), 3).classes, RunningSums.of(Addition(operands=3), 20).classes
        (270, 30)
        """
        return 90 * self.digits if self.product else 10 * self.operands

    def targets(self, batch: Batch) -> Int[Tensor, "b columns"]:
        """The running sum of each column; zeros, and carries that nobody asks for, beyond a row's own columns."""
        numbers = self._numbers(batch)
        own = numbers.new_zeros(len(numbers), self.columns)
        if self.product:
            # One digit of the second factor at a time, as in long multiplication: b x digits numbers, not their square.
            for place in range(self.digits):
                own[:, place : place + self.digits] += numbers[:, 0] * numbers[:, 1, place : place + 1]
        else:
            own[:, : self.digits] = numbers.sum(1)
        sums = [own[:, 0]]  # column by column, as each needs the carry of the one before
        for column in range(1, self.columns):
            sums.append(own[:, column] + sums[-1] // 10)
        return torch.stack(sums, dim=1)

    def _numbers(self, batch: Batch) -> Int[Tensor, "b operands digits"]:
        """The operands, least significant digit first, with zeros beyond the digits that a row writes."""
        prompt = batch.prompt
        # A prompt is the begin mark, and of each operand its digits and the sign after them.
        signs = self.operands + 1
        width = rearrange((prompt.length - signs) // self.operands, "b -> b 1 1")
        operand = torch.arange(self.operands, device=width.device)[:, None]
        significance = torch.arange(self.digits, device=width.device)
        place = significance if prompt.reading.operands == "lsb" else width - 1 - significance
        index = (1 + operand * (width + 1) + place).clamp(0, prompt.tokens.shape[1] - 1)
        found = prompt.tokens.gather(1, rearrange(index, "b operands digits -> b (operands digits)"))
        numbers = rearrange(found, "b (operands digits) -> b operands digits", operands=self.operands)
        return numbers * (significance < width)


class Summing(Transformer):
    """A transformer that in training predicts the running sums too.

    Args:
        config, vocabulary, encoding: as for any transformer.
        sums: the running sums of its task.
        layer: the number of layers below their head.
        weight: the weight of their loss, where the answer's has 1.
    """

    def __init__(
        self, config: ModelConfig, vocabulary: int, encoding: Composed, sums: RunningSums, layer: int, weight: float
    ) -> None:
        super().__init__(config, vocabulary, encoding)
        self.sums, self.layer, self.loss_weight = sums, layer, weight
        # Drawn after all else, so that with the same seed the rest begins as a model without this head does.
        self.sum_norm = RMSNorm(config.width)
        self.sum_head = nn.Linear(config.width, sums.classes, bias=False)
        nn.init.normal_(self.sum_head.weight, std=0.02)

    def forward_with_sums(
        self,
        tokens: Int[Tensor, "b n"],
        ids: Ids,
        queries: int,
        picked: Int[Tensor, "b a"] | None,
        places: Int[Tensor, "b columns"],
    ) -> tuple[Float[Tensor, "b a v"], Float[Tensor, "b columns classes"]]:
        """Logits of the next tokens, as `forward` has them, and those of the running sums at places of each sample."""
        positions = self.encoding.place(ids)
        x = self.encoding.embed(self.embedding(tokens), positions)
        slid = self.encoding.slide(positions, 0)
        x = self.stack(x, 0, None, None, slid, slid, None, range(self.layer))
        sums: Tensor = self.sum_head(self.sum_norm(at(x, places)))
        x = self.stack(x, 0, queries, picked, slid, slid, None, range(self.layer, self.config.layers))
        logits: Tensor = self.head(self.norm(x))
        return logits, sums

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        logits, sums_nats = self.with_sums(batch)
        return (sum_nats(logits, batch) + sums_nats) / count_learned_tokens(batch)

    def with_sums(self, batch: Batch) -> tuple[Float[Tensor, "b a v"], Float[Tensor, ""]]:
        """Logits of the learned tokens, and the weighted cross entropy of the running sums, summed over columns."""
        tokens, ids = inputs_of(batch, self.encoding)
        width = batch.samples.answer_width
        assert width is not None
        columns = min(self.sums.columns, batch.longest_answer - 1)  # the end mark is part of the answer too
        column = torch.arange(columns, device=tokens.device)
        places = (batch.samples.prompt_length[:, None] - 1 + column).clamp(max=tokens.shape[1] - 1)
        logits, sums = self.forward_with_sums(tokens, ids, batch.queries, batch.picked, places)
        target = self.sums.targets(batch)[:, :columns]
        each = functional.cross_entropy(sums.flatten(0, 1).float(), target.flatten(), reduction="none")
        # Columns that a row does not have are left out by weight: to select would make the host wait for their number.
        return logits, self.loss_weight * (each.view_as(target) * (column < width[:, None])).sum()
