"""Replies from anywhere: how they are read, scored and refused."""

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import Result

from arith.config.schema import RunConfig
from arith.data.tokenized import texts
from arith.errors import UsageError
from arith.evaluation.text.prompts import PromptSet, Respondent, TextTest, write_prompts
from arith.evaluation.text.replies import match_replies
from arith.evaluation.text.reply import Reply
from arith.evaluation.text.wording import Wording
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
    ("subtraction", "plain+hints"),
    ("subtraction", "plain+groups"),
    ("multiplication", "padded:width=3"),
    ("copy", "plain"),
    ("dialogue", "plain"),
]
# Replies whose right answer is {n}, and the rule that finds it.
MANNERS = [
    ("{n}.0", "opens"),
    ("{n:_}", "opens"),
    ("{n:,}", "opens"),
    ("{latex}", "opens"),
    ("{spaced}", "opens"),
    ("{thin}", "opens"),
    ("= {n} (4 digits)", "equals"),
    ("{n}. Let me know if you have 2 more questions!", "opens"),
    ("{exponent}", "opens"),
    ("{n}, check: {n} - 34 = 1212", "opens"),
    ("It is {n}", "last"),
    ("So \\boxed{{{n}}}, in 2 steps", "boxed"),
    ("The answer is {n}, in 2 steps", "said"),
]


def right(asked: PromptSet, replies: Sequence[str]) -> list[bool]:
    return [judged.right for judged in asked.judge(list(map(Reply, replies)))]


@pytest.mark.parametrize(("task", "form"), WRITTEN)
def test_right_replies_are_right_and_wrong_ones_wrong(task: str, form: str) -> None:
    of = TextTest(task, form, 5)
    (test,) = of.tests([3], ["random"], 12).conditions()
    asked = of.problems(test)
    values = {"task": task, "format": form, "encoding": "nope", "data": {"digits": "1-3"}}
    experiment = Experiment.of(RunConfig.of(values | {"evaluation": {"digits": "3", "seed": 5}}))
    exact = [answer for _, answer in texts(experiment.test_data("random", 3).problems, experiment.format, 0, 12)]
    assert right(asked, exact) == [True] * 12
    assert right(asked, [f" {answer} \n" for answer in exact]) == [True] * 12
    wrong = [answer.translate(str.maketrans("0123456789", "1234567890")) for answer in exact]
    assert right(asked, wrong) == [False] * 12
    assert right(asked, ["I do not know."] * 12) == [False] * 12
    if task == "addition" and form == "plain":
        chatty = [f"{prompt}? That makes {int(own):,}." for prompt, own in zip(asked.bare, asked.answers, strict=True)]
        assert right(asked, chatty) == [True] * 12


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


def test_replies_are_right_in_whatever_manner_they_name_the_number(arith: Callable[..., Result]) -> None:
    of, sizes = ("--test-digits", "4", "--suites", "random"), ("--samples", str(len(MANNERS)))
    assert arith("evaluate", "--prompts", "ask.jsonl", *of, *sizes).exit_code == 0
    rows = [json.loads(line) for line in Path("ask.jsonl").read_text().split("\n") if line]
    lines = []
    for row, (manner, _) in zip(rows, MANNERS, strict=True):
        number = sum(map(int, row["prompt"].removesuffix("=").split("+")))
        text, grouped = str(number), f"{number:,}"
        ways = {"latex": grouped.replace(",", "{,}"), "spaced": grouped.replace(",", " ")}
        ways |= {"thin": grouped.replace(",", "\u2009"), "exponent": f"{text[0]}.{text[1:]}e{len(text) - 1}"}
        lines.append({"id": row["id"], "reply": manner.format(n=number, **ways)})
    Path("said.jsonl").write_text("\n".join(map(json.dumps, lines)))
    scored = arith("evaluate", "--replies", "said.jsonl")
    assert scored.exit_code == 0, scored.stderr
    (cell,) = Results.load(Path("said-evaluation.json")).cells
    assert cell.correct == cell.n == len(MANNERS)
    assert cell.measures == Counter(f"rule_{rule}" for _, rule in MANNERS)


def test_a_working_is_its_own_rule_and_no_number_has_none() -> None:
    (test,) = TextTest("addition", "plain+scratchpad", 5).tests([2], ["random"], 3).conditions()
    asked = TextTest("addition", "plain+scratchpad", 5).problems(test)
    said = [Reply("12"), Reply(""), Reply("none")]
    assert [judged.rule for judged in asked.judge(said)] == ["working"] * 3
    plain = TextTest("addition", "plain", 5).problems(test)
    assert [judged.rule for judged in plain.judge([Reply("1.5"), *said[1:]])] == ["opens", None, None]


