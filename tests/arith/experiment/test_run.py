"""The folder of a run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.experiment.run import Run
from tests.arith.short import short

Arith = Callable[..., Result]
TINY = ("--steps", "4", "--batch", "8", "--digits", "1-2", "--test-digits", "2", "--samples", "9", "--model", "nano")


def test_folders_are_never_lost_by_accident(tmp_path: Path) -> None:
    config = short()
    Run.begin(tmp_path / "run", config)
    with pytest.raises(UsageError, match="--resume, replace it by --overwrite"):
        Run.begin(tmp_path / "run", config)
    with pytest.raises(UsageError, match=r"training\.batch: 16 before, 32 now"):
        Run.begin(tmp_path / "run", short(training={"batch": 32}), "resume")
    assert Run.begin(tmp_path / "run", short(training={"log_every": 1}), "resume").config.training.log_every == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for when_there in ("resume", "overwrite"):
        with pytest.raises(UsageError, match="holds no run"):
            Run.begin(tmp_path / "mine", config, when_there)  # type: ignore[arg-type]
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_run_json_says_what_made_it(tmp_path: Path) -> None:
    config = short()
    described = json.loads((Run.begin(tmp_path / "run", config).folder / "run.json").read_text())
    assert RunConfig.of(described["config"]) == config
    assert described["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert {"commit", "command", "created", "device", "imports"} <= set(described)
    assert Run.open(tmp_path / "run").config == config


def test_what_a_kill_leaves_of_run_json_is_in_nobodys_way(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").touch()
    (tmp_path / "run" / ".run.json.building-77").write_text("{")
    assert arith("train", *TINY, "--out", "run").exit_code == 0


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("run.json", {"imports": 3}, "imports is"),
        ("run.json", {"imports": {"x.py": 3}}, "imports is"),
        ("metrics.jsonl", {"seconds": ""}, "line 1: expected an object with step and seconds"),
        ("metrics.jsonl", {"step": []}, "line 1: expected an object with step and seconds"),
        ("run.json", {"config": {"model": {"width": 8}}}, "the weights are not of the model"),
    ],
)
def test_a_run_that_was_edited_is_refused_in_words(
    arith: Arith, tmp_path: Path, name: str, changes: dict[str, object], message: str
) -> None:
    assert arith("train", *TINY, "--out", "run").exit_code == 0
    path = tmp_path / "run" / name
    first, *others = path.read_text().splitlines() if name == "metrics.jsonl" else [path.read_text()]
    path.write_text("\n".join([json.dumps({**json.loads(first), **changes}), *others, ""]))
    refused = arith("evaluate", "run")
    assert refused.exit_code == 2, refused.stderr
    assert message in refused.stderr
