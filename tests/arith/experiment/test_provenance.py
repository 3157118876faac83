"""What results say of where they come from."""

import re
import subprocess
from pathlib import Path

import pytest

from arith.experiment import provenance


def test_commit_is_told_where_git_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is lent has a copy of the files, without git or its folder."""
    monkeypatch.delenv("ARITH_COMMIT", raising=False)
    monkeypatch.setattr(provenance.arith, "__file__", str(tmp_path / "arith" / "__init__.py"))
    assert provenance.git_commit() == "unknown"
    monkeypatch.setenv("ARITH_COMMIT", "0123456789ab")
    assert provenance.git_commit() == "0123456789ab"
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert provenance.git_commit() == "0123456789ab"


def test_a_commit_is_marked_where_code_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance.arith, "__file__", str(tmp_path / "arith" / "__init__.py"))
    for folder in ("arith", "encodings", "kernels", "tasks", "results"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("before")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=arith", "-c", "user.email=arith@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "all"], check=True)
    clean = provenance.git_commit()
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (tmp_path / "results" / "file").write_text("published anew")
    assert provenance.git_commit() == clean
    (tmp_path / "tasks" / "file").write_text("after")
    assert provenance.git_commit() == clean + "+"
