"""Evaluate a model by text, resuming an interrupted evaluation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from arith.errors import UsageError
from arith.evaluation.session import SavedCells, fingerprint, save_results
from arith.evaluation.text.prompts import PromptSet, Respondent, TextTest, cell_key, prompt_line
from arith.evaluation.text.replies import match_replies, read_replies
from arith.evaluation.text.reply import Reply
from arith.evaluation.text.wording import Turns
from arith.process.files import append_whole
from arith.process.hints import current_command
from arith.process.progress import progress
from arith.process.signals import catch_interrupts
from arith.results.cell_key import CellKey
from arith.results.schema import Cell, Condition, Results


class Replier(Protocol):
    """A model that continues prompts."""

    @property
    def model(self) -> nn.Module: ...

    def replies(self, prompts: Sequence[str | Turns], new_tokens: int, at_once: int) -> list[Reply]: ...


def ask_sets(
    replier: Replier,
    of: TextTest,
    sets: Sequence[Condition],
    who: Respondent,
    path: Path,
    transcript: Path | None,
    at_once: int,
) -> Results:
    """Ask a model, test set by test set.

    Args:
        replier: the model.
        of: the test.
        sets: its test sets.
        who: the model as the results describe it.
        path: the results file; an interrupted evaluation leaves a partial file beside it.
        transcript: the file for prompts and replies, of which those already in it are not asked again.
        at_once: the number of prompts in a batch.

    Raises:
        KeyboardInterrupt: a signal came; all finished cells are saved.
    """
    kept = SavedCells(fingerprint(replier.model), path)
    keys = {test: cell_key(of, who, test) for test in sets}
    _check_same(path, kept.model, {key.test for key in keys.values()})
    # A transcript is to hold every reply, so what it lacks is asked again, even if its cell is known.
    known = {} if transcript is not None else {CellKey.of(cell): cell for cell in kept.cells()}
    written = read_replies(transcript) if transcript is not None and transcript.exists() else {}
    cells: list[Cell] = []
    total = sum(test.n for test in sets)
    with catch_interrupts() as flag, progress(f"test {who.label}", total) as shown:
        for test in sets:
            if keys[test] in known:
                cells.append(known[keys[test]])
            else:
                asked = of.problems(test)
                ids = asked.ids()
                if all(name in written for name in ids):
                    replies = [written[name] for name in ids]
                else:
                    replies = _ask(replier, asked, at_once)
                    if transcript is not None:
                        _append(transcript, asked, replies)
                # Saved after every set: replies are slow, and a file of results is written in milliseconds.
                cells.append(asked.cell(replies, who))
                kept.save([*known.values(), *cells])
            shown.update(sum(cell.n for cell in cells), f"{test.suite} {test.digits} digits {cells[-1].accuracy:.1%}")
            if flag.raised:
                raise KeyboardInterrupt
    about = {"model": kept.model, "command": current_command(), "wording": of.wording.described()}
    return Results(tuple(cells), about)


def _ask(replier: Replier, asked: PromptSet, at_once: int) -> list[Reply]:
    return replier.replies(asked.prompts, asked.reply_tokens, at_once)


def _append(transcript: Path, asked: PromptSet, replies: Sequence[Reply]) -> None:
    rows = zip(asked.ids(), asked.prompts, replies, asked.judge(replies), strict=True)
    lines = [
        json.dumps({**prompt_line(name, prompt), **reply.line(), **judged._asdict()}, ensure_ascii=False)
        for name, prompt, reply, judged in rows
    ]
    # The whole set: half a line would be refused when the command is given again.
    append_whole(transcript, "".join(f"{line}\n" for line in lines))


def score_replies(path: Path, who: Respondent, partial: bool = False) -> Results:
    """Score the replies in a file.

    Args:
        path: the file.
        who: the model that replied, as the results describe it.
        partial: whether replies may be missing, which then count as failures.
    """
    matched = list(match_replies(path, partial))
    cells = tuple(asked.cell(replies, who) for asked, replies in matched)
    wordings = dict.fromkeys(asked.of.wording for asked, _ in matched)
    if len(wordings) > 1:
        raise UsageError(f"{path} holds replies to {len(wordings)} wordings, which are {len(wordings)} tests. Split it")
    about = {"model": f"replies of {who.label}", "command": current_command()}
    return Results(cells, about | {"wording": next(iter(wordings)).described()})


def save_with_others(results: Results, path: Path) -> Results:
    """Write results, keep the file's other test sets of the same model, and return all that it holds now."""
    _check_same(path, results.about["model"], {CellKey.of(cell).test for cell in results.cells})
    save_results(results, path, keep_others=True)
    return Results.load(path)


def _check_same(path: Path, model: str, tests: set[tuple[object, ...]]) -> None:
    """Refuse to replace the results of another model or test."""
    if not path.exists():
        return
    held = Results.load(path)
    if held.about.get("model") != model or {CellKey.of(cell).test for cell in held.cells} - tests:
        raise UsageError(f"{path} holds results of another model or test. Choose another --out, or remove it")
