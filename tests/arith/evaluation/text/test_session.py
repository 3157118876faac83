"""A test by text that is interrupted and goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result

from arith.evaluation.session import SavedCells
from arith.evaluation.text.prompts import Respondent, TextTest
from arith.evaluation.text.replies import match_replies
from arith.evaluation.text.reply import Reply
from arith.evaluation.text.session import ask_sets
from arith.hf.generation import TextModel
from arith.results.schema import Condition, Results

TWO = [Condition("random", 1, 6), Condition("random", 3, 6)]


def test_a_local_model_is_tested_and_the_test_goes_on(
    arith: Callable[..., Result], gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("evaluate", "--hf", str(gpt2), "--samples", "5", "--shots", "2")
    first = arith(*options, "--test-digits", "1-2")
    assert first.exit_code == 0, first.stderr
    cells = Results.load(Path("tiny--2-shots-evaluation.json")).cells
    assert [(cell.label, cell.encoding, cell.digits, cell.n) for cell in cells] == [
        ("tiny, 2 shots", "gpt2", digits, 5) for digits in (1, 2)
    ]
    assert cells[0].parameters > 1000
    # What was measured is not asked again; a longer length is.
    asked: list[int] = []
    replies = TextModel.replies

    def counted(self: TextModel, prompts: Any, *rest: Any) -> list[Reply]:
        asked.append(len(prompts))
        return replies(self, prompts, *rest)

    monkeypatch.setattr(TextModel, "replies", counted)
    assert arith(*options, "--test-digits", "1-3").exit_code == 0
    assert asked == [5]
    drawn = arith("plot", "tiny--2-shots-evaluation.json", "--out", "figure")
    assert drawn.exit_code == 0, drawn.stderr
    grid = arith("evaluate", "--hf", str(gpt2), "--grid", "1x1-2", "--samples", "3", "--json", "--label", "grid")
    assert [cell["operand_lengths"] for cell in json.loads(grid.stdout)["cells"]] == [[1, 1], [1, 2]]


class Interrupting:
    """Replies to one test set, and is stopped in the second."""

    def __init__(self) -> None:
        self.model, self.asked = torch.nn.Linear(1, 1), 0

    def replies(self, prompts: Any, new_tokens: int, at_once: int) -> list[Reply]:
        self.asked += 1
        if self.asked == 2:
            raise KeyboardInterrupt
        return [Reply("7")] * len(prompts)


@pytest.mark.parametrize("transcript", [None, Path("asked.jsonl")])
def test_an_interrupted_test_keeps_what_was_replied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transcript: Path | None
) -> None:
    monkeypatch.chdir(tmp_path)
    replier, of, who, path = Interrupting(), TextTest("addition", "plain", 1), Respondent("it"), Path("results.json")
    with pytest.raises(KeyboardInterrupt):
        ask_sets(replier, of, TWO, who, path, transcript, 32)
    results = ask_sets(replier, of, TWO, who, path, transcript, 32)
    assert replier.asked == 3
    assert [cell.digits for cell in results.cells] == [1, 3]
    assert SavedCells(results.about["model"], path).partial.exists()
    if transcript is not None:
        assert [len(replies) for _, replies in match_replies(transcript)] == [6, 6]
        assert {json.loads(line)["rule"] for line in transcript.read_text().splitlines()} == {"opens"}
    assert [cell.measures for cell in results.cells] == [{"rule_opens": 6, "wrong": 6}] * 2
