"""What the kernels for sequences of any length take, compiled for GPUs that need not be present.

    PYTHONPATH=.:benchmarks python -m kernel_checks.long_resources > tests/golden/long-kernel-resources.txt

As `resources.py` for short ones, with 3.6 too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import triton.language as tl
from kernel_checks.compiling import Resources, compile_kernel, print_table, read, source_hash
from kernel_checks.resources import ROWS

from arith.kernels import long, long_gradients, long_keys, long_table, long_tile, long_values
from arith.kernels.configs import SIZES
from arith.kernels.long_configs import LONG_TABLE, LongConfig, LongKernel, long_config

Feature = Literal["TILE", "TABLE", "IDS", "WINDOW", "VALID", "DOCUMENTS", "ASKED", "ENDS", "SINKS", "CAP"]
POINTERS: dict[Feature, tuple[str, ...]] = {
    "TILE": ("TILE",),
    "TABLE": ("TABLE",),
    "IDS": ("ID_TABLE", "IDS_Q", "IDS_K", "SPAN_Q", "SPAN_K"),
    "WINDOW": ("WINDOW_Q", "WINDOW_K", "LIST", "COUNT", "SHOWN"),
    "VALID": ("VALID", "LIST", "COUNT", "SHOWN"),
    "DOCUMENTS": ("DOCUMENTS", "LIST", "COUNT", "SHOWN"),
    "ASKED": ("STATES", "VALUES"),
    "ENDS": ("STATES", "VALUES", "OUTER"),
    "SINKS": ("SINKS",),
    "CAP": (),
}
KERNELS: dict[str, tuple[LongKernel, Any]] = {
    "forward": ("long forward", long.long_forward),
    "delta": ("long queries", long_gradients.long_delta),
    "queries": ("long queries", long_gradients.long_backward_queries),
    "keys": ("long keys", long_keys.long_backward_keys),
    "table": ("long table", long_table.long_table_gradient),
    "id table": ("long table", long_table.long_id_table_gradient),
    "tile": ("long table", long_tile.long_tile_gradient),
    "values": ("long values", long_values.long_values_gradient),
}


@dataclass(frozen=True)
class Case:
    """One compilation.

    Args:
        kernel: name in KERNELS.
        width: head width.
        dtype: type of queries, keys and values, as Triton names it.
        features: optional inputs that are passed.
        both: whether keys may lie ahead of queries.
        learned: whether tables have gradients, which the kernel of queries prepares.
        asked: width of what queries ask by.
    """

    kernel: str
    width: int = 64
    dtype: str = "bf16"
    features: tuple[Feature, ...] = ()
    both: bool = False
    learned: bool = False
    asked: int = 16

    def __str__(self) -> str:
        extra = (" both" if self.both else "") + (" learned" if self.learned else "")
        extra += f" asked={self.asked}" if self.asked > 16 else ""
        return f"long {self.kernel} {self.width} {self.dtype} {'+'.join(self.features) or 'plain'}{extra}"


def cases(capability: int) -> Iterator[Case]:
    """Everything shipped for a compute capability, in every size of tile."""
    masks: tuple[Feature, ...] = ("WINDOW", "VALID", "DOCUMENTS")
    for width in (64, 128):
        yield Case("delta", width)
        for kernel in ("forward", "queries", "keys"):
            yield Case(kernel, width)
            for both in (False, True):
                yield Case(kernel, width, features=("TABLE",), both=both, learned=kernel == "queries")
            yield Case(kernel, width, features=("IDS",), learned=kernel == "queries")
            yield Case(kernel, width, features=("IDS", "WINDOW"), learned=kernel == "queries")
            yield Case(kernel, width, features=("TABLE", "IDS", *masks), both=True, learned=kernel == "queries")
        for kernel in ("forward", "queries", "keys", "tile"):
            yield Case(kernel, width, features=("TILE",), learned=kernel == "queries")
            everything: tuple[Feature, ...] = ("TILE", "TABLE", "IDS", *masks)
            yield Case(kernel, width, features=everything, both=True, learned=kernel == "queries")
        yield Case("table", width, features=("TABLE",))
        yield Case("table", width, features=("TABLE", "IDS", *masks))
        yield Case("id table", width, features=("IDS",))
        yield Case("id table", width, features=("TABLE", "IDS", *masks))
        if capability >= 90:  # 32 bits are not shipped for less
            yield Case("delta", width, "fp32")
            for kernel in ("forward", "queries", "keys", "table"):
                yield Case(kernel, width, "fp32", ("TABLE",), learned=kernel == "queries")
            yield Case("id table", width, "fp32", ("IDS", "WINDOW"))
    for kernel in ("forward", "queries", "keys"):
        yield Case(kernel, 16, features=("TABLE",))
        yield Case(kernel, 64, "fp16", ("TABLE",))
        yield Case(kernel, 64, features=("SINKS", "CAP"))
    for kernel in ("forward", "queries", "keys", "values"):
        learned = kernel == "queries"
        for width in (64, 128):
            yield Case(kernel, width, features=("ASKED",), learned=learned)
        yield Case(kernel, 128, features=("ENDS",), both=True, learned=learned, asked=128)
        everything = ("TILE", "TABLE", "IDS", *masks, "ENDS", "SINKS", "CAP")
        yield Case(kernel, 128, features=everything, both=True, learned=learned)
        if capability >= 90:
            yield Case(kernel, 64, "fp32", ("ASKED",), learned=learned)


def compiled(case: Case, capability: int) -> Resources:
    """Compile one case for GPUs of a compute capability, and read what it takes."""
    return read(build(case, capability))


def launch_of(case: Case, capability: int) -> LongConfig:
    """How a case is launched."""
    asked = bool({"ASKED", "ENDS"} & {*case.features})
    return long_config(KERNELS[case.kernel][0], case.width, 4 if case.dtype == "fp32" else 2, capability, asked)


def build(case: Case, capability: int) -> Any:
    """Compile one case for GPUs of a compute capability."""
    kernel, launch = KERNELS[case.kernel][1], launch_of(case, capability)
    constants: dict[str, Any] = {
        "WIDTH": case.width,
        "BOTH": case.both,
        "BLOCK_Q": launch.queries,
        "BLOCK_K": launch.keys,
        "BLOCK_D": next(fits for fits in SIZES if case.width <= fits),
        "BLOCK_E": case.asked,
        "BLOCK": LONG_TABLE,
        "SPLIT": case.dtype != "fp32" if case.kernel != "values" else case.dtype == "bf16",
        "SUMS": "tf32x3",
        "ACC": tl.float32,
        "PRECISION": "tf32x3",
        "group": 1,  # Triton specialises on ones
    }
    if "CAP" not in case.features:
        constants["softcap"] = None
    given = {
        *("Q", "K", "V", "OUT", "DOUT", "DQ", "DK", "DV"),
        "LOGSUM",
        "DELTA",
        "NEAR",
        "DTILE",
        "DVALUES",
        *(pointer for feature in case.features for pointer in POINTERS[feature]),
    }
    if case.learned:
        given |= {"EXACT", *(["FAR"] if case.both and "TABLE" in case.features else [])}
        given |= {"FAR_IDS"} if "IDS" in case.features else set()
        given |= {"DSTATES"} if {"ASKED", "ENDS"} & {*case.features} else set()
        given |= {"FAR_ASKED"} if "ENDS" in case.features else set()
    types = {argument: argument_type(argument, case.dtype) for argument in kernel.arg_names}
    return compile_kernel(kernel, constants, given, types, launch, capability)


def sources() -> str:
    """A hash of the kernels' sources and of how they are launched."""
    kernels = ("long", "long_gradients", "long_keys", "long_table", "long_tile", "long_values", "shearing")
    return source_hash(*kernels, "short_scores", "short_table", "long_configs")


def main() -> None:
    """Print the table."""
    print_table(sources(), cases, compiled)


def argument_type(name: str, dtype: str, group: int = 1) -> str:
    """As that of `resources.py`, for these kernels, to which the group makes no difference."""
    if not name.isupper():
        return "fp32" if name in ("scale", "softcap") else "i32"
    if name in (*ROWS, "STATES", "VALUES", "DSTATES"):
        return f"*{dtype}"
    if name == "SHOWN":
        return "*i8"
    whole = ("IDS_Q", "IDS_K", "SPAN_Q", "SPAN_K", "WINDOW_Q", "WINDOW_K", "VALID", "DOCUMENTS", "LIST", "COUNT")
    return "*i32" if name in whole else "*fp32"


if __name__ == "__main__":
    main()
