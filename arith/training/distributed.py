"""The processes of one training, as torchrun starts them: which rows each takes, and what they agree on."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

# Longer than any evaluation, during which the others wait for the first process.
PATIENCE = timedelta(days=2)


@dataclass(frozen=True)
class World:
    """One of the processes that train a model together.

    Args:
        rank: the process's number, from 0; only the first process writes and prints.
        size: how many processes there are.
        control: the group in which they exchange what is in host memory; None: there is one process.

    >>> World(rank=1, size=3).rows(100, 8)
    (102, 3)
    """

    rank: int = 0
    size: int = 1
    control: Any = None

    @property
    def first(self) -> bool:
        return self.rank == 0

    def rows(self, start: int, count: int) -> tuple[int, int]:
        """Where this process's part of a batch begins, and how many rows it has."""
        # Where they do not divide evenly, parts differ by one row and still cover the batch.
        begin, end = (count * place // self.size for place in (self.rank, self.rank + 1))
        return start + begin, end - begin

    def any(self, mine: bool) -> bool:
        """Whether it is true in any process."""
        if self.control is None:
            return mine
        votes = torch.tensor([float(mine)])
        distributed.all_reduce(votes, group=self.control)
        return bool(votes)

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Sum each tensor over the processes, in place and on the device, in one message."""
        if self.control is None:
            return
        # One message: for small models, starting one for each parameter takes longer than what it carries.
        together = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(together)
        parts = torch.split(together, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])

    def wait(self) -> None:
        """Return when all processes have arrived."""
        if self.control is not None:
            distributed.barrier(group=self.control)


ALONE = World()


@contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """The world that torchrun's environment describes, or a single process."""
    if not several():
        yield World()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        # gloo for the flags: over nccl the host would have to wait for all that is queued on the device.
        control = distributed.new_group(backend="gloo", timeout=PATIENCE)
        yield World(distributed.get_rank(), distributed.get_world_size(), control)
    finally:
        distributed.destroy_process_group()


def several() -> bool:
    """Whether torchrun started more than one process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def local_device(device: torch.device) -> torch.device:
    """The device of this process among those on one machine."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device
