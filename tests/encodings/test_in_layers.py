"""Encodings that act in some layers alone."""

import pytest
import torch

import arith
from arith.encodings.compose import Composed
from arith.encodings.in_layers import InLayers
from arith.encodings.learned import Learned
from arith.encodings.relative import Relative
from arith.encodings.shaw import Shaw
from arith.errors import UsageError
from arith.kernels.terms import Term

IDS = (torch.arange(1, 7).view(1, 1, 6),)


def built(text: str, layers: int = 4) -> Composed:
    return arith.encoding(text, width=8, heads=2, layers=layers, tokens=16, digits=4)


def effect(encoding: Composed, layer: int) -> tuple[bool, tuple[Term, ...]]:
    """Whether queries are turned in a layer, and the terms of its scores."""
    q = torch.ones(1, 2, 6, 4)
    positions = encoding.place(IDS)
    own = encoding.at(layer)
    turned, _ = own.rotate(q, q, positions)
    return not torch.equal(turned, q), own.terms(torch.ones(1, 6, 8), q, q, positions, {})


def test_each_layer_has_what_is_put_in_it() -> None:
    encoding = built("rope[0,2-3]+t5[1]")
    found = [effect(encoding, layer) for layer in range(4)]
    assert [turned for turned, _ in found] == [True, False, True, True]
    assert [len(terms) for _, terms in found] == [0, 1, 0, 0]


def test_parameters_are_those_of_the_layers_it_acts_in() -> None:
    encoding = built("shaw:radius=1[1,3]")
    tables = list(encoding.parameters())
    assert [tuple(table.shape) for table in tables] == [(2, 3, 4)] * 2
    for layer, table in ((1, tables[0]), (3, tables[1])):
        ((term,),) = (effect(encoding, layer)[1],)
        assert getattr(term, "values") is table  # noqa: B009
    assert effect(encoding, 0)[1] == effect(encoding, 2)[1] == ()


def test_what_others_ask_an_encoding_is_answered_for_it() -> None:
    relative = InLayers(Relative(heads=2), [0])
    assert relative.relative
    assert not relative.turns_queries
    assert relative.in_layers == (0,)
    assert relative.title == "Relative"
    assert InLayers(Shaw(2, 4, 1), [1]).reads_queries


def test_what_acts_at_the_input_is_in_no_layer() -> None:
    with pytest.raises(ValueError, match="Learned acts once, at the input"):
        InLayers(Learned(8, highest=9), [0])
    with pytest.raises(UsageError, match="Lookup acts in place of the first layer"):
        built("lookup@coupled[0]")


def test_what_spoils_one_another_may_be_in_layers_of_its_own() -> None:
    built("rope[0,1]+shaw[2,3]")
    for text in ("rope[0,1]+shaw[1-3]", "rope[1]+shaw", "rope+shaw[0]"):
        with pytest.raises(UsageError, match="put them in layers of their own"):
            built(text)


def test_layers_that_a_model_lacks_are_refused() -> None:
    with pytest.raises(UsageError, match="the model's layers are 0 to 3, got 4"):
        built("rope[0,4]")
    assert built("rope[0,4]", layers=5)