def test_files_of_replies_are_read_in_any_locale_and_only_line_feeds_end_lines(tmp_path: Path) -> None:
    of = TextTest("addition", "plain", 5)
    asked = of.problems(Condition("random", 3, 6))
    replies = [f"{answer}\u2028so it is, \u00e0 peu pr\u00e8s\x85" for answer in asked.answers]
    rows = [
        json.dumps({"id": name, "reply": reply}, ensure_ascii=False)
        for name, reply in zip(asked.ids(), replies, strict=True)
    ]
    (tmp_path / "said.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*rows, "", " ", ""]).encode())
    # PYTHONCOERCECLOCALE: or Python would make UTF-8 of the locale C by itself.
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"} | plain
    command = [sys.executable, "-m", "arith", "evaluate", "--replies", "said.jsonl"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")
    (cell,) = Results.load(tmp_path / "said-evaluation.json").cells
    assert (cell.correct, cell.n, cell.measures) == (6, 6, {"rule_opens": 6})


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
    refused("the reply is no text", json.dumps({"id": rows[0]["id"], "reply": 12}))
    for name in (
        "17",
        "addition/plain/1/0/grid/3/6/0",
        "addition/plain/1/0/grid/0x2/6/0",
        "addition/plain/1/-2/random/3/6/0",
    ):
        refused("is none that arith evaluate --prompts wrote", json.dumps({"id": name, "reply": "12"}))
    refused("holds no replies", "")


def test_an_id_of_a_test_set_that_no_memory_holds_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text(json.dumps({"id": "addition/plain/1/0/random/3/100000000000/0", "reply": "1"}))
    with pytest.raises(UsageError, match=r"lacks 99999999999 of 100000000000 replies, the first to .*/100000000000/1"):
        list(match_replies(path))


def test_missing_replies_count_as_asked_and_failed(arith: Callable[..., Result]) -> None:
    assert arith("evaluate", "--prompts", "ask.jsonl", "--test-digits", "2", "--samples", "5").exit_code == 0
    rows = [json.loads(line) for line in Path("ask.jsonl").read_text().splitlines()]
    right = [{"id": row["id"], "reply": str(sum(map(int, row["prompt"][:-1].split("+"))))} for row in rows]
    # The first failed, and was asked again.
    lines = [right[0] | {"reply": "", "failed": "timed out"}, *right[:3]]
    Path("said.jsonl").write_text("\n".join(map(json.dumps, lines)))
    refused = arith("evaluate", "--replies", "said.jsonl")
    assert refused.exit_code == 2
    assert "lacks 2 of 5" in refused.stderr
    assert "--partial" in refused.stderr
    scored = arith("evaluate", "--replies", "said.jsonl", "--partial")
    assert "not right: 2 error" in scored.stdout
    (cell,) = Results.load(Path("said-evaluation.json")).cells
    assert (cell.n, cell.correct, cell.measures) == (5, 3, {"rule_opens": 3, "error": 2})


def test_calls_are_replied_in_words_too_and_scored_in_part() -> None:
    of = TextTest("request:outside=0.2", "plain", 0, shots=10)
    asked = of.problems(Condition("random", 2, 10))
    shown = [answer.partition("(")[0] for _, answer in asked.shots]
    assert sorted(shown) == sorted(["add", "sub", "mul", "max", "compare", "digit", "round", "sum3", "none", "none"])
    right = list(asked.answers)
    assert right.count("none()") == 2
    replies = [f"I would call `{call.replace(',', ', ')}` here." for call in right[:8]] + ["none()", "I cannot."]
    cell = asked.cell([Reply(text) for text in replies], Respondent("big"))
    refused, meant = [right[row] == "none()" for row in (8, 9)], 8 - right[:8].count("none()")
    assert cell.correct == 8 + refused[0]
    assert cell.measures["right_call"] == cell.measures["right_value"] == cell.correct
    assert cell.measures["refusals"] == 8 - meant + refused[0]
    assert cell.measures["false_refusals"] == (not refused[0])
    assert cell.measures["rule_task"] == 9
    assert cell.measures["refused"] == 1, "a model that will not answer is no model that says none()"
    chat = Wording.of(None, True, None, asked.task, asked.format).put("What is 5 plus 7?=")
    assert "none() if no call answers" in chat[0]["content"]
    assert chat[0]["content"].endswith("Request: What is 5 plus 7?")
