"""FIRE: its tables, its precision and its layers."""

import pytest
import torch
from torch import Tensor

from arith.encodings.base import Positions
from arith.encodings.fire import FIRE, FIRELayer
from arith.kernels.terms import ScoreMod
from tests.encodings.biasing import HEADS, HIGHEST, IDS, bias, randomised


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fire_tells_large_ids_apart_in_every_precision(dtype: torch.dtype) -> None:
    layer = FIRE(HEADS, 1, 4000, threshold=9.5).to(dtype).at(0)
    assert isinstance(layer, FIRELayer)
    with torch.no_grad():  # a score that falls with the distance
        for parameter in layer.function.parameters():
            parameter.zero_()
        layer.function[0].weight.fill_(1)
        layer.function[2].weight.fill_(-1)
    ids = torch.tensor([3990, 3991, 3992, 3993, 4000])
    falling = layer.table(ids)[0, -1]
    assert (falling.diff() > 0).all()


def test_fire_layers_have_functions_of_their_own_unless_shared() -> None:
    torch.manual_seed(0)
    own, shared = FIRE(HEADS, 2, HIGHEST), FIRE(HEADS, 2, HIGHEST, shared=True)
    assert not torch.allclose(bias(own, IDS, layer=0), bias(own, IDS, layer=1))
    assert torch.equal(bias(shared, IDS, layer=0), bias(shared, IDS, layer=1))
    assert own.at(1, loop=3) is own.at(1)


def test_fire_tabulates_tokens_where_ids_are_shared_and_remembers_the_table_otherwise() -> None:
    layer, x = FIRE(HEADS, 1, HIGHEST).at(0), torch.zeros(1)
    memory: dict[str, Tensor] = {}
    (short,) = layer.terms(x, x, x, Positions(IDS[None, :1], IDS[None, :1]), memory)
    assert short.values.shape == (HEADS, 12, 12)
    assert not memory
    assert isinstance(layer.terms(x, x, x, Positions(IDS[None], IDS[None]), memory)[0], ScoreMod)
    assert not memory
    many = Positions(IDS.repeat(2, 1)[None], IDS.repeat(2, 1)[None])
    (full,) = layer.terms(x, x, x, many, memory)
    assert full.values.shape == (HEADS, HIGHEST, HIGHEST)
    (again,) = layer.terms(x, x, x, many.last(1), memory)
    assert again.values is full.values


@pytest.mark.parametrize("highest", [30, 300])
def test_fire_gives_pairs_what_the_table_gives_them(highest: int) -> None:
    encoding = randomised(FIRE(HEADS, 1, highest, hidden=5, compression=0.3, threshold=9.5))
    layer = encoding.at(0)
    assert isinstance(layer, FIRELayer)
    ids = IDS * highest // 30
    table = layer.table(torch.arange(1, highest + 1))
    rows, columns = ids[:, :, None].expand(-1, -1, 12), ids[:, None].expand(-1, 12, -1)
    placed = (rows > 0) & (columns > 0)
    wanted = (table[:, (rows - 1).clamp(min=0), (columns - 1).clamp(min=0)] * placed).movedim(0, 1)
    torch.testing.assert_close(bias(encoding, ids), wanted, rtol=1e-12, atol=1e-12)
    weights = torch.randn(wanted.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slopes = [
        torch.autograd.grad((own * weights).sum(), list(encoding.parameters())) for own in (bias(encoding, ids), wanted)
    ]
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_fire_has_no_layers_beyond_those_it_is_made_for() -> None:
    for shared in (False, True):
        with pytest.raises(IndexError, match="made for layers 0 to 1, got 7"):
            FIRE(HEADS, 2, HIGHEST, shared=shared).at(7)
