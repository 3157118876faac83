"""What proves the kernels on a GPU and holds their speeds to bars: that nothing hides, with cases a CPU can run."""

import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from kernel_checks import machine, proof, proving
from kernel_checks.cases import Case, cases, long_cases
from kernel_checks.gates import compare, long_gates, short_gates, size

from arith.kernels.configs import HOPPER
from arith.kernels.long_configs import LONG

CPU = torch.device("cpu")


def test_gates_compare_the_largest_batch() -> None:
    def row(peer: str, n: int, ms: float, batch: int = 1000) -> dict[str, Any]:
        return {"peer": peer, "batch": batch, "n": n, "width": 64, "heads": 12, "forward_ms": ms / 3, "both_ms": ms}

    ours = [row("arith, learnable", 64, 1.0), row("arith, learnable", 64, 9.0, batch=10)]
    peers = [row("SDPA, dense learnable bias", 64, 3.0), row("FlexAttention, learnable", 64, 3.0)]
    bandwidth = 11 * size(row("", 64, 1.0)) / 0.001 / 0.75
    by_name = {gate["gate"]: gate for gate in short_gates([*ours, *peers], bandwidth)}
    both = by_name["n=64: share of copy bandwidth, forward and backward"]
    assert math.isclose(both["value"], 0.75)
    assert both["passed"]
    assert by_name["n=64: times as fast as SDPA, dense learnable bias"]["value"] == 3.0
    assert not by_name["n=64: times as fast as FlexAttention, learnable"]["passed"]
    assert by_name["n=64: times as fast as FlexAttention, frozen"] == {
        "gate": "n=64: times as fast as FlexAttention, frozen",
        "bar": 1.5,
        "value": None,
        "by": "",
        "passed": False,
    }
    assert not by_name["n=128: no right result of ours"]["passed"]


def test_long_gates_compare_like_with_like() -> None:
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
    by_name = {gate["gate"].removeprefix("n=8192, up to 128: "): gate for gate in long_gates(found, [8192])}
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


def test_graphs_are_compared_with_graphs() -> None:
    """What the host takes to launch is not what a kernel takes; a peer without a graph is compared as launched."""
    eager = {"forward_ms": 2.0, "backward_ms": 3.0, "both_ms": 5.0}
    ours = {**eager, "graph_forward_ms": 0.5, "graph_both_ms": 1.5}
    theirs = {**eager, "graph_forward_ms": 1.0, "graph_both_ms": 4.0}
    assert compare("both", theirs, ours) == (pytest.approx(4 / 1.5), "graph")
    assert compare("backward", theirs, ours) == (pytest.approx(3.0), "graph")
    assert compare("both", {**eager, "graph_both_ms": None}, ours) == (1.0, "eager")
    assert compare("both", {"skipped": "wrong"}, ours) == (None, "")
    assert compare("peak_bytes", {"peak_bytes": 4}, {"peak_bytes": 2}) == (2.0, "")


def test_a_case_that_is_wrong_or_dies_or_is_late_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """With real processes, of which one is killed over its case, and one given no time for it."""
    ask = proving.Worker.ask

    def troubled(worker: proving.Worker, case: Case, deadline: float) -> list[str] | None:
        if case.keys == 6:
            worker.process.kill()
        return ask(worker, case, time.monotonic() if case.keys == 10 else deadline)

    monkeypatch.setattr(proving.Worker, "ask", troubled)
    monkeypatch.setattr(proving, "KEEP_SECONDS", 0.05)
    strange = Case(7, 7, width=0)
    given = [Case(n, n) if n != 7 else strange for n in range(5, 12)]
    kept: list[int] = []
    found = proving.proven(given, CPU, seconds=60, workers=1, keep=lambda found: kept.append(found.right))
    assert {0, 3} <= set(kept), "a kill at any time leaves what was found"
    assert found.right == 3
    assert [fault.split(":")[0] for fault in found.wrong] == [str(Case(6, 6)), str(strange)]
    assert found.wrong[0].endswith("its process died, exit -9")
    assert found.unfinished == [str(Case(10, 10)), str(Case(11, 11))]
    assert found.faults == found.wrong
    assert found.sanitizer == "needs a GPU"


def test_what_is_wrong_with_a_case_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(5, 5)
    assert proving.faults_of(case, CPU) == []
    bad = proof.Finding("out", 1.0, 0.1)
    monkeypatch.setattr(proof, "findings", lambda case, device, backend, runs: [bad])
    assert proving.faults_of(case, CPU) == [f"{case}: {bad}"]


def test_the_sizes_of_models_come_first() -> None:
    given = proving.all_cases()
    assert len(given) == len([*cases(small=False), *long_cases(small=False)])
    assert given[0].heads == 12 or given[0].keys >= 1000
    assert given[-1].heads != 12
    assert given[-1].keys < 1000


@pytest.mark.parametrize(
    ("status", "said", "wrong"), [(0, "no errors", False), (9, "errors: ", True), (1, "could not run, exit 1: ", False)]
)
def test_only_what_the_sanitizer_finds_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: str, wrong: bool
) -> None:
    """It refuses some machines; that is no finding."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    stub = tmp_path / "compute-sanitizer"
    stub.write_text(f"#!/bin/sh\nexit {status}\n")
    stub.chmod(0o755)
    found = proving.sanitized(30)
    assert found.startswith(said)
    assert bool(proving.Proof(sanitizer=found).faults) == wrong
    monkeypatch.setattr(proving, "cuda_tools", lambda name: [])
    assert proving.sanitized(30) == "compute-sanitizer is not installed"


def test_tools_of_cuda_are_found_where_no_shell_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    tool = tmp_path / "bin" / "ptxas"
    tool.parent.mkdir()
    tool.write_text("")
    assert tool not in machine.cuda_tools("ptxas"), "it cannot be run"
    tool.chmod(0o755)
    assert machine.cuda_tools("ptxas")[0] == tool.resolve()


def test_one_stage_reaches_every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "HOPPER", dict(HOPPER))
    monkeypatch.setattr(machine, "LONG", dict(LONG))
    machine.use_one_stage()
    assert {**machine.HOPPER, **machine.LONG} == {**HOPPER, **LONG}
    monkeypatch.setenv(machine.ONE_STAGE, "1")
    machine.use_one_stage()
    assert {launch.stages for launch in (*machine.HOPPER.values(), *machine.LONG.values())} == {1}
    assert machine.describe_machine()["one_stage"]
