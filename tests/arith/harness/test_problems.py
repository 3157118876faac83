"""The task for lm-evaluation-harness."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.harness.problems import results
from arith.results.schema import Results


def test_the_first_line_of_a_reply_counts() -> None:
    document = {"task": "addition", "format": "reversed", "bare": "17+4=", "answer": "21"}
    assert results(document, [" 12\n5+5=01"]) == {"exact_match": 1.0}
    assert results(document, ["21"]) == {"exact_match": 0.0}


@pytest.mark.slow
def test_the_harness_scores_an_exported_folder(arith: Callable[..., Result], root: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install -e '.[harness]'")
    pytest.importorskip("datasets", reason="it is what the harness reads problems with")
    sizes = ("--set", "model.width=32", "--set", "model.heads=2", "--set", "model.hidden=64")
    options = ("--format", "padded-reversed", "--digits", "1-2", "--steps", "250", "--test-digits", "1-2")
    trained = arith("train", "addition", *options, *sizes, "--samples", "20", "--out", "run")
    assert trained.exit_code == 0, trained.stderr
    assert arith("export", "run", "--to", "adder").exit_code == 0
    asked = arith("evaluate", "--hf", "adder", "--format", "padded-reversed", "--test-digits", "1-2", "--samples", "20")
    assert asked.exit_code == 0, asked.stderr
    cells = Results.load(Path("adder-evaluation.json")).cells
    right = sum(cell.correct for cell in cells)
    assert 0 < right < 40, "all or none right would tell little"
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--tasks", "arith", "--device", "cpu"]
    command += ["--model_args", "pretrained=adder,trust_remote_code=True", "--batch_size", "8"]
    command += ["--include_path", str(root / "arith" / "harness"), "--output_path", "scored"]
    command += ["--metadata", json.dumps({"digits": "1-2", "samples": 20})]
    ran = subprocess.run(command, cwd=tmp_path, env=os.environ | offline, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (path,) = (tmp_path / "scored").rglob("results_*.json")
    found = json.loads(path.read_text())["results"]["arith"]
    assert found["exact_match,none"] == pytest.approx(right / 40)
    assert re.search(r"\|arith\|", ran.stdout)
