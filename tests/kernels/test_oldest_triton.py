import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kernels_run_with_the_oldest_triton_supported(root: Path) -> None:
    """3.6, as the GPU images of today have it, in a folder of its own beside the other packages."""
    oldest = Path(sys.prefix) / "oldest"
    if not oldest.is_dir():
        pytest.skip(f"no triton 3.6 in {oldest}; make test-slow installs it")
    environment = {**os.environ, "PYTHONPATH": f"{oldest}{os.pathsep}{root}", "PYTHONWARNINGS": "ignore"}
    environment.pop("TRITON_INTERPRET", None)
    version = [sys.executable, "-c", "import triton; print(triton.__version__)"]
    assert (
        subprocess.run(version, env=environment, capture_output=True, text=True, check=True).stdout.strip() == "3.6.0"
    )
    tests = ["tests/kernels/test_short.py", "tests/kernels/test_long.py", "-m", "not slow"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
