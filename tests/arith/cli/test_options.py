"""Settings on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from arith.cli import cli
from arith.cli.framework import PANELS
from arith.cli.options import read_assignment

SMALL = ["--steps", "2", "--batch", "4", "--digits", "1", "--test-digits", "1", "--samples", "3", "--out", "run"]


@pytest.mark.parametrize("name", PANELS)
def test_panels_name_options_that_the_command_has_once_each(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    named = " ".join(PANELS[name].values()).split()
    assert len(named) == len(set(named))
    assert set(named) <= {text for parameter in command.params for text in parameter.opts}


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 5000, "1\nother = 2", "x y", ""])
def test_what_is_no_toml_is_a_text(value: str) -> None:
    assert read_assignment(f"name={value}") == ("name", value)


@pytest.mark.parametrize("name", ["x\\u0000.py", "x\\udfff.py"])
def test_a_name_that_no_file_can_have_is_refused(arith: Callable[..., Result], tmp_path: Path, name: str) -> None:
    (tmp_path / "one.toml").write_text(f'imports = ["{name}"]')
    refused = arith("train", "--recipe", "one.toml", "--dry-run")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: ")


def test_what_is_made_is_named(arith: Callable[..., Result]) -> None:
    def made(*command: str) -> dict[str, object]:
        done = arith(*command, "--json")
        assert done.exit_code == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    arith("train", *SMALL)
    assert made("plot", "run", "--out", "here/plot")["files"] == [
        f"here/plot.{ending}" for ending in ("png", "pdf", "svg", "csv")
    ]
    assert "1" in str(made("plot", "run", "--terminal")["text"])
    attention = made("show", "attention", "run", "1+2")
    assert attention["passes"] == [*range(1, 1 + int(str(attention["of"])))]
    exported = made("export", "run", "--to", "exported")
    assert Path("exported/model.safetensors").stat().st_size == exported["bytes"]
    assert made("eject", "alibi", "--out", "own.py") == {"encoding": "alibi", "file": "own.py"}
    assert made("eject", "alibi")["code"] == Path("own.py").read_text(encoding="utf-8")
    assert "penalty proportional to distance" in str(made("show", "encoding", "alibi")["card"])
    assert made("generate", "addition", "--samples", "3", "--out", "few.jsonl") == {"file": "few.jsonl", "samples": 3}
    assert "are JSON already" in arith("generate", "addition", "--json").stderr
    assert made("show", "scheme", "coupled")["scheme"] == "coupled"


def test_a_sweep_lists_its_runs_and_names_its_results(arith: Callable[..., Result], tmp_path: Path) -> None:
    options = ["--ablate", "training.steps=2", "--ablate", "training.steps=3", "--out", "swept"]
    planned = json.loads(arith("sweep", "extrapolation:learned", *options, "--dry-run", "--json").stdout)
    assert [row["steps"] for row in planned][1:] == [2, 3]
