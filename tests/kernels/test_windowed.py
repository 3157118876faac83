"""Attention behind narrow windows: the reference's numbers, at a cost that grows with the tokens."""

from dataclasses import replace

import pytest
import torch

from arith.kernels import windowed
from arith.kernels.attention import attention
from arith.kernels.routing import route
from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, QueryTable, Term, Window

N = 300
FLOAT = torch.float64


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT)


def coupled_ids(rows: int, digits: int, unplaced: int = 0) -> torch.Tensor:
    """As those of additions: two operands from the highest digit down, the answer upwards, then the end and padding."""
    down, up = torch.arange(digits + 1, 1, -1), torch.arange(2, digits + 2)
    one = torch.tensor([1])
    ids = torch.cat([torch.tensor([0]), down, one, down, one, up, torch.zeros(unplaced, dtype=torch.long)])
    shifted = ids + (ids > 1) * torch.arange(rows)[:, None]
    return shifted * (ids > 0)


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many scores the reference was asked for, call by call."""
    counted: list[int] = []
    run = windowed.reference.attention

    def counting(q: torch.Tensor, k: torch.Tensor, *rest: object) -> torch.Tensor:
        counted.append(q.shape[0] * q.shape[2] * k.shape[2])
        return run(q, k, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(windowed.reference, "attention", counting)
    return counted


def compare(
    terms: tuple[Term, ...],
    queries: int,
    keys: int,
    rows: int = 2,
    groups: int = 2,
    causal: bool = True,
    **masks: object,
) -> None:
    """Output and gradients of inputs and tables, beside the reference's."""
    q = drawn(rows, 2, queries, 4, seed=1).requires_grad_()
    k, v = (drawn(rows, groups, keys, 4, seed=seed).requires_grad_() for seed in (2, 3))
    learned = [term.values for term in terms if not isinstance(term, Window | Decay)]  # type: ignore[union-attr]
    terms = tuple(replace(t, states=t.states[:, :, -queries:]) if isinstance(t, QueryTable) else t for t in terms)
    learned += [term.states for term in terms if isinstance(term, QueryTable)]
    inputs = [q, k, v, *learned]
    found = []
    for backend in ("auto", "reference"):
        out = attention(q, k, v, terms=terms, causal=causal, backend=backend, **masks)  # type: ignore[arg-type]
        found.append((out, *torch.autograd.grad(out, inputs, drawn(*out.shape, seed=4))))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def tables(ids: Ids | None) -> tuple[Term, ...]:
    return (
        DistanceTable(drawn(2, 8, seed=5).requires_grad_(), ids),
        QueryTable(
            drawn(2, 2, 400, 3, seed=8).requires_grad_(), drawn(2, 9, 3, seed=6).requires_grad_(), -4, True, ids
        ),
        PairTable(drawn(2, N + 10, N + 10, seed=7).requires_grad_(), ids),
    )


@pytest.mark.parametrize("queries", [N, 97, 2, 1])
@pytest.mark.parametrize("causal", [True, False])
def test_windows_on_token_indices(queries: int, causal: bool, pairs: list[int]) -> None:
    compare((Window(5, 3), *tables(None)), queries, N, groups=1, causal=causal)
    assert len(pairs) == 2
    assert pairs[0] < pairs[1] / windowed.GAIN


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("unplaced", [0, 1, 20])
@pytest.mark.parametrize("asked", [None, 100, 1])
def test_windows_on_ids(unplaced: int, asked: int | None, causal: bool, pairs: list[int]) -> None:
    placed = coupled_ids(2, 100, unplaced)
    n = placed.shape[1]
    queries = asked or n
    ids = Ids(placed[:, n - queries :], placed)
    compare((Window(1, 1, ids), *tables(ids)[:2], *tables(None)[:1]), queries, n, causal=causal)
    if queries > 8 * unplaced:
        assert sum(pairs[:-1]) < pairs[-1] / windowed.GAIN


def test_scales_caps_and_sinks_go_with_the_queries() -> None:
    placed = coupled_ids(2, 100, 1)
    n = placed.shape[1]
    ids = Ids(placed, placed)
    sinks, scale = drawn(2, 2, n, seed=8), drawn(2, n, seed=9).abs()
    compare((Window(1, 1, ids), *tables(ids)[:2]), n, n, sinks=sinks, scale=scale, softcap=0.7)
    compare(
        (Window(1, 1, Ids(placed[:, -1:], placed)),), 1, n, sinks=sinks[:, :, -1:], scale=scale[:, -1:], softcap=0.7
    )


def test_slots_that_windows_hide_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    add = windowed.reference.add_term

    def counting(term: Term, scores: torch.Tensor) -> torch.Tensor:
        asked.extend([term.values.shape[1]] if isinstance(term, QueryTable) else [])
        return add(term, scores)

    monkeypatch.setattr(windowed.reference, "add_term", counting)
    x = drawn(1, 1, N, 4)
    table = QueryTable(drawn(1, 1, N, 3), drawn(1, 1000, 3), first=-999)
    attention(x, x, x, terms=(table, Window(5, 0)))
    assert asked == [6]


