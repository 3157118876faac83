"""The kernel that routing names is the one that folding feeds; and questions to a GPU, on one that is faked."""

import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode

from arith.kernels import configs, folding, routing, toolchain
from arith.kernels.configs import LONGEST
from arith.kernels.routing import choose_kernel, route
from arith.kernels.terms import Decay, DistanceTable, Ids, PairTable, QueryTable, Term, Window

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
        "asked": (QueryTable(torch.zeros(2, HEADS, n, 4), torch.zeros(1, 3, 4), -1, ids=marked), table),
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
        ("pairs", "tile", "tile"),
        ("asked", "tile and query table", "token table and query table"),
    ],
)
def test_a_kernel_is_named_by_what_it_is_given(name: str, short: str, long: str) -> None:
    assert SHORT <= LONGEST < LONG
    terms = terms_of(name, SHORT)
    folded = folding.fold(terms, HEADS, SHORT, SHORT, torch.device("cpu"))
    scores = {"tile": folded.tile, "id table": folded.table, "query table": folded.slab}
    given = [own for own, there in scores.items() if there is not None]
    assert choose_kernel(terms, SHORT)[0] == short == (" and ".join(given) or "plain")
    terms = terms_of(name, LONG)
    assert choose_kernel(terms, LONG)[0] == long
    many = folding.fold_long(terms, HEADS, LONG, LONG, causal=True)
    found = {"tile": many.tile, "token table": many.table, "id table": many.id_table, "query table": many.asked}
    given = [own for own, there in found.items() if there is not None]
    assert long == (" and ".join(given) or "plain")
    q = torch.zeros(2, HEADS, LONG, 16)
    assert route(q, q, q, terms, "triton")[:2] == ("triton", long)


def test_where_no_kernel_runs_the_route_is_named() -> None:
    q = torch.zeros(1, 1, 300, 16)
    assert route(q, q, q) == ("reference", "reference", "tensors on a cpu run in plain torch")
    assert route(q, q, q, (Window(1, 1),))[:2] == ("windowed", "windowed")
    assert choose_kernel([Decay(q[..., 0])], 300) == ("reference", "Decay runs in plain torch only")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Devices whose properties were asked for: 0 is an H200, 1 an A100, 2 something newer, 3 far too small."""
    told: list[int] = []
    kinds = [(9, 0, 232_448), (8, 0, 166_912), (10, 0, 232_448), (9, 0, 65_536)]

    def properties(device: int) -> SimpleNamespace:
        told.append(device)
        major, minor, shared = kinds[device]
        return SimpleNamespace(major=major, minor=minor, shared_memory_per_block_optin=shared, multi_processor_count=1)

    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(kinds))
    monkeypatch.setattr(torch.cuda, "_get_device_properties", properties, raising=False)
    caches = (configs._properties, routing._warn_once)
    for cached in caches:
        cached.cache_clear()
    yield told
    for cached in caches:
        cached.cache_clear()


def on_gpu(device: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    with FakeTensorMode():
        return torch.empty(2, 3, 20, 64, device=f"cuda:{device}", dtype=dtype)


def test_a_gpu_is_asked_once_what_it_is(asked: list[int]) -> None:
    for _ in range(3):
        assert [configs.capability(torch.device("cuda", device)) for device in range(3)] == [90, 80, 100]
        assert configs.unfit(torch.device("cuda", 0)) is None
        assert "65" not in str(configs.unfit(torch.device("cuda", 1)))
        assert "like A100 or H100" in str(configs.unfit(torch.device("cuda", 3)))
    assert asked == [0, 1, 2, 3]


def test_questions_to_a_gpu_are_no_part_of_a_graph(asked: list[int]) -> None:
    """As numbers of 32 bits ask them, which on Hopper alone run fused."""

    def run(x: torch.Tensor) -> torch.Tensor:
        device = torch.device("cuda", 0)
        routing._warn_of_wrong_code()
        return x + configs.capability(device) if configs.unfit(device) is None else x

    counted = CompileCounterWithBackend("eager")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Dynamo")
        warnings.filterwarnings("ignore", message="the fused kernels may be wrong")
        out = torch.compile(run, backend=counted, fullgraph=True)(torch.zeros(2))
    assert out.tolist() == [90, 90]
    assert counted.op_count == 1


@pytest.mark.parametrize(
    ("triton", "ptxas", "device", "told"),
    [
        ("3.6.0", "12.8.93", 0, "triton 3.6.0, .* and ptxas 12.8.93"),
        ("3.6.0", "13.4.59", 0, "issue 640"),
        ("3.7.1", "12.9.86", 0, "issue 9433"),
        ("3.9.0", "13.4.59", 0, None),
        ("3.6.0", "12.8.93", 1, None),
        ("3.6.0", "12.8.93", 2, None),
    ],
)
def test_route_warns_once_of_compilers_that_are_known_to_be_wrong(
    triton: str, ptxas: str, device: int, told: str | None, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "triton_version", lambda: triton)
    monkeypatch.setattr(toolchain, "ptxas_version", lambda: ptxas)
    q = on_gpu(device)
    if told is not None:
        with pytest.warns(UserWarning, match=f"may be wrong on this GPU: .*{told}"):
            assert routing.route(q, q, q)[0] == "triton"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert routing.route(q, q, q)[0] == "triton"


def test_nothing_is_said_of_compilers_where_they_are_not_used(
    asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "triton_version", lambda: "3.6.0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        q = on_gpu(0)
        assert routing.route(q, q, q, backend="reference")[0] == "reference"
        q = torch.zeros(1, 1, 8, 16)
        assert routing.route(q, q, q, backend="triton")[0] == "triton"


def test_numbers_of_32_bits_need_hopper(asked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "known_wrong", lambda *_: None)
    assert [routing.route(q, q, q)[0] for q in (on_gpu(device, torch.float32) for device in (0, 1))] == [
        "triton",
        "reference",
    ]
