"""The fused kernels in Triton's interpreter, against float64.

Long, as every argument of one operator is varied with the same inputs.
"""

import dataclasses
import functools
import math
import warnings

import pytest
import torch
import triton
import triton.language as tl
from kernel_checks import proof
from kernel_checks.cases import Case, cases
from torch._dynamo.testing import CompileCounterWithBackend

from arith.kernels import attention as op
from arith.kernels import routing, short_op
from arith.kernels.attention import attention
from arith.kernels.configs import tile_size
from arith.kernels.gathering import gather_op
from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, QueryTable, ScoreMod, Term, Window

CPU = torch.device("cpu")
ALL = ("alibi", "table", "pair", "window", "ids", "id-window", "asked")


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_kernels_are_as_exact_as_torch_in_the_same_type(case: Case) -> None:
    findings = proof.findings(case, CPU, "triton")
    assert all(finding.right for finding in findings), [finding for finding in findings if not finding.right]


def test_proof_notices_a_wrong_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    right = short_op.attention
    monkeypatch.setattr(short_op, "attention", lambda *args: right(*args) * 1.001)
    assert not all(finding.right for finding in proof.findings(Case(17, 17), CPU, "triton"))
    monkeypatch.setattr(short_op, "attention", lambda *args: right(*args) * float("nan"))
    assert not any(finding.right for finding in proof.findings(Case(17, 17), CPU, "triton"))


@triton.jit
def product(A, B, OUT, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    at = i[:, None] * BLOCK + i[None, :]
    tl.store(OUT + at, tl.dot(tl.load(A + at), tl.load(B + at)).to(tl.bfloat16))


def test_interpreter_multiplies_and_rounds_bfloat16_as_torch_does() -> None:
    a, b = (torch.randn(16, 16, generator=torch.Generator().manual_seed(seed)).bfloat16() for seed in range(2))
    out = torch.empty_like(a)
    product[1,](a, b, out, 16)
    assert torch.equal(out, (a.float() @ b.float()).bfloat16())


@pytest.mark.parametrize("fast", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "terms", [(), ("alibi", "table", "pair"), ("ids", "id-window"), ("asked",), ("asked", "ids", "pair")], ids=str
)
def test_gradients_in_float64(terms: tuple[str, ...], fast: bool) -> None:
    """Numerical differentiation of the kernels themselves; the scale of 1/2 is exact in the 32 bits it travels in."""
    softcap, more = (0.5, True) if "asked" in terms else (None, False)  # 1/2 too is exact in 32 bits
    masks = () if terms == ("asked",) else ("causal",)
    case = Case(5, 4, 4, torch.float64, terms, masks, 2, 1, 1, radius=2, spread=6, softcap=softcap, sinks=more)
    ours = proof.results(case, CPU, torch.float64, "triton")
    exact = proof.results(case, CPU, torch.float64, "reference")
    for name, values in exact.items():
        torch.testing.assert_close(ours[name], values, rtol=1e-12, atol=1e-13)

    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 1, n, 4, generator=generator, dtype=torch.float64) for n in (2, 4, 4))
    ids = torch.tensor([[3, 0, 2, 6], [4, 5, 1, 2]])
    places = Ids(ids[:, 2:], ids)
    table, pair = torch.randn(1, 6, generator=generator).double(), torch.randn(1, 4, 4, generator=generator).double()
    states, values = (torch.randn(size, generator=generator).double() for size in ((2, 1, 2, 3), (1, 4, 3)))
    sinks = torch.randn(1, generator=generator).double()

    def run(*inputs: torch.Tensor) -> torch.Tensor:
        q, k, v, table, pair, states, values, sinks = inputs
        made: dict[str, Term] = {
            "alibi": DistanceTable(table),
            "table": PairTable(pair),
            "ids": DistanceTable(table, places),
        }
        made["id-window"], made["pair"] = Window(3, 3, places), PairTable(pair)
        made["asked"] = QueryTable(states, values, first=-2)
        given = {"softcap": softcap, "sinks": sinks} if more else {}
        chosen = tuple(made[name] for name in terms)
        return attention(q, k, v, terms=chosen, causal="causal" in masks, backend="triton", **given)

    inputs = tuple(x.requires_grad_() for x in (q, k, v, table, pair, states, values, sinks))
    # Fast: the Jacobian between two random directions, two evaluations; else entry by entry, hundreds of them.
    assert torch.autograd.gradcheck(run, inputs, fast_mode=fast)


