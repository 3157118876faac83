"""Which compilers make the kernels, and which of them are known to make wrong code of them.

Triton writes PTX, and NVIDIA's ptxas makes machine code of that; README.md beside this file names the versions.
"""

import re
import subprocess
from functools import cache

HOPPER = 90  # compute capability of H100, H200 and H20


@cache
def triton_version() -> str | None:
    """The version of Triton that is imported; None where it is not installed."""
    try:
        import triton
    except ImportError:
        return None
    return str(triton.__version__)


@cache
def ptxas_version(capability: int = HOPPER) -> str | None:
    """The version of the ptxas that Triton runs, such as "12.8.93"; None where none can be run.

    Args:
        capability: of the GPU to compile for, 90 for 9.0: Triton comes with one ptxas for older GPUs and one for newer.
    """
    try:
        from triton.backends.nvidia.compiler import get_ptxas

        # It looks at TRITON_PTXAS_PATH, or at TRITON_PTXAS_BLACKWELL_PATH where it takes the newer one.
        path = get_ptxas(capability).path
        done = subprocess.run([path, "--version"], capture_output=True, check=True, timeout=30)
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError):
        return None
    found = re.search(r"\bV(\d+(?:\.\d+)+)", done.stdout.decode("utf-8", "replace"))
    return found[1] if found else None
