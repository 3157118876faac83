"""The fused kernels for sequences of any length in Triton's interpreter, against float64.

Long, as every argument of one operator is varied with the same inputs.
"""

import functools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import triton.language as tl
from kernel_checks import proof
from kernel_checks.cases import Case, long_cases
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from arith.kernels import attention as op
from arith.kernels import long, long_launches, long_learned, long_op, routing, shearing, tiling
from arith.kernels.attention import attention
from arith.kernels.long_configs import LongConfig
from arith.kernels.terms import DistanceTable, Ids, PairTable, QueryTable, Term, Window

CPU = torch.device("cpu")
LONG_CASES = list(long_cases())
FAST = (2, 8)  # one by ranges of tiles, one by lists


def check(case: Case) -> None:
    findings = proof.findings(case, CPU, "triton")
    assert all(finding.right for finding in findings), [finding for finding in findings if not finding.right]


@pytest.mark.parametrize("case", [LONG_CASES[place] for place in FAST], ids=str)
def test_long_kernels_are_as_exact_as_torch_in_the_same_type(case: Case) -> None:
    check(case)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", [c for place, c in enumerate(LONG_CASES) if place not in FAST], ids=str)
def test_all_long_cases_are_as_exact(case: Case) -> None:
    check(case)


@pytest.fixture
def tiny_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes through the long kernels, in tiles of 16 tokens: many tiles in few tokens."""
    monkeypatch.setattr(op, "LONGEST", 0)
    monkeypatch.setattr(routing, "LONGEST", 0)
    monkeypatch.setattr(long_launches, "long_config", lambda *_: LongConfig(16, 16, warps=4, stages=1))
    monkeypatch.setattr(long_learned, "LONG_TABLE", 16)
    # As many copies of a table's ends as such tiles need: lookups far beyond the radius are limited, as in large tiles.
    for module in (long, shearing):
        monkeypatch.setattr(module, "EDGE", tl.constexpr(32))
    monkeypatch.setattr(long_launches, "EDGE", 32)


SMALL: dict[str, Any] = {"batch": 1, "heads": 1, "key_heads": 1}
PAIR: dict[str, Any] = {"batch": 2, "heads": 2, "key_heads": 1}
EDGES = [
    Case(70, 70, terms=("table",), radius=20, **SMALL),
    Case(70, 70, terms=("table",), masks=(), radius=3, dtype=torch.bfloat16, **SMALL),
    Case(64, 64, terms=("table", "window"), masks=(), radius=80, **SMALL),
    Case(60, 33, terms=("table", "window"), radius=16, **SMALL),
    Case(70, 1, terms=("table",), radius=9, **SMALL),
    Case(50, 50, terms=("ids",), radius=20, spread=60, dtype=torch.bfloat16, **SMALL),
    Case(50, 50, terms=("ids", "id-window"), masks=("causal", "valid"), radius=2, spread=300, **SMALL),
    Case(50, 20, terms=("table", "ids"), masks=("documents",), radius=5, **SMALL),
    Case(20, 20, terms=("table", "ids", "id-window"), batch=2, heads=2, key_heads=1),
    Case(50, 50, terms=("pair",), masks=("causal",), batch=3, heads=2, key_heads=1),
    Case(40, 23, terms=("pair", "table", "window"), masks=("valid", "documents"), dtype=torch.bfloat16, **SMALL),
    Case(70, 70, terms=("asked",), radius=20, ends=False, **SMALL),
    Case(70, 70, terms=("asked",), radius=90, ends=False, state=10, dtype=torch.bfloat16, **PAIR),
    Case(70, 70, terms=("asked",), masks=(), radius=17, dtype=torch.float16, **PAIR),
    Case(60, 33, terms=("asked", "table", "window"), masks=("valid",), radius=9, sinks=True, softcap=2.0, **SMALL),
    Case(50, 1, terms=("asked", "ids", "id-window"), masks=("documents",), radius=12, sinks=True, **SMALL),
    Case(40, 40, terms=("asked", "pair"), radius=12, ends=False, softcap=2.0, dtype=torch.bfloat16, **SMALL),
]


@pytest.mark.parametrize("case", EDGES, ids=str)
def test_edges_of_tiles(case: Case, tiny_tiles: None) -> None:
    check(case)


def test_gradients_in_float64(tiny_tiles: None) -> None:
    """Numerical differentiation of the kernels themselves; the scale of 1/2 is exact in the 32 bits it travels in."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 1, n, 4, generator=generator, dtype=torch.float64) for n in (3, 18, 18))
    ids = torch.randint(0, 9, (1, 18), generator=generator)
    places = Ids(ids[:, 15:], ids)
    tables = [torch.randn(1, 6, generator=generator).double() for _ in range(2)]
    states, values, sinks = (
        torch.randn(*shape, generator=generator).double() for shape in ((1, 1, 3, 4), (1, 7, 4), (1,))
    )

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *learned: torch.Tensor) -> torch.Tensor:
        terms = (DistanceTable(learned[0]), DistanceTable(learned[1], places), Window(5, 5, places))
        return attention(q, k, v, terms=terms, backend="triton")

    assert torch.autograd.gradcheck(run, tuple(x.requires_grad_() for x in (q, k, v, *tables)), fast_mode=True)
    for ends in (False, True):

        def ask(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *learned: torch.Tensor, ends: bool) -> torch.Tensor:
            table = QueryTable(learned[0], learned[1], -5, ends)
            return attention(q, k, v, terms=(table,), softcap=1.5, sinks=learned[2], causal=False, backend="triton")

        given = tuple(x.requires_grad_() for x in (q, k, v, states, values, sinks))
        assert torch.autograd.gradcheck(functools.partial(ask, ends=ends), given, fast_mode=True)


