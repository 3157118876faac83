"""Each tutorial, done by a reader who types what it says, with fewer steps."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from arith.cli import cli

FOLDER = Path(__file__).parent.parent / "docs" / "tutorials"
TUTORIALS = sorted(page.stem for page in FOLDER.glob("*.md"))


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_works_line_by_line(name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(root / "results")
    for code in re.findall(r"```python\n(.*?)```", page, re.S):
        saved = re.search(r"Save it as `(\w+\.py)`", page)
        if saved:
            (tmp_path / saved[1]).write_text(code, encoding="utf-8")
            continue
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    for block, shown in re.findall(r"```sh\n(.*?)```(?:\n\n```\n(.*?)```)?", page, re.S):
        printed = ""
        for line in block.splitlines():
            if line.startswith(".venv/bin/arith"):
                arguments = shlex.split(line)[1:]
                if "--steps" in arguments:
                    arguments[arguments.index("--steps") + 1] = "5"
                if "--samples" in arguments:
                    arguments[arguments.index("--samples") + 1] = "10"
                ran_too = CliRunner().invoke(cli, arguments, catch_exceptions=False)
                assert ran_too.exit_code == 0, f"{line}: {ran_too.output}"
                printed += ran_too.stdout
        # What a page shows below commands is what they print. Trainings are cut short here, and print something else.
        if "--steps" not in block and "runs/" not in block:
            assert set(shown.splitlines()) <= set(printed.splitlines()), block


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_links_to_what_is_there(name: str) -> None:
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    generated = {"commands.md"}  # by docs/site/hooks.py
    for target in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (FOLDER / target).exists() or Path(target).name in generated, target
    assert not [line for line in page.splitlines() if len(line) > 200 and not line.startswith(".venv")]
