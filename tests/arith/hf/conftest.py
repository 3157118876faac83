"""A small run that several tests export."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from arith.cli import cli

SHAPE = {"layers": 2, "width": 32, "heads": 2, "hidden": 64}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "adder"
    settings = [item for name, value in SHAPE.items() for item in ("--set", f"model.{name}={value}")]
    arguments = ["--encoding", "rope+t5", "--format", "reversed", "--digits", "1-2", "--steps", "30", "--samples", "30"]
    ran = CliRunner().invoke(
        cli, ["train", "addition", *arguments, *settings, "--test-digits", "1-3", "--out", str(folder)]
    )
    assert ran.exit_code == 0, ran.output
    return folder
