"""The benchmark's own logic, at sizes a CPU can run."""

import importlib
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from kernel_checks import instructions, proof
from kernel_checks.cases import Case
from kernel_checks.gates import DENSE
from kernel_checks.proving import Proof

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
    for name in ("attention", "coupled_window", "query_table", "timing", "peers", "peers.attention", "peers.truth"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("attention")


def timer(run: Any) -> float:
    run()
    return 1.0


def test_every_peer_that_a_cpu_can_run_is_right(benchmark: ModuleType) -> None:
    shape = benchmark.Shape(batch=3, n=8, width=16, heads=2)
    for peer in benchmark.PEERS:
        if not any(word in peer.name for word in ("Flex", "flash-attn", "cuDNN", "compiled")):
            assert benchmark.is_right(peer, shape, CPU), peer.name


def test_a_case_is_drawn_once_and_may_run_more_than_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the largest inputs anew for each of four runs took longer than the kernels have."""
    proof.drawn.cache_clear()
    ran = []
    monkeypatch.setattr(proof, "attention", lambda *given, **how: ran.append(how) or arith_attention(*given, **how))
    found = proof.findings(Case(5, 5, terms=("table", "ids")), CPU, runs=4)
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


def test_long_peers_are_right_at_small_sizes(benchmark: ModuleType) -> None:
    for radius in (None, 8):
        shape = benchmark.Shape(batch=2, n=140, width=16, heads=3, radius=radius)
        for peer in benchmark.LONG_PEERS:
            if not any(word in peer.name for word in ("Flex", "flash-attn", "cuDNN")):
                assert benchmark.is_right(peer, shape, CPU), peer.name


def test_shapes_cover_what_was_asked(benchmark: ModuleType) -> None:
    tokens = [shape.batch * shape.n for shape in benchmark.FULL.short]
    assert min(tokens) < 33_000
    assert max(tokens) > 262_000
    assert {shape.width for shape in benchmark.FULL.short} == {64, 128}
    assert {32, 64, 128} <= {shape.n for shape in benchmark.FULL.short}
    assert {shape.heads for shape in benchmark.FULL.short} == {12}


def test_figure_is_drawn(benchmark: ModuleType, tmp_path: Path) -> None:
    row = {"peer": "arith, learnable", "batch": 10, "n": 64, "width": 64, "both_ms": 1.0}
    benchmark.drawn(
        [row, {**row, "n": 128}, {"peer": "x", "n": 64, "width": 64, "skipped": "wrong"}], tmp_path / "a.svg"
    )
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_every_row_is_on_disk_before_the_next(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kernels-Tiny-GPU.json"
    peers = benchmark.PEERS[:2]
    before = []

    def noting(run: Any) -> float:
        before.append(len(json.loads(path.read_text())["rows"]) if path.exists() else 0)
        return timer(run)

    benchmark.measure(path, {"device": "Tiny"}, benchmark.TINY, peers, CPU, noting, time.monotonic() + 60)
    told = json.loads(path.read_text())
    ours = ["arith, learnable", "arith, frozen"]
    assert [row["peer"] for row in told["rows"]] == [
        *ours * 2, benchmark.coupled_window.NAME, *benchmark.TINY.asking, *ours * 2,
    ]  # fmt: skip
    assert set(before) == set(range(11))
    assert told["device"] == "Tiny"
    assert told["copy_gbs"] == pytest.approx(2e-3)
    assert told["rows"][0]["both_share"] == pytest.approx(told["rows"][0]["both_gbs"] / told["copy_gbs"])
    assert len(told["gates"]) == 11 + 2 * 3 + 2 + 1
    assert path.with_suffix(".svg").exists()


def test_quick_rows_come_before_peers_that_compile(benchmark: ModuleType) -> None:
    """Four slow peers took the time that coupled windows and long sequences were to have."""
    late = time.monotonic() - 1
    found = list(benchmark.measurements(benchmark.HEADLINE, benchmark.PEERS, CPU, timer, late))
    slow = [row["peer"] in {peer.name for peer in benchmark.PEERS if peer.slow_to_compile} for row in found]
    assert slow == sorted(slow)
    assert any(slow)
    shapes = {(row["peer"], row["n"], row.get("radius")) for row in found if row["peer"] == "arith, learnable"}
    windows = [row for row in found if row["peer"] == benchmark.coupled_window.NAME]
    assert len(shapes) + len(windows) == 8, "the headline"
    names = {row["peer"] for row in found}
    assert {"SDPA with cuDNN, no bias", "SDPA with its flash kernel, no bias", "FlexAttention, learnable"} <= names


@pytest.mark.slow
def test_a_compiled_peer_can_be_timed_backward_alone(benchmark: ModuleType) -> None:
    (peer,) = (peer for peer in benchmark.PEERS if peer.name == "compiled math, learnable")
    (row,) = benchmark.rows((benchmark.TINY.short[0],), (peer,), CPU, timer, time.monotonic() + 200)
    assert row["backward_ms"] == 1.0


def test_only_what_is_asked_for_runs(benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Proof(wrong=["1x1x16: v"], unfinished=["2x2x16"])
    monkeypatch.setattr(benchmark, "proven", lambda *given: given[-1](faults) or faults)
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--tiny", "--out", str(tmp_path / "proof"), "--only-proof"])
    assert ended.value.code == 1
    (path,) = (tmp_path / "proof").glob("*.json")
    told = json.loads(path.read_text())
    assert told["proof"]["wrong"] == ["1x1x16: v"]
    assert told["proof"]["unfinished"] == ["2x2x16"]
    assert {"torch", "triton", "ptxas", "python"} <= set(told["versions"])
    assert "rows" not in told
    with pytest.raises(SystemExit) as ended:
        benchmark.main(
            ["--tiny", "--out", str(tmp_path / "speed"), "--no-proof", "--peers", "arith, f", "--peers", "dense"]
        )
    assert ended.value.code == 0
    (path,) = (tmp_path / "speed").glob("*.json")
    told = json.loads(path.read_text())
    assert "proof" not in told
    assert {row["peer"] for row in told["rows"]} == {"arith, frozen", DENSE}
    assert told["gates"], "beside whatever is wrong"


def test_what_the_dense_peer_adds_is_the_table(benchmark: ModuleType) -> None:
    peer = next(peer for peer in benchmark.PEERS if peer.name == DENSE)
    for radius in (None, 3):
        inputs, _, table = benchmark.tensors(benchmark.Shape(batch=1, n=9, width=16, heads=2, radius=radius), CPU)
        exact = arith_attention(*inputs, terms=(DistanceTable(table),))
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


def test_query_tables_are_right_by_every_peer_of_a_cpu_and_gated_by_what_has_none(benchmark: ModuleType) -> None:
    tables = benchmark.query_table
    (layer,) = benchmark.TINY.layers
    assert tables.is_right(layer, CPU)
    inputs, _ = tables.tensors(layer, CPU)
    torch.testing.assert_close(tables.ours(inputs, layer), tables.ours(inputs, layer, backend="reference"))
    assert tables.skips(tables.CUDNN, layer)
    found = [
        {"peer": peer, "name": "sliding", "n": 140, "both_ms": milliseconds, "forward_ms": milliseconds}
        for peer, milliseconds in ((tables.OURS, 2.0), (tables.WITHOUT, 1.9))
    ]
    (line,) = tables.gates(found, (layer,))
    assert (line["value"], line["passed"]) == (pytest.approx(0.95), True)
    longest = tables.gates([{**row, "n": 8192} for row in found], tables.LAYERS[:2])
    assert [(gate["value"], gate["passed"]) for gate in longest[-2:]] == [(pytest.approx(0.95), True), (2.0, False)]


def test_gates_of_a_coupled_window_are_about_growth(benchmark: ModuleType) -> None:
    window = benchmark.coupled_window
    short = {"peer": window.NAME, "digits": 1000, "both_ms": 1.0, "peak_bytes": 100}
    long = {"peer": window.NAME, "digits": 10_000, "both_ms": 14.0, "peak_bytes": 2000}
    told = [(gate["value"], gate["passed"]) for gate in window.gates([short, long])]
    assert told == [(pytest.approx(1.4), True), (2.0, False)]
    assert [gate["passed"] for gate in window.gates([short])] == [False, False]


def test_needs_a_gpu_and_says_so(benchmark: ModuleType) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit, match="needs a CUDA GPU, and torch sees none"):
        benchmark.main([])


def test_loops_are_found_in_machine_code() -> None:
    code = """
.L_x_1:
        /*0010*/                   LDG.E R2, [R4] ;
        /*0020*/              @!P0 BRA `(.L_x_9) ;
.L_x_2:
        /*0030*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR4], R24 ;
        /*0040*/                   FSEL R1, R2, R3, P0 ;
        /*0050*/               @P1 BRA `(.L_x_2) ;
        /*0060*/                   FADD R1, R1, R2 ;
        /*0070*/               @P2 BRA `(.L_x_1) ;
.L_x_9:
        /*0080*/                   EXIT ;
"""
    (inner,) = instructions.loops(code)
    assert inner.instructions == 3
    assert {kind: count for kind, count in inner.counts.items() if count} == {"HGMMA": 1, "FSEL": 1}