def test_two_runs_give_the_same_bits() -> None:
    case = Case(40, 40, terms=ALL, masks=("causal", "valid"), batch=7, softcap=3.0, sinks=True)
    once, again = (proof.results(case, CPU, torch.float32, "triton") for _ in range(2))
    assert all(torch.equal(once[name], again[name]) for name in once)


@pytest.mark.parametrize("ids", [False, True])
def test_what_is_added_to_all_scores_changes_nothing(ids: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, 2, 30, 16, generator=generator) for _ in range(3))
    table = torch.randn(2, 12, generator=generator).requires_grad_()
    drawn = torch.randint(0, 20, (3, 30), generator=generator)
    places = Ids(drawn, drawn) if ids else None
    out = attention(q, k, v, terms=(DistanceTable(table, places),), backend="triton")
    moved = attention(q, k, v, terms=(DistanceTable(table + 3, places),), backend="triton")
    torch.testing.assert_close(out, moved, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(out.square().sum(), table)
    assert (gradient.sum(1).abs() <= 1e-5 * gradient.abs().sum(1)).all()
    assert gradient.abs().max() > 0.1


@pytest.mark.parametrize(("keys", "queries"), [(5, 5), (17, 17), (33, 2), (70, 70)])
def test_kernels_read_and_write_only_what_is_theirs(keys: int, queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inputs stand among NaN, and the results among canaries, in memory where nothing was written before."""
    canary, frames = 1234.5, []

    def framed(x: torch.Tensor, heads: int | None = None, dtype: torch.dtype | None = None) -> torch.Tensor:
        b, h, n, d = x.shape
        size = b * n * (heads or h) * d
        memory = torch.full((size + 2048,), canary, dtype=dtype or x.dtype)
        memory[1024:-1024] = float("nan")
        frames.append(memory)
        return memory[1024:-1024].view(b, n, heads or h, d).transpose(1, 2)

    def islands(n: int) -> torch.Tensor:
        memory = torch.full((3, 4, n + 40, 24), float("nan"))
        inside = memory[:, 1:3, 20 : 20 + n, 4:20]
        inside.copy_(torch.randn(3, 2, n, 16, generator=generator))
        return inside

    def framed_parts(q: torch.Tensor, *shape: int) -> torch.Tensor:
        size = math.prod(shape)
        memory = torch.full((size + 2048,), canary)
        memory[1024:-1024] = float("nan")
        frames.append(memory)
        return memory[1024:-1024].view(shape)

    generator = torch.Generator().manual_seed(0)
    q, k, v = islands(queries), islands(keys), islands(keys)
    monkeypatch.setattr(short_op, "token_major", framed)
    monkeypatch.setattr(short_op, "empty_sums", framed_parts)
    none = [None] * 11
    dout = torch.randn(3, 2, queries, 16, generator=generator)
    out = short_op.short_attention._init_fn(q, k, v, *none, 0, 0, True, 0.25, None)
    flags = [False] * 5
    gradients = short_op.short_attention_backward._init_fn(dout, q, k, v, *none, 0, 0, True, 0.25, None, *flags)
    assert len(frames) == 4 + 5  # scores without a gradient are empty
    # And with everything that adds to scores or hides, and query heads that share their keys.
    shared = [x[:, :1] for x in (k, v)]
    tile, table = torch.randn(2, queries, keys, generator=generator), torch.randn(2, 12, generator=generator)
    ids = torch.randint(0, 90, (3, keys), generator=generator, dtype=torch.int32)
    own = ids[:, keys - queries :].contiguous()
    sinks, states = (torch.randn(3, 2, queries, *width, generator=generator) for width in ((), (16,)))
    given = [
        tile,
        table,
        sinks,
        states,
        torch.randn(2, 2 * tile_size(keys), 16, generator=generator),
        own,
        ids,
        own,
        ids,
        torch.ones(3, keys, dtype=torch.int32),
        torch.zeros(3, keys, dtype=torch.int64),
    ]
    short_op.short_attention._init_fn(q, *shared, *given, 20, 20, False, 0.25, 2.0)
    flags = [True] * 5
    full = short_op.short_attention_backward._init_fn(dout, q, *shared, *given, 20, 20, False, 0.25, 2.0, *flags)
    assert all(gradient.isfinite().all() for gradient in full)
    assert len(frames) == 9 + 15
    for memory in frames:
        assert (memory[:1024] == canary).all()
        assert (memory[-1024:] == canary).all()
        assert not memory.isnan().any()
    clean = [x.contiguous().requires_grad_() for x in (q, k, v)]
    expected = attention(*clean, scale=0.25, backend="reference")
    torch.testing.assert_close(out, expected)
    for ours, theirs in zip(gradients, torch.autograd.grad(expected, clean, dout), strict=False):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_queries_that_see_nothing_give_zeros_and_no_gradient() -> None:
    q, k, v = (torch.randn(2, 2, 20, 16, requires_grad=True) for _ in range(3))
    table = torch.randn(2, 8, requires_grad=True)
    valid = torch.zeros(2, 20, dtype=torch.bool)
    valid[1] = True
    out = attention(q, k, v, terms=(DistanceTable(table), Window(4, 4)), valid=valid, backend="triton")
    assert (out[0] == 0).all()
    assert (out[1] != 0).any()
    for gradient in torch.autograd.grad(out.sum(), (q, k, v, table)):
        assert gradient.isfinite().all()


def test_a_cap_far_above_all_products_changes_nothing() -> None:
    """One by one exponential alone is off by the cap times 2^-24."""
    q, k, v = (torch.randn(2, 2, 20, 16, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
    capped, free = (attention(q, k, v, softcap=cap, backend="triton") for cap in (1e5, None))
    torch.testing.assert_close(capped, free, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("height", [-1e4, 40.0, 1e4])
def test_sinks_of_any_height_leave_finite_numbers(height: float) -> None:
    q, k, v = (torch.randn(2, 2, 20, 16, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
    sinks = torch.full((2,), height, requires_grad=True)
    valid = torch.ones(2, 20, dtype=torch.bool)
    valid[0] = False
    out = attention(q, k, v, sinks=sinks, valid=valid, backend="triton")
    assert (out[0] == 0).all()
    torch.testing.assert_close(out, attention(q, k, v, sinks=sinks, valid=valid, backend="reference"))
    (gradient,) = torch.autograd.grad(out.sum(), sinks)
    assert gradient.isfinite().all()


def test_offsets_beyond_31_bits() -> None:
    """Samples 2^30 numbers apart: the fourth begins beyond what 32 bits count. Untouched memory is never allocated."""
    apart = 2**30
    memory = torch.empty(4 * apart, dtype=torch.float16)
    spread = memory.as_strided((4, 1, 40, 16), (apart, 640, 16, 1))
    near = torch.randn(4, 1, 40, 16, generator=torch.Generator().manual_seed(0)).half()
    spread.copy_(near)
    torch.testing.assert_close(
        attention(spread, spread, spread, backend="triton"),
        attention(near, near, near, backend="triton"),
        rtol=0,
        atol=0,
    )


def test_grids_stay_in_bounds_for_any_batch() -> None:
    # Only the batch may be large: it lies along no axis of the grid. 65,535 is the limit of the second axis.
    q = torch.empty(1, 128, 64, 16).expand(10**7, -1, -1, -1)
    launch = short_op.config("forward", short_op.blocks(64, 64, 16), 4)
    programs, heads = short_op._grid(launch, 1, q)
    assert programs <= 132 * 8
    assert heads == 128


def test_gradients_and_packed_samples_beyond_31_bits() -> None:
    """As above, for the other kernels; samples of a tile are read from a copy when they lie too far apart."""
    apart = 2**30
    memory = torch.empty(4 * apart, dtype=torch.float16)
    for n in (40, 9):
        spread = memory.as_strided((4, 1, n, 16), (apart, 16 * n, 16, 1))
        generator = torch.Generator().manual_seed(n)
        near = torch.randn(4, 1, n, 16, generator=generator).half()
        spread.copy_(near)
        table = torch.randn(1, 12, generator=generator)
        ids = torch.randint(0, 20, (4, n), generator=generator)
        found = []
        for x in (spread, near):
            inputs = [x.detach().requires_grad_(), table.detach().requires_grad_()]
            out = attention(inputs[0], x, x, terms=(DistanceTable(inputs[1], Ids(ids, ids)),), backend="triton")
            found.append(torch.autograd.grad(out, inputs, x))
        for far, close in zip(*found, strict=True):
            assert torch.equal(far, close)


def test_sizes_that_do_not_belong_together_are_refused() -> None:
    x = torch.zeros(3, 2, 8, 16)
    table = torch.zeros(2, 6)
    for backend in ("triton", "reference"):
        run = functools.partial(attention, backend=backend)
        for k, v in ((x[:1], x[:1]), (x, x[:1]), (x, x[:, :1]), (x, x[:, :, :7]), (x[..., :8], x)):
            with pytest.raises(ValueError, match="keys and values are of the queries' batch"):
                run(x, k, v)
        with pytest.raises(ValueError, match=r"valid has a number for each of 3 x 8 keys, got \(3, 7\)"):
            run(x, x, x, valid=torch.ones(3, 7, dtype=torch.bool))
        ids = torch.ones(3, 8, dtype=torch.int64)
        with pytest.raises(ValueError, match="ids of DistanceTable are of 2 queries and 8 keys"):
            run(x[:, :, :2], x, x, terms=(DistanceTable(table, Ids(ids, ids)),))
        with pytest.raises(ValueError, match="too few for 8 tokens"):
            run(x, x, x, terms=(PairTable(torch.zeros(2, 7, 7)),))
        with pytest.raises(ValueError, match="DistanceTable has scores for each of 2 heads"):
            run(x, x, x, terms=(DistanceTable(torch.zeros(3, 6)),))


def test_documents_may_be_hashes_and_masks_fit_fewer_queries() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, n, 16, generator=generator) for n in (3, 12, 12))
    documents = torch.tensor([[1] * 5 + [1 + 2**32] * 7, [2**40] * 9 + [-7] * 3])
    ours, theirs = (attention(q, k, v, documents=documents, backend=name) for name in ("triton", "reference"))
    torch.testing.assert_close(ours, theirs)


def test_all_that_is_minus_infinity_gives_zeros_not_nan() -> None:
    x = torch.randn(1, 1, 64, 16)
    out = attention(x, x, x, terms=(DistanceTable(torch.full((1, 8), -torch.inf)),), causal=False, backend="triton")
    assert (out == 0).all()


def test_torchs_newer_precision_settings_are_understood() -> None:
    before = torch.backends.cuda.matmul.fp32_precision
    try:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        x = torch.randn(1, 1, 8, 16)
        torch.testing.assert_close(attention(x, x, x, backend="triton"), attention(x, x, x))
    finally:
        torch.backends.cuda.matmul.fp32_precision = before


def test_doubles_stay_doubles_under_autocast() -> None:
    x = torch.randn(1, 1, 8, 16, dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        assert attention(x, x, x, backend="triton").dtype == torch.float64
        # What autocast shortens is small enough, though it is not yet.
        wide = torch.randn(1, 1, 128, 128)
        assert routing.route(wide, wide, wide, backend="triton")[0] == "triton"


def test_any_length_runs_in_one_compiled_graph() -> None:
    counted = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda x: attention(x, x, x, backend="triton"), backend=counted, dynamic=True)
    for n in (20, 21, 25, 30):
        x = torch.randn(2, 1, n, 16)
        torch.testing.assert_close(compiled(x), attention(x, x, x))
    assert counted.frame_count == 1


@pytest.mark.parametrize("pack_batch", [1, 2, 3, 4, 5, 8, 9])
def test_samples_that_share_a_tile_do_not_see_each_other(pack_batch: int) -> None:
    generator = torch.Generator().manual_seed(pack_batch)
    q, k, v = (torch.randn(pack_batch, 1, 10, 16, generator=generator) for _ in range(3))
    together = attention(q, k, v, backend="triton")
    alone = torch.cat(
        [attention(q[i : i + 1], k[i : i + 1], v[i : i + 1], backend="triton") for i in range(pack_batch)]
    )
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)


class Layer(torch.nn.Module):
    """A biased attention layer, as somebody would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = torch.nn.Linear(32, 96)
        self.table = torch.nn.Parameter(torch.randn(2, 12))

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 16)).permute(2, 0, 3, 1, 4)
        terms = (DistanceTable(self.table), DistanceTable(self.table, Ids(ids, ids)))
        return attention(q, k, v, terms=terms, backend="triton")


