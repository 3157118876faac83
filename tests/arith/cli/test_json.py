"""--json where programs may read what a command made."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Arith = Callable[..., Result]
SMALL = ["--steps", "2", "--batch", "4", "--digits", "1", "--test-digits", "1", "--samples", "3", "--out", "run"]


def test_what_is_made_is_named(arith: Arith) -> None:
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
    assert made("show", "scheme", "coupled")["scheme"] == "coupled"


def test_a_sweep_lists_its_runs_and_names_its_results(arith: Arith, tmp_path: Path) -> None:
    options = ["--ablate", "training.steps=2", "--ablate", "training.steps=3", "--out", "swept"]
    planned = json.loads(arith("sweep", "extrapolation:learned", *options, "--dry-run", "--json").stdout)
    assert [row["steps"] for row in planned][1:] == [2, 3]
