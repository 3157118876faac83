"""What a decoder keeps."""

import torch

from arith.model.cache import Growing


def test_growing_copies_seldom_and_keeps_all() -> None:
    whole, places = Growing(dim=1), set()
    for step in range(1000):
        found = whole.extend(torch.full((2, 1, 3), step))
        places.add(found.data_ptr())
    assert torch.equal(found, torch.arange(1000)[None, :, None].expand(2, -1, 3))
    assert len(places) <= 12


def test_a_dimension_of_one_takes_the_size_of_what_comes() -> None:
    whole = Growing(dim=2)
    whole.extend(torch.tensor([[[1, 2]]]))
    found = whole.extend(torch.tensor([[[3], [4]]]))
    assert found.tolist() == [[[1, 2, 3], [1, 2, 4]]]


def test_gradients_go_through_and_earlier_parts_stay_as_they_were() -> None:
    whole = Growing(dim=0)
    first, second = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    before = whole.extend(first)
    found = whole.extend(second)
    (found.square().sum() + before.sum()).backward()
    assert first.grad is not None
    assert second.grad is not None
    assert (first.grad.tolist(), second.grad.tolist()) == ([3.0, 5.0], [6.0])
