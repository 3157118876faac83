"""Sums by slot, by the kernel that GPUs run."""

import pytest
import torch

from arith.kernels import gathering
from arith.kernels.gathering import BLOCK_PAIRS, BLOCK_SLOTS, gather, gather_backward


def test_gather_adds_up_in_order() -> None:
    values = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    slots = torch.randint(0, 6, (4, 5))
    assert torch.equal(gather(values, slots), values[:, slots])
    assert torch.autograd.gradcheck(lambda values: gather(values, slots), (values,))


@pytest.mark.parametrize("size", [1, BLOCK_SLOTS, 2 * BLOCK_SLOTS + 6])
def test_the_kernel_sums_every_slot(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the operator: pairs and slots that fill no block, and gradients and slots in any layout."""
    launched, run = [], gathering.run
    monkeypatch.setattr(
        gathering, "run", lambda kernel, *rest, **more: (launched.append(kernel), run(kernel, *rest, **more))
    )
    generator = torch.Generator().manual_seed(0)
    dout = torch.randn(3, 30, 20, generator=generator).transpose(1, 2)
    slots = torch.randint(0, size, (30, 20), generator=generator).T
    assert slots.numel() % BLOCK_PAIRS
    expected = torch.zeros(3, size).index_add_(1, slots.flatten(), dout.flatten(1))
    for given in (dout, dout.contiguous(), dout[:1].expand(3, -1, -1)):
        expected = torch.zeros(3, size).index_add_(1, slots.flatten(), given.flatten(1))
        torch.testing.assert_close(gather_backward(given, slots, size), expected)
    assert launched == [gathering.slot_sums] * 3


def test_sums_of_values_in_16_bits_are_of_32() -> None:
    """One slot for 4,096 pairs: bfloat16 counts to 256 and no further."""
    values = torch.ones(1, 2, dtype=torch.bfloat16, requires_grad=True)
    slots = torch.zeros(64, 64, dtype=torch.int64)
    found = gather(values, slots)
    assert found.dtype == torch.float32
    (gradient,) = torch.autograd.grad(found.sum(), values)
    assert gradient.dtype == torch.bfloat16
    assert gradient.tolist() == [[4096, 0]]
