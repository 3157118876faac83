"""Tests of any model that reads text: prompts, and how replies to them are scored.

A reply is right if the number that it means is the answer; see `arith.evaluation.text.number`. Problems are the same as
in every other test of that task, format and seed.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arith.config.schema import DataConfig, EvaluationConfig
from arith.data.evaluation_sets import EvaluationSets
from arith.data.problems import training_problems
from arith.data.tokenized import texts
from arith.evaluation.text.number import THOUGHT, Judged, judge_reply
from arith.evaluation.text.reply import Reply, measure, with_kind
from arith.evaluation.text.wording import BARE, Turns, Wording
from arith.process.files import write_whole
from arith.results.cell_key import CellKey
from arith.results.schema import GRID, Cell, Condition
from arith.results.uncertainty import wilson
from arith.tasks.base import Task
from arith.tasks.formats import Format
from arith.tasks.spelling import Scored, count_parts

# Tokens that a reply may have beyond the characters of the longest answer. No tokenizer needs more than a token a
# character for digits; the rest leaves room for a space or a word before the number, or for a sentence around it.
SPARE, SPARE_WORDS = 8, 64
UNKNOWN = (0, 0)  # trained lengths of a model that arith did not train


@dataclass(frozen=True)
class TextTest:
    """A test by text.

    Args:
        task, format: the task, and how its numbers are written.
        seed: the seed of the test problems.
        shots: the number of solved problems, of the training data, in front of each prompt.
        wording: how problems are put.
    """

    task: str
    format: str
    seed: int
    shots: int = 0
    wording: Wording = BARE

    def tests(self, digits: Sequence[int] = (1,), suites: Sequence[str] = (), samples: int = 100) -> EvaluationSets:
        """The test problems of some lengths and suites."""
        values = {"digits": digits, "suites": suites, "samples": samples, "long_samples": samples, "seed": self.seed}
        return EvaluationSets.of(self.task, self.format, EvaluationConfig.of(values))

    def problems(self, test: Condition) -> "PromptSet":
        """The problems of a test set, with their prompts."""
        tests = self.tests((test.digits,), () if test.suite == GRID else (test.suite,), test.n)
        drawn = tests.problems([test])
        exact = drawn.sources[0].problems(0, test.n)
        written = texts(drawn, tests.format, 0, test.n)
        return PromptSet(
            self,
            test,
            tests.task,
            tests.format,
            tuple(prompt for prompt, _ in written),
            # An answer that is no number is known by how it is written.
            tuple(
                answer if isinstance(tests.task, Scored) else exact.answer.text(row)
                for row, (_, answer) in enumerate(written)
            ),
            tuple(self._write_shots(tests.format)),
        )

    def _write_shots(self, form: Format) -> list[tuple[str, str]]:
        if not self.shots:
            return []
        # Training problems, of 1-4 digits unless the format is narrower: it could not write them.
        problems = training_problems(self.task, DataConfig((1, min(4, form.width or 4))), "train")
        return list(texts(problems, form, 0, self.shots))


@dataclass(frozen=True)
class PromptSet:
    """The problems of one test set.

    Args:
        of: the test.
        test: the test set.
        task, format: the task and the format of the test.
        bare: the prompts without solved problems.
        answers: the right answers, decimal numbers but for tasks that are `Scored`.
        shots: prompts and answers of the solved problems in front of each prompt.
    """

    of: TextTest
    test: Condition
    task: Task
    format: Format
    bare: tuple[str, ...]
    answers: tuple[str, ...]
    shots: tuple[tuple[str, str], ...]

    @property
    def longest_answer(self) -> int:
        """The most characters that a right answer can have."""
        return self.format.longest_answer(self.task, self.test.digits)

    @property
    def prompts(self) -> list[str | Turns]:
        """What the model is given for each problem."""
        return [self.of.wording.put(prompt, self.shots) for prompt in self.bare]

    @property
    def reply_tokens(self) -> int:
        """The most tokens of a reply."""
        wording = self.of.wording
        spare = SPARE if wording.ask is None else SPARE_WORDS
        return wording.tokens or self.longest_answer + spare

    def ids(self) -> list[str]:
        """The ids of the problems, from each of which its whole test set can be drawn again."""
        # Replies come back by themselves, from another machine or weeks later. With task, format, seed, shots, suite,
        # lengths, size and row in the id, a file of replies is scored without the file of prompts, and cannot be
        # scored against other problems. The wording's hash, if it has one, keeps two wordings out of one table.
        test, of = self.test, self.of
        lengths = (
            "x".join(map(str, test.operand_lengths)) if test.suite == GRID and test.operand_lengths else test.digits
        )
        wording = f"/{of.wording.key}" if of.wording.key else ""
        own = f"{of.task}/{of.format}/{of.seed}/{of.shots}{wording}/{test.suite}/{lengths}/{test.n}"
        return [f"{own}/{row}" for row in range(test.n)]

    def judge(self, replies: Sequence[Reply]) -> list[Judged]:
        """Whether each reply gives the right answer, how its number was found, and how it failed."""
        return [self.judge_row(row, reply) for row, reply in zip(range(self.test.n), replies, strict=True)]

    def judge_row(self, row: int, reply: Reply) -> Judged:
        """The judgement of the reply to one problem."""
        judged = judge_reply(self.task, self.format, self.bare[row], reply.text, self.answers[row])
        return with_kind(reply, judged)

    def cell(self, replies: Sequence[Reply], model: "Respondent") -> Cell:
        """The cell of results.json.

        Args:
            replies: a reply to each problem.
            model: the model that replied.
        """
        judged = self.judge(replies)
        test, correct = self.test, sum(reply.right for reply in judged)
        measures: dict[str, float] = {"shots": self.of.shots} if self.of.shots else {}
        measures |= measure(replies, judged)
        if isinstance(self.task, Scored):
            found = (self.task.find(THOUGHT.sub("", reply.text)) for reply in replies)
            measures |= count_parts(self.task, zip(self.answers, found, strict=True))
        low, high = wilson(correct, test.n)
        return Cell(
            label=model.label,
            task=self.of.task,
            format=self.of.format,
            encoding=model.kind,
            structure_aware=False,
            suite=test.suite,
            split="test",
            train_lengths=model.train_lengths,
            digits=test.digits,
            operand_lengths=test.operand_lengths,
            model_seed=0,
            data_seed=0,
            test_seed=self.of.seed,
            step=0,
            samples=0,
            parameters=model.parameters,
            n=test.n,
            correct=correct,
            accuracy=correct / test.n,
            low=low,
            high=high,
            seen=0,
            training_seconds=0.0,
            measures=measures,
            wording=self.of.wording.key,
        )


@dataclass(frozen=True)
class Respondent:
    """A model that replies to text.

    Args:
        label: the name of the model in figures.
        kind: the kind of model, where others have their encoding.
        parameters: the number of its parameters; 0 if unknown.
        train_lengths: the digits of the shortest and the longest operand in training; (0, 0) if unknown.
    """

    label: str
    kind: str = "unknown"
    parameters: int = 0
    train_lengths: tuple[int, int] = UNKNOWN


def cell_key(of: TextTest, model: Respondent, test: Condition) -> CellKey:
    """The key of the cell that a test set of a model has, or will have."""
    return CellKey(
        label=model.label,
        task=of.task,
        format=of.format,
        encoding=model.kind,
        train_lengths=model.train_lengths,
        model_seed=0,
        data_seed=0,
        test_seed=of.seed,
        step=0,
        samples=0,
        condition=test,
        shots=of.shots,
        wording=of.wording.key,
    )


def write_prompts(path: Path, of: TextTest, sets: Sequence[Condition]) -> int:
    """Write a file of JSON lines, each with `id` and `prompt`, in a chat `messages`, and return their number."""
    rows = (
        prompt_line(name, prompt)
        for asked in map(of.problems, sets)
        for name, prompt in zip(asked.ids(), asked.prompts, strict=True)
    )
    return write_json_lines(path, rows)


def write_json_lines(path: Path, rows: Iterable[object]) -> int:
    """Write a line of JSON for each row, and return their number."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    write_whole(path, "".join(f"{line}\n" for line in lines))
    return len(lines)


def prompt_line(name: str, prompt: str | Turns) -> dict[str, object]:
    """A line of a file of prompts."""
    return {"id": name, "prompt" if isinstance(prompt, str) else "messages": prompt}
