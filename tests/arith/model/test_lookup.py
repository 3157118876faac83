"""A first layer that looks up: loops by the tokens that meet are the same numbers as loop by loop."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

import arith
from arith.config.schema import ModelConfig
from arith.data.batch import Batch
from arith.encodings.base import Positions
from arith.encodings.compose import Composed
from arith.experiment.experiment import Experiment
from arith.model.cache import Cache
from arith.model.lookup import LookupBlock, sum_loops
from arith.model.loss import inputs_of
from arith.model.transformer import Transformer
from tests.arith.model.test_transformer import CPU, DIGITS, summed

LOOKUP = {"encoding": "sliding-lookup"}


def parts(rows: int = 8, **model: object) -> tuple[Transformer, Batch]:
    experiment = Experiment.of(summed(**model).with_values(LOOKUP))
    return experiment.model().double(), experiment.training_data().batch(0, rows, CPU)


def logits(model: Transformer, batch: Batch, cache: Cache | None) -> torch.Tensor:
    tokens, ids = inputs_of(batch, model.encoding)
    found: torch.Tensor = model(tokens, ids, queries=batch.queries, picked=batch.picked, cache=cache)
    return found


SHAPES: list[dict[str, object]] = [
    {},
    {"norm_after": False},
    {"prompt_layers": 1},
    {"prompt_layers": 2, "layers": 4},
    {"loops": 1},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_loops_in_one_pass_are_loop_by_loop(shape: dict[str, object]) -> None:
    model, batch = parts(**shape)
    found = {}
    for name, cache in (("one pass", None), ("loop by loop", Cache())):
        model.zero_grad()
        out = logits(model, batch, cache)
        out.sin().sum().backward()
        found[name] = [out, *(parameter.grad for parameter in model.parameters())]
    for one, other in zip(*found.values(), strict=True):
        assert other is not None
        assert other.abs().sum() > 0
        torch.testing.assert_close(one, other)


def test_a_set_of_tokens_is_computed_once() -> None:
    model, batch = parts(rows=256)
    rows: list[int] = []
    first = model.blocks[0]
    assert isinstance(first, LookupBlock)
    first.take.register_forward_pre_hook(lambda _, arguments: rows.append(arguments[0].shape[:-1].numel()))
    logits(model, batch, None)
    # A pair of digits each, and where a lane has none to take.
    assert rows == [101]
    logits(model, batch, Cache())
    tokens = batch.tokens.shape[1] - 1
    assert rows[1:] == [256 * tokens] * DIGITS


def test_what_tells_places_apart_goes_loop_by_loop() -> None:
    """An embedding of positions, or of tags in every layer: tokens that meet are not all that counts then."""
    for spec in ("learned+sliding-lookup", "random-embedding:at=hidden@tags+sliding-lookup"):
        experiment = Experiment.of(summed().with_values({"encoding": spec}))
        model, batch = experiment.model().double(), experiment.training_data().batch(0, 4, CPU)
        for encoding in model.encoding.parts:
            for parameter in encoding.parameters():
                nn.init.normal_(parameter)
        torch.testing.assert_close(logits(model, batch, None), logits(model, batch, Cache()))


def test_gradients_are_those_of_the_sum() -> None:
    encoding = arith.encoding("sliding-lookup", width=8, heads=2, layers=2, digits=8)
    torch.manual_seed(0)
    block = LookupBlock(ModelConfig(width=8, heads=2, hidden=4), lanes=2).double()
    embedding = nn.Embedding(7, 8).double()
    tokens, ids = torch.randint(0, 7, (2, 6)), torch.tensor([[[0, 2, 3, 2, 3, 4]], [[0, 1, 1, 0, 0, 0]]])
    positions = tuple(Positions(ids, ids) for _ in encoding.schemes)

    module = Summed(block, embedding)
    names = [name for name, _ in module.named_parameters()]

    def summed_up(*weights: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, weights, strict=True))
        found: torch.Tensor = torch.func.functional_call(module, given, (encoding, tokens, positions))
        return found

    weights = [own.detach().clone().requires_grad_() for own in module.parameters()]
    assert gradcheck(summed_up, weights)


class Summed(nn.Module):
    """The sum as a module, whose weights gradcheck can move."""

    def __init__(self, block: LookupBlock, embedding: nn.Embedding) -> None:
        super().__init__()
        self.block, self.embedding = block, embedding

    def forward(self, encoding: Composed, tokens: torch.Tensor, positions: tuple[Positions, ...]) -> torch.Tensor:
        return sum_loops(self.block, self.embedding, encoding, tokens, positions, 3, 4)
