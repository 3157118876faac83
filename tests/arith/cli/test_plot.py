"""Figures drawn by the command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from arith.figures.training import Training, read_training
from arith.results.schema import Results
from tests.arith.examples import anatomy, cell, grid_cells

Arith = Callable[..., Result]


def test_plot_draws_each_kind_from_its_file(arith: Arith, tmp_path: Path) -> None:
    cells = [*(cell(digits=d, correct=400 if d < 5 else 0) for d in (1, 4, 9)), *grid_cells("rope", 3, lambda a, b: 1)]
    Results(tuple(cells), {}, (anatomy("rope", 9, 60),)).save(tmp_path / "evaluation.json")
    for kind in ("accuracy", "grid", "anatomy"):
        drawn = arith("plot", "evaluation.json", "--kind", kind, "--out", f"new/{kind}")
        assert drawn.exit_code == 0, drawn.output
        assert len(list((tmp_path / "new").glob(f"{kind}.*"))) == 4
    assert "100% |" in arith("plot", "evaluation.json", "--terminal").stdout
    assert "[@]" in arith("plot", "evaluation.json", "--terminal", "--kind", "grid").stdout
    Results((cell(loops=8), cell(loops=16, digits=9))).save(tmp_path / "loops.json")
    assert arith("plot", "loops.json", "--kind", "loops", "--out", "new/loops").exit_code == 0
    (tmp_path / "run").mkdir()
    rows = [{"step": 50, "seconds": 1.0, "loss": 0.5}, {"step": 100, "loss": 0.2, "accuracy": 0.9}]
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert read_training(tmp_path / "run") == Training(
        "run", {"loss": [(50, 0.5), (100, 0.2)], "accuracy": [(100, 0.9)]}
    )
    drawn = arith("plot", "run", "--kind", "training")
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "training.svg").stat().st_size


def test_a_run_without_results_says_what_makes_them(arith: Arith, tmp_path: Path, half_trained: Path) -> None:
    (tmp_path / "half").mkdir()
    shutil.copy(half_trained / "run.json", tmp_path / "half")
    for options, makes in (((), "train --resume --out half"), (("--kind", "grid"), "evaluate half")):
        refused = arith("plot", "half", *options)
        assert refused.exit_code == 2
        assert makes in " ".join(refused.stderr.replace("│", "").split())


def test_a_folder_of_runs_names_them(arith: Arith, tmp_path: Path, half_trained: Path) -> None:
    (tmp_path / "runs" / "half").mkdir(parents=True)
    shutil.copy(half_trained / "run.json", tmp_path / "runs" / "half")
    for command in (("plot", "runs"), ("evaluate", "runs")):
        refused = arith(*command)
        assert refused.exit_code == 2
        assert "name one or more of them: runs/half" in " ".join(refused.stderr.split())


def test_other_mistakes_are_told(arith: Arith, tmp_path: Path) -> None:
    Results((cell(),)).save(tmp_path / "one.json")
    newer = (tmp_path / "one.json").read_text().replace('"version": 1', '"version": 2')
    (tmp_path / "newer.json").write_text(newer)
    (tmp_path / "empty.json").write_text('{"version": 1, "cells": []}')
    (tmp_path / "list.json").write_text('{"version": 1, "cells": {}}')
    (tmp_path / "m.jsonl").write_text('{"step": 1, "loss": NaN}\n')
    (tmp_path / "n.jsonl").write_text('{"step": 1}\n')
    for command, message in (
        ("plot one.json newer.json", "newer.json is of schema version 2, and this arith reads 1"),
        ("plot empty.json", "no results on suite 'random' in empty.json. Suites there: none"),
        ("plot one.json --suite chain", "no results on suite 'chain' in one.json. Suites there: random"),
        ("plot list.json", "list.json: 'cells' is a list"),
        ("plot one.json --kind grid", "one.json: no cell is of a grid of operand lengths. One is measured by"),
        ("plot one.json --kind anatomy", "one.json: no anatomy of answers to suite 'random'. It is kept by"),
        ("plot one.json --kind training", "one.json, line 1, is no JSON"),
        ("plot m.jsonl --kind training", "m.jsonl, line 1: field 'loss' is a number, got nan"),
        ("plot n.jsonl --kind training", "n.jsonl holds no loss and no accuracy"),
        ("plot gone --kind training", "gone cannot be read"),
        ("plot one.json --kind anatomy --terminal", "--terminal draws accuracy and grids"),
        ("plot one.json --kind loops", "one.json: no cell says with how many loops it was tested"),
        ("plot one.json --suite grid", "no suite is called 'grid'"),
    ):
        refused = arith(*command.split())
        assert refused.exit_code == 2, f"{command}: {refused.output}"
        assert message in " ".join(refused.stderr.split()), command


def test_a_shipped_model_is_drawn_by_its_name(arith: Arith, tmp_path: Path) -> None:
    assert arith("plot", "addition").exit_code == 0
    assert (tmp_path / "accuracy.png").is_file()
