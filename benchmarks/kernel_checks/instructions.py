"""Instructions of each loop of the kernels for long sequences, read off their machine code: fewer are faster.

    PYTHONPATH=.:benchmarks python -m kernel_checks.instructions [--width 64]

No GPU is needed. A loop's body is one tile of scores, so that its length compares two versions of a kernel long before
either runs. Counts depend on the compiler: compare under one version of Triton, best the one of the GPU machine.
"""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass

import triton
from kernel_checks.compiling import disassemble
from kernel_checks.long_resources import Case, build, launch_of

CASES = (
    Case("forward"),
    Case("forward", features=("TABLE",)),
    Case("queries"),
    Case("queries", features=("TABLE",), learned=True),
    Case("keys"),
    Case("keys", features=("TABLE",)),
    Case("forward", features=("ASKED",)),
    Case("queries", features=("ASKED",), learned=True),
    Case("keys", features=("ASKED",)),
    Case("values", features=("ASKED",)),
    Case("table", features=("TABLE",)),
    Case("id table", features=("IDS",)),
)
# What adds to a tile beside its products: lookups, exponentials, selections, copies from global to shared memory.
COUNTED = ("HGMMA", "LDG", "LDGSTS", "LDS", "STS", "MUFU.EX2", "FSEL", "VIMNMX", "BAR", "LDL", "STL")


@dataclass(frozen=True)
class Loop:
    """One innermost loop of machine code.

    Args:
        instructions: the number of instructions of its body.
        counts: how many of them are of each kind in COUNTED.
    """

    instructions: int
    counts: dict[str, int]


def loops(code: str) -> Iterator[Loop]:
    """The innermost loops of a disassembled kernel that multiply matrices, in their order.

    A loop is what lies between a label and a branch back to it.

    >>> code = ".L_1:\\n /*0010*/ HGMMA.64x64x16.F32 R24 ;\\n /*0020*/ FSEL R1, R2 ;\\n /*0030*/ @P0 BRA `(.L_1) ;"
    >>> [(loop.instructions, loop.counts["HGMMA"]) for loop in loops(code)]
    [(3, 1)]
    """
    at: dict[str, int] = {}
    operations: list[str] = []
    found: list[tuple[int, int]] = []
    for line in code.splitlines():
        if label := re.match(r"\s*(\.L_\w+):", line):
            at[label[1]] = len(operations)
        if operation := re.match(r"\s*/\*[0-9a-f]+\*/\s+(?:@!?\w+\s+)?([A-Z][\w.]*)", line):
            operations.append(operation[1])
            back = re.search(r"BRA(?:\.\w+)*\s.*`\((\.L_\w+)\)", line)
            if back and back[1] in at:
                found.append((at[back[1]], len(operations)))
    for first, end in found:
        inner = any(first <= other[0] and other[1] <= end and other != (first, end) for other in found)
        body = operations[first:end]
        if not inner and any(name.startswith("HGMMA") for name in body):
            yield Loop(len(body), {kind: sum(_is(name, kind) for name in body) for kind in COUNTED})


def _is(operation: str, kind: str) -> bool:
    return operation == kind or operation.startswith(f"{kind}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64, help="width of a head")
    parser.add_argument("--only", default="", help="kernels whose name begins so")
    options = parser.parse_args()
    print(f"triton {triton.__version__}, sm_90, bf16, heads of {options.width}")
    for case in CASES:
        if not case.kernel.startswith(options.only):
            continue
        launch = launch_of(case, 90)
        binary = build(Case(case.kernel, options.width, features=case.features, learned=case.learned), 90)
        threads, scores = 32 * launch.warps, launch.queries * launch.keys
        print(f"{case}: {launch.warps} warps")
        for loop in loops(disassemble(binary.asm["cubin"])):
            each = loop.instructions * threads / scores
            counts = ", ".join(f"{count} {kind}" for kind, count in loop.counts.items() if count)
            print(f"    {loop.instructions:5} instructions a tile, {each:5.1f} a score: {counts}", flush=True)


if __name__ == "__main__":
    main()
