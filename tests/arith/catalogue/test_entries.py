"""The names of the catalogue: what each one loads, and its line."""

import pytest

import arith
from arith.catalogue.entries import ENCODINGS, SCHEMES, TASKS
from arith.catalogue.registry import Catalogue

SHAPE = {"width": 32, "heads": 4, "layers": 2}


@pytest.mark.parametrize("catalogue", [ENCODINGS, SCHEMES, TASKS], ids=lambda catalogue: catalogue.kind)
def test_every_name_loads_and_has_a_line(catalogue: Catalogue) -> None:
    for name in catalogue.names():
        assert callable(catalogue.load(name))
        assert catalogue.line(name) or name.startswith("doctest")


def test_structure_aware_is_what_uses_digit_alignment() -> None:
    def aware(text: str) -> bool:
        return arith.encoding(text, **SHAPE).structure_aware

    assert [aware(name) for name in ("abacus", "coupled", "t5+rope@coupled")] == [True] * 3
    assert [aware(name) for name in ("learned", "rope", "window:left=3")] == [False] * 3
