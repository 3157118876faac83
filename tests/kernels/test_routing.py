"""The kernel that routing names is the one that folding feeds."""

import pytest
import torch

from arith.kernels import folding
from arith.kernels.configs import LONGEST
from arith.kernels.routing import choose_kernel, route
from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, Term, Window

SHORT, LONG, HEADS = 20, 140, 2


def terms_of(name: str, n: int) -> tuple[Term, ...]:
    values, index = torch.zeros(HEADS, 8), torch.arange(1, n + 1)
    shared, own = (Ids(ids, ids) for ids in (index[None], index.expand(2, -1)))
    marked = Ids(own.q, own.k, indexes_tokens=True)
    table = DistanceTable(values)
    return {
        "nothing": (),
        "by token": (table,),
        "marked": (DistanceTable(values, marked), Window(3, 3, marked)),
        "shared": (DistanceTable(values, shared),),
        "own": (DistanceTable(values, own), Window(3, 3, own)),
        "both": (DistanceTable(values, own), table),
        "window": (Window(3, 3),),
        "own window": (Window(3, 3, own),),
        "pairs": (PairTable(torch.zeros(HEADS, n, n)),),
    }[name]


@pytest.mark.parametrize(
    ("name", "short", "long"),
    [
        ("nothing", "plain", "plain"),
        ("by token", "tile", "token table"),
        ("marked", "tile", "token table"),
        ("shared", "tile", "id table"),
        ("own", "id table", "id table"),
        ("both", "tile and id table", "token table and id table"),
        ("window", "tile", "plain"),
        ("own window", "plain", "plain"),
        ("pairs", "tile", "reference"),
    ],
)
def test_a_kernel_is_named_by_what_it_is_given(name: str, short: str, long: str) -> None:
    assert SHORT <= LONGEST < LONG
    terms = terms_of(name, SHORT)
    folded = folding.fold(terms, HEADS, SHORT, SHORT, torch.device("cpu"))
    given = [own for own, there in (("tile", folded.tile), ("id table", folded.table)) if there is not None]
    assert choose_kernel(terms, SHORT)[0] == short == (" and ".join(given) or "plain")
    terms = terms_of(name, LONG)
    assert choose_kernel(terms, LONG)[0] == long
    if long != "reference":
        many = folding.fold_long(terms, HEADS, LONG, causal=True)
        given = [own for own, there in (("token table", many.table), ("id table", many.id_table)) if there is not None]
        assert long == (" and ".join(given) or "plain")
        q = torch.zeros(2, HEADS, LONG, 16)
        assert route(q, q, q, terms, "triton")[:2] == ("triton", long)


def test_where_no_kernel_runs_the_route_is_named() -> None:
    q = torch.zeros(1, 1, 300, 16)
    assert route(q, q, q) == ("reference", "reference", "tensors on a cpu run in plain torch")
    assert route(q, q, q, (Window(1, 1),))[:2] == ("windowed", "windowed")
    assert choose_kernel([Decay(q[..., 0])], 300) == ("reference", "Decay runs in plain torch only")
