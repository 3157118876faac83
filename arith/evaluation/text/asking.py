"""Evaluate a model behind HTTP: what the file of replies lacks is asked, and each reply is kept as it comes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arith.errors import RunError, UsageError
from arith.evaluation.text.endpoint import Endpoint
from arith.evaluation.text.interface import TEMPERATURE, requests
from arith.evaluation.text.prompts import PromptSet, Respondent, TextTest, prompt_line
from arith.evaluation.text.replies import read_replies
from arith.evaluation.text.reply import Reply
from arith.process.files import append_whole
from arith.process.hints import current_command
from arith.process.progress import progress
from arith.process.reading import read_lines
from arith.process.signals import catch_interrupts
from arith.results.schema import Condition, Results

# Failures in a row after which a server is taken for gone: the rest would fail too, slowly.
HOPELESS = 20


def ask_endpoint(
    endpoint: Endpoint,
    model: str,
    of: TextTest,
    sets: Sequence[Condition],
    who: Respondent,
    transcript: Path,
    concurrency: int,
) -> Results:
    """Ask a model what was not asked yet, or failed, and score all replies.

    Args:
        endpoint: the server.
        model: the name by which it knows the model.
        of: the test.
        sets: its test sets.
        who: the model as the results describe it.
        transcript: the file of prompts and replies, a line each.
        concurrency: requests at a time.

    Raises:
        KeyboardInterrupt: a signal came; all replies that came are kept.
        RunError: the server takes no requests, or fails again and again.
    """
    settings = {"model": model, "temperature": TEMPERATURE}
    written = _read_transcript(transcript, settings)
    asked = [of.problems(test) for test in sets]
    ids = [(one, row, name) for one in asked for row, name in enumerate(one.ids())]
    bodies = [body for one in asked for body in requests(one, model)]
    missing = [place for place, (_, _, name) in enumerate(ids) if name not in written or written[name].failed]
    done, in_a_row = len(ids) - len(missing), 0
    with catch_interrupts() as flag, progress(f"ask {who.label}", len(ids), done) as shown:
        for at, reply in endpoint.ask_all([bodies[place] for place in missing], concurrency, lambda: flag.raised):
            one, row, name = ids[missing[at]]
            written[name] = reply
            append_whole(transcript, _line(one, row, name, bodies[missing[at]], reply, settings))
            done += 1
            shown.update(done, reply.failed)
            in_a_row = in_a_row + 1 if reply.failed else 0
            if in_a_row == HOPELESS:
                raise RunError(
                    f"{HOPELESS} requests in a row failed, the last by {reply.failed}. Replies are kept in "
                    f"{transcript}, and the same command goes on"
                )
        if flag.raised:
            raise KeyboardInterrupt
    cells = tuple(one.cell([written[name] for name in one.ids()], who) for one in asked)
    about = {"model": f"{model}, asked by HTTP", "command": current_command(), "wording": of.wording.described()}
    about["endpoint"] = settings | {"url": endpoint.url} | _describe([written[name] for _, _, name in ids])
    return Results(cells, about)


def _describe(replies: Sequence[Reply]) -> dict[str, Any]:
    """What results say of how replies came about."""
    dates = sorted(reply.date for reply in replies if reply.date)
    returned = sorted({reply.model for reply in replies if reply.model})
    return {"seed": None, "returned": returned, "asked": [dates[0], dates[-1]] if dates else []}


def _read_transcript(path: Path, settings: Mapping[str, Any]) -> dict[str, Reply]:
    """The replies that a file holds.

    Raises:
        UsageError: some are of another model.
    """
    if not path.exists() or not read_lines(path):
        return {}
    replies = read_replies(path)
    for line in read_lines(path):
        if (asked := json.loads(line).get("asked")) != settings:
            raise UsageError(f"{path} holds replies of another model ({asked}). Choose another --prompts")
    return replies


def _line(
    asked: PromptSet, row: int, name: str, body: Mapping[str, Any], reply: Reply, settings: Mapping[str, Any]
) -> str:
    prompt = body.get("messages", body.get("prompt"))
    judged = asked.judge_row(row, reply)
    values = {**prompt_line(name, prompt), **reply.line(), **judged._asdict(), "asked": settings}
    return json.dumps(values, ensure_ascii=False) + "\n"
