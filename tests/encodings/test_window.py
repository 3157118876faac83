"""Windows."""

import pytest
import torch

from arith.encodings.base import Positions
from arith.encodings.window import Window
from arith.kernels.reference import visibility
from tests.encodings.biasing import IDS


@pytest.mark.parametrize(("left", "right"), [(1, 1), (2, 0), (0, 3)])
def test_a_window_shows_what_is_near_and_what_has_no_position(left: int, right: int) -> None:
    positions, x = Positions(IDS[None], IDS[None]), torch.zeros(1)
    terms = Window(left, right).terms(x, x, x, positions, {})
    found = visibility(12, 12, terms, False, None, None, IDS.device)
    assert found is not None
    rows = IDS.tolist()
    wanted = [[[not q or not k or -left <= k - q <= right for k in row] for q in row] for row in rows]
    assert found[:, 0].tolist() == wanted
