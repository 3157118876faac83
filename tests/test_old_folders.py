"""Folders that an earlier arith wrote (commit e40fa8b, before the package was cut into rooms) are still read.

tests/golden/old-run is `arith train addition --encoding coupled-window --digits 1-2 ...`, as its run.json says, without
figures; tests/golden/old-export is `arith export` of it. Neither may be written again by newer code.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import arith.hf.model  # noqa: F401  registers arith's models
from arith.cli import cli

# What the earlier code answered, and its logits of the digits 0-3 after the prompt. Best and second-best token differ
# by 0.08 at least, far more than processors do in rounding.
REPLIES = {
    "05+99=": ("0$", [0.543732, 0.000104, 0.273556, -0.555436]),
    "7+2=": ("$", [0.136811, -0.062862, 0.165732, -0.272640]),
    "90+10=": ("0$", [0.515610, 0.049157, 0.275880, -0.535992]),
    "123+456=": ("80$", [0.352456, 0.111330, 0.131478, -0.450360]),
}


@pytest.fixture
def old(root: Path, tmp_path: Path) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(root / "tests" / "golden" / name, tmp_path / name))

    return copy


def test_an_old_run_is_resumed_to_the_very_same_weights(old: Callable[[str], Path], tmp_path: Path) -> None:
    run = old("old-run")
    last = run / "checkpoints" / "step-00000008"
    expected = {name: load_file(last / f"{name}.safetensors") for name in ("model", "optimizer")}
    results = json.loads((run / "results.json").read_text())
    losses = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    shutil.rmtree(last)
    (run / "results.json").unlink()
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in losses if row["step"] <= 4))
    settings = json.loads((run / "run.json").read_text())["command"].split()[2:-2]
    ran = CliRunner().invoke(cli, ["train", *settings, "--resume", "--out", str(run)], catch_exceptions=False)
    assert ran.exit_code == 0, ran.stderr
    for name, tensors in expected.items():
        # Bit for bit where they were written; other processors add in another order.
        torch.testing.assert_close(load_file(last / f"{name}.safetensors"), tensors, rtol=0, atol=1e-6)
    for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        before = next(other for other in losses if other["step"] == row["step"])
        assert row["loss"] == pytest.approx(before["loss"], rel=1e-6)
    counts = [[cell[key] for key in ("digits", "suite", "n", "correct", "seen")] for cell in results["cells"]]
    now = json.loads((run / "results.json").read_text())["cells"]
    assert [[cell[key] for key in ("digits", "suite", "n", "correct", "seen")] for cell in now] == counts


def test_an_old_export_answers_as_it_did(old: Callable[[str], Path]) -> None:
    folder = old("old-export")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, (reply, digits) in REPLIES.items():
        prompt = tokenizer(text, return_tensors="pt")
        generated = model.generate(**prompt, do_sample=False)[0, prompt["input_ids"].shape[1] :]
        assert tokenizer.decode(generated) == reply
        with torch.no_grad():
            logits = model(**prompt).logits[0, -1, : len(digits)]
        torch.testing.assert_close(logits, torch.tensor(digits), rtol=0, atol=1e-4)
