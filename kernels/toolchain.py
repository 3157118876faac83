"""Which compilers make the kernels, and which of them are known to make wrong code for Hopper.

Triton writes PTX, and NVIDIA's ptxas makes machine code of that; README.md beside this file says what is known of both.
"""

import importlib
import re
import subprocess
from functools import cache

SM90 = 90  # compute capability of H100, H200 and H20
# From the first to before the second: products with a transposed result of another, as dk and dv are, come out wrong.
WRONG_TRITON = (3, 4), (3, 7, 1)
RIGHT_PTXAS = (13, 3)  # older ones may reuse the registers of a product's operand before it has been read


@cache
def triton_version() -> str | None:
    """The version of Triton that is imported; None where it is not installed."""
    try:
        return str(importlib.import_module("triton").__version__)
    except ImportError:
        return None


@cache
def ptxas_version(capability: int = SM90) -> str | None:
    """The version of the ptxas that Triton runs, such as "12.8.93"; None where none can be run.

    Args:
        capability: of the GPU to compile for, 90 for 9.0: Triton comes with one ptxas for older GPUs and one for newer.
    """
    try:
        # Triton looks at TRITON_PTXAS_PATH, or at TRITON_PTXAS_BLACKWELL_PATH where it takes the newer one.
        path = importlib.import_module("triton.backends.nvidia.compiler").get_ptxas(capability).path
        done = subprocess.run([path, "--version"], capture_output=True, check=True, timeout=30)
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError):
        return None
    found = re.search(r"\bV(\d+(?:\.\d+)+)", done.stdout.decode("utf-8", "replace"))
    return found[1] if found else None


def known_wrong(triton: str | None, ptxas: str | None) -> str | None:
    """What is known to be wrong with code that these versions make for Hopper; None if nothing is.

    >>> known_wrong("3.9.0", "13.4.59")
    >>> known_wrong("3.7.1", "12.9.86")
    'ptxas 12.9.86, as all before 13.3, may overwrite operands of products on tensor cores (triton issue 9433)'
    """
    found = []
    first, right = WRONG_TRITON
    if triton is not None and first <= _numbers(triton) < right:
        found.append(
            f"triton {triton}, as 3.4 to 3.7.0, may multiply by transposed results wrongly "
            "(flash-linear-attention issue 640)"
        )
    if ptxas is not None and _numbers(ptxas) < RIGHT_PTXAS:
        found.append(
            f"ptxas {ptxas}, as all before 13.3, may overwrite operands of products on tensor cores (triton issue 9433)"
        )
    return " and ".join(found) or None


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a release, without what follows them: (3, 7, 1) for "3.7.1+git5"."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
