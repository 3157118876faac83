"""The benchmark's own logic, at sizes a CPU can run."""

import importlib
import json
import math
import multiprocessing
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from kernel_checks import proof

import arith
from arith.data.dataset import Dataset
from arith.kernels.attention import attention as arith_attention
from arith.kernels.terms import DistanceTable
from arith.tasks.addition import Addition
from arith.tasks.formats import NAMED
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

CPU = torch.device("cpu")


@pytest.fixture
def benchmark(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    for name in ("attention", "coupled_window", "timing", "peers", "peers.attention"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("attention")


def timer(run: Any) -> float:
    run()
    return 1.0


def test_every_peer_that_a_cpu_can_run_is_right(benchmark: ModuleType) -> None:
    shape = benchmark.Shape(batch=3, n=8, width=16, heads=2)
    for peer in benchmark.PEERS:
        if "Flex" not in peer.name and "flash" not in peer.name and "compiled" not in peer.name:
            assert benchmark.is_right(peer, shape, CPU), peer.name


def test_a_case_is_drawn_once_and_may_run_more_than_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the largest inputs anew for each of four runs took longer than the kernels have."""
    proof.drawn.cache_clear()
    ran = []
    monkeypatch.setattr(proof, "attention", lambda *given, **how: ran.append(how) or arith_attention(*given, **how))
    found = proof.findings(proof.Case(5, 5, terms=("table", "ids")), CPU, runs=4)
    assert all(finding.right for finding in found)
    assert len(ran) == 2 + 4
    assert proof.drawn.cache_info().misses == 1


def test_wrong_and_failing_peers_get_no_speed(benchmark: ModuleType) -> None:
    right = benchmark.PEERS[0]

    def wrong(inputs: Any, table: Any) -> Any:
        return lambda: right.make(inputs, table)() * 1.1

    def forgetful(inputs: Any, table: Any) -> Any:
        return lambda: right.make(inputs, table + 0 * table.detach().sum() + table.detach() - table)()

    def failing(inputs: Any, table: Any) -> Any:
        raise RuntimeError("no valid configuration")

    peers = tuple(
        benchmark.Peer(function.__name__, function, biased=True, learns=True)
        for function in (wrong, forgetful, failing)
    )
    shape = benchmark.Shape(batch=3, n=8, width=16, heads=2)
    found = list(benchmark.rows((shape,), (right, *peers), CPU, timer, time.monotonic() + 60))
    assert found[0]["forward_ms"] == found[0]["both_ms"] == 1.0
    assert [row.get("skipped") for row in found[1:3]] == ["wrong", "wrong"]
    assert "no valid configuration" in found[3]["skipped"]
    assert not any("both_ms" in row for row in found[1:])
    late = list(benchmark.rows((shape,), (right,), CPU, timer, time.monotonic() - 1))
    assert [row["skipped"] for row in late] == ["out of time"]


def test_gates_compare_the_largest_batch(benchmark: ModuleType) -> None:
    def row(peer: str, n: int, ms: float, batch: int = 1000) -> dict[str, Any]:
        return {"peer": peer, "batch": batch, "n": n, "width": 64, "heads": 12, "forward_ms": ms / 3, "both_ms": ms}

    ours = [row("arith, learnable", 64, 1.0), row("arith, learnable", 64, 9.0, batch=10)]
    peers = [row("SDPA, dense learnable bias", 64, 3.0), row("FlexAttention, learnable", 64, 3.0)]
    bandwidth = 11 * benchmark.Shape(1000, 64).bytes / 0.001 / 0.75
    by_name = {gate["gate"]: gate for gate in benchmark.gates([*ours, *peers], bandwidth)}
    both = by_name["n=64: share of copy bandwidth, forward and backward"]
    assert math.isclose(both["value"], 0.75)
    assert both["passed"]
    assert by_name["n=64: times as fast as SDPA, dense learnable bias"]["value"] == 3.0
    assert not by_name["n=64: times as fast as FlexAttention, learnable"]["passed"]
    assert by_name["n=64: times as fast as FlexAttention, frozen"] == {
        "gate": "n=64: times as fast as FlexAttention, frozen",
        "bar": 1.5,
        "value": None,
        "passed": False,
    }
    assert not by_name["n=128: no right result of ours"]["passed"]


def test_long_gates_compare_like_with_like(benchmark: ModuleType) -> None:
    def row(peer: str, radius: int | None, forward: float, backward: float, peak: int) -> dict[str, Any]:
        times = {"forward_ms": forward, "backward_ms": backward, "both_ms": forward + backward}
        return {"peer": peer, "n": 8192, "radius": radius, **times, "peak_bytes": peak}

    found = [
        row("arith, learnable", 128, 1.0, 2.0, 100),
        row("arith, frozen", 128, 1.0, 1.6, 100),
        row("arith, no bias", 128, 0.95, 1.6, 100),
        row("SDPA, dense learnable bias", 128, 4.0, 6.0, 2100),
        row("FlexAttention, learnable", 128, 1.0, 5.0, 100),
        row("FlexAttention, learnable", None, 1.0, 500.0, 100),
        {"peer": "FlexAttention, frozen", "n": 8192, "radius": 128, "skipped": "wrong"},
    ]
    by_name = {gate["gate"].removeprefix("n=8192, up to 128: "): gate for gate in benchmark.long_gates(found)}
    told = {name: (gate["value"], gate["passed"]) for name, gate in by_name.items() if not name.startswith("n=")}
    assert told == {
        "forward, times as fast as without a bias": (0.95, True),
        "table's gradient, backward's time": (1.25, False),
        "times as fast as SDPA, dense learnable bias": (pytest.approx(10 / 3), True),
        "memory beside SDPA, dense learnable bias": (pytest.approx(1 / 21), True),
        "backward, FlexAttention, learnable": (2.5, False),
        "forward, FlexAttention, frozen": (None, False),
        "forward, FlexAttention, no bias": (None, False),
    }


def test_long_peers_are_right_at_small_sizes(benchmark: ModuleType) -> None:
    for radius in (None, 8):
        shape = benchmark.Shape(batch=2, n=140, width=16, heads=3, radius=radius)
        for peer in benchmark.LONG_PEERS:
            if "Flex" not in peer.name and "flash" not in peer.name:
                assert benchmark.is_right(peer, shape, CPU), peer.name


def test_shapes_cover_what_was_asked(benchmark: ModuleType) -> None:
    tokens = [shape.batch * shape.n for shape in benchmark.SHAPES]
    assert min(tokens) < 33_000
    assert max(tokens) > 262_000
    assert {shape.width for shape in benchmark.SHAPES} == {64, 128}
    assert {32, 64, 128} <= {shape.n for shape in benchmark.SHAPES}
    assert {shape.heads for shape in benchmark.SHAPES} == {12}


def test_wrong_cases_are_named(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [proof.Case(5, 5), proof.Case(6, 6)]
    monkeypatch.setattr(proof, "cases", lambda small: few[:1])
    monkeypatch.setattr(proof, "long_cases", lambda small: few[1:])
    assert benchmark.wrong_cases((0, 1, "cpu")) == []
    bad = proof.Finding("out", 1.0, 0.1)
    monkeypatch.setattr(proof, "findings", lambda case, device, backend: [bad])
    assert benchmark.wrong_cases((1, 2, "cpu")) == [f"{few[1]}: {bad}"]


def test_figure_is_drawn(benchmark: ModuleType, tmp_path: Path) -> None:
    row = {"peer": "arith, learnable", "batch": 10, "n": 64, "width": 64, "both_ms": 1.0}
    benchmark.drawn(
        [row, {**row, "n": 128}, {"peer": "x", "n": 64, "width": 64, "skipped": "wrong"}], tmp_path / "a.svg"
    )
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_report_is_written_whole(benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "cases", lambda small: [proof.Case(5, 5)])
    monkeypatch.setattr(proof, "long_cases", lambda small: [proof.Case(130, 130, batch=1, heads=1, key_heads=1)])
    monkeypatch.setattr(benchmark, "PEERS", benchmark.PEERS[:2])
    monkeypatch.setattr(benchmark, "LONG_PEERS", benchmark.PEERS[:1])
    shapes = (benchmark.Shape(batch=3, n=64, width=64, heads=2), benchmark.Shape(batch=3, n=128, width=64, heads=2))
    long = (benchmark.Shape(batch=2, n=140, width=16, heads=2, radius=8),)
    problems = (benchmark.coupled_window.Problem(90, batch=1, heads=1, width=16),)
    deadline = time.monotonic() + 60
    path = tmp_path / "new" / "kernels-Tiny-GPU.json"
    before = []

    def noting(run: Any) -> float:
        before.append(len(json.loads(path.read_text())["rows"]) if path.exists() else 0)
        return timer(run)

    wrong = benchmark.report(CPU, "NVIDIA Tiny GPU", shapes, long, problems, noting, deadline, path.parent, 1000)
    assert wrong == []
    told = json.loads(path.read_text())
    ours = ["arith, learnable", "arith, frozen"]
    assert [row["peer"] for row in told["rows"]] == [*ours * 2, benchmark.coupled_window.NAME, ours[0]]
    assert set(before) == set(range(6)), "each row is on disk before the next is measured"
    assert told["copy_gbs"] == pytest.approx(2e-3)
    assert told["rows"][0]["both_share"] == pytest.approx(told["rows"][0]["both_gbs"] / told["copy_gbs"])
    assert len(told["gates"]) == 11 + 4 * 6 + 2 * 4 + 2
    assert (tmp_path / "new" / "kernels-Tiny-GPU.svg").exists()


def test_what_the_dense_peer_adds_is_the_table(benchmark: ModuleType) -> None:
    peer = next(peer for peer in benchmark.PEERS if peer.name == benchmark.DENSE)
    for radius in (None, 3):
        inputs, _, table = benchmark.tensors(benchmark.Shape(batch=1, n=9, width=16, heads=2, radius=radius), CPU)
        exact = benchmark.attention(*inputs, terms=(DistanceTable(table),))
        torch.testing.assert_close(peer.make(inputs, table)(), exact, atol=0.02, rtol=0.02)


def test_ids_of_a_coupled_window_are_those_of_the_encoding(benchmark: ModuleType) -> None:
    data = Dataset(Mixture([Source(Addition(), Uniform(7, 7), 0, "train")]), NAMED["padded-reversed"])
    batch = data.batch(0, 1, CPU)
    encoding = arith.encoding("coupled-window", width=32, heads=2, layers=1, tokens=40, digits=7)
    (ids,) = encoding.full(batch.prompt, batch.tokens, batch.key, batch.capacity)
    problem = benchmark.coupled_window.Problem(7)
    assert problem.ids.tolist() == ids[0, 0].tolist()
    assert problem.n == ids.shape[2]


def test_a_coupled_window_that_is_wrong_gets_no_speed(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    window = benchmark.coupled_window
    problems = (window.Problem(90, batch=2, heads=1, width=16),)
    (row,) = window.rows(problems, CPU, timer, time.monotonic() + 60)
    assert (row["digits"], row["n"], row["forward_ms"], row["backward_ms"]) == (90, 275, 1.0, 1.0)
    attended = window.attended

    def rounded_wrong(inputs: Any, ids: Any) -> Any:
        out = attended(inputs, ids)
        return out * 1.1 if out.dtype == torch.bfloat16 else out

    monkeypatch.setattr(window, "attended", rounded_wrong)
    (row,) = window.rows(problems, CPU, timer, time.monotonic() + 60)
    assert row["skipped"] == "wrong"
    (row,) = window.rows(problems, CPU, timer, time.monotonic() - 1)
    assert row["skipped"] == "out of time"


def test_gates_of_a_coupled_window_are_about_growth(benchmark: ModuleType) -> None:
    window = benchmark.coupled_window
    short = {"peer": window.NAME, "digits": 1000, "both_ms": 1.0, "peak_bytes": 100}
    long = {"peer": window.NAME, "digits": 10_000, "both_ms": 14.0, "peak_bytes": 2000}
    told = [(gate["value"], gate["passed"]) for gate in window.gates([short, long])]
    assert told == [(pytest.approx(1.4), True), (2.0, False)]
    assert [gate["passed"] for gate in window.gates([short])] == [False, False]


def test_a_proof_that_hangs_or_dies_is_wrong(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of processes: one that answers, one that never does."""

    class Told:
        def __init__(self, value: Any) -> None:
            self.value = value

        def get(self, timeout: float) -> Any:
            if self.value is None:
                raise multiprocessing.TimeoutError
            return self.value

    class Pool:
        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def apply_async(self, function: Any, arguments: Any = None) -> Told:
            return Told("no errors" if arguments is None else [] if arguments[0][0] else None)

    monkeypatch.setattr(benchmark.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: SimpleNamespace(Pool=lambda count: Pool()))
    wrong, sanitizer = benchmark.proven(torch.device("cuda"), seconds=5)
    assert wrong == ["cases 0, 2, ...: not finished in 5 s"]
    assert sanitizer == "no errors"


def test_needs_a_gpu_and_says_so(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    monkeypatch.setattr(sys, "argv", ["attention.py"])
    with pytest.raises(SystemExit, match="needs a CUDA GPU, and torch sees none"):
        benchmark.main()
