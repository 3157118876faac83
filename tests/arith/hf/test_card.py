"""The card of an exported model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from huggingface_hub import ModelCard

from arith.results.schema import Results


def test_the_card_says_what_the_results_say(
    arith: Callable[..., Result], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert arith("export", str(run), "--to", "adder").exit_code == 0
    card = ModelCard.load(tmp_path / "adder" / "README.md")
    assert card.data.license == "apache-2.0"
    cells = Results.load(run / "results.json").cells
    rows = [line for line in card.text.splitlines() if line.startswith(("| 1 ", "| 2 ", "| 3 "))]
    assert len(rows) == 3
    for cell in cells:
        row = next(line for line in rows if line.startswith(f"| {cell.digits} | {cell.n} |"))
        assert f" {100 * cell.accuracy:.1f}".removesuffix(".0") in row
        assert f"-{100 * cell.high:.1f}".removesuffix(".0") in row
    assert f"{cells[0].parameters:,} parameters" in card.text
    # Its example runs.
    code = next(block for block in card.text.split("```python\n")[1:]).partition("```")[0]
    exec(compile(code.replace("FOLDER", "'adder'"), "card", "exec"), {})
    assert capsys.readouterr().out.startswith("^12+34=")


def test_a_model_from_a_pretrained_one_has_its_licence_or_none(
    arith: Callable[..., Result], gpt2: Path, tmp_path: Path
) -> None:
    shutil.copytree(gpt2, base := tmp_path / "base")
    options = ("--format", "plain+groups:size=1", "--digits", "1", "--test-digits", "1", "--samples", "5")
    begun = arith("train", "addition", "--init", f"hf:{base}", *options, "--steps", "1", "--out", "run")
    assert begun.exit_code == 0, begun.stderr

    def described() -> tuple[str | None, str | None]:
        wrote = arith("export", "run", "--to", out := f"out{len(list(tmp_path.iterdir()))}")
        assert wrote.exit_code == 0, wrote.stderr
        data = ModelCard.load(tmp_path / out / "README.md").data
        return data.license, data.base_model

    assert described() == (None, None)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "_name_or_path": "someone/tiny-gpt2"}))
    (base / "README.md").write_text("---\nlicense: mit\ntags:\n- text\n---\n# A model\n\nlicense: none\n")
    assert described() == ("mit", "someone/tiny-gpt2")
    (base / "config.json").write_text(json.dumps({**config, "_name_or_path": "/home/someone/gpt2"}))
    (base / "README.md").write_text("license: mit\n")
    assert described() == (None, None)
