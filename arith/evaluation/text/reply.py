"""A reply with what is known of how it came about, and how it failed."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any, get_args

from arith.evaluation.text.number import THOUGHT, Judged, Kind
from arith.results.uncertainty import spread_of

FAILURES = get_args(Kind)[1:]
# Said instead of an answer. Looked for only in replies that are not right, so that a match can hide no answer.
_REFUSAL = re.compile(
    r"\bI(?:\s?['\u2019]m|\s+am)?\s+(?:cannot|can\s?not|can['\u2019]t|unable|not able|won['\u2019]t|will not"
    r"|do not know|don['\u2019]t know)\b|\bas an AI\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reply:
    """A reply of a model.

    Args:
        text: what it wrote.
        failed: why there is no reply, such as a server that does not answer.
        truncated: whether it was cut off at the most tokens that a reply may have.
        refused: whether whoever served the model says that it refused.
        model: the name that the server gives the model; empty if unknown.
        date: when it was asked, in UTC; empty if unknown.
        prompt_tokens, reply_tokens: how many tokens were read and written; 0 if unknown.
        seconds: from the last request to its answer.
    """

    text: str
    failed: str = ""
    truncated: bool = False
    refused: bool = False
    model: str = ""
    date: str = ""
    prompt_tokens: int = 0
    reply_tokens: int = 0
    seconds: float = 0.0

    @staticmethod
    def of(row: dict[str, Any]) -> "Reply":
        """Read the line of a file; what stands under our names and is not of our kind is somebody else's.

        Raises:
            KeyError: it has no `reply`.
            TypeError: its `reply` is no text.
        """
        if not isinstance(row["reply"], str):
            raise TypeError(f"the reply is no text: {row['reply']!r:.60}")
        others = {known.name: row[known.name] for known in fields(Reply) if known.name in row}
        kinds = {known.name: known.type for known in fields(Reply)}
        # A file of other people's may hold infinite or negative numbers, of which no sum means anything.
        fitting = {
            name: value
            for name, value in others.items()
            if type(value) is kinds[name] and (isinstance(value, str) or 0 <= value < inf)
        }
        return Reply(row["reply"], **{name: value for name, value in fitting.items() if name != "text"})

    def line(self) -> dict[str, Any]:
        """What a line of a file holds of it: nothing that is unknown."""
        known = {name: value for name, value in asdict(self).items() if name != "text" and value}
        return {"reply": self.text} | known


def count_kinds(measures: Iterable[Mapping[str, float]]) -> str:
    """The failures of some cells in words.

    >>> count_kinds([{"wrong": 3, "rule_last": 1}, {"wrong": 2, "empty": 1}])
    '5 wrong, 1 empty'
    """
    total = Counter[str]()
    for one in measures:
        total.update({kind: int(one[kind]) for kind in FAILURES if kind in one})
    return ", ".join(f"{total[kind]} {kind}" for kind in FAILURES if total[kind])


def with_kind(reply: Reply, judged: Judged) -> Judged:
    """The judgement of a reply's text, corrected by what is known of the reply.

    >>> with_kind(Reply("12 + 34 = 4", truncated=True), Judged(False, "equals", "wrong")).kind
    'truncated'
    """
    kind: Kind = judged.kind
    if reply.failed:
        kind = "error"
    elif reply.truncated:
        # Even with the right number in it: that may be the first digits of another.
        kind = "truncated"
    elif reply.refused:
        kind = "refused"
    elif judged.right:
        kind = "right"
    elif not THOUGHT.sub("", reply.text).strip():
        kind = "empty"
    elif _REFUSAL.search(reply.text):
        kind = "refused"
    return Judged(kind == "right", judged.rule, kind)


def first_line(text: str) -> str:
    """The first line that is not empty, where a completion ends: behind it a base model writes problems of its own.

    >>> first_line("\\n 46\\n12+5=")
    '46'
    """
    return text.lstrip().partition("\n")[0]


def measure(replies: Iterable[Reply], judged: Iterable[Judged]) -> dict[str, float]:
    """What a cell keeps beside its accuracy: how numbers were found, how replies failed, tokens and seconds."""
    replies, judged = list(replies), list(judged)
    # A number that merely came last is less sure to be the one that was meant.
    counts = Counter(f"rule_{one.rule}" for one in judged if one.rule is not None)
    counts.update(one.kind for one in judged if one.kind != "right")
    values: dict[str, float] = {**counts}
    for name in ("prompt_tokens", "reply_tokens", "seconds"):
        if total := sum(getattr(reply, name) for reply in replies):
            values[name] = total
    # Those that failed, or were scored from a file without times, took no known time.
    if seconds := [reply.seconds for reply in replies if reply.seconds]:
        values |= spread_of(seconds)
    return values
