"""Tasks that write their lines themselves, such as chains of clauses."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from arith.tasks import vocabulary
from arith.tasks.base import Task
from arith.tasks.digits import Numbers
from arith.tasks.lines import Piece, Written, constant, lay_out
from arith.tasks.stream import Draws


@dataclass(frozen=True)
class Spelling:
    """A line that a task writes itself.

    Args:
        prompt: from behind the begin mark up to the answer, the equals sign included.
        answer: up to the end mark.
        given: tokens of the answer that no model has to predict; None: it predicts all.
    """

    prompt: Sequence[Piece]
    answer: Sequence[Piece]
    given: Bool[np.ndarray, "b w"] | None = None


@runtime_checkable
class Spelled(Task, Protocol):
    """A task whose prompts are not its operands with signs between them: it writes its lines itself, and reads them.

    Two more attributes are optional, both False without them: `in_place`, whether the digits of the answer are read in
    their places of a whole line (`arith.model.kinds.in_place`), and `shows_steps`, whether the answer begins with
    steps.
    """

    @property
    def symbols(self) -> str:
        """What its lines are written with beside digits, operators and marks."""
        ...

    def spell(self, operands: tuple[Numbers, ...], draws: Draws | None) -> Spelling:
        """The lines of some problems; without draws they are as long as they can be.

        Raises:
            ValueError: such operands cannot be written.
        """
        ...

    def read(self, text: str) -> tuple[tuple[str, ...], str]:
        """The operands and the answer of a written line.

        Raises:
            ValueError: it is no line of this task.
        """
        ...


@runtime_checkable
class Scored(Spelled, Protocol):
    """A task whose answers are no numbers, and can be right in part."""

    def put(self, problem: str) -> Spelling:
        """The line of a problem as a person typed it.

        Raises:
            ValueError: it is no problem of this task.
        """
        ...

    def find(self, reply: str) -> str | None:
        """The answer that a free reply means, as a line has it; None: the reply holds none."""
        ...

    def score(self, expected: str, written: str | None) -> Mapping[str, bool]:
        """What is right about a written answer, and what kind of problem it answers; cells count what is true."""
        ...


def count_parts(task: Scored, answers: Iterable[tuple[str, str | None]]) -> dict[str, float]:
    """How many written answers are right in each part.

    Args:
        task: the task that scores them.
        answers: pairs of the right answer and the written one.
    """
    counts = Counter[str]()
    for expected, written in answers:
        # Not the sum of two Counters, which would drop the names whose count is 0.
        counts.update({name: int(true) for name, true in task.score(expected, written).items()})
    return dict(counts)


def lay_out_spelling(spelling: Spelling, rows: int) -> Written:
    """The lines with begin and end marks, padded on the right."""
    begin, end = constant(vocabulary.BEGIN, rows), constant(vocabulary.END, rows)
    line = lay_out([begin, *spelling.prompt, *spelling.answer, end])
    prompt_lengths = line.ends[len(spelling.prompt)]
    given = None
    if spelling.given is not None:
        given = np.zeros(line.tokens.shape, dtype=bool)
        place = prompt_lengths[:, None] + np.arange(spelling.given.shape[1])
        np.put_along_axis(given, place, spelling.given, axis=1)
    return Written(line.tokens, prompt_lengths, line.ends[-1], given=given)
