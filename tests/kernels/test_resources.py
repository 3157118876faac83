"""What the compiled kernels take on GPUs that are not here. Compilation runs in a process that does not interpret."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from kernel_checks import long_resources, resources
from kernel_checks.compiling import SHARED_BYTES

from arith.kernels import gathering, long_learned, long_op, short_op
from arith.kernels.attention import attention
from arith.kernels.terms import DistanceTable, Ids, PairTable, QueryTable, Window

GOLDEN = Path(__file__).parents[1] / "golden"
NEWEST, OLDEST = "", "-3.6"  # compilers differ: a table for each end of the versions of Triton that are supported
CAPABILITIES = {NEWEST: (90, 80), OLDEST: (90,)}  # with the oldest, of the device that has it
TABLES = {"resources": "kernel-resources", "long_resources": "long-kernel-resources"}
MODULES = {"resources": resources, "long_resources": long_resources}
SHARDS = 4

ROW = re.compile(r"sm_(\d+) (.*) \| registers=(\d+) stack=(\d+) shared=(\d+) wgmma=(\d+) atomics=(\d+)")


def table(which: str, version: str = NEWEST) -> list[str]:
    """The lines of a table, the first of which says what it is of."""
    return (GOLDEN / f"{TABLES[which]}{version}.txt").read_text().splitlines()


def recorded(which: str, version: str = NEWEST) -> dict[tuple[int, str], dict[str, int]]:
    found = {}
    for line in table(which, version)[1:]:
        match = ROW.fullmatch(line)
        assert match, line
        names = ("registers", "stack", "shared", "wgmma", "atomics")
        found[int(match[1]), match[2]] = dict(zip(names, map(int, match.groups()[2:]), strict=True))
    return found


def compiling(*first: Path) -> dict[str, str]:
    """The environment of a process that compiles kernels, and finds what this one finds, after some folders."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return environment | {"PYTHONPATH": os.pathsep.join([*map(str, first), *sys.path])}


