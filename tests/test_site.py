"""The documentation site: whole, its links checked, nothing in it loaded from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed: extra docs"),
]


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    # From its own folder, as make docs does: beside a folder `arith` docstrings would be read from that.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=root / "docs" / "site", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?://[^"]*)"', text)
        # A page may name its own address.
        assert not loaded, page
        assert "fonts.googleapis" not in text


def test_every_command_and_the_public_names_have_a_place(site: Path) -> None:
    from arith.cli import cli

    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert all(f'id="arith-{name}"' in commands for name in cli.commands)
    assert "Sentinel" not in commands
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in ("arith.encoding", "arith.kernels.attention.attention", "arith.encodings.base.LayerEncoding.terms"):
        assert f'id="{name}"' in python


def test_the_readme_is_the_first_page_with_its_figure(site: Path) -> None:
    first = (site / "index.html").read_text(encoding="utf-8")
    assert "What you can vary" in first
    (figure,) = re.findall(r'src="([^"]*extrapolation.png)"', first)
    assert (site / figure).is_file()
