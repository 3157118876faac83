"""Compile every shipped configuration of the kernels, for GPUs that need not be present, and read what it takes.

    PYTHONPATH=.:benchmarks python -m kernel_checks.resources > tests/golden/kernel-resources.txt
    PYTHONPATH=.venv/oldest:.:benchmarks python -m kernel_checks.resources 90 > tests/golden/kernel-resources-3.6.txt

A kernel that spills its registers, no longer fits shared memory, lost the tensor cores or gained atomics shows here
before a GPU is ever seen. Compilers differ: each table is of one version of Triton, the newest or the oldest. A number
is the only compute capability to compile for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import triton.language as tl
from kernel_checks.compiling import Resources, compile_kernel, print_table, read, source_hash

from arith.kernels import gathering, short, short_table
from arith.kernels.configs import BLOCK_IDS, Config, Kernel, blocks, config, tile_size

KERNELS: dict[Kernel, Any] = {
    "forward": short.short_forward,
    "backward": short.short_backward,
    "backward and tile": short.short_backward,
    "table": short_table.short_table_gradient,
}
PLAIN = Config(warps=4, stages=3, programs=1)  # what Triton takes where a launch has no options
# Pointers to what is of the inputs' type.
ROWS = ("Q", "K", "V", "OUT", "DOUT", "DQ", "DK", "DV", "STATES", "DSTATES", "SLAB")
SUMS = ("TILE", "DTILE", "TABLE", "NEAR", "FAR", "DVALUES", "SINKS", "DSINKS", "DSLAB")  # and of the type of sums
# Of features that are not named alike; gradients are written by the kernels that have them.
POINTERS = {
    "IDS": ("IDS_Q", "IDS_K"),
    "WINDOW": ("WINDOW_Q", "WINDOW_K"),
    "ASKED": ("STATES", "SLAB", "DSTATES", "DSLAB"),
    "SINKS": ("SINKS", "DSINKS"),
}


@dataclass(frozen=True)
class Case:
    """One compilation.

    Args:
        kernel: name in KERNELS, or "slot sums", which adds a tile's gradient up by slots of its table.
        queries, keys, width: numbers of tokens, and head width.
        dtype: type of queries, keys and values, as Triton names it.
        features: optional inputs that are passed: TILE, TABLE with its IDS, WINDOW, VALID, DOCUMENTS, ASKED, which is
            states and the slab that they ask, SINKS, and `cap`, a limit of products.
        alike: whether all inputs have the same strides.
        aligned: whether the strides are multiples of 16.
        group: query heads that share a key head.
        state: width of what a query asks with.
        causal: whether a query asks of what is behind it alone.
    """

    kernel: Kernel | Literal["slot sums"]
    queries: int
    keys: int
    width: int = 64
    dtype: str = "bf16"
    features: tuple[str, ...] = ()
    alike: bool = True
    aligned: bool = True
    group: int = 1
    state: int = 16
    causal: bool = True

    def __str__(self) -> str:
        size = f"{self.queries}x{self.keys}x{self.width}"
        extra = ("" if self.alike else f" apart group={self.group}") + ("" if self.aligned else " unaligned")
        if "ASKED" in self.features:
            extra += f" state={self.state}" + ("" if self.causal else " both")
        return f"{self.kernel} {size} {self.dtype} {'+'.join(self.features) or 'plain'}{extra}"


def cases(capability: int) -> Iterator[Case]:
    """Everything shipped for a compute capability, in every size of tile."""
    table = ("TABLE", "IDS", "WINDOW")
    for n in (20, 62, 64, 100, 128):
        for features in ((), ("TILE",), table, ("VALID", "DOCUMENTS")):
            yield Case("forward", n, n, features=features)
            yield Case("backward", n, n, features=features)
        yield Case("backward and tile", n, n, features=("TILE",))
        yield Case("table", n, n, features=table)
    for width, n in ((16, 20), (16, 64), (32, 64), (128, 20), (128, 64), (128, 128)):
        yield Case("forward", n, n, width, features=("TILE",))
        yield Case("backward and tile", n, n, width, features=("TILE",))
    yield Case("table", 64, 64, 128, features=table)
    if capability >= 90:  # 32 bits are not shipped for less
        for n, width in ((20, 64), (64, 64), (64, 128), (128, 64)):
            yield Case("forward", n, n, width, "fp32", ("TILE",))
            yield Case("backward and tile", n, n, width, "fp32", ("TILE",))
        yield Case("table", 64, 64, 64, "fp32", table)
    yield Case("backward and tile", 64, 64, 64, "fp16", ("TILE",))
    yield Case("backward and tile", 64, 64, features=("TILE",), alike=False, group=4)
    yield Case("backward and tile", 64, 64, features=("TILE",), aligned=False)
    everything = ("TILE", *table, "VALID", "DOCUMENTS")
    for kernel in KERNELS:
        for n, width in ((64, 64), (128, 64), (128, 128)):
            yield Case(kernel, n, n, width, features=everything)
        yield Case(kernel, 128, 128, 32, features=("TILE", *table))
        if capability >= 90:
            yield Case(kernel, 128, 128, 32, "fp32", ("TILE", *table))
            for n, width in ((128, 64), (64, 128)):
                yield Case(kernel, n, n, width, "fp32", everything)
    # Inputs of different strides, such as a gradient that is expanded beside slices of one projection, and unaligned.
    for kernel in KERNELS:
        yield Case(kernel, 128, 128, features=everything, alike=False, group=4)
        yield Case(kernel, 128, 128, features=everything, alike=False, aligned=False)
    yield from asked_cases(capability)
    yield Case("slot sums", 128, 128, dtype="fp32")
    for features in (("TILE",), table, ("ASKED",)):
        yield Case("forward", 1, 128, features=features)


def asked_cases(capability: int) -> Iterator[Case]:
    """Tables that queries ask, of few numbers and of as many as a head has, sinks, and capped products."""
    yield Case("forward", 64, 64, features=("ASKED",))
    yield Case("backward", 64, 64, features=("ASKED",))
    yield Case("backward and tile", 128, 128, features=("TILE", "ASKED"), state=64, causal=False)
    yield Case("backward and tile", 128, 128, 128, features=("TILE", "ASKED"), state=32, causal=False)  # the widest
    if capability < 90:  # of which the two largest are the first that would not fit
        return
    for n in (20, 128):
        yield Case("forward", n, n, features=("ASKED",))
        yield Case("backward", n, n, features=("ASKED",))
    yield Case("forward", 64, 64, features=("SINKS", "cap"))
    yield Case("backward", 64, 64, features=("SINKS", "cap"))
    for n in (64, 128):
        yield Case("forward", n, n, features=("ASKED",), state=64, causal=False)
    yield Case("backward and tile", 64, 64, features=("TILE", "ASKED"), state=64, causal=False)
    yield Case("backward and tile", 64, 64, 128, features=("TILE", "ASKED"), state=128, causal=False)
    yield Case("table", 128, 128, features=("TABLE", "IDS", "ASKED", "SINKS", "cap"), state=64)


def compiled(case: Case, capability: int) -> Resources:
    """Compile one case for GPUs of a compute capability.

    Args:
        capability: 90 for H100 and H200, 80 for A100.
    """
    if case.kernel == "slot sums":
        constants = {"BLOCK_SLOTS": gathering.BLOCK_SLOTS, "BLOCK_PAIRS": gathering.BLOCK_PAIRS}
        types = {name: argument_type(name, case.dtype) for name in gathering.slot_sums.arg_names}
        given = {"DOUT", "SLOTS", "DVALUES"}
        return read(compile_kernel(gathering.slot_sums, constants, given, types, PLAIN, capability))
    kernel = KERNELS[case.kernel]
    tile = blocks(case.queries, case.keys, case.width, packed=case.kernel != "table")
    constants = {
        **tile.constants(case.queries, case.keys, case.width),
        "PACK": tile.pack,
        "ALIKE": case.alike,
        "CAUSAL": case.causal,
        "STATE": case.state,
        "BLOCK_E": tile_size(case.state),
        "ACC": tl.float32,
        "PRECISION": "tf32x3",
        "BLOCK_IDS": BLOCK_IDS,
        "SPLIT": case.dtype != "fp32",
    }
    if "cap" not in case.features:
        constants["softcap"] = None
    if "ASKED" not in case.features:
        constants |= dict.fromkeys(name for name in kernel.arg_names if "states_" in name)
    if case.group == 1:
        constants["group"] = 1  # Triton specialises on ones
    given = {
        *(set(ROWS) - set(POINTERS["ASKED"])),
        "NEAR",
        "FAR",
        *(name for feature in case.features for name in POINTERS.get(feature, (feature,))),
    }
    if case.kernel == "backward and tile":
        given.add("DTILE")
    # The backward pass keeps as much in registers with a table as with a tile of shared scores.
    full = case.kernel == "backward" and bool({"TABLE", "ASKED"} & set(case.features))
    asked = case.state if "ASKED" in case.features and case.kernel != "table" else 0
    itemsize = 4 if case.dtype == "fp32" else 2
    launch = config("backward and tile" if full else case.kernel, tile, itemsize, capability, asked)
    types = {name: argument_type(name, case.dtype, case.group) for name in kernel.arg_names}
    return read(compile_kernel(kernel, constants, given, types, launch, capability, case.aligned))


def sources() -> str:
    """A hash of the kernels' sources and of how they are launched."""
    return source_hash("short", "short_scores", "short_table", "shearing", "configs", "gathering")


def main() -> None:
    """Print the table."""
    print_table(sources(), cases, compiled)


def argument_type(name: str, dtype: str, group: int = 1) -> str:
    """Triton's name for the type of a kernel's argument, as torch hands it over.

    Args:
        dtype: of what has a head width.
        group: query heads that share a key head.
    """
    if not name.isupper():
        return "fp32" if name in ("scale", "softcap") else "i32"
    if name in ("DK", "DV") and group > 1:  # added up over the group afterwards
        return "*fp32"
    if name in ROWS:
        return f"*{dtype}"
    if name == "SLOTS":
        return "*i64"
    return "*fp32" if name in SUMS else "*i32"


if __name__ == "__main__":
    main()
