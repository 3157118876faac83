"""What results say of where they come from."""

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
