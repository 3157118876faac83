"""What commands are built with, which may be missing."""

import subprocess
import sys
from pathlib import Path


def test_commands_work_without_rich_click(root: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['rich_click'] = None\n"
        "from arith.cli import cli\n"
        "cli(args=['train', '--encoding', 'abacuss'], prog_name='arith')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith("Error: no encoding is called 'abacuss'. Did you mean 'abacus'?")