def test_compiles_without_a_graph_break() -> None:
    torch.manual_seed(0)
    layer, x, ids = Layer(), torch.randn(3, 12, 32), torch.randint(0, 9, (3, 12))
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    results = []
    for run in (layer, compiled):
        layer.zero_grad()
        out = run(x, ids)
        out.square().sum().backward()
        results.append((out.detach(), *(p.grad.clone() for p in layer.parameters() if p.grad is not None)))
    assert len(results[0]) == 4
    for eager, graph in zip(*results, strict=True):
        torch.testing.assert_close(eager, graph)


def test_operators_are_registered_right() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, 9, 16, generator=generator, requires_grad=True) for _ in range(3))
    tile = torch.randn(2, 9, 9, generator=generator, requires_grad=True)
    table = torch.randn(2, 8, generator=generator, requires_grad=True)
    ids = torch.randint(0, 5, (2, 9), generator=generator, dtype=torch.int32)
    sinks = torch.randn(2, 2, 9, generator=generator, requires_grad=True)
    states = torch.randn(2, 9, 2, 8, generator=generator).transpose(1, 2).requires_grad_()
    slab = torch.randn(2, 16, 8, generator=generator, requires_grad=True)
    rows = (ids, ids, None, None, None, None)
    for added in ((tile, table, None, None, None), (tile, table, sinks, states, slab)):
        torch.library.opcheck(short_op.short_attention, (q, k, v, *added, *rows, 0, 0, True, 0.25, None))
    torch.library.opcheck(gather_op, (table, ids[:1].long()))


