"""The benchmark's own logic, at sizes a CPU can run."""

import importlib
import json
import math
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from arith.kernels import proof

CPU = torch.device("cpu")


@pytest.fixture
def benchmark(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    for name in ("attention", "peers", "peers.attention"):
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
    deadline = time.monotonic() + 60
    wrong = benchmark.report(CPU, "NVIDIA Tiny GPU", shapes, long, timer, deadline, tmp_path / "new", 1000)
    assert wrong == []
    told = json.loads((tmp_path / "new" / "kernels-Tiny-GPU.json").read_text())
    assert [row["peer"] for row in told["rows"]] == [*["arith, learnable", "arith, frozen"] * 2, "arith, learnable"]
    assert told["copy_gbs"] == pytest.approx(2e-3)
    assert told["rows"][0]["both_share"] == pytest.approx(told["rows"][0]["both_gbs"] / told["copy_gbs"])
    assert len(told["gates"]) == 11 + 4 * 6 + 2 * 4
    assert (tmp_path / "new" / "kernels-Tiny-GPU.svg").exists()


def test_needs_a_gpu_and_says_so(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    monkeypatch.setattr(sys, "argv", ["attention.py"])
    with pytest.raises(SystemExit, match="needs a CUDA GPU, and torch sees none"):
        benchmark.main()
