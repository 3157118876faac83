"""What the coupled window costs on a GPU for additions of 100 to 10,000 digits.

A digit sees the digits of its own significance and of the two beside it, so that a problem of n tokens has a number of
visible pairs that grows with n. Gates: a digit takes at most 1.5 times as long, forward and backward, and as much
memory in a problem of 10,000 digits as in one of 1,000; with all pairs it would take 10 times as long.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from kernel_checks.gates import compare, gate
from timing import Timer, gradients, timed
from torch import Tensor

from arith.kernels.attention import attention
from arith.kernels.terms import DistanceTable, Ids, Window

NAME = "arith, coupled window"
SIDE = 1  # significances that a digit sees on either side
SHORT, LONG, BAR = 1000, 10_000, 1.5


@dataclass(frozen=True)
class Problem:
    """Additions of one length, in bfloat16 and causal."""

    digits: int
    batch: int = 4
    heads: int = 12
    width: int = 64

    @property
    def ids(self) -> Tensor:
        """Of a start, two operands from the highest digit down, each with its sign, the answer upwards, and an end."""
        down, one = torch.arange(self.digits + 1, 1, -1), torch.tensor([1])
        return torch.cat([0 * one, down, one, down, one, torch.arange(2, self.digits + 3), 0 * one])

    @property
    def n(self) -> int:
        return 3 * self.digits + 5


# The first two are what the gates are about.
PROBLEMS = tuple(Problem(digits) for digits in (LONG, SHORT, 100, 200, 500, 2000, 5000))


def tensors(problem: Problem, device: torch.device) -> tuple[list[Tensor], Tensor, Ids]:
    """q, k, v and a table, which are to have gradients; the output's gradient; ids, for each sample its own row."""
    generator = torch.Generator(device).manual_seed(0)
    size = (problem.batch, problem.n, problem.heads, problem.width)
    q, k, v, dout = (
        torch.randn(size, generator=generator, device=device, dtype=torch.bfloat16).transpose(1, 2) for _ in range(4)
    )
    table = torch.randn(problem.heads, 2 * SIDE + 2, generator=generator, device=device)
    ids = problem.ids.to(device).repeat(problem.batch, 1)
    return [x.requires_grad_() for x in (q, k, v, table)], dout, Ids(ids, ids)


def attended(inputs: list[Tensor], ids: Ids) -> Tensor:
    q, k, v, table = inputs
    return attention(q, k, v, terms=(DistanceTable(table, ids), Window(SIDE, SIDE, ids)))


def is_right(problem: Problem, device: torch.device) -> bool:
    """Output and gradients against float64, which runs in plain torch behind the window."""
    inputs, dout, ids = tensors(problem, device)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    out, truth = attended(inputs, ids), attended(exact, ids)
    ours, theirs = (
        (result, *gradients(result, own, dout.to(result.dtype))) for result, own in ((out, inputs), (truth, exact))
    )
    return all(bool((one - other).norm() <= 0.02 * other.norm()) for one, other in zip(ours, theirs, strict=True))


def rows(
    problems: tuple[Problem, ...], device: torch.device, timer: Timer, deadline: float
) -> Iterator[dict[str, Any]]:
    """A row for each length; one that fails or is wrong says so instead of its speed."""
    for problem in problems:
        row: dict[str, Any] = {"peer": NAME, **asdict(problem), "n": problem.n}
        if time.monotonic() > deadline:
            yield {**row, "skipped": "out of time"}
            continue
        try:
            if not is_right(problem, device):
                yield {**row, "skipped": "wrong"}
                continue
            inputs, dout, ids = tensors(problem, device)
            yield {**row, **timed(lambda own=inputs, at=ids: attended(own, at), inputs, dout, timer, graph=True)}
        except Exception as error:
            yield {**row, "skipped": f"{type(error).__name__}: {str(error)[:200]}"}


def gates(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How much more each digit takes in a long problem than in a short one."""
    by_digits = {row["digits"]: row for row in found if row["peer"] == NAME and "both_ms" in row}
    lines = []
    for what, name in (("both", "time"), ("peak_bytes", "memory")):
        value, by = compare(what, by_digits.get(LONG), by_digits.get(SHORT))
        value = value and value * SHORT / LONG
        title = f"coupled window: {name} of a digit among {LONG:,}, times that among {SHORT:,}"
        lines.append(gate(title, BAR, value, by, at_most=True))
    return lines
