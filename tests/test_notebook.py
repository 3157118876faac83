"""The notebook runs from its first cell to its last."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_notebook_runs(root: Path, tmp_path: Path) -> None:
    cells = json.loads((root / "docs" / "library.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 5
    marked = [line for line in code[0].splitlines() if "# arith, " in line]
    assert len(marked) == 5, "five lines, as it says"
    (tmp_path / "notebook.py").write_text("\n".join(code))
    ran = subprocess.run([sys.executable, "notebook.py"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "torch.Size([8, 20, 64])" in ran.stdout
    assert "shape  (1, 4, 14, 16)" in ran.stdout


def test_the_notebook_is_kept_without_outputs(root: Path) -> None:
    cells = json.loads((root / "docs" / "library.ipynb").read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
