"""What acts at the input draws from no generator, has no limit and shares no state."""

import sys

import pytest
import torch
from torch import Tensor

import arith
from arith.config.schema import ModelConfig
from arith.data.dataset import Dataset
from arith.encodings.base import Positions
from arith.encodings.random_embedding import RandomEmbedding
from arith.encodings.sinusoidal import Sinusoidal
from arith.errors import UsageError
from arith.model.transformer import Transformer
from arith.tasks.addition import Addition
from arith.tasks.formats import NAMED
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

CPU = torch.device("cpu")
DATA = Dataset(Mixture([Source(Addition(), Uniform(3, 3), 0, "train")]), NAMED["padded-reversed"])


def at(ids: Tensor) -> Positions:
    return Positions(ids[None], ids[None])


def test_no_generator_is_asked() -> None:
    state = torch.get_rng_state()
    encoding = arith.encoding("random-embedding:at=heads@tags+cape", width=32, heads=4, layers=2)
    batch = DATA.batch(0, 5, CPU)
    model = Transformer(ModelConfig(layers=2, width=32, heads=4, hidden=48), 20, encoding)
    before = torch.get_rng_state()
    model(batch.tokens, encoding.full(batch.prompt, batch.tokens, batch.key, 40))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(state, before)  # the model's weights were drawn


# All
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sinusoidal:base=0", "base is above 0, got 0.0"),
        ("sinusoidal:resolution=3", "has no setting 'resolution'"),
        ("nope@cape:shift=-1", "shift is 0 or more, got -1.0"),
        ("nope@cape:shift=nan", "cape:shift is a finite number, got 'nan'"),
        ("nope@cape:scale=inf", "cape:scale is a finite number, got 'inf'"),
        ("nope@cape:jitter=1.5", "jitter is from 0 to 1, where tokens keep their order, got 1.5"),
        ("nope@cape:scale=0.9", "scale is 1 or more, and as often divides as multiplies, got 0.9"),
        ("nope@cape:resolution=2,scale=3", "got resolution=2 and scale=3.0"),
        ("random-embedding:at=output", "one of input, hidden, heads; got 'output'"),
        ("random-embedding:how=concatenate", "one of overwrite, add; got 'concatenate'"),
        ("random-embedding:same_in_heads=false", "differ between heads only at=heads, got at=input"),
        ("random-embedding:same_in_layers=false", "differ between layers at=hidden or at=heads, got at=input"),
        (
            "random-embedding:share=1",
            "1 to 31 of 32 dimensions with how=overwrite, and a share of 1.0 is 32 of them; some",
        ),
        ("random-embedding:share=0", "share is above 0 and at most 1, got 0.0"),
        ("random-embedding:how=add,share=1.5", "at most 1"),
        ("random-embedding:at=heads,share=0.01", "1 to 7 of 8 dimensions with how=overwrite, and a share of 0.01 is 0"),
        ("random-embedding:share=nan", "a finite number, got 'nan'"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("+", r"\+")):
        arith.encoding(spec, width=32, heads=4, layers=2)


def test_widths_and_words_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="the model's width must be even, got 7"):
        Sinusoidal(7)
    with pytest.raises(ValueError, match="at input, hidden or heads, got 'output'"):
        RandomEmbedding(8, 2, 1, at="output")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="overwrite or add, got 'mix'"):
        RandomEmbedding(8, 2, 1, how="mix")  # type: ignore[arg-type]


def test_two_of_a_kind_share_no_state() -> None:
    x, positions = torch.randn(1, 5, 8), at(torch.arange(1, 6)[None])
    pairs = [
        (Sinusoidal(8), Sinusoidal(8, base=10.0, scale=2.0, resolution=3)),
        (RandomEmbedding(8, 2, 1), RandomEmbedding(8, 2, 1, how="add", share=0.25, scale=3.0)),
    ]
    for one, other in pairs:
        before = one.embed(x, positions)
        assert not torch.equal(other.embed(x, positions), before)
        assert torch.equal(one.embed(x, positions), before)
        assert not one.state_dict()


def test_nothing_here_has_a_limit() -> None:
    for spec in ("sinusoidal", "random-tags", "cape"):
        arith.encoding(spec, width=32, heads=4, layers=1, tokens=10).check_reach(sys.maxsize // 1000, 10)
