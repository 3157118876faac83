import subprocess
import sys
from pathlib import Path


def test_the_gallery_is_current(root: Path) -> None:
    # In a process of its own: other tests register encodings.
    ran = subprocess.run([sys.executable, "-m", "arith", "show", "gallery"], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (root / "docs" / "gallery.md").read_text() == ran.stdout, (
        "write it anew: arith show gallery > docs/gallery.md"
    )
