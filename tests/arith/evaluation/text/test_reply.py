"""Replies with what is known of them, and the kinds of failure."""

import json

import pytest

from arith.evaluation.text.number import Kind
from arith.evaluation.text.prompts import TextTest
from arith.evaluation.text.reply import Reply, measure
from arith.results.schema import Condition

KINDS: list[tuple[Reply, Kind]] = [
    (Reply("{n}"), "right"),
    (Reply("I cannot be sure, but I would say {n}"), "right"),
    (Reply("7"), "wrong"),
    (Reply("no idea"), "wrong"),
    (Reply("I'm unable to add 12 and 34."), "refused"),
    (Reply("I don\u2019t know"), "refused"),
    (Reply("{n}", refused=True), "refused"),
    (Reply("{n}", truncated=True), "truncated"),
    (Reply("", truncated=True), "truncated"),
    (Reply(" \n"), "empty"),
    (Reply("<think>It is {n}</think>"), "empty"),
    (Reply("", failed="timed out"), "error"),
]


def test_kinds_of_failure_are_kept_apart() -> None:
    asked = TextTest("addition", "plain", 5).problems(Condition("random", 3, len(KINDS)))
    replies = [
        Reply(**{**vars(reply), "text": reply.text.replace("{n}", own)})
        for (reply, _), own in zip(KINDS, asked.answers, strict=True)
    ]
    judged = asked.judge(replies)
    assert [one.kind for one in judged] == [kind for _, kind in KINDS]
    assert [one.right for one in judged] == [kind == "right" for _, kind in KINDS]
    measured = measure(replies, judged)
    assert {kind: measured[kind] for kind in ("wrong", "refused", "truncated", "empty", "error")} == {
        "wrong": 2,
        "refused": 3,
        "truncated": 2,
        "empty": 2,
        "error": 1,
    }


def test_a_line_brings_a_reply_back_and_what_is_no_measurement_is_left_out() -> None:
    reply = Reply("12", truncated=True, model="it", prompt_tokens=9, seconds=0.5)
    assert Reply.of(json.loads(json.dumps(reply.line()))) == reply
    others = {"model": 3, "seconds": float("nan"), "prompt_tokens": -1, "date": None, "own": []}
    assert Reply.of({"reply": "12", **others}) == Reply("12")
    with pytest.raises(TypeError, match="no text"):
        Reply.of({"reply": 12})
