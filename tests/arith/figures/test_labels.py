"""Labels that stand beside curves."""

import itertools
from collections.abc import Sequence

import pytest

from arith.figures.labels import spread


@pytest.mark.parametrize(("wanted", "heights"), [([0, 0, 0, 0], [1, 2, 1, 1]), ([5, 5.1, 9.9], [1, 1, 3]), ([0], [1])])
def test_labels_are_spread_without_overlap(wanted: Sequence[float], heights: Sequence[float]) -> None:
    centres = spread(wanted, heights, 0, 10)
    edges = [(c - h / 2, c + h / 2) for c, h in zip(centres, heights, strict=True)]
    assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(edges))
    assert edges[0][0] >= 0
    assert edges[-1][1] <= 10
