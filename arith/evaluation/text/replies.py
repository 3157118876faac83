"""Replies to prompts, as they come back in a file of JSON lines, matched with the problems that their ids name."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

from arith.errors import UsageError
from arith.evaluation.text.interface import read_batch_line
from arith.evaluation.text.prompts import PromptSet, TextTest
from arith.evaluation.text.reply import Reply
from arith.evaluation.text.wording import HASHED, Wording
from arith.process.reading import read_lines
from arith.results.schema import GRID, Condition

MOST_ASKED = 1_000_000  # problems of a test set that are drawn for a share of their replies: some seconds
PARTIAL = ". With --partial missing replies count as failures"
MISSING = Reply("", failed="the file has no reply")


def read_replies(path: Path) -> dict[str, Reply]:
    """Replies by id.

    Raises:
        UsageError: a line is not a reply, or an id has two.
    """
    found: dict[str, Reply] = {}
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = json.loads(line)
            is_batch = "custom_id" in row
            name = row["custom_id" if is_batch else "id"]
            reply = read_batch_line(row) if is_batch else Reply.of(row)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f'{path}, line {number}: expected {{"id": ..., "reply": ...}}, got {line!r:.80}. Each line of the file '
                f"that --prompts wrote gets a reply ({error})"
            ) from error
        if not isinstance(name, str):
            raise UsageError(f"{path}, line {number}: an id is a text, got {name!r:.60}")
        # What failed is asked again, and the line of the second try stands further down.
        if name in found and not found[name].failed:
            raise UsageError(f"{path}, line {number}: there is a reply to {name} already")
        found[name] = reply
    if not found:
        raise UsageError(f"{path} holds no replies")
    return found


def match_replies(path: Path, partial: bool = False) -> Iterator[tuple[PromptSet, list[Reply]]]:
    """The test sets that a file of replies answers, each with its replies in order.

    Args:
        path: the file.
        partial: whether replies may be missing, which then count as failures: n is what was asked.

    Raises:
        UsageError: an id is not one of `write_prompts`, or replies to some of a test set's problems are missing.
    """
    # A share of a test set is refused: an accuracy over the problems that a model chose to answer is no accuracy.
    replies = read_replies(path)
    tests: dict[tuple[TextTest, Condition], list[str]] = {}
    for name in replies:
        tests.setdefault(_parse_id(name, path), []).append(name)
    for (of, test), names in tests.items():
        # Counted before the problems are drawn: an id can name a test set that no memory holds.
        whole = len(names) >= test.n or (partial and test.n <= MOST_ASKED)
        try:
            asked = of.problems(test if whole else dataclasses.replace(test, n=1))
        except UsageError:
            raise
        except ValueError as error:  # an id that reads well and names no problems, such as a grid's of one length
            raise _refusal(names[0], path, error) from error
        if not whole:
            start, there = names[0].rpartition("/")[0], set(names)
            first = next(name for row in range(test.n) if (name := f"{start}/{row}") not in there)
            raise UsageError(f"{path} lacks {test.n - len(names)} of {test.n} replies, the first to {first}{PARTIAL}")
        missing = [name for name in asked.ids() if name not in replies]
        if missing and not partial:
            raise UsageError(f"{path} lacks {len(missing)} of {test.n} replies, the first to {missing[0]}{PARTIAL}")
        yield asked, [replies.get(name, MISSING) for name in asked.ids()]


def _parse_id(name: str, path: Path) -> tuple[TextTest, Condition]:
    try:
        task, form, seed, shots, *wording, suite, lengths, n, row = name.split("/")
        pair = tuple(map(int, lengths.split("x")))
        test = Condition(suite, max(pair), int(n), pair if suite == GRID else None)
        if not 0 <= int(row) < test.n:
            raise ValueError("no such row")
        if len(wording) > 1 or not re.fullmatch(rf"(?:[0-9a-f]{{{HASHED}}})?", "".join(wording)):
            raise ValueError("no such wording")
        return TextTest(task, form, int(seed), int(shots), Wording(hashed="".join(wording))), test
    except ValueError as error:
        raise _refusal(name, path, error) from error


def _refusal(name: str, path: Path, error: ValueError) -> UsageError:
    return UsageError(f"{path}: id {name!r} is none that arith evaluate --prompts wrote ({error})")