def test_queries_that_see_nothing_give_zeros_and_no_gradient(tiny_tiles: None) -> None:
    q, k, v = (torch.randn(2, 1, 40, 16, requires_grad=True) for _ in range(3))
    table = torch.randn(1, 8, requires_grad=True)
    valid = torch.zeros(2, 40, dtype=torch.bool)
    valid[1] = True
    out = attention(q, k, v, terms=(DistanceTable(table), Window(4, 4)), valid=valid, backend="triton")
    assert (out[0] == 0).all()
    assert (out[1] != 0).any()
    for gradient in torch.autograd.grad(out.sum(), (q, k, v, table)):
        assert gradient.isfinite().all()


def test_rows_beyond_the_last_query_leave_no_trace(tiny_tiles: None) -> None:
    """Distances that only such rows of the last tile have, and their ids of 0, have scores beyond all others."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 1, 17, 16, generator=generator) for _ in range(3))
    tables = [torch.zeros(1, 2 * 20 + 2) for _ in range(2)]
    tables[0][:, 0] = tables[1][:, -1] = 1000
    ids = torch.arange(1, 18)[None]
    found = []
    for backend in ("triton", "reference"):
        learned = [table.clone().requires_grad_() for table in tables]
        terms = (DistanceTable(learned[0]), DistanceTable(learned[1], Ids(ids, ids)))
        out = attention(q, k, v, terms=terms, causal=False, backend=backend)
        found.append(torch.autograd.grad(out.square().sum(), learned))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_ids_below_zero_are_ids(tiny_tiles: None) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 1, 40, 16, generator=generator, dtype=torch.float64) for _ in range(3))
    ids = torch.randint(-20, 5, (1, 40), generator=generator)
    ids[:, 3] = 0
    found = []
    for backend in ("triton", "reference"):
        table = torch.linspace(0, 2, 42, dtype=torch.float64)[None].requires_grad_()
        terms = (DistanceTable(table, Ids(ids, ids)), Window(9, 9, Ids(ids, ids)))
        out = attention(q, k, v, terms=terms, backend=backend)
        found.append((out, *torch.autograd.grad(out.square().sum(), table)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_table_gradient_sums_to_zero(tiny_tiles: None) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 34, 16, generator=generator) for _ in range(3))
    ids = torch.randint(0, 30, (1, 34), generator=generator)
    tables = [torch.randn(2, 12, generator=generator).requires_grad_() for _ in range(2)]
    terms = (DistanceTable(tables[0]), DistanceTable(tables[1], Ids(ids, ids)))
    out = attention(q, k, v, terms=terms, causal=False, backend="triton")
    for gradient in torch.autograd.grad(out.square().sum(), tables):
        assert (gradient.sum(1).abs() <= 1e-5 * gradient.abs().sum(1)).all()
        assert gradient.abs().max() > 0.1


def test_kernels_write_only_what_is_theirs(tiny_tiles: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results and partial sums stand among canaries, in memory where nothing was written before."""
    canary, frames = 1234.5, []

    def framed(*shape: int) -> torch.Tensor:
        memory = torch.full((math.prod(shape) + 2048,), canary)
        memory[1024:-1024] = float("nan")
        frames.append(memory)
        return memory[1024:-1024].view(shape)

    def framed_tokens(x: torch.Tensor) -> torch.Tensor:
        b, h, n, d = x.shape
        return framed(b, n, h, d).transpose(1, 2)

    monkeypatch.setattr(long_op, "token_major", framed_tokens)
    for module in (long_op, long_learned):
        monkeypatch.setattr(module, "empty_sums", lambda q, *shape: framed(*shape))
    monkeypatch.setattr(long_launches.Call, "new_states", lambda call: framed(*call.q.shape[:3], call.block_e))
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, h, n, 10, generator=generator) for h, n in ((2, 17), (1, 21), (1, 21)))
    table, id_table = (torch.randn(2, 12, generator=generator) for _ in range(2))
    tile = torch.randn(2, 17, 21, generator=generator)
    states, values = (torch.randn(*shape, generator=generator) for shape in ((2, 2, 17, 9), (2, 7, 9)))
    sinks = torch.randn(2, 2, 17, generator=generator)
    ids = torch.randint(0, 40, (2, 21), generator=generator, dtype=torch.int32)
    own = ids[:, 4:].contiguous()
    for window in ((None, None), (own, ids)):
        given = (tile, table, id_table, states, values, sinks, own, ids, *window, None, None)
        limits = (20, 20, 30, 30, -3, True, 0.25, 2.0)
        out, logsum = long_op.long_attention._init_fn(q, k, v, *given, *limits)
        dout = torch.randn(2, 2, 17, 10, generator=generator)
        long_op.long_attention_backward._init_fn(dout, out, logsum, q, k, v, *given, *limits, *[True] * 6)
    assert len(frames) == 2 * 15
    for memory in frames:
        assert (memory[:1024] == canary).all()
        assert (memory[-1024:] == canary).all()
        assert memory.isnan().sum() == 0


