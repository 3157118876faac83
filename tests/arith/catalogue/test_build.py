"""Encodings that are built from their names, and what is refused before."""

from typing import Any

import pytest
import torch

import arith
from arith.catalogue.entries import ALIASES
from arith.encodings.base import Positions
from arith.encodings.rope import RoPE
from arith.encodings.shaw import Shaw
from arith.errors import UsageError
from arith.kernels.attention import attention

SHAPE = {"width": 32, "heads": 4, "layers": 2}


@pytest.mark.parametrize("alias", ALIASES)
def test_every_alias_builds(alias: str) -> None:
    assert arith.encoding(alias, **SHAPE, digits=9).parts


def test_tables_have_a_row_for_the_longest_test() -> None:
    assert arith.encoding("learned", **SHAPE, tokens=77).parts[0].table.shape == (78, 32)
    assert arith.encoding("coupled", **SHAPE, tokens=77, digits=20).parts[0].table.shape == (22, 32)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abacuss", "no encoding is called 'abacuss'. Did you mean 'abacus'"),
        ("rope@coupld", "no position scheme is called 'coupld'. Did you mean 'coupled'"),
        ("t5:bucket=3", "has no setting 'bucket'. Did you mean 'buckets'"),
        ("rope-yarn:factor=2", "'rope-yarn' has no setting 'factor'. Its settings: trained, base, share"),
        ("own+fire", "'own' stands for the positions that a pretrained model has: there is one in arith.hf.attach"),
        ("t5:buckets=few", "t5:buckets is a whole number, got 'few'"),
        ("t5:bidirectional=maybe", "true or false, got 'maybe'"),
        ("t5:buckets=1", "2 buckets or more"),
        ("window", "needs left"),
        ("rope+", "an encoding is missing at the end"),
        ("(rope", "')' is missing"),
        ("rope)", "')' is not expected"),
        ("rope@", "a position scheme is missing"),
        ("rope:base", "'=' and a value are missing after 'base'"),
        ("rope!", "'!' is no part of the language"),
        ("", "an encoding is missing"),
        ("abacus@coupled", "on 'abacus:origin=cyclic' already"),
        ("coupled:origin=random", "'coupled' stands for learned@coupled:origin=cyclic"),
        ("learned:highest=8", "has no setting 'highest'"),
        ("learned@coupled:origin=cyclic,digits=5", "has no setting 'digits'"),
        ("t5:buckets=8,buckets=9", "'t5' is given 'buckets' 2 times"),
        ("t5:buckets=5,bidirectional=True", "an even number, got 5"),
        ("learned@abacus:span=5", "span is of a random origin, and the origin is fixed. Write origin=random,span=5"),
        ("learned@coupled:origin=cyclic,span=5", "the origin is cyclic"),
        ("learned@sequential:span=5", "the origin is fixed"),
        ("randomized", "'randomized' is a position scheme: write rope@randomized"),
        ("rope@learned", "'learned' is an encoding, and after '@' stands a position scheme"),
        ("rope@bipe", "'bipe' is an encoding"),
        ("RoPE", "Did you mean 'rope'?"),
        ("ALiBi", "Did you mean 'alibi'?"),
        ("FIRE", "Did you mean 'fire'?"),
        ("T5", "Did you mean 't5'?"),
        ("rope@Coupled", "Did you mean 'coupled'?"),
        ("rope:base=nan", "rope:base is a finite number, got 'nan'"),
        ("alibi@cape:scale=inf", "cape:scale is a finite number, got 'inf'"),
        ("t5:buckets=8.5", "t5:buckets is a whole number, got '8.5'"),
        ("t5:farthest=99999999999999999999", "t5:farthest is a whole number"),
        ("(" * 3000 + "rope" + ")" * 3000, "more than 50 parentheses stand inside one another"),
        (None, "named by a text such as 'rope' or 't5@coupled', got None"),
        (3, "got 3"),
        ("nope@coupled", "nope looks at no ids and cannot be put on a scheme. Write nope alone"),
        ("cope@abacus", "cope looks at no ids"),
        ("(relative+forgetting)@coupled", "forgetting looks at no ids"),
        ("rope+shaw", "RoPE turns queries by their positions and Shaw meets the turned ones"),
        ("xpos@coupled+transformer-xl", "XPos turns queries by their positions and TransformerXL"),
        ("cope+rope-yarn:trained=9", "biases such as t5, and forgetting, go with rotations"),
        ("rope+pope", "PoPE and RoPE both turn queries and keys"),
        ("grape+grape@coupled", "GRAPE and GRAPE both turn queries and keys"),
        ("pope+shaw", "PoPE turns queries by their positions and Shaw meets the turned ones"),
        ("cope+window:left=2@coupled", "CoPE counts the tokens between a query and a key, those too that Window hides"),
        ("learned@tags", "Learned has a table with a row for each id"),
        ("alibi@tags", "ALiBi looks at distances"),
        ("fire@tags", "FIRE looks at distances"),
        ("rope@tags", "RoPE looks at distances"),
        ("alibi@sequential:origin=cyclic", "cyclic ids begin again at 1"),
        ("rope@coupled:origin=cyclic", "cyclic ids begin again at 1"),
        ("window:left=3@abacus:origin=cyclic", "Write origin=random or leave the origin out"),
        ("fire@coupled:origin=cyclic", "FIRE looks at distances"),
        ("learned@randomized:span=100000000", "would take 11.9 GiB of memory, most of it for table, 100000001 x 32"),
        ("alibi@randomized:span=1000000000", "test shorter sequences, or lower randomized:span"),
        ("t5:farthest=1000000000", "most of it for slots, 2000000001; 4 GiB are allowed. Its ids go up to 20"),
        ("learned@randomized:span=9000000000000000000", "tensors that no memory holds"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        arith.encoding(text, **SHAPE, tokens=20, digits=9)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    "text",
    [
        "rope+forgetting",  # gates see the layer's input, not the queries
        "rope+dape",
        "shaw+transformer-xl",
        "pope[0]+rope[1]",
        "relative-logits+rope",  # mixed from the layer's input
        "cope+window:left=2",  # on ids that rise, what lies between two visible tokens is visible
        "sinusoidal@tags",
        "learned@sequential:origin=cyclic",
        "sinusoidal@coupled:origin=cyclic",
        "random-embedding@abacus:origin=cyclic",
        "rope:base=1e+06,share=5e-1",
        "t5:bidirectional=True@coupled",
        "t5:farthest=1e+03+rope:base=1E6",
        "(" * 50 + "rope" + ")" * 50,
    ],
)
def test_what_goes_together_is_not_refused(text: str) -> None:
    arith.encoding(text, **SHAPE, tokens=20, digits=9)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": "64"}, "width is a whole number from 1 on, got '64'"),
        ({"heads": 0}, "heads is a whole number from 1 on, got 0"),
        ({"heads": -4}, "got -4"),
        ({"layers": 0}, "layers is a whole number from 1 on, got 0"),
        ({"tokens": 0}, "tokens is a whole number from 1 on, got 0"),
        ({"digits": 0}, "digits is a whole number from 1 on, got 0"),
        ({"heads": True}, "got True"),
        ({"tokens": 10**30}, "tokens is a whole number from 1 on"),
        ({"heads": 5}, "a multiple of its heads: got width 32 and 5 heads"),
    ],
)
def test_shapes_that_cannot_be_are_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        arith.encoding("learned", **(SHAPE | changed))
    assert message in str(raised.value)


