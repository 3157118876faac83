"""Prompts, and replies from anywhere."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from arith.catalogue.named import format_named, task_named
from arith.config.schema import RunConfig
from arith.data.tokenized import texts
from arith.errors import UsageError
from arith.evaluation.text.prompts import TextTest, last_number, write_prompts
from arith.evaluation.text.replies import match_replies
from arith.experiment.experiment import Experiment
from arith.results.schema import Condition, Results

TWO = [Condition("random", 1, 6), Condition("random", 3, 6)]
WRITTEN = [
    ("addition", "plain"),
    ("addition", "reversed"),
    ("addition", "plain+groups"),
    ("addition", "plain+groups:size=1"),
    ("addition:operands=3", "padded-all-reversed"),
    ("addition", "plain+scratchpad"),
    ("addition", "reversed+hints"),
    ("addition", "interleaved"),
    ("subtraction", "plain"),
    ("subtraction", "reversed"),
    ("multiplication", "padded:width=3"),
    ("copy", "plain"),
    ("dialogue", "plain"),
]


@pytest.mark.parametrize(("task", "form"), WRITTEN)
def test_right_replies_are_right_and_wrong_ones_wrong(task: str, form: str) -> None:
    of = TextTest(task, form, 5)
    (test,) = of.tests([3], ["random"], 12).conditions()
    asked = of.problems(test)
    values = {"task": task, "format": form, "encoding": "nope", "data": {"digits": "1-3"}}
    experiment = Experiment.of(RunConfig.of(values | {"evaluation": {"digits": "3", "seed": 5}}))
    exact = [answer for _, answer in texts(experiment.test_data("random", 3).problems, experiment.format, 0, 12)]
    assert asked.right(exact) == [True] * 12
    assert asked.right([f" {answer} \n" for answer in exact]) == [True] * 12
    wrong = [answer.translate(str.maketrans("0123456789", "1234567890")) for answer in exact]
    assert asked.right(wrong) == [False] * 12
    assert asked.right(["I do not know."] * 12) == [False] * 12
    if task == "addition" and form == "plain":
        chatty = [f"{prompt}? That makes {int(own):,}." for prompt, own in zip(asked.bare, asked.answers, strict=True)]
        assert asked.right(chatty) == [True] * 12


@settings(deadline=None)
@given(st.integers(-(10**12), 10**12), st.text(alphabet="abc .=+", max_size=6))
def test_the_last_number_is_found_whatever_stands_before(number: int, before: str) -> None:
    task = task_named("subtraction")
    for written in (str(number), f"{number:,}"):
        assert last_number(f"12 and 7 {before}{written}.", format_named("plain"), task) == str(number)


def test_prompts_are_replied_to_anywhere(arith: Callable[..., Result]) -> None:
    wrote = arith(
        "evaluate", "--prompts", "ask.jsonl", "--test-digits", "1,4", "--suites", "random,nines", "--samples", "8"
    )
    assert wrote.exit_code == 0, wrote.stderr
    rows = [json.loads(line) for line in Path("ask.jsonl").read_text().splitlines()]
    assert len(rows) == len({row["id"] for row in rows}) == 32
    with Path("said.jsonl").open("w") as said:
        for place, row in enumerate(rows):
            first, second = row["prompt"].removesuffix("=").split("+")
            reply = int(first) + int(second) + (place % 4 == 0)
            said.write(json.dumps({"id": row["id"], "reply": f"It is {reply}"}) + "\n")
    scored = arith("evaluate", "--replies", "said.jsonl", "--trained-digits", "1-3")
    assert scored.exit_code == 0, scored.stderr
    cells = Results.load(Path("said-evaluation.json")).cells
    assert [(cell.suite, cell.digits, cell.n, cell.correct) for cell in cells] == [
        (suite, digits, 8, 6) for digits, suite in itertools.product((1, 4), ("random", "nines"))
    ]
    assert cells[0].train_lengths == (1, 3)


def test_files_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    of = TextTest("addition", "plain", 1)
    write_prompts(path, of, TWO)
    rows = [json.loads(line) | {"reply": "1"} for line in path.read_text().splitlines()]

    def refused(match: str, *lines: str) -> None:
        path.write_text("\n".join(lines))
        with pytest.raises(UsageError, match=match):
            list(match_replies(path))

    whole = [json.dumps(row) for row in rows]
    refused("lacks 1 of 6 replies, the first to addition/plain/1/0/random/3/6/5", *whole[:-1])
    refused("line 13: there is a reply", *whole, whole[0])
    refused("line 2: expected", whole[0], "{")
    refused("line 1: expected", json.dumps({"id": rows[0]["id"]}))
    refused("id and reply are texts", json.dumps({"id": rows[0]["id"], "reply": 12}))
    refused("is none that arith evaluate --prompts wrote", json.dumps({"id": "17", "reply": "12"}))
    refused("holds no replies", "")


def test_what_goes_not_together_is_refused(arith: Callable[..., Result], gpt2: Path, tmp_path: Path) -> None:
    def error(*arguments: str) -> str:
        ran = arith("evaluate", *arguments)
        assert ran.exit_code == 2, ran.output
        return ran.stderr

    assert "name a run, a local model by --hf" in error()
    assert "give it without --hf and --prompts" in error("--replies", "a", "--hf", "b")
    assert "nothing is downloaded" in error("--hf", "gpt2")
    assert "--anatomy is for runs" in error("--hf", str(gpt2), "--anatomy")
    assert "leave RUN or it out" in error("runs/mine", "--shots", "3")
    assert "the model has 64 positions" in error("--hf", str(gpt2), "--shots", "9", "--samples", "2")
    (tmp_path / "said.jsonl").write_text("{}")
    assert "leave out --test-digits" in error("--replies", "said.jsonl", "--test-digits", "3")
    assert "exists" in error("--prompts", "said.jsonl")
    assert (
        arith("evaluate", "--hf", str(gpt2), "--samples", "2", "--test-digits", "1", "--out", "own.json").exit_code == 0
    )
    assert "of another model or test" in error("--hf", str(gpt2), "--format", "reversed", "--out", "own.json")
    shown = arith("evaluate", "--prompts", "new.jsonl", "--dry-run")
    assert "random 5 digits, 100 problems" in shown.stdout
    assert not (tmp_path / "new.jsonl").exists()