def test_autocast_runs_in_the_short_type() -> None:
    q, k, v = (torch.randn(2, 2, 9, 16) for _ in range(3))
    table = torch.randn(2, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = attention(q, k, v.bfloat16(), terms=(DistanceTable(table),), backend="triton")
        (gradient,) = torch.autograd.grad(out.float().square().sum(), table)
    assert out.dtype == torch.bfloat16
    assert gradient.dtype == torch.float32
    expected = attention(q, k, v, terms=(DistanceTable(table),))
    torch.testing.assert_close(out.float(), expected, rtol=0.05, atol=0.05)


def q_of(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(*shape, dtype=dtype)


@pytest.mark.parametrize(
    ("terms", "n", "width", "why"),
    [
        ((), 8, 130, "head widths up to 128"),
        ((), 128, 128, "more than 64 tokens with heads wider than 64, in 32 bits"),
        ((Decay(torch.zeros(2, 2, 8)),), 8, 16, "Decay runs in plain torch"),
        ((QueryTable(torch.zeros(2, 2, 8, 129), torch.zeros(2, 3, 129), -1),), 8, 16, "values wider than 128"),
        ((QueryTable(torch.zeros(2, 2, 99, 64), torch.zeros(2, 3, 64), -1),), 99, 64, "ask by 64 numbers"),
        ((QueryTable(torch.zeros(2, 2, 8, 4), torch.zeros(2, 3, 4), -1),) * 2, 8, 16, "two tables that queries ask"),
        (
            (
                QueryTable(
                    torch.zeros(2, 2, 8, 4), torch.zeros(2, 3, 4), -1, ids=Ids(torch.ones(1, 8), torch.ones(1, 8))
                ),
            ),
            8,
            16,
            "QueryTable on ids",
        ),
        ((ScoreMod(lambda scores: scores),), 8, 16, "ScoreMod runs in plain torch"),
        ((Window(-1, 3),), 8, 16, "leaves out the token itself"),
        ((PairTable(torch.zeros(2, 9, 9), Ids(torch.ones(2, 8), torch.ones(2, 8))),), 8, 16, "by pairs of ids"),
        (
            tuple(DistanceTable(torch.zeros(2, 4), Ids(torch.ones(2, 8), torch.ones(2, 8))) for _ in "ab"),
            8,
            16,
            "two sets",
        ),
        (tuple(Window(1, 1, Ids(torch.ones(2, 8), torch.ones(2, 8))) for _ in "ab"), 8, 16, "two windows"),
    ],
)
def test_what_the_kernels_cannot_run_goes_to_the_reference(
    terms: tuple[Term, ...], n: int, width: int, why: str
) -> None:
    q = q_of(2, 2, n, width)
    with pytest.raises(ValueError, match=why):
        routing.route(q, q, q, terms, "triton")
    # As it would go on a GPU.
    assert why in str(routing._obstacle(q, q, q, terms, interpreted=True))


def test_one_set_of_ids_may_have_two_tables() -> None:
    drawn = torch.randint(0, 9, (2, 8))
    ids = Ids(drawn, drawn)
    q = torch.randn(2, 2, 8, 16)
    small, large = torch.randn(2, 6), torch.randn(2, 12)
    terms = (DistanceTable(small, ids), DistanceTable(large, ids))
    assert routing.route(q, q, q, terms, "triton")[0] == "triton"
    torch.testing.assert_close(
        attention(q, q, q, terms=terms, backend="triton"), attention(q, q, q, terms=terms, backend="reference")
    )


def test_a_cpu_runs_plain_torch_without_a_word() -> None:
    q = q_of(1, 1, 8, 16)
    assert routing.route(q, q, q) == ("reference", "reference", "tensors on a cpu run in plain torch")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attention(q, q, q)


def test_falling_back_on_a_gpu_is_said_once() -> None:
    op._say_once.cache_clear()
    with pytest.warns(UserWarning, match="plain torch, not fused: because"):
        op._say_once("because")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        op._say_once("because")


def test_triton_without_an_interpreter_or_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    q = q_of(1, 1, 8, 16)
    with pytest.raises(ValueError, match="Use backend='auto' or 'reference'"):
        attention(q, q, q, backend="triton")


def test_layouts_are_what_they_are_called_and_hold_the_same_numbers() -> None:
    drawn = [torch.randn(2, heads, n, 8) for heads, n in ((4, 5), (2, 7), (2, 7))]
    for layout in ("own", "token-major", "fused", "summed"):
        q, k, v = proof.in_layout(drawn, layout)
        assert all(torch.equal(ours, theirs) for ours, theirs in zip((q, k, v), drawn, strict=True))
        heads_first = layout in ("own", "summed")
        assert all(x.is_contiguous() == heads_first for x in (q, k, v))
        assert q.transpose(1, 2).is_contiguous() == (layout == "token-major")
        together = len({x.untyped_storage().data_ptr() for x in (q, k, v)}) == 1
        assert together == (layout == "fused")


def test_cases_cover_every_term_and_mask() -> None:
    every = list(cases())
    assert {term for case in every for term in case.terms} == set(ALL)
    assert {mask for case in every for mask in case.masks} == {"causal", "valid", "documents"}
    assert {case.dtype for case in every} == {torch.float32, torch.bfloat16, torch.float16}
    assert {case.layout for case in every} == {"own", "token-major", "fused", "summed"}
    # A table, a window, padding and documents of each sample at once, above 64 tokens: once more than fitted.
    masks, terms = {"causal", "valid", "documents"}, {"ids", "id-window"}
    assert any(case.keys > 64 and set(case.masks) == masks and set(case.terms) == terms for case in every)
    larger = [case for case in cases(small=False) if case not in every]
    assert max(case.batch * case.heads for case in larger) > 65_535
    assert dataclasses.is_dataclass(larger[0])