def compiled(which: str, chosen: str, *first: Path) -> tuple[str, dict[tuple[int, str], dict[str, int]]]:
    """The version of Triton, and the cases that a Python expression over `capability` and `index` chooses, compiled."""
    script = (
        "import json, sys, triton\n"
        "print(triton.__version__)\n"
        f"from kernel_checks.{which} import cases, compiled\n"
        "chosen = eval('lambda capability, index: ' + sys.argv[1])\n"
        "for capability in (90, 80):\n"
        "    for index, case in enumerate(cases(capability)):\n"
        "        if chosen(capability, index):\n"
        "            print(json.dumps([capability, str(case), vars(compiled(case, capability))]), flush=True)\n"
    )
    command = [sys.executable, "-c", script, chosen]
    done = subprocess.run(command, env=compiling(*first), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    version, *lines = done.stdout.splitlines()
    return version, {(capability, case): values for capability, case, values in map(json.loads, lines)}


def check(which: str, version: str, found: dict[tuple[int, str], dict[str, int]]) -> None:
    """No more than recorded by this version of Triton; by another, what must hold for all."""
    known = OLDEST if version.startswith("3.6.") else NEWEST
    same = f"triton {version}" in table(which, known)[0]
    before_by_case = recorded(which, known)
    assert found
    for (capability, case), values in found.items():
        before = before_by_case[capability, case]
        where = f"sm_{capability} {case}: {values}, recorded {before}"
        assert values["atomics"] == 0, where
        assert values["shared"] <= SHARED_BYTES[capability], where
        assert (values["wgmma"] > 0) == (before["wgmma"] > 0), where
        if same:
            assert values["stack"] <= before["stack"], where
            assert values["registers"] <= before["registers"], where


@pytest.mark.parametrize("version", CAPABILITIES)
@pytest.mark.parametrize("which", TABLES)
def test_table_is_of_these_sources(which: str, version: str) -> None:
    first = table(which, version)[0]
    older, only = (".venv/oldest:", " 90") if version == OLDEST else ("", "")
    file = f"tests/golden/{TABLES[which]}{version}.txt"
    again = f"PYTHONPATH={older}.:benchmarks python -m kernel_checks.{which}{only} > {file}"
    sources = MODULES[which].sources()  # type: ignore[attr-defined]
    assert f"sources {sources} " in first, f"the kernels have changed since the table was made: {again}"
    assert ("triton 3.6." in first) == (version == OLDEST)


@pytest.mark.parametrize("version", CAPABILITIES)
@pytest.mark.parametrize("which", TABLES)
def test_table_has_every_case_and_all_fit(which: str, version: str) -> None:
    found, cases = recorded(which, version), MODULES[which].cases  # type: ignore[attr-defined]
    every = CAPABILITIES[version]
    assert set(found) == {(capability, str(case)) for capability in every for case in cases(capability)}
    for (capability, case), values in found.items():
        assert values["atomics"] == 0, case
        assert values["shared"] <= SHARED_BYTES[capability], case
        if capability == 90 and " fp32" not in case and not case.startswith(("forward 1x", "long delta")):
            assert values["wgmma"] > 0, case


# Bytes a thread of registers that are spilled although speed rests on the kernel; with Triton 3.6 there are none.
SPILLED = {(NEWEST, "queries 64 bf16 TABLE learned"): 56}


@pytest.mark.parametrize("version", CAPABILITIES)
def test_what_speed_rests_on_spills_nothing(version: str) -> None:
    for kernel in ("forward", "backward", "backward and tile"):
        assert recorded("resources", version)[90, f"{kernel} 64x64x64 bf16 TILE"]["stack"] == 0
    for case in (
        "forward 64 bf16 plain",
        "forward 64 bf16 TABLE",
        "queries 64 bf16 TABLE learned",
        "table 64 bf16 TABLE",
    ):
        assert recorded("long_resources", version)[90, f"long {case}"]["stack"] == SPILLED.get((version, case), 0)


@pytest.mark.parametrize(("which", "index"), [("resources", 2), ("long_resources", 0)])
def test_one_kernel_compiles_as_recorded(which: str, index: int) -> None:
    check(which, *compiled(which, f"capability == 90 and index == {index}"))


def turn(root: Path, shards: int) -> int:
    """Which part of a table is due at this commit."""
    command = ["git", "rev-list", "--count", "HEAD"]
    count = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return int(count.stdout or 0) % shards


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("half", range(2))
@pytest.mark.parametrize("which", TABLES)
def test_all_kernels_compile_as_recorded(which: str, half: int, root: Path) -> None:
    """A quarter of the table at each commit, in two processes."""
    check(which, *compiled(which, f"index % {2 * SHARDS} == {turn(root, SHARDS) + SHARDS * half}"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("which", TABLES)
def test_the_oldest_triton_compiles_them_as_recorded(which: str, root: Path, oldest: Path) -> None:
    """An eighth of the table at each commit."""
    version, found = compiled(which, f"capability == 90 and index % {2 * SHARDS} == {turn(root, 2 * SHARDS)}", oldest)
    assert version == "3.6.0"
    check(which, version, found)


@pytest.mark.parametrize("key_heads", [2, 1])
@pytest.mark.parametrize("which", TABLES)
def test_kernels_are_given_what_the_tables_compile(which: str, key_heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids and documents of 64 bits, padding as integers, a table in 16 bits and one in 64: as torch makes them."""
    launched: list[tuple[str, dict[str, Any]]] = []

    def noted(kernel: Any, grid: Any, *arguments: Any, **constants: Any) -> None:
        launched.append((kernel.__name__, dict(zip(kernel.arg_names, arguments, strict=False))))

    for module in (short_op, long_op, long_learned, gathering):
        monkeypatch.setattr(module, "run", noted)
    n = 40 if which == "resources" else 200
    q = torch.randn(2, n, 2, 16, dtype=torch.bfloat16).transpose(1, 2).requires_grad_()
    k, v = torch.randn(2, 2, n, key_heads, 16, dtype=torch.bfloat16).transpose(2, 3).unbind()
    table = torch.randn(2, 12, dtype=torch.bfloat16, requires_grad=True)
    id_table = torch.randn(2, 8, dtype=torch.float64, requires_grad=True)
    pairs = torch.randn(2, n, n, dtype=torch.bfloat16, requires_grad=True)
    ids, documents = (torch.arange(2 * n).view(2, n) for _ in range(2))
    by_id = (DistanceTable(id_table, Ids(ids, ids)), Window(10**12, 1, Ids(ids, ids)))
    valid = torch.ones(2, n, dtype=torch.int64)
    states, values = (torch.randn(*shape, dtype=q.dtype, requires_grad=True) for shape in ((2, 2, n, 9), (2, 7, 9)))
    sinks = torch.randn(2, dtype=q.dtype, requires_grad=True)
    terms = (DistanceTable(table), PairTable(pairs), *by_id, QueryTable(states, values, -3, ends=True))
    more: dict[str, Any] = {"softcap": 30, "sinks": sinks, "valid": valid, "documents": documents}
    out = attention(q, k, v, terms=terms, causal=False, scale=1, backend="triton", **more)
    torch.autograd.grad(out.sum(), (q, table, id_table, pairs, states, values, sinks))
    named = {torch.bfloat16: "bf16", torch.float32: "fp32", torch.int8: "i8", torch.int32: "i32", torch.int64: "i64"}
    unseen = {(kernel, name) for kernel, arguments in launched for name in arguments}
    for kernel, arguments in launched:
        # The gradient of a tile is of 32 bits, whatever the inputs are.
        dtype = "fp32" if kernel == "slot_sums" else "bf16"
        for name, value in arguments.items():
            if value is None:
                continue
            unseen.discard((kernel, name))
            kind = "fp32" if isinstance(value, float) else "i32"
            kind = f"*{named[value.dtype]}" if isinstance(value, torch.Tensor) else kind
            meant = MODULES[which].argument_type(name, dtype, 2 // key_heads)  # type: ignore[attr-defined]
            assert kind == meant, f"{kernel}: {name} is {kind}, not {meant}"
            assert kind != "i32" or abs(value) < 2**31, f"{kernel}: {name} is {value}"
    assert not unseen
    short = {"short_forward", "short_backward", "short_table_gradient", "slot_sums"}
    assert {kernel for kernel, _ in launched} == short if which == "resources" else len(dict(launched)) == 8


def test_atomics_are_seen(tmp_path: Path) -> None:
    """However they are written in machine code, which differs between GPUs."""
    script = tmp_path / "atomic.py"
    script.write_text(
        "import triton, triton.language as tl\n"
        "from triton.backends.compiler import GPUTarget\n"
        "from triton.compiler import ASTSource\n"
        "from kernel_checks.compiling import read\n"
        "@triton.jit\n"
        "def add(X):\n"
        "    tl.atomic_add(X + tl.program_id(0) // 2, 1.0, sem='relaxed')\n"
        "for capability in (90, 80):\n"
        "    made = triton.compile(ASTSource(fn=add, signature={'X': '*fp32'}, constexprs={}),"
        " target=GPUTarget('cuda', capability, 32), options={'enable_fp_fusion': True})\n"
        "    print(read(made).atomics)\n"
    )
    done = subprocess.run([sys.executable, script], env=compiling(), capture_output=True, text=True, check=False)
    assert [int(line) > 0 for line in done.stdout.split()] == [True, True], done.stderr[-1000:]
