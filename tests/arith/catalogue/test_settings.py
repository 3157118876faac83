"""Settings after a colon, as the constructors get them."""

import arith
from arith.encodings.coupled import Coupled
from arith.encodings.positions import Sequential

SHAPE = {"width": 32, "heads": 4, "layers": 2}


def test_settings_reach_constructors() -> None:
    built = arith.encoding(
        "t5:buckets=8,farthest=20,bidirectional=true@coupled:origin=random,span=5", **SHAPE, digits=9
    )
    t5, scheme = built.encodings()[0][0], built.schemes[0]
    assert (t5.buckets, t5.farthest, t5.bidirectional) == (4, 20, True)
    assert scheme == Coupled(digits=9, origin="random", span=5)
    assert arith.encoding("rope", **SHAPE).schemes == (Sequential(tokens=1024),)


def test_settings_and_large_numbers_as_python_prints_them() -> None:
    built = arith.encoding(f"rope:base={1e6}+t5:farthest={1e3:g},bidirectional={True}", **SHAPE)
    rope, t5 = built.parts
    assert rope.base == 1_000_000
    assert (t5.farthest, t5.bidirectional) == (1000, True)
    (rope,) = arith.encoding(f"rope:base={1e20}", **SHAPE).parts
    assert rope.base == 1e20
