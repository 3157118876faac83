"""The norm, against torch's."""

import pytest
import torch

from arith.model.norm import RMSNorm


@pytest.mark.parametrize("shape", [(5, 7, 6), (6,)])
def test_the_norm_is_torchs_with_its_gradient(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    own, theirs = RMSNorm(6).double(), torch.nn.RMSNorm(6).double()
    own.weight.data = theirs.weight.data = torch.randn(6).double()
    x = torch.randn(shape).double()
    found = []
    for norm in (own, theirs):
        given = x.clone().requires_grad_()
        out = norm(given)
        (out.sin().sum()).backward()
        found.append((out, given.grad, norm.weight.grad))
        norm.weight.grad = None
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
