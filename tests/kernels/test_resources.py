"""What the compiled kernels take on GPUs that are not here. Compilation runs in a process that does not interpret."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_checks import long_resources, resources
from kernel_checks.resources import SHARED_BYTES

GOLDEN = Path(__file__).parents[1] / "golden"
TABLES = {"resources": GOLDEN / "kernel-resources.txt", "long_resources": GOLDEN / "long-kernel-resources.txt"}
MODULES = {"resources": resources, "long_resources": long_resources}
SHARDS = 4

ROW = re.compile(r"sm_(\d+) (.*) \| registers=(\d+) stack=(\d+) shared=(\d+) wgmma=(\d+) atomics=(\d+)")


def recorded(which: str) -> dict[tuple[int, str], dict[str, int]]:
    found = {}
    for line in TABLES[which].read_text().splitlines()[1:]:
        match = ROW.fullmatch(line)
        assert match, line
        names = ("registers", "stack", "shared", "wgmma", "atomics")
        found[int(match[1]), match[2]] = dict(zip(names, map(int, match.groups()[2:]), strict=True))
    return found


def compiling() -> dict[str, str]:
    """The environment of a process that compiles kernels, and finds what this one finds."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return environment | {"PYTHONPATH": os.pathsep.join(sys.path)}


def compiled(which: str, chosen: str) -> dict[tuple[int, str], dict[str, int]]:
    """Compile the cases that a Python expression over `capability` and `index` chooses."""
    script = (
        "import json, sys\n"
        f"from kernel_checks.{which} import cases, compiled\n"
        "chosen = eval('lambda capability, index: ' + sys.argv[1])\n"
        "for capability in (90, 80):\n"
        "    for index, case in enumerate(cases(capability)):\n"
        "        if chosen(capability, index):\n"
        "            print(json.dumps([capability, str(case), vars(compiled(case, capability))]), flush=True)\n"
    )
    command = [sys.executable, "-c", script, chosen]
    done = subprocess.run(command, env=compiling(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {(capability, case): values for capability, case, values in map(json.loads, done.stdout.splitlines())}


def check(which: str, found: dict[tuple[int, str], dict[str, int]]) -> None:
    """No more than recorded by this version of Triton; by another, what must hold for all."""
    import triton

    same = f"triton {triton.__version__}" in TABLES[which].read_text().splitlines()[0]
    table = recorded(which)
    assert found
    for (capability, case), values in found.items():
        before = table[capability, case]
        where = f"sm_{capability} {case}: {values}, recorded {before}"
        assert values["atomics"] == 0, where
        assert values["shared"] <= SHARED_BYTES[capability], where
        assert (values["wgmma"] > 0) == (before["wgmma"] > 0), where
        if same:
            assert values["stack"] <= before["stack"], where
            assert values["registers"] <= before["registers"], where


@pytest.mark.parametrize("which", TABLES)
def test_table_is_of_these_sources(which: str) -> None:
    first = TABLES[which].read_text().splitlines()[0]
    again = f"PYTHONPATH=.:benchmarks python -m kernel_checks.{which} > tests/golden/{TABLES[which].name}"
    sources = MODULES[which].sources()  # type: ignore[attr-defined]
    assert f"sources {sources} " in first, f"the kernels have changed since the table was made: {again}"


@pytest.mark.parametrize("which", TABLES)
def test_table_has_every_case_and_all_fit(which: str) -> None:
    table, cases = recorded(which), MODULES[which].cases  # type: ignore[attr-defined]
    assert set(table) == {(capability, str(case)) for capability in (90, 80) for case in cases(capability)}
    for (capability, case), values in table.items():
        assert values["atomics"] == 0, case
        assert values["shared"] <= SHARED_BYTES[capability], case
        if capability == 90 and " fp32" not in case and not case.startswith("forward 1x"):
            assert values["wgmma"] > 0, case


def test_what_speed_rests_on_spills_nothing() -> None:
    for kernel in ("forward", "backward", "backward and tile"):
        assert recorded("resources")[90, f"{kernel} 64x64x64 bf16 TILE"]["stack"] == 0
    for case in (
        "forward 64 bf16 plain",
        "forward 64 bf16 TABLE",
        "queries 64 bf16 TABLE learned",
        "table 64 bf16 TABLE",
    ):
        assert recorded("long_resources")[90, f"long {case}"]["stack"] == 0


@pytest.mark.parametrize(("which", "index"), [("resources", 2), ("long_resources", 0)])
def test_one_kernel_compiles_as_recorded(which: str, index: int) -> None:
    check(which, compiled(which, f"capability == 90 and index == {index}"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("half", range(2))
@pytest.mark.parametrize("which", TABLES)
def test_all_kernels_compile_as_recorded(which: str, half: int, root: Path) -> None:
    """A quarter of the table at each commit, in two processes."""
    count = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    shard = int(count.stdout or 0) % SHARDS
    check(which, compiled(which, f"index % {2 * SHARDS} == {shard + SHARDS * half}"))


def test_atomics_are_seen(tmp_path: Path) -> None:
    """However they are written in machine code, which differs between GPUs."""
    script = tmp_path / "atomic.py"
    script.write_text(
        "import triton, triton.language as tl\n"
        "from triton.backends.compiler import GPUTarget\n"
        "from triton.compiler import ASTSource\n"
        "from kernel_checks.resources import read\n"
        "@triton.jit\n"
        "def add(X):\n"
        "    tl.atomic_add(X + tl.program_id(0) // 2, 1.0, sem='relaxed')\n"
        "for capability in (90, 80):\n"
        "    made = triton.compile(ASTSource(fn=add, signature={'X': '*fp32'}, constexprs={}),"
        " target=GPUTarget('cuda', capability, 32), options={'enable_fp_fusion': True})\n"
        "    print(read(made.asm['cubin'], 0).atomics)\n"
    )
    done = subprocess.run([sys.executable, script], env=compiling(), capture_output=True, text=True, check=False)
    assert [int(line) > 0 for line in done.stdout.split()] == [True, True], done.stderr[-1000:]
