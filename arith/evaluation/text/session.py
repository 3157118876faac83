"""Test a model by text, and go on where an earlier test of it stopped."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from arith.errors import UsageError
from arith.evaluation.session import SavedCells, fingerprint, saved
from arith.evaluation.text.prompts import Asked, AskedSet, TextTest, read_replies, replied
from arith.process.hints import current_command
from arith.process.progress import progress
from arith.process.signals import catch_interrupts
from arith.results.schema import GRID, Cell, Condition, Results

SPARE = 8  # tokens that a reply may have beyond the characters of the longest answer


class Replier(Protocol):
    """What goes on with prompts."""

    @property
    def model(self) -> nn.Module: ...

    def replies(self, prompts: Sequence[str], new_tokens: int, at_once: int) -> list[str]: ...


def asked_by_text(
    replier: Replier,
    of: TextTest,
    sets: Sequence[Condition],
    who: Asked,
    path: Path,
    transcript: Path | None,
    at_once: int,
) -> Results:
    """Ask test set by test set.

    Args:
        path: of the results, beside which is kept what an interrupted test has measured.
        transcript: file for prompts and replies; those that it holds are not asked for again.

    Raises:
        KeyboardInterrupt: a signal came; what was measured is kept.
    """
    kept = SavedCells(fingerprint(replier.model), path)
    this = who.label, of.task, of.format, of.seed
    _check_same(path, kept.model, this)
    known = {} if transcript is not None else {_of(cell): cell for cell in kept.cells() if _named(cell) == this}
    written = read_replies(transcript) if transcript is not None and transcript.exists() else {}
    cells: list[Cell] = []
    total = sum(test.n for test in sets)
    with catch_interrupts() as flag, progress(f"test {who.label}", total) as shown:
        for test in sets:
            if test in known:
                cells.append(known[test])
            else:
                asked = of.problems(test)
                ids = asked.ids()
                if all(name in written for name in ids):
                    replies = [written[name] for name in ids]
                else:
                    replies = _asked(replier, asked, at_once)
                    if transcript is not None:
                        _append(transcript, asked, replies)
                cells.append(asked.cell(asked.right(replies), who))
                kept.save([*known.values(), *cells])
            shown.update(sum(cell.n for cell in cells), f"{test.suite} {test.digits} digits {cells[-1].accuracy:.1%}")
            if flag.raised:
                raise KeyboardInterrupt
    return Results(tuple(cells), {"model": kept.model, "command": current_command()})


def _asked(replier: Replier, asked: AskedSet, at_once: int) -> list[str]:
    return replier.replies(asked.prompts, asked.of.longest_reply(asked.test) + SPARE, at_once)


def _append(transcript: Path, asked: AskedSet, replies: Sequence[str]) -> None:
    rows = zip(asked.ids(), asked.prompts, replies, asked.right(replies), strict=True)
    with transcript.open("a") as opened:
        for name, prompt, reply, right in rows:
            row = {"id": name, "prompt": prompt, "reply": reply, "right": right}
            opened.write(json.dumps(row, ensure_ascii=False) + "\n")


def of_replies(path: Path, who: Asked) -> Results:
    """What replies in a file are worth."""
    cells = tuple(asked.cell(asked.right(replies), who) for asked, replies in replied(path))
    return Results(cells, {"model": f"replies of {who.label}", "command": current_command()})


def saved_with_others(results: Results, path: Path) -> Results:
    """Write results, beside those of other test sets of the same model."""
    _check_same(path, results.about["model"], _named(results.cells[0]))
    saved(results, path, keep_others=True)
    return Results.load(path)


def _check_same(path: Path, model: str, test: tuple[object, ...]) -> None:
    """Refuse to replace what was measured of something else."""
    if not path.exists():
        return
    held = Results.load(path)
    if held.about.get("model") != model or any(_named(cell) != test for cell in held.cells):
        raise UsageError(f"{path} holds results of another model or test. Choose another --out, or remove it")


def _of(cell: Cell) -> Condition:
    return Condition(cell.suite, cell.digits, cell.n, cell.operand_lengths if cell.suite == GRID else None)


def _named(cell: Cell) -> tuple[object, ...]:
    return cell.label, cell.task, cell.format, cell.test_seed
