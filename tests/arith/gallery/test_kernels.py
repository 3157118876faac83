import subprocess
import sys
from pathlib import Path


def test_the_table_of_kernels_is_current(root: Path) -> None:
    # In a process of its own: other tests register encodings.
    ran = subprocess.run([sys.executable, "-m", "arith", "show", "kernels"], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout in (root / "kernels" / "README.md").read_text(), (
        "put what `arith show kernels` prints in place of the table"
    )
