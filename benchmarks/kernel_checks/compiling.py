"""Kernels compiled for GPUs that need not be present, and what their machine code takes."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from arith.kernels import short
from arith.kernels.configs import Config
from arith.kernels.launching import options
from arith.kernels.long_configs import LongConfig

SHARED_BYTES = {90: 232_448, 80: 166_912}  # limit for one program, by compute capability
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
AnyCase = TypeVar("AnyCase")


@dataclass(frozen=True)
class Resources:
    """What one compiled kernel takes: registers and stack bytes per thread, bytes of shared memory, instructions."""

    registers: int
    stack: int
    shared: int
    wgmma: int
    atomics: int

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in vars(self).items())


def compile_kernel(
    kernel: Any,
    constants: dict[str, Any],
    given: set[str],
    types: dict[str, str],
    launch: Config | LongConfig,
    capability: int,
    aligned: bool = True,
) -> Any:
    """Compile a kernel as a call from torch would.

    Args:
        constants: arguments known at compile time.
        given: pointers that are passed; the others are None.
        types: Triton's name for the type of every argument.
        aligned: pointers and strides are multiples of 16, which Triton specialises on.
    """
    signature: dict[str, str] = {}
    values: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}
    for index, name in enumerate(kernel.arg_names):
        if name in constants or (name.isupper() and name not in given):
            signature[name], values[index,] = "constexpr", constants.get(name)
        else:
            signature[name] = types[name]
            if aligned and (name.isupper() or name[-2:] in ("_b", "_h", "_n")):
                attributes[index,] = [["tt.divisibility", 16]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=values, attrs=attributes)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options(launch))


def source_hash(*names: str) -> str:
    """Hash kernel sources, comments included: a table is made anew whenever they change."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(Path(short.__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


def print_table(
    sources: str, cases: Callable[[int], Iterator[AnyCase]], compiled: Callable[[AnyCase, int], Resources]
) -> None:
    """What every case takes, with the sources that it holds for."""
    print(f"sources {sources} triton {triton.__version__}")
    for capability in map(int, sys.argv[1:] or SHARED_BYTES):
        for case in cases(capability):
            print(f"sm_{capability} {case} | {compiled(case, capability)}", flush=True)
            print(f"sm_{capability} {case}", file=sys.stderr)


def run_tool(name: str, option: str, cubin: bytes) -> str:
    """What one of NVIDIA's tools, which come with Triton, says about machine code."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernel.cubin")
        Path(path).write_bytes(cubin)
        return subprocess.run([TOOLS / name, option, path], capture_output=True, text=True, check=True).stdout


def disassemble(cubin: bytes) -> str:
    """The instructions of machine code, a line each, with labels."""
    return run_tool("nvdisasm", "-c", cubin)


def read(binary: Any) -> Resources:
    """Read registers, stack and instructions off a compiled kernel's machine code."""
    cubin, shared = binary.asm["cubin"], binary.metadata.shared
    usage, code = run_tool("cuobjdump", "-res-usage", cubin), disassemble(cubin)
    found = {name: re.search(rf"{name}:(\d+)", usage) for name in ("REG", "STACK")}
    registers, stack = (int(match[1]) if match else -1 for match in found.values())
    return Resources(
        registers,
        stack,
        shared,
        len(re.findall(r"\bHGMMA\b", code)),
        len(re.findall(r"\b(?:RED[GS]?|ATOM\w*)\b", code)),
    )
