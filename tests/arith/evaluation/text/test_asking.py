"""A model behind HTTP that answers in many styles and not always: the table is right, and nothing is asked twice."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from arith.evaluation.text import endpoint as endpoint_file
from arith.evaluation.text.replies import match_replies
from arith.results.schema import Results
from tests.arith.evaluation.text.serving import Answer, Asked, completion, serving

KEY = "sk-this-is-a-secret-0123"
# Replies to a + b with the sum {n}, {w} a wrong number, and the kind that each is of.
STYLES = [
    ("{n}", "right"),
    ("{n}.", "right"),
    ("{n:,}", "right"),
    ("**{n}**", "right"),
    ("\\boxed{{{n}}}", "right"),
    ("$$\\boxed{{{n:,}}}$$", "right"),
    ("The answer is {n}.", "right"),
    ("Answer: {n}\n\nLet me know if you have 2 more questions!", "right"),
    ("{a} + {b} = {n}", "right"),
    ("{a} + {b} = **{n}** (4 digits)", "right"),
    ("{n}, check: {n} - {b} = {a}", "right"),
    ("{n:_}", "right"),
    ("{n}.0", "right"),
    ("<think>{a} and {b}, so {w}? No.</think>{n}", "right"),
    ("Adding {a} and {b} step by step:\n1. units\n2. tens\n\n{n}", "right"),
    ("{w}", "wrong"),
    ("{a} + {b} = {w}", "wrong"),
    ("{n}.5", "wrong"),
    ("I'm sorry, but I cannot add {a} and {b}.", "refused"),
    ("  ", "empty"),
]
LENGTHS, N = (3, 4), 60
FEW = ("--test-digits", "3,4", "--samples", str(N))


class StandIn:
    """Answers by the place of a problem in its test set; where it `fails`, it drops all tries of some."""

    def __init__(self, rows: list[str]) -> None:
        self.place = {prompt: place for place, prompt in enumerate(rows)}
        self.fails = True

    def kind(self, prompt: str) -> str:
        """The kind that a problem's reply is of, as soon as there is one."""
        place = self.place[prompt]
        return "truncated" if place % 20 == 7 else STYLES[place * 7 % 20][1]

    def drops(self, prompt: str) -> bool:
        return self.place[prompt] % 10 == 3

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers["Authorization"] != f"Bearer {KEY}":
            return Answer(401, {"error": {"message": f"Incorrect API key: {asked.headers['Authorization']}"}})
        place = self.place[asked.prompt]
        if self.drops(asked.prompt) and self.fails:
            return Answer(0, "")
        if place % 12 == 5 and asked.attempt == 1:
            return Answer(429, f"too fast for {KEY}", (("Retry-After", "0.1"),))
        a, b = map(int, re.findall("[0-9]+", asked.prompt))
        if place % 20 == 7:
            return completion(f"{a} + {b} = {str(a + b)[:-1]}", "length")
        return completion(STYLES[place * 7 % 20][0].format(a=a, b=b, n=a + b, w=a + b + 10))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_file, "FIRST_WAIT", 0.01)


def lines(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_the_table_is_right_and_a_second_run_asks_only_what_is_missing(
    arith: Callable[..., Result], tmp_path: Path
) -> None:
    assert arith("evaluate", "--prompts", "ask.jsonl", "--chat", *FEW).exit_code == 0
    prompts = [str(row["messages"][0]["content"]) for row in lines("ask.jsonl")]  # type: ignore[index]
    stand_in = StandIn(prompts)

    def check(ran: Result, failing: bool) -> list[str]:
        assert ran.exit_code == 0, ran.stderr
        results = Results.load(Path("it-evaluation.json"))
        assert [(cell.digits, cell.n) for cell in results.cells] == [(digits, N) for digits in LENGTHS]
        for cell, asked in zip(results.cells, (prompts[:N], prompts[N:]), strict=True):
            kinds = Counter("error" if failing and stand_in.drops(one) else stand_in.kind(one) for one in asked)
            assert cell.correct == kinds.pop("right")
            assert {kind: cell.measures.get(kind, 0) for kind in kinds} == kinds
            assert cell.measures["prompt_tokens"] == 11 * (N - kinds["error"])
        about = results.about["endpoint"]
        assert (about["model"], about["returned"], about["temperature"]) == ("it", ["stand-in-2026"], 0)
        assert len(about["asked"]) == 2
        assert results.about["wording"]["chat"] is True
        for file in tmp_path.rglob("*"):
            assert KEY.encode() not in file.read_bytes(), file
        assert KEY not in ran.stdout + ran.stderr
        return [one.prompt for one in seen]

    with serving(stand_in) as (url, seen):
        command = ("evaluate", "--endpoint", url, "--model", "it", "--key-env", "MY_KEY", "--concurrency", "6", *FEW)
        asked = Counter(check(arith(*command, MY_KEY=KEY), failing=True))
        dropped = {prompt for prompt in prompts if stand_in.drops(prompt)}
        assert {prompt for prompt, tries in asked.items() if tries == 5} == dropped
        assert "count as failures" in arith(*command, MY_KEY=KEY).stderr
        seen.clear()
        stand_in.fails = False
        assert set(check(arith(*command, MY_KEY=KEY), failing=False)) == dropped
        seen.clear()
        check(arith(*command, MY_KEY=KEY), failing=False)
        assert not seen
        other = arith(*command, "--model", "other", "--prompts", "it-replies.jsonl", MY_KEY=KEY)
        assert "holds replies of another model" in other.stderr
    # The file is one of replies like any other.
    scored = arith("evaluate", "--replies", "it-replies.jsonl")
    assert scored.exit_code == 0, scored.stderr
    assert sum(len(replies) for _, replies in match_replies(Path("it-replies.jsonl"))) == 2 * N


def test_texts_are_completed_and_a_hopeless_server_is_left(arith: Callable[..., Result]) -> None:
    def answer(asked: Asked) -> Answer:
        a, b = map(int, re.findall("[0-9]+", asked.prompt.rpartition("\n")[2]))
        text = f" {a + b}\n1+1=3"
        return Answer(200, {"choices": [{"text": text, "finish_reason": "length"}]})

    few = ("--test-digits", "2", "--samples", "30", "--model", "base", "--completions", "--shots", "2")
    with serving(answer) as (url, seen):
        assert arith("evaluate", "--endpoint", url, *few).exit_code == 0
        assert {(one.path, one.body["max_tokens"], one.prompt[-1]) for one in seen} == {("/v1/completions", 12, "=")}
    assert Results.load(Path("base--2-shots-evaluation.json")).cells[0].correct == 30
    with serving(lambda _: Answer(400, "no such\nparameter")) as (url, seen):
        ran = arith("evaluate", "--endpoint", url, *few, "--label", "bad", "--concurrency", "1")
        assert ran.exit_code == 1
        assert "20 requests in a row failed, the last by 400: no such parameter" in ran.stderr
        assert len(seen) >= 20
    assert len(lines("bad-replies.jsonl")) == 20