def test_operators_are_registered_right(tiny_tiles: None) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 1, 17, 16, generator=generator, requires_grad=True) for _ in range(3))
    table = torch.randn(1, 8, generator=generator, requires_grad=True)
    ids = torch.randint(0, 5, (2, 17), generator=generator, dtype=torch.int32)
    tile = torch.randn(1, 17, 17, generator=generator, requires_grad=True)
    states, values, sinks = (
        torch.randn(*shape, generator=generator, requires_grad=True) for shape in ((2, 1, 17, 9), (1, 5, 9), (2, 1, 17))
    )
    scores = (tile, table, table.detach(), states, values, sinks)
    inputs = (q, k, v, *scores, ids, ids, ids, ids, None, None, 17, 0, 1, 1, -4, True, 0.25, 0.0)
    torch.library.opcheck(long_op.long_attention, inputs)


def test_compiles_without_a_graph_break(tiny_tiles: None) -> None:
    table = torch.randn(2, 12, requires_grad=True)

    def run(x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        terms = (DistanceTable(2 * table), Window(3, 3, Ids(ids, ids)))
        return attention(x, x, x, terms=terms, backend="triton")

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    x, ids = torch.randn(1, 2, 20, 16, requires_grad=True), torch.randint(0, 9, (1, 20))
    for ours, theirs in zip(
        *([out, *torch.autograd.grad(out.square().sum(), (x, table))] for out in (compiled(x, ids), run(x, ids))),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_forward_is_flex_attentions() -> None:
    """Inductor's kernel for CPUs, which knows nothing of ours or of the reference; it has no backward pass there."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, 200, 16, generator=generator) for _ in range(3))
    table = torch.randn(2, 42, generator=generator)
    ids = torch.randint(1, 60, (2, 200), generator=generator)

    def score(own: torch.Tensor, b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        return own + table[h, torch.clamp(j - i, -20, 20) + 20]

    def seen(b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        return (i >= j) & ((ids[b, j] - ids[b, i]).abs() <= 9)

    mask = create_block_mask(seen, 2, None, 200, 200, device="cpu")
    expected = torch.compile(flex_attention)(q, k, v, score_mod=score, block_mask=mask)
    terms = (DistanceTable(table), Window(9, 9, Ids(ids, ids)))
    torch.testing.assert_close(attention(q, k, v, terms=terms, backend="triton"), expected)


def naive_shown(masks: tiling.Masks, block: int) -> torch.Tensor:
    """Tiles that show a pair, pair by pair."""
    earlier = masks.keys - masks.queries
    tiles = torch.zeros(2, -(-masks.queries // block), -(-masks.keys // block), dtype=torch.bool)
    for b in range(2):
        for i in range(masks.queries):
            for j in range(masks.keys):
                distance = j - i - earlier
                seen = -masks.left <= distance <= masks.right
                if masks.window is not None:
                    own, other = int(masks.window[0][b, i]), int(masks.window[1][b, j])
                    seen &= own == 0 or other == 0 or -masks.id_left <= other - own <= masks.id_right
                if masks.valid is not None:
                    seen &= bool(masks.valid[b, j])
                if masks.documents is not None:
                    seen &= int(masks.documents[b, i + earlier]) == int(masks.documents[b, j])
                tiles[b, i // block, j // block] |= seen
    return tiles


@pytest.mark.parametrize("queries", [37, 11])
@pytest.mark.parametrize("given", ["window", "valid", "documents", "all"])
def test_no_tile_that_shows_anything_is_left_out(given: str, queries: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rising = torch.arange(37).expand(2, -1) // 2
    documents = torch.tensor([-(2**40), 2**62])[(torch.arange(37) > 20).long()].expand(2, -1)
    parts: dict[str, dict[str, Any]] = {
        "window": {"window": (rising[:, 37 - queries :], rising), "id_left": 2, "id_right": 1},
        "valid": {"valid": (torch.rand(2, 37, generator=generator) > 0.8).int()},
        "documents": {"documents": documents},
    }
    chosen = [parts[given]] if given in parts else parts.values()
    masks = tiling.Masks(queries, 37, 30, 5, **{name: x for part in chosen for name, x in part.items()})
    found, exact = tiling.visible_tiles(masks, 4, 4).expand(2, -1, -1), naive_shown(masks, 4)
    assert not (exact & ~found).any()
    if given != "valid":
        assert found.sum() <= 2 * exact.sum() + 40
    order, count = tiling.visit_lists(found)
    for b in range(2):
        for tile in range(found.shape[1]):
            assert order[b, tile, : count[b, tile]].tolist() == found[b, tile].nonzero().flatten().tolist()


def test_windows_on_coupled_ids_visit_a_handful_of_tiles() -> None:
    for digits in (1000, 4000):
        down, up, one = torch.arange(digits + 1, 1, -1), torch.arange(2, digits + 2), torch.tensor([1])
        ids = torch.cat([torch.tensor([0]), down, one, down, one, up])[None]
        masks = tiling.Masks(ids.shape[1], ids.shape[1], ids.shape[1], 0, (ids, ids), 1, 1)
        visited = tiling.visible_tiles(masks, 64, 64)[0]
        # The first tile, which has a token without a position, that where one number ends and the next begins with
        # other ids, and up to 2 of each number so far.
        assert visited.sum(1).median() <= 8
        assert visited.sum() <= 9 * len(visited)


def _asked(slots: int, width: int) -> QueryTable:
    return QueryTable(torch.zeros(1, 2, 200, width), torch.zeros(2, slots, width), 0)


def test_what_long_kernels_cannot_run_is_said() -> None:
    x = torch.zeros(1, 2, 200, 16)
    ids = [torch.ones(1, 200, dtype=torch.long) for _ in range(2)]
    for terms, why in (
        ((PairTable(torch.zeros(2, 200, 200), Ids(ids[0], ids[0])),), "by pairs of ids, of more than 128 tokens"),
        (tuple(DistanceTable(torch.zeros(2, 4), Ids(own, own)) for own in ids), "two sets of ids"),
        (tuple(Window(1, 1, Ids(own, own)) for own in ids), "two windows on ids"),
        (tuple(_asked(3, 4) for _ in ids), "two tables that queries ask"),
        ((_asked(3, 130),), "values wider than 128"),
        ((_asked(2049, 4),), "more than 2048 slots"),
        ((replace(_asked(3, 4), ids=Ids(ids[0], ids[0])),), "QueryTable on ids"),
    ):
        chosen: tuple[Term, ...] = terms
        with pytest.raises(ValueError, match=why):
            routing.route(x, x, x, chosen, "triton")