def test_a_rotation_and_a_learned_key_would_tell_where_a_query_stands() -> None:
    """Why they are refused: a shift of all ids, which neither sees by itself, changes the scores."""
    rope, keys = RoPE(8), Shaw(2, 8, 1, radius=2, std=1.0)
    q, ids = torch.randn(1, 2, 5, 8), torch.arange(1, 6)[None, None]

    def scores(shift: int) -> torch.Tensor:
        positions = Positions(ids + shift, ids + shift)
        turned, k = rope.rotate(q, q, positions)
        return attention(turned, k, q, terms=keys.at(0).terms(q, turned, k, positions, {}))

    assert not torch.allclose(scores(0), scores(7), atol=1e-2)


def test_odd_heads_rotate_what_pairs_they_have() -> None:
    (rope,) = arith.encoding("rope:share=0.9", width=35, heads=5, layers=1).parts
    assert rope.frequencies.shape == (3,)
    with pytest.raises(UsageError, match="must be even, got 7"):
        arith.encoding("rope", width=35, heads=5, layers=1)


def test_the_public_function_is_found_and_typed() -> None:
    assert "encoding" in dir(arith)
    assert "encoding" in arith.__all__
    with pytest.raises(AttributeError, match="no attribute 'encodng'"):
        _ = arith.encodng
