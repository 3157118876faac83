"""The card of an exported model."""

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