def test_rows_with_more_and_less_padding() -> None:
    placed = coupled_ids(3, 100, 6)
    for row, length in enumerate((290, 308, 300)):
        placed[row, length:] = 0
    ids = Ids(placed, placed)
    compare((Window(1, 1, ids), DistanceTable(drawn(2, 8).requires_grad_(), ids)), placed.shape[1], placed.shape[1], 3)


def test_padding_and_documents_are_hidden() -> None:
    placed = coupled_ids(1, 100)
    n = placed.shape[1]
    valid = drawn(2, n) > -0.5
    documents = torch.cat([torch.full((150,), 2**40), torch.full((n - 150,), -7)]).expand(2, -1)
    ids = Ids(placed, placed)
    for masks in ({"valid": valid}, {"documents": documents}, {"valid": valid[:1], "documents": documents[:1]}):
        compare((Window(2, 0, ids), Window(280, 0)), n, n, **masks)


def test_scattered_ids_of_each_sample() -> None:
    placed = torch.randint(0, 90, (2, N), generator=torch.Generator().manual_seed(0))
    ids = Ids(placed, placed)
    compare((Window(1, 0, ids), *tables(ids)[:2]), N, N)
    compare((Window(0, 2, ids), Window(100, 100)), N, N, causal=False)


@pytest.mark.parametrize("causal", [True, False])
def test_keys_that_another_window_hides_are_not_computed(causal: bool, pairs: list[int]) -> None:
    """As in a product: each column sees three digits of each factor, and a factor's have no place in the other's."""
    digits, loop = 90, 7
    place, width = torch.arange(digits), 2 * digits
    none, sign = torch.zeros(digits, dtype=torch.long), torch.tensor([0])
    column = torch.arange(width)
    first = torch.cat([sign, 2 + place + loop, sign, none, sign, 2 + column])[None]
    second = torch.cat([sign, none, sign, 2 + place, sign, column * 0 + 2 + loop])[None]
    windows = tuple(Window(1, 1, Ids(own[:, -width - 1 :], own)) for own in (first, second))
    compare((*windows, *tables(windows[0].ids)[:1]), width + 1, first.shape[1], causal=causal)
    *blocks, everything = pairs
    assert sum(blocks) < everything / windowed.GAIN


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("unplaced", [0, 5])
def test_two_windows_on_ids_of_their_own(rows: int, unplaced: int) -> None:
    """Scattered ids, those without a position among them: what one window hides is hidden, and nothing else."""
    draw = torch.Generator().manual_seed(unplaced)
    near, far = (torch.randint(1, 90, (own, N), generator=draw) for own in (2, rows))
    for own in (near, far):
        own[:, torch.randperm(N, generator=draw)[:unplaced]] = 0
    far[:, :100] = 0
    for causal in (True, False):
        compare((Window(1, 0, Ids(near, near)), Window(3, 2, Ids(far, far))), N, N, causal=causal)
        compare(
            (Window(1, 0, Ids(near[:, 100:], near)), Window(0, 2, Ids(far[:, 100:], far))), N - 100, N, causal=causal
        )


def test_ids_below_zero_are_ids() -> None:
    placed = torch.arange(-150, 150).expand(2, -1)
    compare((Window(1, 1, Ids(placed, placed)), DistanceTable(drawn(2, 8).requires_grad_(), Ids(placed, placed))), N, N)


def test_wide_windows_are_left_to_the_reference(pairs: list[int]) -> None:
    x = drawn(1, 1, N, 4)
    attention(x, x, x, terms=(Window(200, 0),))
    attention(x[:, :, :1], x, x, terms=(Window(200, 0),))
    same = torch.zeros(1, N, dtype=torch.long)
    attention(x, x, x, terms=(Window(1, 1, Ids(same, same)),))
    assert pairs == [N * N, N, N * N]


def test_cost_grows_with_the_tokens(pairs: list[int]) -> None:
    for digits in (200, 400, 800):
        placed = coupled_ids(1, digits, 1)
        x = drawn(1, 1, placed.shape[1], 4)
        attention(x, x, x, terms=(Window(1, 1, Ids(placed, placed)),))
    everywhere, nearby = pairs[::2], pairs[1::2]
    assert everywhere == [2 * keys for keys in (604, 1204, 2404)]  # the first token and the last
    assert nearby[1] < 2.2 * nearby[0]
    assert nearby[2] < 2.2 * nearby[1]


def test_the_route_can_be_asked() -> None:
    x = drawn(1, 2, N, 4)
    assert route(x, x, x, (Window(1, 1),))[0] == "windowed"
    assert route(x, x, x, (Window(1, 1),), "reference")[0] == "reference"
    assert route(x, x, x)[0] == "reference"
    assert route(x, x, x, (Window(1, 1), Decay(drawn(1, 2, N))))[0] == "reference"
    assert route(x[:, :, :50], x[:, :, :50], x[:, :, :50], (Window(1, 1),))[0] == "reference"
    graph = torch.compile(lambda x: attention(x, x, x, terms=(Window(1, 1),)), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(graph(x), attention(x, x, x, terms=(Window(1, 1),)))
