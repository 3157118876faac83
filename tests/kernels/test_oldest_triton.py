import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kernels_run_with_the_oldest_triton_supported(root: Path, oldest: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{oldest}{os.pathsep}{root}", "PYTHONWARNINGS": "ignore"}
    environment.pop("TRITON_INTERPRET", None)
    version = [sys.executable, "-c", "import triton; print(triton.__version__)"]
    assert (
        subprocess.run(version, env=environment, capture_output=True, text=True, check=True).stdout.strip() == "3.6.0"
    )
    files = (f"tests/kernels/test_{name}.py" for name in ("short", "long", "operators", "gathering"))
    tests = [*files, "-m", "not slow"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
