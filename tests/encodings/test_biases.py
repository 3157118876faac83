"""Biases by distance, against other implementations and against the papers' formulas in plain Python floats."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers.models.bloom.modeling_bloom import build_alibi_tensor

import arith
from arith.encodings.base import Encoding, Positions
from arith.encodings.biases import HIDDEN, KERPLE, ALiBi, HardALiBi, Sandwich
from arith.encodings.fire import FIRE, FIRELayer
from arith.encodings.window import Window
from arith.kernels.attention import attention
from tests.encodings.biasing import HEADS, HIGHEST, IDS, bias, randomised

Formula = Callable[[int, int, int], float]  # of head, query id and key id


def expected(formula: Formula, ids: Tensor) -> Tensor:
    rows = ids.tolist()
    return torch.tensor(
        [
            [[[formula(h, q, k) if q and k else 0.0 for k in row] for q in row] for h in range(1, HEADS + 1)]
            for row in rows
        ],
        dtype=torch.float64,
    )


def alibi_formula(encoding: ALiBi) -> Formula:
    # Six heads: the slopes of four, then every other one of eight.
    slopes = [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]
    return lambda h, q, k: -slopes[h - 1] * abs(q - k)


def learned_alibi_formula(encoding: ALiBi) -> Formula:
    exponents = encoding.exponents.flatten().tolist()
    return lambda h, q, k: -(2 ** -exponents[h - 1]) * abs(q - k)


def hard_alibi_formula(encoding: HardALiBi) -> Formula:
    return lambda h, q, k: HIDDEN if h <= 4 and abs(q - k) >= h else 0.0


def kerple_log_formula(encoding: KERPLE) -> Formula:
    r1 = [math.exp(value) for value in encoding.log_strength.flatten().tolist()]
    r2 = [math.exp(value) for value in encoding.free_growth.flatten().tolist()]
    return lambda h, q, k: -r1[h - 1] * math.log(1 + r2[h - 1] * abs(q - k))


def kerple_power_formula(encoding: KERPLE) -> Formula:
    r1 = [math.exp(value) for value in encoding.log_strength.flatten().tolist()]
    r2 = [2 / (1 + math.exp(-value)) for value in encoding.free_growth.flatten().tolist()]
    return lambda h, q, k: -r1[h - 1] * abs(q - k) ** r2[h - 1]


def sandwich_product(q: int, k: int, dimensions: int, base: float) -> float:
    """The inner product of two sinusoidal embeddings."""
    angles = [(q / base ** (2 * i / dimensions), k / base ** (2 * i / dimensions)) for i in range(dimensions // 2)]
    return sum(math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) for a, b in angles)


def sandwich_formula(encoding: Sandwich) -> Formula:
    return lambda h, q, k: (sandwich_product(q, k, 16, 100.0) - 8) / (h * 8 / HEADS)


def fire_formula(encoding: FIRE) -> Formula:
    layer = encoding.at(0)
    assert isinstance(layer, FIRELayer)
    first, last = layer.function[0], layer.function[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    up, shift = first.weight.flatten().tolist(), first.bias.tolist()
    down, start = last.weight.tolist(), last.bias.tolist()
    c = 0.3 * math.exp(layer.log_compression.item())
    threshold = 9.5 * math.exp(layer.log_threshold.item())
    assert 1 < threshold < HIGHEST  # or one branch of the maximum is not tested

    def psi(x: float) -> float:
        return math.log(c * x + 1)

    def formula(h: int, q: int, k: int) -> float:
        fraction = psi(abs(q - k)) / psi(max(threshold, q))
        units = [max(a * fraction + b, 0) for a, b in zip(up, shift, strict=True)]
        return start[h - 1] + sum(a * b for a, b in zip(down[h - 1], units, strict=True))

    return formula


LEARNED: dict[str, tuple[Callable[[], Encoding], Callable[..., Formula]]] = {
    "alibi, learned": (lambda: ALiBi(HEADS, HIGHEST, learned=True), learned_alibi_formula),
    "kerple, log": (lambda: KERPLE(HEADS, HIGHEST), kerple_log_formula),
    "kerple, power": (lambda: KERPLE(HEADS, HIGHEST, kind="power"), kerple_power_formula),
    "fire": (lambda: FIRE(HEADS, 1, HIGHEST, hidden=5, compression=0.3, threshold=9.5), fire_formula),
}
FIXED: dict[str, tuple[Callable[[], Encoding], Callable[..., Formula]]] = {
    "alibi": (lambda: ALiBi(HEADS, HIGHEST), alibi_formula),
    "hard-alibi": (lambda: HardALiBi(HEADS, masked=4), hard_alibi_formula),
    "sandwich": (lambda: Sandwich(HEADS, HIGHEST, dimensions=16, base=100.0), sandwich_formula),
}
ALL = LEARNED | FIXED


@pytest.mark.parametrize("name", ALL)
def test_bias_follows_the_formula(name: str) -> None:
    make, formula = ALL[name]
    encoding = randomised(make())
    found = bias(encoding, IDS)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected(formula(encoding), IDS), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_ids_shared_by_the_batch_and_last_queries_give_the_same(name: str) -> None:
    make, formula = ALL[name]
    encoding = randomised(make())
    for row in IDS:
        wanted = expected(formula(encoding), row[None])
        torch.testing.assert_close(bias(encoding, row[None], queries=5), wanted[:, :, -5:], rtol=1e-6, atol=1e-12)
        copies = bias(encoding, row.expand(2, -1), queries=5)
        torch.testing.assert_close(copies, wanted[:, :, -5:].expand(2, -1, -1, -1), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("heads", [*range(1, 20), 32, 48])
def test_alibi_slopes_are_those_of_bloom(heads: int) -> None:
    bloom = build_alibi_tensor(torch.ones(1, 2), heads, torch.float64)[:, 0, 1]
    torch.testing.assert_close(ALiBi(heads, HIGHEST).slopes.flatten().double(), bloom, rtol=1e-6, atol=0)


def test_alibi_is_that_of_x_transformers() -> None:
    theirs = pytest.importorskip("x_transformers.x_transformers").AlibiPositionalBias(HEADS).double()
    placed = (IDS[:, None, :, None] > 0) & (IDS[:, None, None, :] > 0)
    wanted = theirs.forward_custom_pos(IDS.double()) * placed
    torch.testing.assert_close(bias(ALiBi(HEADS, HIGHEST).double(), IDS), wanted, rtol=1e-6, atol=0)


def test_sandwich_weights_are_those_of_the_plain_inner_product() -> None:
    ids = torch.randint(1, HIGHEST + 1, (2, 12), generator=torch.Generator().manual_seed(2))
    plain = expected(lambda h, q, k: sandwich_product(q, k, 128, 10000.0) / (h * 8 / HEADS), ids)
    found = bias(Sandwich(HEADS, HIGHEST).double(), ids)
    torch.testing.assert_close(found.softmax(-1), plain.softmax(-1), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_hard_alibi_is_a_window_of_its_own_in_each_limited_head(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    heads, tokens, masked = 4, 9, 3
    q, k, v = (3 * torch.randn(1, heads, tokens, 8).to(dtype) for _ in range(3))
    ids = torch.arange(1, tokens + 1)[None]
    positions = Positions(ids[None], ids[None])
    terms = HardALiBi(heads, masked).terms(torch.zeros(1), q, k, positions, {})
    found = attention(q, k, v, terms=terms)
    for head in range(heads):
        own = [tensor[:, head : head + 1] for tensor in (q, k, v)]
        window = Window(left=head).terms(torch.zeros(1), *own[:2], positions, {}) if head < masked else ()
        assert torch.equal(found[:, head : head + 1], attention(*own, terms=window))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_hard_alibi_never_lets_a_query_look_at_masked_keys(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ids = torch.tensor([[1, 5, 9]])
    q = torch.randn(1, 2, 3, 4).to(dtype)
    terms = HardALiBi(2).terms(torch.zeros(1), q, q, Positions(ids[None], ids[None]), {})
    valid = torch.tensor([[True, True, False]])  # the last query's own token, the only near one, is masked
    v = torch.randn(1, 2, 3, 4).to(dtype)
    other = v.clone()
    other[:, :, 2] += 1
    found = attention(q, q, v, terms=terms, valid=valid)
    assert found.isfinite().all()
    assert torch.equal(attention(q, q, other, terms=terms, valid=valid), found)


@pytest.mark.parametrize("value", [-4.0, 4.0])
def test_penalties_stay_penalties_whatever_is_learned(value: float) -> None:
    for encoding in (ALiBi(HEADS, HIGHEST, learned=True), KERPLE(HEADS, HIGHEST), KERPLE(HEADS, HIGHEST, kind="power")):
        for parameter in encoding.parameters():
            nn.init.constant_(parameter, value)
        falls = bias(encoding, torch.arange(1, 9)[None])[0, :, 0].diff(dim=-1)
        assert (falls < 0).all()
    power = KERPLE(HEADS, HIGHEST, kind="power")
    nn.init.constant_(power.free_growth, value)
    assert ((power.growth > 0) & (power.growth < 2)).all()


def test_kerple_starts_within_the_authors_ranges() -> None:
    torch.manual_seed(0)
    for kind, strongest, fastest in (("log", 2, 1), ("power", 1, 2)):
        encoding = KERPLE(1000, HIGHEST, kind)
        for values, most in ((encoding.strength, strongest), (encoding.growth, fastest)):
            assert 0.0099 < values.min().item() < 0.05
            assert 0.95 * most < values.max().item() <= most


@pytest.mark.parametrize("name", LEARNED)
def test_gradients_are_finite_differences(name: str) -> None:
    encoding = randomised(LEARNED[name][0]())
    weight = torch.randn(len(IDS), HEADS, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def loss() -> Tensor:
        return (bias(encoding, IDS) * weight).sum()

    loss().backward()
    for parameter in encoding.parameters():
        assert parameter.grad is not None
        for place in range(parameter.numel()):
            values = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    parameter.view(-1)[place] += step
                    values.append(float(loss()))
                    parameter.view(-1)[place] -= step
            slope = (values[0] - values[1]) / 2e-5
            assert float(parameter.grad.reshape(-1)[place]) == pytest.approx(slope, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_autocast_leaves_the_table_in_single_precision(name: str) -> None:
    encoding, ids = ALL[name][0](), IDS.repeat(2, 1)[None]
    x, positions = torch.zeros(1), Positions(ids, ids)
    exact = encoding.at(0).terms(x, x, x, positions, {})[0].values
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoding.at(0).terms(x, x, x, positions, {})[0].values, exact)
    assert exact.dtype == torch.float32


PAIRS: list[tuple[Callable[[], Encoding], Callable[[], Encoding]]] = [
    (lambda: ALiBi(HEADS, HIGHEST), lambda: ALiBi(HEADS, 40, learned=True)),
    (lambda: HardALiBi(HEADS, masked=2), lambda: HardALiBi(HEADS, masked=5)),
    (lambda: KERPLE(HEADS, HIGHEST), lambda: KERPLE(HEADS, 40, kind="power")),
    (lambda: Sandwich(HEADS, HIGHEST), lambda: Sandwich(HEADS, 40, dimensions=16)),
    (lambda: FIRE(HEADS, 2, HIGHEST, threshold=3.0), lambda: FIRE(HEADS, 2, 40, hidden=8, shared=True)),
]


@pytest.mark.parametrize(("make", "make_other"), PAIRS)
def test_two_kinds_share_no_state(make: Callable[[], Encoding], make_other: Callable[[], Encoding]) -> None:
    encoding = make()
    before = bias(encoding, IDS)
    other = randomised(make_other())
    assert not torch.allclose(bias(other, IDS), before)
    assert torch.equal(bias(encoding, IDS), before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HardALiBi(4, masked=0), "1 or more of the heads: got masked=0 of 4 heads"),
        (lambda: HardALiBi(4, masked=5), "got masked=5 of 4 heads"),
        (lambda: HardALiBi(1), "limits half of the heads: a model of 1 heads needs masked=1"),
        (lambda: KERPLE(4, 10, kind="cubic"), "log or power, got 'cubic'"),
        (lambda: Sandwich(4, 10, dimensions=7), "even, got 7"),
        (lambda: Sandwich(4, 10, dimensions=0), "even, got 0"),
        (lambda: Sandwich(4, 10, base=0.0), "above 0, got 0.0"),
        (lambda: FIRE(4, 1, 10, hidden=0), "1 hidden unit or more, got 0"),
        (lambda: FIRE(4, 1, 10, compression=-1.0), "above 0: got compression=-1.0, threshold=512.0"),
        (lambda: FIRE(4, 1, 10, threshold=0.0), "above 0: got compression=0.1, threshold=0.0"),
    ],
)
def test_refusals(make: Callable[[], Encoding], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["alibi", "kerple", "sandwich", "fire"])
def test_tables_reach_the_highest_id_and_say_so(name: str) -> None:
    encoding = arith.encoding(name, width=32, heads=4, layers=1, tokens=20)
    encoding.check_reach(20, 5)
    with pytest.raises(ValueError, match="position ids up to 20"):
        encoding.check_reach(21, 5)


def test_hard_alibi_has_no_end() -> None:
    arith.encoding("hard-alibi", width=32, heads=4, layers=1, tokens=20).check_reach(10_000, 5_000)
