"""Terms whose ids index tokens are folded as if they had none, and nothing but the way changes."""

from typing import Any

import pytest
import torch

from arith.kernels import long_learned
from arith.kernels.attention import attention
from arith.kernels.folding import fold, fold_long
from arith.kernels.routing import choose_kernel, drop_token_ids
from arith.kernels.terms import DistanceTable, Ids, PairTable, QueryTable, Term, Window

RADIUS = 30
ORIGINS = {"fixed": torch.tensor([[0]]), "random": torch.tensor([[4], [61]])}
# Queries and keys: training, the last tokens alone, and decoding; in one tile, and in many.
SIZES = [(40, 40), (9, 40), (1, 40), (140, 140), (70, 140), (1, 140)]


def ids_of(origin: str, queries: int, keys: int, indexes_tokens: bool = True) -> Ids:
    index = torch.arange(1, keys + 1) + ORIGINS[origin]
    return Ids(index[:, keys - queries :], index, indexes_tokens)


def results(queries: int, keys: int, ids: Ids, backend: Any) -> list[torch.Tensor]:
    """The output and the gradients of queries, keys, values and table, in float64; a scale of 1/4 is exact."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    q, k, v = normal(2, 1, queries, 16), normal(2, 1, keys, 16), normal(2, 1, keys, 16)
    table, dout = normal(1, 2 * RADIUS + 2), normal(*q.shape)
    given = [x.requires_grad_() for x in (q, k, v, table)]
    terms = (DistanceTable(table, ids), Window(100, 0, ids))
    out = attention(q, k, v, terms=terms, backend=backend)
    return [out.detach(), *torch.autograd.grad(out, given, dout)]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("queries", "keys"), SIZES)
def test_by_token_and_by_id_are_the_same_numbers(queries: int, keys: int, origin: str) -> None:
    ids, unmarked = (ids_of(origin, queries, keys, own) for own in (True, False))
    truth = results(queries, keys, ids, "reference")
    for own in (ids, unmarked):
        for ours, theirs in zip(results(queries, keys, own, "triton"), truth, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    values = torch.zeros(2, 4)
    by_token, by_id = ([DistanceTable(values, own), Window(9, 9, own)] for own in (ids, unmarked))
    assert choose_kernel(by_token, keys)[0] == ("tile" if keys <= 128 else "token table")
    assert choose_kernel(by_id, keys)[0] == ("tile" if keys <= 128 and origin == "fixed" else "id table")


def test_only_what_looks_at_distances_loses_its_ids() -> None:
    ids = ids_of("random", 9, 9)
    tables: list[Term] = [
        DistanceTable(torch.zeros(1, 4), ids),
        QueryTable(torch.zeros(2, 1, 9, 4), torch.zeros(1, 3, 4), -1, ids=ids),
    ]
    assert all(getattr(term, "ids", ids) is None for term in drop_token_ids([*tables, Window(1, 1, ids)]))
    pairs = PairTable(torch.zeros(1, 80, 80), ids)
    others: list[Term] = [pairs, Window(1, 1, Ids(ids.q, ids.k)), Window(1, 1)]
    assert all(kept is own for kept, own in zip(drop_token_ids(others), others, strict=True))


def test_ids_that_index_tokens_are_never_looked_at() -> None:
    """As little as tensors without memory have values to look at."""
    ids = Ids(*(torch.empty(2, 200, dtype=torch.long, device="meta") for _ in range(2)), indexes_tokens=True)
    terms = (DistanceTable(torch.zeros(1, 8), ids), Window(5, 0, ids))
    folded = fold_long(terms, heads=1, queries=200, keys=200, causal=True)
    assert folded.table is not None
    assert folded.id_table is None
    assert (folded.ids, folded.window, folded.left) == (None, None, 5)
    folded_short = fold(terms, 1, 200, 200, torch.device("cpu"))
    assert folded_short.tile is not None
    assert folded_short.ids is None


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_tile_of_rising_ids_holds_one_block_of_them(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or each pair of tiles is computed again for every diagonal of blocks that it touches."""
    seen: list[torch.Tensor] = []
    run = long_learned.run

    def watched(kernel: Any, grid: Any, *arguments: Any, **constants: Any) -> None:
        if kernel is long_learned.long_id_table_gradient:
            seen.extend(arguments[12:14])
        run(kernel, grid, *arguments, **constants)

    monkeypatch.setattr(long_learned, "run", watched)
    results(140, 140, ids_of(origin, 140, 140, indexes_tokens=False), "triton")
    assert len(seen) == 2
    for blocks in seen:
        assert (blocks[..., 0] == blocks[..., 1]).all()


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize(("first", "slots"), [(-3, 7), (-2, 1), (0, 4), (-90, 200), (-90, 100), (40, 5), (-60, 9)])
def test_what_queries_ask_lies_by_distance(first: int, slots: int, ends: bool) -> None:
    """Of 20 keys, in a tile of 32: the distances 0, -31 to -1, then 0 to 31, whatever the table holds."""
    values = torch.randn(2, slots, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    term = QueryTable(torch.zeros(1, 2, 20, 3), values, first, ends)
    slab = fold([term], 2, 20, 20, torch.device("cpu")).slab
    assert slab is not None
    distance = torch.cat([torch.tensor([0]), torch.arange(-31, 0), torch.arange(32)])
    slot = (distance - first).clamp(0, slots - 1)
    expected = values[:, slot] * ((slot == distance - first) | torch.tensor(ends))[:, None]
    assert torch.equal(slab, expected)
    weights = torch.randn(slab.shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = (torch.autograd.grad((x * weights).sum(), values)[0] for x in (slab, expected))
    torch.testing.assert_close(ours, theirs)
